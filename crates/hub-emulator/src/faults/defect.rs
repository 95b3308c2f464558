//! Flaws that a server could have, for suites that must find them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde::{Deserialize, Serialize};

/// A lasting flaw of the emulator, to be switched on. A suite that passes with any of these on does not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Defect {
    /// ftrack: a reply goes to the connection that sent it instead of the one it is for.
    WrongReplyTarget,
    /// ftrack: an event is acknowledged after what follows from it, instead of before.
    AckAfterConsequence,
    /// ftrack: every third acknowledgement is not sent.
    AckDropped,
    /// ftrack: events to clients carry a packet id, which breaks the JavaScript client.
    IdOnEvents,
    /// iModelHub: queues give the newest message first.
    LifoQueue,
    /// iModelHub: events are queued whatever types a subscription wants.
    TypeFilterIgnored,
    /// iModelHub: `; charset=utf-8` follows the event type in `Content-Type`.
    CharsetOnType,
    /// iModelHub: `Location` is in lower case, and the bus looks at the case of paths: what it says leads nowhere.
    LowerCaseLocation,
    /// iModelHub: a lock never ends by itself.
    LocksNeverLapse,
    /// iModelHub: a SAS token is good for ever.
    SasNeverExpires,
}

impl Defect {
    /// All ten.
    pub const ALL: [Self; 10] = [
        Self::WrongReplyTarget,
        Self::AckAfterConsequence,
        Self::AckDropped,
        Self::IdOnEvents,
        Self::LifoQueue,
        Self::TypeFilterIgnored,
        Self::CharsetOnType,
        Self::LowerCaseLocation,
        Self::LocksNeverLapse,
        Self::SasNeverExpires,
    ];

    /// Its name in flags and admin routes, such as `wrong_reply_target`.
    pub fn name(self) -> &'static str {
        match self {
            Self::WrongReplyTarget => "wrong_reply_target",
            Self::AckAfterConsequence => "ack_after_consequence",
            Self::AckDropped => "ack_dropped",
            Self::IdOnEvents => "id_on_events",
            Self::LifoQueue => "lifo_queue",
            Self::TypeFilterIgnored => "type_filter_ignored",
            Self::CharsetOnType => "charset_on_type",
            Self::LowerCaseLocation => "lower_case_location",
            Self::LocksNeverLapse => "locks_never_lapse",
            Self::SasNeverExpires => "sas_never_expires",
        }
    }

    /// The defect of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|defect| defect.name() == name)
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// Which defects are on, shared by both services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defects(Arc<AtomicU16>);

impl Defects {
    pub(crate) fn set(&self, defect: Defect, on: bool) {
        if on {
            self.0.fetch_or(defect.bit(), Ordering::Relaxed);
        } else {
            self.0.fetch_and(!defect.bit(), Ordering::Relaxed);
        }
    }

    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.0.load(Ordering::Relaxed) & defect.bit() != 0
    }

    pub(crate) fn all(&self) -> Vec<Defect> {
        Defect::ALL.into_iter().filter(|defect| self.has(*defect)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defects_are_switched_one_by_one_and_named_as_in_json() {
        let defects = Defects::default();
        defects.set(Defect::LifoQueue, true);
        defects.set(Defect::AckDropped, true);
        assert_eq!(defects.all(), [Defect::AckDropped, Defect::LifoQueue]);
        defects.set(Defect::LifoQueue, false);
        assert_eq!(defects.all(), [Defect::AckDropped]);
        for defect in Defect::ALL {
            assert_eq!(serde_json::to_value(defect).unwrap(), defect.name());
            assert_eq!(Defect::named(defect.name()), Some(defect));
        }
        assert_eq!(Defect::named("none"), None);
    }
}
