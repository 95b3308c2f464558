//! The engine's part in deliveries: to whom they go, their credit, how they are settled.

use std::sync::Arc;

use super::engine::Engine;
use super::lifecycle::{Lifecycle, count};
use super::link::{Kept, LinkState};
use crate::dispatch::{Credit, Entry, Terms, settle};
use crate::transport::{RawDelivery, Route, Settlement};
use crate::{Error, EventId, Result, SubscriptionId};

impl Engine {
    pub(super) fn deliver(&mut self, delivery: RawDelivery) {
        let RawDelivery { event, route, filter_is_exact, token, lock, attempt, .. } = delivery;
        count(&self.shared.counters.received);
        let to = if let Route::Direct(id) = &route { Some(id) } else { None };
        // What is under a lock came again because it was not settled: that is no repeat.
        if let (Some(id), None) = (event.id(), &token)
            && self.repeats.is_repeat(id, to, self.arrival)
        {
            count(&self.shared.counters.repeats);
            tracing::debug!(%id, topic = %event.topic(), "came already");
            if let (Some(to), true, LinkState::Linked(linked)) = (to, self.credited, &self.link) {
                linked.tx.grant(to, 1);
            }
            return;
        }
        tracing::trace!(id = event.id().map(tracing::field::display), topic = %event.topic(), "received");
        let is_reply = self.shared.correlate(&event);
        let credit = match &route {
            Route::Direct(id) if self.credited => Some(self.credit(id)),
            _ => None,
        };
        let mut decided = None;
        let terms = |count| {
            let mut terms = Terms { attempt, credit, ..Terms::default() };
            if token.is_some() {
                let (shares, decision, work) = settle::shares(count);
                terms.shares = shares;
                decided = Some((decision, work));
            }
            terms
        };
        let wanted = match &route {
            Route::Match => self.shared.dispatch_matching(&event, terms, token.is_some()),
            Route::Direct(id) => self.shared.dispatch_to(&event, terms, id, filter_is_exact),
        };
        if let (Some(token), Some((decided, work)), LinkState::Linked(linked)) =
            (token, decided, &mut self.link)
        {
            let max_processing = self.shared.settings.max_processing;
            linked.keep(Kept { id: event.id().cloned(), token, lock, work, max_processing }, decided);
        }
        // Replies are for whoever asked; few subscribe to them.
        if !wanted && !is_reply {
            count(&self.shared.counters.unmatched);
        }
    }

    pub(super) fn settle_done(&mut self) {
        if let LinkState::Linked(linked) = &mut self.link {
            linked.settling = linked.settling.saturating_sub(1);
        }
    }

    /// Credit for one delivery to a subscription, which comes back when the delivery is done with.
    fn credit(&self, id: &SubscriptionId) -> Arc<Credit> {
        let (shared, id, generation) = (Arc::downgrade(&self.shared), id.clone(), self.generation);
        Credit::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.credits.lock().push((generation, id.clone()));
                shared.outbox.wake.notify_one();
            }
        })
    }

    /// Passes credit that came back on to the link.
    pub(super) fn return_credit(&mut self) {
        let credits = std::mem::take(&mut *self.shared.credits.lock());
        if self.shared.is_draining() {
            return;
        }
        if let LinkState::Linked(linked) = &self.link {
            for (generation, id) in credits {
                if generation == self.generation {
                    linked.tx.grant(&id, 1);
                }
            }
        }
    }

    /// The first credit of a subscription on a connection: as many deliveries as it works on at a time.
    pub(super) fn first_credit(&self, entry: &Entry) {
        if let (true, LinkState::Linked(linked)) = (self.credited, &self.link) {
            let credit = u32::try_from(entry.lane.concurrency).unwrap_or(u32::MAX);
            linked.tx.grant(entry.id(), credit);
        }
    }

    pub(super) fn settled(&mut self, id: Option<EventId>, outcome: Settlement, result: Result<()>) {
        let counters = &self.shared.counters;
        match (outcome, result) {
            (Settlement::Complete, Ok(())) => count(&counters.completed),
            (_, Ok(())) => count(&counters.abandoned),
            (_, Err(error)) => self.settling_failed(id, error),
        }
    }

    pub(super) fn lock_lost(&mut self, id: Option<EventId>, error: Error) {
        count(&self.shared.counters.settle_failures);
        self.shared.report(Lifecycle::LockLost { id, error: Arc::new(error) });
    }

    fn settling_failed(&mut self, id: Option<EventId>, error: Error) {
        count(&self.shared.counters.settle_failures);
        self.shared.report(Lifecycle::SettleFailed { id, error: Arc::new(error) });
    }
}
