//! Subscribing: a builder that ends in a handler or a stream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;

use super::context::Context;
use super::shared::{Command, Shared, closed};
use crate::dispatch::gate::Ticket;
use crate::dispatch::lane::Lane;
use crate::dispatch::{Entry, EntryCounters, Overflow};
use crate::handler::{self, BoxedHandler, IntoReply};
use crate::outbox::Receipt;
use crate::subscription::{Subscriber, SubscriptionSpec};
use crate::transport::Guarantee;
use crate::{Error, ErrorKind, Event, Expression, RawJson, Result, SubscriptionId};

/// Something that is or reads as an expression.
pub trait IntoExpression {
    /// The expression.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidExpression`] with position and caret.
    fn into_expression(self) -> Result<Expression>;
}

impl IntoExpression for Expression {
    fn into_expression(self) -> Result<Expression> {
        Ok(self)
    }
}

impl IntoExpression for &Expression {
    fn into_expression(self) -> Result<Expression> {
        Ok(self.clone())
    }
}

impl IntoExpression for &str {
    fn into_expression(self) -> Result<Expression> {
        Ok(Expression::parse(self)?)
    }
}

impl IntoExpression for String {
    fn into_expression(self) -> Result<Expression> {
        self.as_str().into_expression()
    }
}

impl IntoExpression for &String {
    fn into_expression(self) -> Result<Expression> {
        self.as_str().into_expression()
    }
}

/// A subscription being described. See [`EventHub::subscribe`](crate::EventHub::subscribe).
#[must_use = "nothing is subscribed until a handler or a stream is asked for"]
pub struct Subscribe {
    shared: Arc<Shared>,
    expression: Result<Expression>,
    subscriber: Subscriber,
    priority: i32,
    buffer: usize,
    overflow: Overflow,
    concurrency: usize,
    gating: bool,
    require: Guarantee,
    timeout: Duration,
}

impl Subscribe {
    pub(super) fn new(shared: Arc<Shared>, expression: Result<Expression>) -> Self {
        let timeout = shared.settings.subscribe_timeout;
        Self {
            shared,
            expression,
            subscriber: Subscriber::anonymous(),
            priority: 100,
            buffer: 1024,
            overflow: Overflow::default(),
            concurrency: 1,
            gating: false,
            require: Guarantee::default(),
            timeout,
        }
    }

    /// The subscriber's id. Default: a random one. An id in use on this hub is refused.
    pub fn id(mut self, id: impl Into<SubscriptionId>) -> Self {
        self.subscriber.set("id", id.into().as_str());
        self
    }

    /// One member of the subscriber's metadata, which targeted events are matched against.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.subscriber.set(key, value);
        self
    }

    /// The subscriber, id and metadata, in one piece.
    pub fn subscriber(mut self, subscriber: Subscriber) -> Self {
        self.subscriber = subscriber;
        self
    }

    /// When several subscriptions here want an event, smaller numbers handle it first and may stop it. Default
    /// 100.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How many events may wait, and what happens to one that finds no room. Default 1,024,
    /// [`Overflow::DropOldest`]. What is dropped is counted and reported.
    pub fn buffer(mut self, events: usize, overflow: Overflow) -> Self {
        self.buffer = events;
        self.overflow = overflow;
        self
    }

    /// How many events the handler may work on at the same time. Default 1, which keeps their order.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// For a stream: whether a delivery keeps larger priority numbers waiting until it is dropped, and so can stop
    /// the event. Default no.
    pub fn gating(mut self, gating: bool) -> Self {
        self.gating = gating;
        self
    }

    /// The delivery guarantee that this subscription cannot do without. Default [`Guarantee::AtMostOnce`].
    pub fn require(mut self, guarantee: Guarantee) -> Self {
        self.require = guarantee;
        self
    }

    /// How long to wait for the server's confirmation. Default: the hub's subscribe timeout, 30 s unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Handles matching events with a function of the event; its return value is the reply ([`IntoReply`]).
    ///
    /// The returned handle may be dropped: the subscription goes on until it is unsubscribed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidExpression`], [`ErrorKind::Duplicate`] for an id in use, [`ErrorKind::Unsupported`]
    /// for a guarantee that the transport does not give, [`ErrorKind::Refused`] by the server,
    /// [`ErrorKind::Timeout`] without its confirmation. On a hub that is not connected the subscription is
    /// kept and made with the connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is done leaves no subscription behind.
    pub async fn handle<F, Fut>(self, handler: F) -> Result<Subscription>
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.handle_boxed(handler::boxed(move |event, _context| handler(event))).await
    }

    /// Like [`Subscribe::handle`], with a clone of `state` for each call.
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`].
    pub async fn handle_with<S, F, Fut>(self, state: S, handler: F) -> Result<Subscription>
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(Event, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.handle_boxed(handler::boxed(move |event, _context| handler(event, state.clone()))).await
    }

    /// Like [`Subscribe::handle`], with the [`Context`], which stops events, sends several replies and knows the
    /// hub.
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`].
    pub async fn handle_ctx<F, Fut>(self, handler: F) -> Result<Subscription>
    where
        F: Fn(Event, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.handle_boxed(handler::boxed(handler)).await
    }

    /// Yields matching events as a stream; dropping the stream unsubscribes.
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`].
    pub async fn stream(self) -> Result<EventStream> {
        let (shared, gating) = (Arc::clone(&self.shared), self.gating);
        let entry = self.register(None).await?;
        Ok(EventStream { shared, entry, gating, waiting: None, unsubscribed: false })
    }

    async fn handle_boxed(self, handler: BoxedHandler) -> Result<Subscription> {
        let shared = Arc::clone(&self.shared);
        let entry = self.register(Some(handler)).await?;
        Ok(Subscription { shared, entry })
    }

    async fn register(self, handler: Option<BoxedHandler>) -> Result<Arc<Entry>> {
        let Self {
            shared,
            expression,
            mut subscriber,
            priority,
            buffer,
            overflow,
            concurrency,
            require,
            timeout,
            ..
        } = self;
        let expression = expression?;
        if let Some(refusal) = shared.refusal("subscribe")
            && refusal.kind() == ErrorKind::Closed
        {
            return Err(refusal);
        }
        let offered = shared.transport.capabilities();
        if !offered.guarantees.contains(require) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "subscribe",
                format!("the {} transport does not deliver {require:?}", shared.transport.name()),
            ));
        }
        if shared.inbox.as_ref().is_some_and(|inbox| inbox.id == *subscriber.id()) {
            return Err(Error::new(
                ErrorKind::Duplicate,
                "subscribe",
                format!("\"{}\" is the id of the hub itself; choose another", subscriber.id()),
            ));
        }
        shared.dialect.complete_subscriber(&mut subscriber);
        let mut spec = SubscriptionSpec::new(subscriber, Some(expression.clone()));
        spec.require = require;
        let lane = Arc::new(Lane::new(buffer, overflow, concurrency));
        let (done, outcome) = oneshot::channel();
        let build = Box::new(move |sequence| Entry {
            spec,
            expression,
            priority,
            sequence,
            lane,
            handler,
            counters: EntryCounters::default(),
        });
        shared.command("subscribe", Command::Subscribe { build, done }).await?;
        match tokio::time::timeout(timeout, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(closed("subscribe")),
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                "subscribe",
                format!(
                    "the server did not confirm within {timeout:?} (the hub is {})",
                    &*shared.state.borrow()
                ),
            )),
        }
    }
}

impl Shared {
    pub(super) async fn command(&self, op: &'static str, command: Command) -> Result<()> {
        self.commands.send(command).await.map_err(|_| closed(op))
    }

    pub(super) async fn unsubscribe(&self, id: &SubscriptionId) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.command("unsubscribe", Command::Unsubscribe { id: id.clone(), done }).await?;
        outcome.await.unwrap_or_else(|_| Err(closed("unsubscribe")))
    }
}

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

    /// Ends the subscription: no handler starts any more, events that wait are thrown away, a handler at work
    /// finishes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when it ended already.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the subscription ends even if the future is dropped.
    pub async fn unsubscribe(&self) -> Result<()> {
        self.shared.unsubscribe(self.entry.id()).await
    }
}

/// What happened to the events of one subscription.
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
    /// Events that wait now.
    pub waiting: usize,
    /// Handlers at work now.
    pub running: usize,
}

fn stats(entry: &Entry) -> SubscriptionStats {
    let counters = &entry.counters;
    SubscriptionStats {
        delivered: counters.delivered.load(Ordering::Relaxed),
        handled: counters.handled.load(Ordering::Relaxed),
        failed: counters.failed.load(Ordering::Relaxed),
        skipped: counters.skipped.load(Ordering::Relaxed),
        dropped: entry.lane.dropped(),
        waiting: entry.lane.waiting(),
        running: entry.lane.running(),
    }
}

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
    /// Those of [`Subscription::unsubscribe`].
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
            self.shared.dropped_streams.lock().push(self.entry.id().clone());
            self.shared.outbox.wake.notify_one();
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
    /// As [`Context::reply`].
    pub async fn reply(&self, data: &(impl Serialize + Sync)) -> Result<Receipt> {
        let data = RawJson::from_serialize(data)?;
        let reply = self.shared.dialect.reply(&self.event, &self.entry.spec.subscriber, data)?;
        self.shared.publish_once(reply).await
    }

    /// Keeps the event from larger priority numbers; only on a stream that is
    /// [gating](Subscribe::gating). `false` when it is too late.
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

macro_rules! debug_by_id {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field("id", self.entry.id()).finish_non_exhaustive()
            }
        }
    )*};
}

debug_by_id!(Subscription, EventStream, Delivery);

impl std::fmt::Debug for Subscribe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscribe").field("subscriber", &self.subscriber).finish_non_exhaustive()
    }
}
