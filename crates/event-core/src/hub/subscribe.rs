//! Subscribing: a builder that ends in a handler or a stream.

use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::context::Context;
use super::shared::{Command, Orphan, Shared, closed};
use super::stream::EventStream;
use super::subscription::Subscription;
use crate::dispatch::lane::Lane;
use crate::dispatch::{Entry, EntryCounters, KeyOf, Overflow};
use crate::handler::{self, BoxedHandler, IntoReply};
use crate::subscription::{Subscriber, SubscriptionSpec};
use crate::transport::Guarantee;
use crate::{Error, ErrorKind, Event, Expression, Result, SubscriptionId};

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
    key_of: Option<KeyOf>,
    gating: bool,
    require: Guarantee,
    durable: Option<String>,
    address: Option<String>,
    any_target: bool,
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
            key_of: None,
            gating: false,
            require: Guarantee::default(),
            durable: None,
            address: None,
            any_target: false,
            timeout,
        }
    }

    /// Narrows the subscription: only events that match this expression, too.
    ///
    /// A malformed expression is reported when the subscription is made.
    pub fn where_(mut self, expression: impl IntoExpression) -> Self {
        self.expression = self.expression.and_then(|so_far| {
            let more = expression.into_expression()?;
            Ok(so_far.and(more)?)
        });
        self
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

    /// How many events the handler may work on at the same time. Default 1, which keeps their order. On transports
    /// with credit it is also how many deliveries are asked for, for a stream too.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// With a [`concurrency`](Self::concurrency) above 1: events of one key are handled one after the other, in the
    /// order of arrival, while others overtake them. Without it, no order is kept among the events worked on.
    ///
    /// The function is called once for each matching event, where events arrive: it must be quick. If it panics,
    /// the event gets the same key as every other one for which it did. A stream, which has one reader, ignores
    /// it.
    ///
    /// ```
    /// # use event_core::{Error, Event, EventHub};
    /// # async fn example(hub: EventHub) -> Result<(), Error> {
    /// // Eight shots at a time, the changes of each in order.
    /// hub.subscribe("topic=shot.changed")
    ///     .concurrency(8)
    ///     .keyed(|event| event.data_value()["shot"].to_string())
    ///     .handle(async |event: Event| println!("{event:?}"))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keyed<K: Hash>(mut self, key: impl Fn(&Event) -> K + Send + Sync + 'static) -> Self {
        let hashing = RandomState::new();
        self.key_of = Some(Arc::new(move |event| {
            let hash = AssertUnwindSafe(|| hashing.hash_one(key(event)));
            catch_unwind(hash).unwrap_or_else(|_| {
                tracing::error!(topic = %event.topic(), "the function that gives the key of an event panicked");
                0
            })
        }));
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

    /// Keeps this subscription's place under a name, past a lost connection and past the end of the process: events
    /// that came meanwhile, or were not handled, are delivered when a subscription of this name is made again. What
    /// the handler fails at comes again after a while. Implies [`Guarantee::AtLeastOnce`].
    ///
    /// Needs a transport with [`Capabilities::durable`](crate::Capabilities): over a journal, for example.
    pub fn durable(mut self, name: impl Into<String>) -> Self {
        self.durable = Some(name.into());
        self.require = Guarantee::AtLeastOnce;
        self
    }

    /// Where the events are kept, on services with a queue for each subscription.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Takes events whomever they are for, as far as the service gives them out: one that filters by target, as ftrack's
    /// does, sends only those that this subscriber is among. For whoever passes events on.
    pub fn any_target(mut self) -> Self {
        self.any_target = true;
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
    /// [`ErrorKind::Timeout`] without its confirmation. On a hub that is not connected and not connecting, the
    /// subscription is kept and made with the connection; while a connection is being made, this waits for it.
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
        Ok(EventStream::new(shared, entry, gating))
    }

    async fn handle_boxed(self, handler: BoxedHandler) -> Result<Subscription> {
        let shared = Arc::clone(&self.shared);
        let entry = self.register(Some(handler)).await?;
        Ok(Subscription::new(shared, entry))
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
            key_of,
            require,
            durable,
            address,
            any_target,
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
        spec.address = address;
        spec.durable = durable;
        spec.any_target = any_target;
        if !offered.durable {
            spec.refuse_name(shared.transport.name())?;
        }
        spec.in_flight = Some(buffer.max(1));
        let spec_id = spec.id.clone();
        let lane = Arc::new(Lane::new(buffer, overflow, concurrency));
        let (done, outcome) = oneshot::channel();
        let build = Box::new(move |sequence| Entry {
            spec,
            expression,
            priority,
            sequence,
            lane,
            key_of: key_of.filter(|_| handler.is_some()),
            handler,
            counters: EntryCounters::default(),
        });
        let mut waiting = Waiting { shared: &shared, id: Some(spec_id), outcome };
        shared.command("subscribe", Command::Subscribe { build, done }).await?;
        match tokio::time::timeout(timeout, &mut waiting.outcome).await {
            Ok(Ok(outcome)) => {
                waiting.id = None;
                outcome
            }
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

/// Waits for a subscription to be confirmed; takes it back when nobody waits any more.
struct Waiting<'a> {
    shared: &'a Shared,
    /// Until the outcome was taken.
    id: Option<SubscriptionId>,
    outcome: oneshot::Receiver<Result<Arc<Entry>>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        // Either the engine sees that nobody listens, or it has spoken already, and was not heard.
        self.outcome.close();
        match self.outcome.try_recv() {
            Ok(Ok(entry)) => self.shared.orphan(Orphan::Ended(entry)),
            _ => self.shared.orphan(Orphan::Subscribing(id)),
        }
    }
}

impl Shared {
    /// Has the engine unsubscribe, from where nothing can be awaited.
    pub(super) fn orphan(&self, orphan: Orphan) {
        self.orphans.lock().push(orphan);
        self.outbox.wake.notify_one();
    }

    pub(super) async fn command(&self, op: &'static str, command: Command) -> Result<()> {
        self.commands.send(command).await.map_err(|_| closed(op))
    }

    pub(super) async fn unsubscribe(&self, id: &SubscriptionId) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.command("unsubscribe", Command::Unsubscribe { id: id.clone(), done }).await?;
        // No answer: the link went away meanwhile, and the subscription with it.
        outcome.await.unwrap_or(Ok(()))
    }
}

impl std::fmt::Debug for Subscribe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscribe").field("subscriber", &self.subscriber).finish_non_exhaustive()
    }
}
