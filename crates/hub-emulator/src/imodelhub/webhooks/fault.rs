//! What can go wrong with a webhook on its way. Pure.

use serde::{Deserialize, Serialize};

/// What happens to a delivery. It is one attempt of one event: the next one is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum WebhookAction {
    /// It is signed with another secret.
    BadSignature,
    /// It is not signed.
    Unsigned,
    /// Its body is changed after it was signed.
    Tampered,
    /// Its content type is `text/plain`.
    ContentType,
    /// It says that it was enqueued earlier than it was.
    Stale {
        /// By how much, in milliseconds.
        by_ms: u64,
    },
    /// It has a member that makes it longer.
    Oversized {
        /// By how much, in bytes.
        bytes: usize,
    },
    /// It is sent once more after it was acknowledged.
    Repeat,
    /// Its answer is lost: it is sent again, whatever was answered.
    LoseAnswer,
}

/// A [`WebhookAction`], and which deliveries it hits.
///
/// The same form in JSON, for `POST /admin/webhooks/faults`: `{"skip":1,"times":2,"action":{"do":"repeat"}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookFault {
    #[serde(default)]
    skip: u64,
    #[serde(default = "once")]
    times: u64,
    action: WebhookAction,
}

const fn once() -> u64 {
    1
}

impl WebhookFault {
    /// This, to the next delivery.
    pub fn new(action: WebhookAction) -> Self {
        Self { skip: 0, times: once(), action }
    }

    /// Lets this many deliveries pass first.
    pub fn skip(mut self, deliveries: u64) -> Self {
        self.skip = deliveries;
        self
    }

    /// Hits this many deliveries; 0: all, until faults are cleared. Default 1.
    pub fn times(mut self, deliveries: u64) -> Self {
        self.times = deliveries;
        self
    }
}

/// The faults that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(WebhookFault, bool)>);

impl Faults {
    /// The most that wait.
    const MOST: usize = 1_000;

    /// Adds one, if there is room.
    pub(super) fn add(&mut self, fault: WebhookFault) -> bool {
        let room = self.0.len() < Self::MOST;
        if room {
            let endless = fault.times == 0;
            self.0.push((fault, endless));
        }
        room
    }

    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.0).len()
    }

    /// What hits the next delivery.
    pub(super) fn take(&mut self) -> Option<WebhookAction> {
        for (fault, _) in &mut self.0 {
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times = fault.times.saturating_sub(1);
            let action = fault.action;
            self.0.retain(|(fault, endless)| *endless || fault.times > 0);
            return Some(action);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_hit_in_their_order_and_as_often_as_they_should() {
        let mut faults = Faults::default();
        assert_eq!(faults.take(), None);
        faults.add(WebhookFault::new(WebhookAction::Repeat).skip(1).times(2));
        faults.add(WebhookFault::new(WebhookAction::Unsigned).times(0));
        let hits: Vec<_> = (0..5).map(|_| faults.take()).collect();
        let (repeat, unsigned) = (Some(WebhookAction::Repeat), Some(WebhookAction::Unsigned));
        assert_eq!(hits, [unsigned, repeat, repeat, unsigned, unsigned]);
        assert_eq!((faults.clear(), faults.take()), (1, None));
        let json = r#"{"skip":1,"action":{"do":"stale","byMs":5}}"#;
        let fault: WebhookFault = serde_json::from_str(json).unwrap();
        assert_eq!((fault.times, fault.action), (1, WebhookAction::Stale { by_ms: 5 }));
    }
}
