//! The faults that wait, what hits which request, and what did. Pure.

use http::Method;
use regex_lite::{Regex, RegexBuilder};

use super::action::Action;
use super::fault::Fault;
use crate::faults::{Bugginess, Buggy, Fired};

/// The most faults that wait.
const MAX_FAULTS: usize = 1_000;

/// The faults that wait, oldest first.
#[derive(Debug, Default)]
pub(in crate::imodelhub) struct Dial {
    armed: Vec<Armed>,
    next: u64,
    pub(in crate::imodelhub) fired: Fired,
    buggy: Option<Buggy>,
}

#[derive(Debug)]
struct Armed {
    number: u64,
    method: Option<Method>,
    path: Option<Regex>,
    skip: u64,
    /// `None`: without end.
    left: Option<u64>,
    fault: Fault,
}

/// A fault that hits a request.
#[derive(Clone, Debug)]
pub(in crate::imodelhub) struct Hit {
    number: u64,
    pub(in crate::imodelhub) action: Action,
}

impl Dial {
    /// Those that would still hit something.
    pub(in crate::imodelhub) fn len(&self) -> usize {
        self.armed.iter().filter(|armed| armed.left != Some(0)).count()
    }

    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn add(&mut self, fault: Fault) -> Result<(), String> {
        if let Action::Status { status, headers, .. } = &fault.action {
            let valid = (200..=599).contains(status)
                && headers.iter().all(|(name, value)| {
                    http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(value).is_ok()
                });
            if !valid {
                return Err("the status is 200 to 599, and headers are header text".to_owned());
            }
        }
        if matches!(fault.action, Action::Trickle { bytes: 0, .. }) {
            return Err("at least 1 byte at once; silence is another action".to_owned());
        }
        let filter = fault.filter.clone();
        let method = filter.method.map(|method| method.to_ascii_uppercase().parse()).transpose();
        let method: Option<Method> = method.map_err(|_| "the method is not one".to_owned())?;
        let compile = |path: String| RegexBuilder::new(&path).case_insensitive(true).build();
        let path = filter.path.map(compile).transpose();
        let path = path.map_err(|error| format!("the path is not a regular expression: {error}"))?;
        self.armed.retain(|armed| armed.left != Some(0));
        if self.armed.len() >= MAX_FAULTS {
            return Err(format!("{MAX_FAULTS} faults wait already"));
        }
        let left = Some(fault.times).filter(|times| *times > 0);
        self.next += 1;
        self.armed.push(Armed { number: self.next, method, path, skip: fault.skip, left, fault });
        Ok(())
    }

    /// Forgets all, chance included; says how many faults there were.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.len();
        self.armed.clear();
        self.buggy = None;
        count
    }

    /// The first fault that hits this request.
    pub(in crate::imodelhub) fn take(&mut self, method: &Method, path_and_query: &str) -> Option<Hit> {
        for armed in &mut self.armed {
            let matches = armed.left != Some(0)
                && armed.method.as_ref().is_none_or(|wanted| wanted == method)
                && armed.path.as_ref().is_none_or(|path| path.is_match(path_and_query));
            if !matches {
                continue;
            }
            if armed.skip > 0 {
                armed.skip -= 1;
                continue;
            }
            if let Some(left) = &mut armed.left {
                *left -= 1;
            }
            return Some(Hit { number: armed.number, action: armed.fault.action.clone() });
        }
        // No number is 0: it is not given back.
        self.buggy
            .as_mut()?
            .decide(Action::candidates(), Action::name)
            .map(|action| Hit { number: 0, action })
    }

    /// The faults that would still hit something, as they were given, but with what is left of their times.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Fault> {
        self.armed.iter().filter(|armed| armed.left != Some(0)).map(|armed| Fault {
            skip: armed.skip,
            times: armed.left.unwrap_or(0),
            ..armed.fault.clone()
        })
    }

    /// These instead of those that wait.
    ///
    /// # Errors
    ///
    /// What is wrong with one of them; nothing has changed then.
    pub(super) fn set(&mut self, faults: Vec<Fault>) -> Result<(), String> {
        let mut fresh = Self { next: self.next, ..Self::default() };
        faults.into_iter().try_for_each(|fault| fresh.add(fault))?;
        (self.armed, self.next) = (fresh.armed, fresh.next);
        Ok(())
    }

    pub(super) fn bugginess(&self) -> Option<Bugginess> {
        self.buggy.as_ref().map(|buggy| buggy.asked.clone())
    }

    pub(super) fn set_bugginess(&mut self, bugginess: &Bugginess) {
        self.buggy = Buggy::new(bugginess);
    }

    /// The fault found nothing to spoil: it waits again.
    pub(in crate::imodelhub) fn give_back(&mut self, hit: &Hit) {
        if let Some(armed) = self.armed.iter_mut().find(|armed| armed.number == hit.number)
            && let Some(left) = &mut armed.left
        {
            *left += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_fault_skips_then_hits_then_ends() {
        let mut faults = Dial::default();
        let json =
            r#"{"match":{"method":"delete","path":"/head\\?"},"skip":1,"times":2,"action":{"do":"hang"}}"#;
        faults.add(fault(json)).unwrap();
        let mut hit = |method: &Method, path: &str| faults.take(method, path).is_some();
        assert!(!hit(&Method::POST, "/head?") && !hit(&Method::DELETE, "/head"));
        let hits: Vec<bool> = (0..4).map(|_| hit(&Method::DELETE, "/bus/Head?timeout=1")).collect();
        assert_eq!(hits, [false, true, true, false]);
        assert_eq!(faults.len(), 0);
    }

    #[test]
    fn a_fault_given_back_waits_again_and_one_without_end_stays() {
        let mut faults = Dial::default();
        faults.add(Fault::new(Action::EmptyBody)).unwrap();
        let hit = faults.take(&Method::GET, "/").unwrap();
        assert!(faults.take(&Method::GET, "/").is_none());
        faults.give_back(&hit);
        assert!(faults.take(&Method::GET, "/").is_some());
        faults.add(Fault::new(Action::Reset).times(0)).unwrap();
        assert!((0..5).all(|_| faults.take(&Method::GET, "/").is_some()));
        assert_eq!((faults.clear(), faults.len()), (1, 0));
    }

    #[test]
    fn every_action_has_its_json() {
        for (json, action) in [
            (r#"{"do":"reset"}"#, Action::Reset),
            (r#"{"do":"reset_waiting","afterMs":5}"#, Action::ResetWaiting { after_ms: 5 }),
            (r#"{"do":"reset_after_dequeue"}"#, Action::ResetAfterDequeue),
            (r#"{"do":"delay","ms":5}"#, Action::Delay { ms: 5 }),
            (r#"{"do":"content_type"}"#, Action::ContentType { value: None }),
            (r#"{"do":"content_type","value":"X"}"#, Action::ContentType { value: Some("X".into()) }),
            (r#"{"do":"truncate_body"}"#, Action::TruncateBody),
            (r#"{"do":"cut_body"}"#, Action::CutBody),
            (r#"{"do":"braceless_body"}"#, Action::BracelessBody),
            (r#"{"do":"revoke_token"}"#, Action::RevokeToken),
            (r#"{"do":"expire_subscription"}"#, Action::ExpireSubscription),
        ] {
            assert_eq!(serde_json::from_str::<Action>(json).unwrap(), action);
        }
        for bad in [r#"{"do":"dance"}"#, r#"{"do":"delay"}"#, r#"{"do":"delay","ms":1,"x":1}"#, "{}"] {
            assert!(serde_json::from_str::<Action>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_a_fault_is_refused() {
        for bad in [
            r#"{"match":{"path":"("},"action":{"do":"hang"}}"#,
            r#"{"match":{"method":"A B"},"action":{"do":"hang"}}"#,
            r#"{"action":{"do":"status","status":99}}"#,
            r#"{"action":{"do":"status","status":503,"headers":{"a b":"c"}}}"#,
        ] {
            assert!(Dial::default().add(fault(bad)).is_err(), "{bad}");
        }
    }
}
