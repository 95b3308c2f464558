//! What became of an event that was given to a subscription: each has exactly one fate, and each is counted.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Entry;

/// What happened to the events of one subscription.
///
/// At rest `delivered` is the sum of the others; otherwise it is more by the events that wait or are worked on.
#[derive(Debug, Default)]
pub(crate) struct EntryCounters {
    pub(crate) delivered: AtomicU64,
    pub(crate) handled: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) skipped: AtomicU64,
    /// Thrown away before or while they were handled: by an unsubscribe, a drain that ran out of time, the end.
    pub(crate) abandoned: AtomicU64,
}

/// An event that was taken out of its lane. Dropped undecided, it counts as abandoned. `E` leads to the subscription.
#[derive(Debug)]
pub(crate) struct Fate<E: Deref<Target = Entry>> {
    entry: E,
    decided: bool,
}

impl<E: Deref<Target = Entry>> Fate<E> {
    /// The fate of the event that was just taken.
    pub(crate) fn open(entry: E) -> Self {
        entry.lane.begin();
        Self { entry, decided: false }
    }

    /// The handler returned, or the stream yielded it.
    pub(crate) fn handled(&mut self) {
        self.decide(|counters| &counters.handled);
    }

    /// The handler failed.
    pub(crate) fn failed(&mut self) {
        self.decide(|counters| &counters.failed);
    }

    /// A smaller priority number stopped it.
    pub(crate) fn skipped(&mut self) {
        self.decide(|counters| &counters.skipped);
    }

    fn decide(&mut self, counter: impl FnOnce(&EntryCounters) -> &AtomicU64) {
        if !std::mem::replace(&mut self.decided, true) {
            counter(&self.entry.counters).fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<E: Deref<Target = Entry>> Drop for Fate<E> {
    fn drop(&mut self) {
        self.decide(|counters| &counters.abandoned);
        self.entry.lane.finish();
    }
}
