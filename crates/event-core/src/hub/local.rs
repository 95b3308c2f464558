//! Publishing inside this process: matching handlers run at once, and what they return comes back.

use std::sync::Arc;

use super::context::Scope;
use super::lifecycle::count;
use super::run::{self, Turn};
use super::shared::Shared;
use crate::dispatch::gate::Gate;
use crate::dispatch::{Fate, Terms};
use crate::{Event, RawJson, Result, SubscriptionId};

/// What one handler made of an event that was published locally.
#[derive(Debug)]
#[non_exhaustive]
pub struct LocalOutcome {
    /// The handler's subscription.
    pub subscription: SubscriptionId,
    /// What it returned; `None` for no reply.
    pub reply: Result<Option<RawJson>>,
}

impl Shared {
    /// Runs matching handlers one after the other, smallest priority number first, until one stops the event.
    pub(super) async fn publish_local(self: &Arc<Self>, event: &Event) -> Result<Vec<LocalOutcome>> {
        if let Some(scope) = Scope::current() {
            scope.release();
        }
        let event = self.complete(event.clone())?;
        let matched = self.matching(&event);
        let gate = Gate::new(matched.iter().map(|entry| entry.priority));
        let places: Vec<_> = matched.into_iter().map(|entry| (gate.ticket(entry.priority), entry)).collect();
        let mut outcomes = Vec::new();
        for (ticket, entry) in places {
            let Some(handler) = &entry.handler else {
                // A stream gets the event, has nothing to return, and holds nobody back.
                drop(ticket);
                self.enqueue(&[entry], &event, Terms::local());
                continue;
            };
            count(&entry.counters.delivered);
            let mut fate = Fate::open(&*entry);
            if !ticket.turn().await {
                fate.skipped();
                continue;
            }
            let turn = Turn { event: &event, attempt: 1, ticket: Some(Arc::clone(&ticket)), work: None };
            let reply = run::call(self, &entry, handler, turn).await;
            match &reply {
                Ok(_) => fate.handled(),
                Err(error) => {
                    fate.failed();
                    self.handler_failed(&entry, error.duplicate());
                }
            }
            ticket.finish();
            outcomes.push(LocalOutcome { subscription: entry.id().clone(), reply });
        }
        Ok(outcomes)
    }
}
