//! A subscription with a handler, and the counters of any subscription.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::{Orphan, Shared};
use crate::dispatch::Entry;
use crate::subscription::Subscriber;
use crate::{Expression, Result, SubscriptionId};

/// A subscription with a handler. Dropping it changes nothing; a clone is the same subscription.
#[derive(Clone)]
pub struct Subscription {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
}

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>, entry: Arc<Entry>) -> Self {
        Self { shared, entry }
    }

    /// The subscriber's id.
    pub fn id(&self) -> &SubscriptionId {
        self.entry.id()
    }

    /// What it subscribes to.
    pub fn expression(&self) -> &Expression {
        &self.entry.expression
    }

    /// Who subscribes.
    pub fn subscriber(&self) -> &Subscriber {
        &self.entry.spec.subscriber
    }

    /// Its priority number.
    pub fn priority(&self) -> i32 {
        self.entry.priority
    }

    /// Its counters.
    pub fn stats(&self) -> SubscriptionStats {
        stats(&self.entry)
    }

    /// Ends the subscription as [`Subscription::unsubscribe`] does, without waiting: for where nothing can be awaited.
    pub fn cancel(&self) {
        self.entry.abandon();
        self.shared.orphan(Orphan::Ended(Arc::clone(&self.entry)));
    }

    /// Ends the subscription: no handler starts any more, events that wait are thrown away, a handler at work
    /// finishes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when it ended already.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the subscription ends even if the future is dropped.
    pub async fn unsubscribe(&self) -> Result<()> {
        self.shared.unsubscribe(self.entry.id()).await
    }
}

/// What happened to the events of one subscription. Each has one fate: `delivered` is the sum of the other numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionStats {
    /// Events that matched.
    pub delivered: u64,
    /// Handlers that returned, or events yielded by a stream.
    pub handled: u64,
    /// Handlers that failed or panicked.
    pub failed: u64,
    /// Events stopped by a smaller priority number.
    pub skipped: u64,
    /// Events dropped because the buffer was full.
    pub dropped: u64,
    /// Events thrown away by an unsubscribe, by a drain that ran out of time, or when the hub was dropped.
    pub abandoned: u64,
    /// Events that wait now.
    pub waiting: usize,
    /// Handlers at work now.
    pub running: usize,
}

pub(super) fn stats(entry: &Entry) -> SubscriptionStats {
    let counters = &entry.counters;
    SubscriptionStats {
        delivered: counters.delivered.load(Ordering::Relaxed),
        handled: counters.handled.load(Ordering::Relaxed),
        failed: counters.failed.load(Ordering::Relaxed),
        skipped: counters.skipped.load(Ordering::Relaxed),
        dropped: entry.lane.dropped(),
        abandoned: counters.abandoned.load(Ordering::Relaxed),
        waiting: entry.lane.waiting(),
        running: entry.lane.running(),
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("id", self.entry.id()).finish_non_exhaustive()
    }
}
