//! The events of a subscription as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll, ready};

use futures_core::Stream;
use serde::Serialize;

use super::shared::{Orphan, Shared};
use super::subscription::{SubscriptionStats, stats};
use crate::dispatch::Entry;
use crate::dispatch::gate::Ticket;
use crate::outbox::Receipt;
use crate::{Event, RawJson, Result, SubscriptionId};

/// The events of one subscription, in order. Dropping it unsubscribes.
///
/// An `Err` item tells that the connection is lost for good, or the subscription itself; after the latter the
/// stream ends. It also ends when the hub is closed.
pub struct EventStream {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    gating: bool,
    waiting: Option<Delivery>,
    unsubscribed: bool,
}

impl EventStream {
    pub(super) fn new(shared: Arc<Shared>, entry: Arc<Entry>, gating: bool) -> Self {
        Self { shared, entry, gating, waiting: None, unsubscribed: false }
    }

    /// The next event; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    ///
    /// See [`EventStream`].
    pub async fn next(&mut self) -> Option<Result<Delivery>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The subscriber's id.
    pub fn id(&self) -> &SubscriptionId {
        self.entry.id()
    }

    /// The counters of the subscription.
    pub fn stats(&self) -> SubscriptionStats {
        stats(&self.entry)
    }

    /// Unsubscribes and waits for the server's confirmation, which dropping the stream does not.
    ///
    /// # Errors
    ///
    /// Those of [`Subscription::unsubscribe`](super::Subscription::unsubscribe).
    pub async fn unsubscribe(mut self) -> Result<()> {
        self.unsubscribed = true;
        self.shared.unsubscribe(self.entry.id()).await
    }
}

impl Stream for EventStream {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(delivery) = &self.waiting {
                let goes = match &delivery.ticket {
                    Some(ticket) => ready!(ticket.poll_turn(cx)),
                    None => true,
                };
                let Some(delivery) = self.waiting.take() else { continue };
                if !goes {
                    self.entry.counters.skipped.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                if !self.gating {
                    delivery.release();
                }
                self.entry.counters.handled.fetch_add(1, Ordering::Relaxed);
                return Poll::Ready(Some(Ok(delivery)));
            }
            match ready!(self.entry.lane.poll_next(cx)) {
                Some(Ok(job)) => {
                    self.waiting = Some(Delivery {
                        shared: Arc::clone(&self.shared),
                        entry: Arc::clone(&self.entry),
                        event: job.event,
                        attempt: job.attempt,
                        ticket: job.ticket,
                    });
                }
                Some(Err(notice)) => return Poll::Ready(Some(Err(notice.duplicate()))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if !self.unsubscribed {
            self.entry.lane.abandon();
            self.shared.orphan(Orphan::Stream(self.entry.id().clone()));
        }
    }
}

/// One event from a stream.
pub struct Delivery {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    event: Event,
    attempt: u32,
    ticket: Option<Arc<Ticket>>,
}

impl Delivery {
    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The event, without the rest. Larger priority numbers go ahead.
    pub fn into_event(self) -> Event {
        self.event
    }

    /// 1 for the first delivery of this event, more for a redelivery, where the service counts.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Answers the event; may be called several times.
    ///
    /// # Errors
    ///
    /// As [`Context::reply`](super::Context::reply).
    pub async fn reply(&self, data: &(impl Serialize + Sync)) -> Result<Receipt> {
        let data = RawJson::from_serialize(data)?;
        let reply = self.shared.dialect.reply(&self.event, &self.entry.spec.subscriber, data)?;
        self.shared.publish_once(reply).await
    }

    /// Keeps the event from larger priority numbers; only on a stream that is
    /// [gating](super::Subscribe::gating). `false` when it is too late.
    pub fn stop(&self) -> bool {
        self.ticket.as_ref().is_some_and(|ticket| ticket.stop())
    }

    /// Lets larger priority numbers go ahead, as dropping the delivery does.
    pub fn release(&self) {
        if let Some(ticket) = &self.ticket {
            ticket.finish();
        }
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").field("id", self.entry.id()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("subscription", self.entry.id())
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}
