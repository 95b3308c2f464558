//! Subscribing to a topic whose payload has a type.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use event_core::hub::{IntoExpression, Subscribe};
use event_core::transport::Guarantee;
use event_core::{
    Context, Delivery, Error, Event, EventStream, Expression, IntoReply, Overflow, RawJson, Result,
    Subscription, SubscriptionId,
};
use futures_util::Stream;
use serde_json::Value;

use super::Payload;
use crate::EventHub;

impl EventHub {
    /// Describes a subscription to the topic of a payload, whose handler gets the payload and the event.
    ///
    /// The options are those of [`EventHub::subscribe`]. An event whose data does not decode does not reach the
    /// handler: it counts as a failure ([`Stats::undecodable`](crate::hub::Stats::undecodable)) and is reported as
    /// [`Lifecycle::HandlerFailed`](crate::Lifecycle::HandlerFailed) with an error of kind
    /// [`Decode`](crate::ErrorKind::Decode). [`On::handle_any`] gets such events, too. Other subscriptions are not
    /// affected.
    ///
    /// ```
    /// # use ftrack_hub::{Error, Event, EventHub};
    /// use ftrack_hub::events::Update;
    ///
    /// # async fn example(hub: EventHub) -> Result<(), Error> {
    /// hub.on::<Update>()
    ///     .where_("source.applicationId=ftrack.client.web")
    ///     .handle(async |update: Update, event: Event| {
    ///         println!("{} entities changed by {}", update.entities().len(), event.source()["user"]);
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on<P: Payload>(&self) -> On<P> {
        let topic = Expression::topic(P::TOPIC).map_err(Error::from);
        let subscribe = match topic {
            Ok(topic) => self.subscribe(topic),
            // Text that no expression can carry: reported when the subscription is made.
            Err(_) => self.subscribe(format!("topic={}", P::TOPIC)),
        };
        On { hub: self.clone(), subscribe, payload: PhantomData }
    }
}

/// A subscription to the topic of a payload, being described. See [`EventHub::on`].
#[must_use = "nothing is subscribed until a handler or a stream is asked for"]
pub struct On<P> {
    hub: EventHub,
    subscribe: Subscribe,
    payload: PhantomData<fn() -> P>,
}

impl<P: Payload> On<P> {
    /// Narrows the subscription: only events that match this expression, too. May be called several times.
    pub fn where_(self, expression: impl IntoExpression) -> Self {
        self.with(|subscribe| subscribe.where_(expression))
    }

    /// See [`Subscribe::id`].
    pub fn id(self, id: impl Into<SubscriptionId>) -> Self {
        self.with(|subscribe| subscribe.id(id))
    }

    /// See [`Subscribe::metadata`].
    pub fn metadata(self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.with(|subscribe| subscribe.metadata(key, value))
    }

    /// See [`Subscribe::priority`]. Default 100.
    pub fn priority(self, priority: i32) -> Self {
        self.with(|subscribe| subscribe.priority(priority))
    }

    /// See [`Subscribe::buffer`]. Default 1,024, [`Overflow::DropOldest`].
    pub fn buffer(self, events: usize, overflow: Overflow) -> Self {
        self.with(|subscribe| subscribe.buffer(events, overflow))
    }

    /// See [`Subscribe::concurrency`]. Default 1.
    pub fn concurrency(self, handlers: usize) -> Self {
        self.with(|subscribe| subscribe.concurrency(handlers))
    }

    /// See [`Subscribe::keyed`].
    pub fn keyed<K: std::hash::Hash>(self, key: impl Fn(&Event) -> K + Send + Sync + 'static) -> Self {
        self.with(|subscribe| subscribe.keyed(key))
    }

    /// See [`Subscribe::gating`]. Default no.
    pub fn gating(self, gating: bool) -> Self {
        self.with(|subscribe| subscribe.gating(gating))
    }

    /// See [`Subscribe::require`].
    pub fn require(self, guarantee: Guarantee) -> Self {
        self.with(|subscribe| subscribe.require(guarantee))
    }

    /// See [`Subscribe::timeout`]. Default 30 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|subscribe| subscribe.timeout(timeout))
    }

    fn with(self, change: impl FnOnce(Subscribe) -> Subscribe) -> Self {
        Self { subscribe: change(self.subscribe), ..self }
    }

    pub(crate) fn hub(&self) -> &EventHub {
        &self.hub
    }

    /// Handles events with a function of payload and event; its return value is the reply.
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is done leaves no subscription behind.
    pub async fn handle<F, Fut>(self, handler: F) -> Result<Subscription>
    where
        F: Fn(P, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.handle_ctx(move |payload, event, _context| handler(payload, event)).await
    }

    /// Like [`On::handle`], with a clone of `state` for each call.
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`].
    pub async fn handle_with<S, F, Fut>(self, state: S, handler: F) -> Result<Subscription>
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(P, Event, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.handle_ctx(move |payload, event, _context| handler(payload, event, state.clone())).await
    }

    /// Like [`On::handle`], with the [`Context`].
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`].
    pub async fn handle_ctx<F, Fut>(self, handler: F) -> Result<Subscription>
    where
        F: Fn(P, Event, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        let typed = move |event: Event, context: Context| {
            let handling = P::decode(&event).map(|payload| handler(payload, event, context));
            async move {
                Answer(match handling {
                    Ok(handling) => handling.await.into_reply(),
                    Err(error) => Err(error),
                })
            }
        };
        self.subscribe.handle_ctx(typed).await
    }

    /// Like [`On::handle`], for every event on the topic: one that does not decode comes with the error instead of
    /// the payload. What the handler makes of it is its own success or failure.
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`].
    pub async fn handle_any<F, Fut>(self, handler: F) -> Result<Subscription>
    where
        F: Fn(Result<P>, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.handle_any_ctx(move |payload, event, _context| handler(payload, event)).await
    }

    /// Like [`On::handle_any`], with the [`Context`].
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`].
    pub async fn handle_any_ctx<F, Fut>(self, handler: F) -> Result<Subscription>
    where
        F: Fn(Result<P>, Event, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        let typed = move |event: Event, context: Context| handler(P::decode(&event), event, context);
        self.subscribe.handle_ctx(typed).await
    }

    /// Yields the events as a stream; dropping it unsubscribes.
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`].
    pub async fn stream(self) -> Result<TypedStream<P>> {
        Ok(TypedStream { events: self.subscribe.stream().await?, payload: PhantomData })
    }
}

/// What a handler said, with its error as it is.
struct Answer(Result<Option<RawJson>>);

impl IntoReply for Answer {
    fn into_reply(self) -> Result<Option<RawJson>> {
        self.0
    }
}

/// The events of a topic, with their payloads. See [`EventStream`].
pub struct TypedStream<P> {
    events: EventStream,
    payload: PhantomData<fn() -> P>,
}

impl<P: Payload> TypedStream<P> {
    /// The next event; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Those of [`EventStream`]: the connection or the subscription is lost. An event that does not decode is no
    /// error of the stream; see [`TypedDelivery::payload`].
    pub async fn next(&mut self) -> Option<Result<TypedDelivery<P>>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The stream below: its id, its counters.
    pub fn events(&self) -> &EventStream {
        &self.events
    }

    /// Unsubscribes and waits for the server's confirmation.
    ///
    /// # Errors
    ///
    /// Those of [`EventStream::unsubscribe`].
    pub async fn unsubscribe(self) -> Result<()> {
        self.events.unsubscribe().await
    }
}

impl<P: Payload> Stream for TypedStream<P> {
    type Item = Result<TypedDelivery<P>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let delivery = ready!(Pin::new(&mut self.events).poll_next(cx));
        Poll::Ready(delivery.map(|delivery| {
            delivery.map(|delivery| TypedDelivery { payload: P::decode(delivery.event()), delivery })
        }))
    }
}

/// One event from a [`TypedStream`].
#[derive(Debug)]
pub struct TypedDelivery<P> {
    payload: Result<P>,
    delivery: Delivery,
}

impl<P> TypedDelivery<P> {
    /// The payload, or why there is none; the event is there in any case.
    ///
    /// # Errors
    ///
    /// Those of [`Payload::decode`].
    pub fn payload(&self) -> Result<&P> {
        self.payload.as_ref().map_err(Error::duplicate)
    }

    /// The event.
    pub fn event(&self) -> &Event {
        self.delivery.event()
    }

    /// What can be done with it: reply, settle, stop.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Payload and delivery.
    pub fn into_parts(self) -> (Result<P>, Delivery) {
        (self.payload, self.delivery)
    }
}

impl<P> std::fmt::Debug for On<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("On").field("subscribe", &self.subscribe).finish_non_exhaustive()
    }
}

impl<P> std::fmt::Debug for TypedStream<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypedStream").field("events", &self.events).finish_non_exhaustive()
    }
}
