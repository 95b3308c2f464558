//! Watching the hub: every event that it takes, with what became of it, at the moment when it is taken.

use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use event_core::Event;

use super::router::{ConnectionId, Outcome};

/// Sees every event. Called under the hub's lock: it must not block, nor use the hub.
pub(crate) trait Watch: fmt::Debug + Send + Sync {
    fn see(&self, seen: &Seen<'_>);
}

/// An event that came, meta events and repeats included.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) event: &'a Event,
    /// The connection that sent it; `None`: no client did.
    pub(crate) from: Option<ConnectionId>,
    /// The user of that connection.
    pub(crate) user: Option<&'a str>,
    pub(crate) became: Became<'a>,
    /// Since 1970.
    pub(crate) at: Duration,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Became<'a> {
    /// It went to so many connections.
    Routed(usize),
    Subscribed,
    Unsubscribed,
    Refused(&'a str),
    Repeated,
    UnreadableTarget,
}

impl<'a> From<&'a Outcome> for Became<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        match outcome {
            Outcome::Subscribed => Self::Subscribed,
            Outcome::Unsubscribed => Self::Unsubscribed,
            Outcome::Refused(why) => Self::Refused(why),
            Outcome::Repeated => Self::Repeated,
            Outcome::UnreadableTarget => Self::UnreadableTarget,
            Outcome::Routed { to, .. } => Self::Routed(to.len()),
        }
    }
}

/// Who watches. Those that are gone are forgotten.
#[derive(Debug, Default)]
pub(super) struct Watchers(Vec<Weak<dyn Watch>>);

impl Watchers {
    pub(super) fn add(&mut self, watcher: Weak<dyn Watch>) {
        self.0.push(watcher);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn show(&mut self, seen: &Seen<'_>) {
        self.0.retain(|watcher| {
            watcher.upgrade().is_some_and(|watcher| {
                watcher.see(seen);
                true
            })
        });
    }
}
