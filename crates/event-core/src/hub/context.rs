//! What a handler can do beside returning a value.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;

use super::EventHub;
use super::run::Turn;
use super::shared::Shared;
use crate::dispatch::Entry;
use crate::dispatch::gate::Ticket;
use crate::dispatch::lane::AwaitedStart;
use crate::dispatch::settle::Work;
use crate::outbox::Receipt;
use crate::subscription::Subscriber;
use crate::{Error, Event, EventId, RawJson, Result, SubscriptionId};

/// The surroundings of one call of a handler.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    event: Event,
    attempt: u32,
    ticket: Option<Arc<Ticket>>,
    work: Option<Work>,
}

impl Context {
    pub(super) fn new(shared: Arc<Shared>, entry: Arc<Entry>, turn: &Turn<'_>) -> Self {
        let (event, attempt) = (turn.event.clone(), turn.attempt);
        Self { shared, entry, event, attempt, ticket: turn.ticket.clone(), work: turn.work.clone() }
    }

    /// The event that is handled.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// 1 for the first delivery of this event, more for a redelivery, where the service counts.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The id of the subscription that this handler serves.
    pub fn subscription_id(&self) -> &SubscriptionId {
        self.entry.id()
    }

    /// The subscriber's metadata.
    pub fn subscriber(&self) -> &Subscriber {
        &self.entry.spec.subscriber
    }

    /// The hub; `None` when its last handle is gone.
    pub fn hub(&self) -> Option<EventHub> {
        self.shared.handle.upgrade().map(EventHub)
    }

    /// Keeps the event from subscriptions of larger priority numbers on this hub.
    ///
    /// Subscriptions of the same number, and other hubs, are not affected. Returns `false` when it is too late:
    /// nobody else here waits for the event, or the right to stop was given up.
    pub fn stop(&self) -> bool {
        self.ticket.as_ref().is_some_and(|ticket| ticket.stop())
    }

    /// Lets subscriptions of larger priority numbers go ahead before this handler returns, and gives up the right
    /// to stop them. Requests and local publishes do this by themselves.
    pub fn release(&self) {
        if let Some(ticket) = &self.ticket {
            ticket.finish();
        }
    }

    /// Says that the work on this event has not begun: for a handler that hands events on to somebody who takes them
    /// when it suits. Until [`Deferred::begin`] a lock on the event is kept however long that takes, and
    /// [`max_processing`](super::HubBuilder::max_processing) counts from there. On transports without locks it
    /// does nothing.
    pub fn defer(&self) -> Deferred {
        if let Some(work) = &self.work {
            work.defer();
        }
        Deferred(self.work.clone())
    }

    /// Counts and reports a failure of work that goes on after the handler has returned, as if the handler had
    /// returned it.
    pub fn report_failure(&self, error: Error) {
        self.shared.handler_failed(&self.entry, error);
    }

    /// Sends a reply; may be called several times. The handler's return value, if it is one, is one more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the event has no address to answer to,
    /// [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed) when the connection ends before the
    /// acknowledgement (replies are not sent twice), and those of publishing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not unsend a reply that is queued already.
    pub async fn reply(&self, data: &(impl Serialize + Sync)) -> Result<Receipt> {
        let data = RawJson::from_serialize(data)?;
        let reply = self.shared.dialect.reply(&self.event, &self.entry.spec.subscriber, data)?;
        self.shared.publish_once(reply).await
    }
}

/// Work on an event that was put off with [`Context::defer`].
#[derive(Clone, Debug)]
pub struct Deferred(Option<Work>);

impl Deferred {
    /// The work begins now, unless it did before.
    pub fn begin(&self) {
        if let Some(work) = &self.0 {
            work.begin();
        }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("subscription", self.entry.id())
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

/// The handler that the present task is running, for calls that must know.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) entry: Arc<Entry>,
    pub(super) ticket: Option<Arc<Ticket>>,
}

tokio::task_local! {
    static SCOPE: Scope;
}

impl Scope {
    /// Runs a handler's future with this scope.
    pub(super) fn around<F: Future>(self, handling: F) -> impl Future<Output = F::Output> {
        SCOPE.scope(self, handling)
    }

    /// The scope of the handler that calls, if one does.
    pub(super) fn current() -> Option<Self> {
        SCOPE.try_with(Self::clone).ok()
    }

    /// The caller is about to wait for others: it must not hold them back.
    pub(super) fn release(&self) {
        if let Some(ticket) = &self.ticket {
            ticket.finish();
        }
    }

    /// Notes whether an event that the caller is going to wait for gets its turn in the caller's own lane.
    pub(super) fn await_start(&self, asked: &EventId) -> AwaitedStart {
        self.entry.lane.await_start(asked.clone())
    }

    /// What to say of a request that waited in the asker's own lane until its deadline.
    pub(super) fn explain_stuck(&self) -> String {
        format!(
            "the request waited in the lane of subscription \"{}\", whose {} handler(s) were all busy, the one that \
             asked among them; allow more with .concurrency(n), or ask from a spawned task",
            self.entry.id(),
            self.entry.lane.concurrency
        )
    }
}
