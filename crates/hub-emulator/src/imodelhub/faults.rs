//! Misbehaviour on demand.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

/// The most faults that wait.
const MAX_FAULTS: usize = 1_000;

/// Misbehaviour towards requests to come. Admin requests are never hit.
///
/// The same form in JSON, for `POST /admin/faults`:
/// `{"match":{"method":"DELETE","path":"messages/head"},"skip":1,"times":2,"action":{"do":"status","status":503}}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default, rename = "match")]
    filter: Filter,
    #[serde(default)]
    skip: u64,
    #[serde(default = "once")]
    times: u64,
    action: Action,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    method: Option<String>,
    path: Option<String>,
}

const fn once() -> u64 {
    1
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// It is answered so, and nothing else happens.
    Status {
        /// The status code.
        status: u16,
        /// Headers, such as `Retry-After`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// Its TCP connection is reset, and nothing else happens.
    Reset,
    /// It is held, as a long poll is, and then its connection is reset. No message is taken.
    ResetWaiting {
        /// For how long it is held, in milliseconds.
        #[serde(default)]
        after_ms: u64,
    },
    /// It is carried out, and its connection is reset instead of the answer: a message taken destructively is lost,
    /// one locked comes back when the lock ends. A poll without a message is answered, and the fault stays.
    ResetAfterDequeue,
    /// It gets no answer, and its connection stays open.
    Hang,
    /// It is carried out that much later.
    Delay {
        /// The delay, in milliseconds.
        ms: u64,
    },
    /// Its answer's body is half of what it should be, and its length says so. Bodies only; as all that follow, the
    /// fault stays when there is none.
    TruncateBody,
    /// Half of its answer's body is sent, of the length promised for all of it, and then the connection is cut.
    CutBody,
    /// Its answer's body has no braces.
    BracelessBody,
    /// Its answer's body is empty.
    EmptyBody,
    /// Its answer's content type is another: an unknown event type, one with parameters, or none.
    ContentType {
        /// The content type; `None` for no such header.
        #[serde(default)]
        value: Option<String>,
    },
    /// Its token, SAS or access token, is revoked before it is looked at.
    RevokeToken,
    /// Its subscription ends before it is looked at: a queue answers 410, the service 404.
    ExpireSubscription,
}

impl Fault {
    /// This, towards the next request.
    pub fn new(action: Action) -> Self {
        Self { filter: Filter::default(), skip: 0, times: once(), action }
    }

    /// Only requests of this method.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.filter.method = Some(method.into());
        self
    }

    /// Only requests whose path and query match this regular expression, of whatever case.
    pub fn path(mut self, regex: impl Into<String>) -> Self {
        self.filter.path = Some(regex.into());
        self
    }

    /// Lets this many matching requests pass first.
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Hits this many requests; 0: all, until faults are cleared. Default 1.
    pub fn times(mut self, requests: u64) -> Self {
        self.times = requests;
        self
    }
}

impl Action {
    /// Whether it changes an answer, and therefore needs one with a body.
    pub(super) fn wants_body(&self) -> bool {
        matches!(
            self,
            Self::TruncateBody
                | Self::CutBody
                | Self::BracelessBody
                | Self::EmptyBody
                | Self::ContentType { .. }
        )
    }

    pub(super) fn delay(&self) -> Option<Duration> {
        match self {
            Self::ResetWaiting { after_ms: ms } | Self::Delay { ms } => Some(Duration::from_millis(*ms)),
            _ => None,
        }
    }
}

/// The faults that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
    next: u64,
}

#[derive(Debug)]
struct Armed {
    number: u64,
    method: Option<Method>,
    path: Option<Regex>,
    skip: u64,
    /// `None`: without end.
    left: Option<u64>,
    action: Action,
}

/// A fault that hits a request.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    number: u64,
    pub(super) action: Action,
}

impl Faults {
    /// Those that would still hit something.
    pub(super) fn len(&self) -> usize {
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
        let method = fault.filter.method.map(|method| method.to_ascii_uppercase().parse()).transpose();
        let method: Option<Method> = method.map_err(|_| "the method is not one".to_owned())?;
        let compile = |path: String| RegexBuilder::new(&path).case_insensitive(true).build();
        let path = fault.filter.path.map(compile).transpose();
        let path = path.map_err(|error| format!("the path is not a regular expression: {error}"))?;
        self.armed.retain(|armed| armed.left != Some(0));
        if self.armed.len() >= MAX_FAULTS {
            return Err(format!("{MAX_FAULTS} faults wait already"));
        }
        let left = Some(fault.times).filter(|times| *times > 0);
        self.next += 1;
        self.armed.push(Armed {
            number: self.next,
            method,
            path,
            skip: fault.skip,
            left,
            action: fault.action,
        });
        Ok(())
    }

    /// Forgets all; says how many there were.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.len();
        self.armed.clear();
        count
    }

    /// The first fault that hits this request.
    pub(super) fn take(&mut self, method: &Method, path_and_query: &str) -> Option<Hit> {
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
            return Some(Hit { number: armed.number, action: armed.action.clone() });
        }
        None
    }

    /// The fault found nothing to spoil: it waits again.
    pub(super) fn give_back(&mut self, hit: &Hit) {
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
        let mut faults = Faults::default();
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
        let mut faults = Faults::default();
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
            assert!(Faults::default().add(fault(bad)).is_err(), "{bad}");
        }
    }
}
