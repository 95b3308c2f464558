//! The events of a subscription as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::oneshot;

use super::shared::{Orphan, Shared};
use super::subscription::{SubscriptionStats, stats};
use crate::dispatch::gate::Ticket;
use crate::dispatch::settle::Share;
use crate::dispatch::{Credit, Entry, Fate};
use crate::outbox::Receipt;
use crate::transport::Settlement;
use crate::{Error, ErrorKind, Event, RawJson, Result, SubscriptionId};

/// The events of one subscription, in order. Dropping it unsubscribes.
///
/// An `Err` item tells that the connection is lost for good, or the subscription itself; after the latter the
/// stream ends. It also ends when the hub is closed.
pub struct EventStream {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    gating: bool,
    waiting: Option<(Delivery, Fate<Arc<Entry>>)>,
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
        let outcome = self.shared.unsubscribe(self.entry.id()).await;
        self.unsubscribed = true;
        outcome
    }
}

impl Stream for EventStream {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some((delivery, _)) = &self.waiting {
                let goes = match &delivery.ticket {
                    Some(ticket) => ready!(ticket.poll_turn(cx)),
                    None => true,
                };
                let Some((delivery, mut fate)) = self.waiting.take() else { continue };
                if !goes {
                    delivery.take_share().and_then(Share::succeed);
                    fate.skipped();
                    continue;
                }
                if !self.gating {
                    delivery.release();
                }
                delivery.begin();
                fate.handled();
                return Poll::Ready(Some(Ok(delivery)));
            }
            match ready!(self.entry.lane.poll_next(cx)) {
                Some(Ok(job)) => {
                    let fate = Fate::open(Arc::clone(&self.entry));
                    let delivery = Delivery {
                        shared: Arc::clone(&self.shared),
                        entry: Arc::clone(&self.entry),
                        event: job.event,
                        attempt: job.attempt,
                        ticket: job.ticket,
                        share: Mutex::new(job.share),
                        _credit: job.credit,
                    };
                    self.waiting = Some((delivery, fate));
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
            self.entry.abandon();
            self.shared.orphan(Orphan::Ended(Arc::clone(&self.entry)));
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
    share: Mutex<Option<Share>>,
    _credit: Option<Arc<Credit>>,
}

impl Delivery {
    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Says that the event is handled: the service may forget it. On transports without settlement it does
    /// nothing. When several subscriptions work on the event, the last of them completes it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LockLost`] when the event's lock is lost, [`ErrorKind::Disconnected`] when the connection ended:
    /// the event comes again. What the service answered; then it may come again.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the event is completed even if the future is dropped.
    pub async fn ack(&self) -> Result<()> {
        let settled = self.take_share().and_then(Share::succeed);
        self.settled(settled).await
    }

    /// Says that the event could not be handled: the service delivers it again, after `delay` where it can. On
    /// transports without settlement it does nothing. Dropping a delivery without a word does the same, without
    /// a delay.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`]; the event comes again in any case, at the latest when its lock lapses.
    ///
    /// # Cancel safety
    ///
    /// As [`Delivery::ack`].
    pub async fn nack(&self, delay: Option<Duration>) -> Result<()> {
        let settled = self.take_share().and_then(|share| share.fail(Settlement::Abandon { delay }));
        self.settled(settled).await
    }

    /// The reader has it: what follows counts as work.
    fn begin(&self) {
        if let Some(work) = self.share.lock().as_ref().and_then(Share::work) {
            work.begin();
        }
    }

    fn take_share(&self) -> Option<Share> {
        self.share.lock().take()
    }

    async fn settled(&self, settled: Option<oneshot::Receiver<Result<()>>>) -> Result<()> {
        let Some(settled) = settled else { return Ok(()) };
        settled.await.unwrap_or_else(|_| {
            let message = "the connection ended before the delivery was settled; it comes again";
            Err(Error::new(ErrorKind::Disconnected, "settle", message))
        })
    }

    /// The event, without the rest. Larger priority numbers go ahead; unless it was settled before, the delivery
    /// is abandoned.
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
