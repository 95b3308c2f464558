//! The hub engine: subscribe, publish, ask and answer over any transport.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

mod context;
mod deliver;
mod drain;
mod engine;
mod health;
mod lifecycle;
mod link;
mod local;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(not(feature = "metrics"))]
#[path = "no_meter.rs"]
mod meter;
mod publish;
mod repeats;
mod run;
mod sending;
mod shared;
mod stream;
mod subscribe;
mod subscription;
mod subscriptions;

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use context::{Context, Deferred};
pub use drain::DrainReport;
pub use health::{Health, Verdict};
pub use lifecycle::{ConnectionState, Lifecycle, LifecycleStream, Report, Stats};
pub use local::LocalOutcome;
pub use publish::{Publish, Publishing, ReplyStream, Request};
pub use stream::{Delivery, EventStream};
pub use subscribe::{IntoExpression, Subscribe};
pub use subscription::{Subscription, SubscriptionStats};

use crate::correlator::Correlator;
use crate::dialect::{Dialect, PlainDialect};
use crate::dispatch::Registry;
use crate::outbox::{Outbox, Receipt};
use crate::speaking::Speaking;
use crate::supervisor::{ReconnectPolicy, Supervised};
use crate::transport::{Capabilities, Continuity, Transport};
use crate::{Error, ErrorKind, Event, RawJson, Result, SubscriptionId};
use engine::Engine;
use shared::{Command, Settings, Shared, closed};

/// A client of an event service.
///
/// A clone is the same hub; when the last clone is dropped, everything stops. Handlers that hold a clone keep
/// it alive: use [`Context::hub`] in them, or [`EventHub::close`] at the end.
///
/// # Delivery
///
/// What a transport delivers reaches every matching subscription at most once, in the order of arrival for each.
/// A subscription that is too slow for its buffer loses events by its [`Overflow`](crate::Overflow) policy,
/// counted and reported.
///
/// # Recovery
///
/// A broken connection is made anew with growing pauses, subscriptions first, then waiting publishes. Events of
/// the time between are missed, and a [`Lifecycle::Gap`] says so.
///
/// ```
/// use event_core::{EventHub, Event, Json, memory::MemoryHub};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), event_core::Error> {
/// let bus = MemoryHub::new();
/// let hub = EventHub::builder(bus.transport()).connect().await?;
/// hub.subscribe("topic=greet").handle(async |event: Event| Json(json!({"hello": event.data_value()["name"]}))).await?;
///
/// let reply = hub.request(Event::new("greet", &json!({"name": "world"}))?).await?;
/// assert_eq!(reply.data_value()["hello"], "world");
/// hub.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EventHub(Arc<Handle>);

/// Held by every clone of a hub and by nobody else; stops everything when dropped.
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl EventHub {
    /// Starts describing a hub over a transport.
    pub fn builder(transport: impl Transport) -> HubBuilder {
        Self::builder_over(Arc::new(transport))
    }

    /// Starts describing a hub over a transport that others share.
    pub fn builder_over(transport: Arc<dyn Transport>) -> HubBuilder {
        HubBuilder {
            transport,
            dialect: None,
            policy: ReconnectPolicy::default(),
            settings: Settings::default(),
            layer: None,
        }
    }

    /// Connects: one attempt, whose failure is returned. On a connected hub it does nothing.
    ///
    /// After the first success, broken connections are made anew without further calls.
    ///
    /// # Errors
    ///
    /// Those of the transport.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the attempt.
    pub async fn connect(&self) -> Result<()> {
        self.connect_with(false).await
    }

    /// Connects, trying until it succeeds or the server refuses for good. [`ConnectionState`] and [`Lifecycle`]
    /// show the attempts.
    ///
    /// # Errors
    ///
    /// A refusal that no retry can help.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the attempts; [`EventHub::disconnect`] does.
    pub async fn connect_persistently(&self) -> Result<()> {
        self.connect_with(true).await
    }

    async fn connect_with(&self, persist: bool) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.shared().command("connect", Command::Connect { persist, done }).await?;
        outcome.await.unwrap_or_else(|_| Err(closed("connect")))
    }

    /// Starts connecting in the background, as [`EventHub::connect_persistently`] does, and returns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] on a closed hub, [`ErrorKind::Full`] when 256 other calls wait already.
    pub fn start_connecting(&self) -> Result<()> {
        let (done, _outcome) = oneshot::channel();
        self.shared().commands.try_send(Command::Connect { persist: true, done }).map_err(|refused| {
            match refused {
                mpsc::error::TrySendError::Closed(_) => closed("connect"),
                mpsc::error::TrySendError::Full(_) => {
                    Error::new(ErrorKind::Full, "connect", "the hub has too many calls waiting; try again")
                }
            }
        })
    }

    /// Leaves the present connection, which may look alive and not be, and makes another, as
    /// [`EventHub::connect_persistently`] does; subscriptions and waiting publishes come along. Without a connection
    /// it connects.
    ///
    /// Events of the time between are missed, and a [`Lifecycle::Gap`] says so.
    ///
    /// # Errors
    ///
    /// A refusal that no retry can help.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the attempts; [`EventHub::disconnect`] does.
    pub async fn reconnect(&self) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.shared().command("connect", Command::Reconnect { done }).await?;
        outcome.await.unwrap_or_else(|_| Err(closed("connect")))
    }

    /// Disconnects and keeps the subscriptions for the next [`EventHub::connect`].
    pub async fn disconnect(&self) {
        let (done, outcome) = oneshot::channel();
        if self.shared().command("disconnect", Command::Disconnect { done }).await.is_ok() {
            let _ = outcome.await;
        }
    }

    /// Describes a subscription to the events that match an expression, such as `topic=ftrack.update`.
    ///
    /// A malformed expression is reported when the subscription is made.
    pub fn subscribe(&self, expression: impl IntoExpression) -> Subscribe {
        Subscribe::new(Arc::clone(self.shared()), expression.into_expression())
    }

    /// Ends a subscription by its id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn unsubscribe(&self, id: &SubscriptionId) -> Result<()> {
        self.shared().unsubscribe(id).await
    }

    /// The subscription with this id; streams are not among them.
    pub fn subscription(&self, id: &SubscriptionId) -> Option<Subscription> {
        let entry = self.shared().registry.lock().get(id).cloned()?;
        entry.handler.is_some().then(|| Subscription::new(Arc::clone(self.shared()), entry))
    }

    /// Publishes an event. Awaited, it returns when the server acknowledged: `Ok` never means merely "queued".
    ///
    /// Without a connection it waits for one, up to its [timeout](Publish::timeout).
    ///
    /// ```
    /// # use event_core::{Error, Event, EventHub};
    /// # async fn example(hub: EventHub) -> Result<(), Error> {
    /// let event = Event::new("my-company.some-topic", &serde_json::json!({"foo": "bar"}))?;
    /// let receipt = hub.publish(event).await?;
    /// assert!(!receipt.possible_duplicate);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] by the server, [`ErrorKind::Timeout`], [`ErrorKind::Unconfirmed`] with
    /// [`Resend::Never`](crate::Resend::Never), [`ErrorKind::Full`] when too many events wait,
    /// [`ErrorKind::NotConnected`] after a refusal for good.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future never unsends the event, nor takes it out of the queue.
    pub fn publish(&self, event: Event) -> Publish {
        Publish::new(Arc::clone(self.shared()), event)
    }

    /// Publishes an event and waits for one reply, or, with [`Request::replies`], for all until the timeout.
    ///
    /// Inside a handler, this first lets subscriptions of larger priority numbers go ahead.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] without a reply, and those of publishing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the request; the event is not unsent.
    pub fn request(&self, event: Event) -> Request {
        Request::new(Arc::clone(self.shared()), event)
    }

    /// Answers an event in the name of this hub. Inside a handler, return the answer or use [`Context::reply`].
    ///
    /// # Errors
    ///
    /// As [`Context::reply`].
    pub async fn reply(&self, asked: &Event, data: &(impl serde::Serialize + Sync)) -> Result<Receipt> {
        let shared = self.shared();
        let Some(inbox) = &shared.inbox else {
            return Err(Error::new(ErrorKind::Unsupported, "reply", "this service has no replies"));
        };
        let reply = shared.dialect.reply(asked, &inbox.subscriber, RawJson::from_serialize(data)?)?;
        shared.publish_once(reply).await
    }

    /// Gives an event to the matching handlers of this hub and to nobody else: one after the other in this task,
    /// smallest priority number first, until one stops it. Returns what they returned. Nothing is sent, no reply
    /// either.
    ///
    /// # Errors
    ///
    /// Only for an event that cannot be built; what handlers failed with is in the outcomes.
    pub async fn publish_local(&self, event: &Event) -> Result<Vec<LocalOutcome>> {
        self.shared().publish_local(event).await
    }

    /// The state of the connection.
    pub fn state(&self) -> ConnectionState {
        self.shared().state.borrow().clone()
    }

    /// Waits until the state fits, and returns it; at the latest when the hub is closed. Cancel-safe.
    pub async fn wait_for_state(&self, mut fits: impl FnMut(&ConnectionState) -> bool) -> ConnectionState {
        let mut watch = self.shared().state.subscribe();
        let state = watch.wait_for(|state| fits(state) || matches!(state, ConnectionState::Closed)).await;
        state.map_or(ConnectionState::Closed, |state| state.clone())
    }

    /// A watch of the connection's state.
    pub fn watch_state(&self) -> watch::Receiver<ConnectionState> {
        self.shared().state.subscribe()
    }

    /// Everything that happens to the hub from now on, up to [`Lifecycle::Closed`].
    pub fn lifecycle(&self) -> LifecycleStream {
        LifecycleStream::new(self.shared().lifecycle.subscribe())
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.shared().stats()
    }

    /// One look at the hub, for a health check. Cheap, but not free: it visits every subscription.
    pub fn health(&self) -> Health {
        self.shared().health()
    }

    /// What the transport can do.
    pub fn capabilities(&self) -> Capabilities {
        self.shared().transport.capabilities()
    }

    /// Closes the hub: [`EventHub::drain`] with the close timeout, 5 s unless set.
    pub async fn close(&self) {
        self.drain(self.shared().settings.close_timeout).await;
    }

    /// Ends the hub in good order: the service is asked to send no more, handlers finish what they have, what they
    /// and others publish goes out, deliveries are settled, then the connection ends. What is not done within
    /// `limit` is cut off. The report says what became of everything.
    ///
    /// Streams keep what they hold and can be read to their end, except for events that must be settled: those are
    /// given back. A second call returns the same report, when the first drain is over.
    ///
    /// Await it outside of handlers: a drain waits for them.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the drain goes on even if the future is dropped.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        // A closed hub takes no command; then the report is there, or soon will be.
        let _ = self.shared().command("drain", Command::Drain { limit }).await;
        self.wait_for_state(|_| false).await;
        self.shared().drained.get().cloned().unwrap_or_default()
    }

    /// Waits until every event published before this call is acknowledged, refused or failed: at the latest when
    /// its time is up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] when the hub ends first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn flush(&self) -> Result<()> {
        tokio::select! {
            biased;
            // What is not done by then was failed.
            () = self.shared().stop.cancelled() => Err(closed("flush")),
            () = self.shared().outbox.flushed() => Ok(()),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

impl fmt::Debug for EventHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHub")
            .field("transport", &self.shared().transport.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Describes a hub.
#[must_use = "a builder does nothing until it is built"]
pub struct HubBuilder {
    transport: Arc<dyn Transport>,
    dialect: Option<Arc<dyn Dialect>>,
    policy: ReconnectPolicy,
    settings: Settings,
    layer: Option<Layer>,
}

/// See [`HubBuilder::layer`].
type Layer = Box<dyn FnOnce(Arc<dyn Transport>, &Arc<dyn Dialect>) -> Arc<dyn Transport> + Send>;

impl HubBuilder {
    /// How the service speaks. Default [`PlainDialect`].
    pub fn dialect(mut self, dialect: impl Dialect) -> Self {
        self.dialect = Some(Arc::new(dialect));
        self
    }

    /// What this hub is called: the label `hub` of its metrics, with the feature `metrics`. Choose from a few names, not an
    /// id. Default `hub`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Pauses between connection attempts.
    pub fn reconnect(mut self, policy: ReconnectPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Puts a layer between the hub and its transport, which by then heals itself and speaks the dialect: a journal,
    /// for example.
    pub fn layer<T: Transport>(
        mut self,
        layer: impl FnOnce(Arc<dyn Transport>, &Arc<dyn Dialect>) -> T + Send + 'static,
    ) -> Self {
        self.layer = Some(Box::new(move |transport, dialect| Arc::new(layer(transport, dialect))));
        self
    }

    /// How long a publish may wait for a connection and the acknowledgement. Default 30 s.
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.settings.publish_timeout = timeout;
        self
    }

    /// How long a request waits for a reply. Default 30 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// How long a subscription waits for the server's confirmation. Default 30 s.
    pub fn subscribe_timeout(mut self, timeout: Duration) -> Self {
        self.settings.subscribe_timeout = timeout;
        self
    }

    /// How long closing may take. Default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.settings.close_timeout = timeout;
        self
    }

    /// How many events may wait to be sent or acknowledged; more wait for room. Default 4,096.
    pub fn outbox_capacity(mut self, events: usize) -> Self {
        self.settings.outbox_capacity = events;
        self
    }

    /// How long the lock of a delivery is prolonged while handlers work on it, on transports with locks. Default 5
    /// minutes. While it waits in a buffer its lock is prolonged without limit.
    pub fn max_processing(mut self, limit: Duration) -> Self {
        self.settings.max_processing = limit;
        self
    }

    /// Events that come again within this time, by their id, are dropped and counted; so many ids are remembered.
    /// Default 10 minutes and 100,000 ids, about 4 MB. Zero of either remembers none. Deliveries that must be settled
    /// are never repeats: they come again because they were not.
    pub fn repeats(mut self, window: Duration, ids: usize) -> Self {
        self.settings.repeats_window = window;
        self.settings.repeats_ids = ids;
        self
    }

    /// The hub, not connected.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRuntime`] outside a tokio runtime.
    pub fn build(self) -> Result<EventHub> {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return Err(Error::new(
                ErrorKind::NoRuntime,
                "build hub",
                "this must run inside a tokio runtime, for example in #[tokio::main]",
            ));
        };
        let dialect = self.dialect.unwrap_or_else(|| Arc::new(PlainDialect::default()));
        let heals = self.transport.capabilities().continuity == Continuity::SelfHealing;
        let speaking = Arc::new(Speaking::new(self.transport, Arc::clone(&dialect)));
        let transport: Arc<dyn Transport> =
            if heals { speaking } else { Arc::new(Supervised::new(speaking, self.policy)) };
        let transport = match self.layer {
            Some(layer) => layer(transport, &dialect),
            None => transport,
        };
        let (commands, requests) = mpsc::channel(256);
        let inbox = if transport.capabilities().reply { dialect.inbox() } else { None };
        let handle = Arc::new_cyclic(|handle| Handle {
            shared: Arc::new(Shared {
                outbox: Outbox::new(self.settings.outbox_capacity),
                settings: self.settings,
                dialect,
                inbox,
                transport,
                registry: Mutex::new(Registry::default()),
                correlator: Arc::new(Correlator::default()),
                commands,
                orphans: Mutex::default(),
                credits: Mutex::default(),
                overrun: Mutex::default(),
                window: AtomicUsize::new(0),
                state: watch::Sender::new(ConnectionState::Idle),
                since: Mutex::new(Instant::now()),
                last_failure: Mutex::default(),
                drained: OnceLock::new(),
                lifecycle: broadcast::Sender::new(256),
                counters: lifecycle::Counters::default(),
                stop: CancellationToken::new(),
                tasks: TaskTracker::new(),
                handle: handle.clone(),
            }),
        });
        runtime.spawn(Engine::new(Arc::clone(&handle.shared), requests).run());
        Ok(EventHub(handle))
    }

    /// The hub, connected: one attempt, whose failure is returned.
    ///
    /// # Errors
    ///
    /// Those of the transport, and of [`HubBuilder::build`].
    pub async fn connect(self) -> Result<EventHub> {
        let hub = self.build()?;
        hub.connect().await?;
        Ok(hub)
    }

    /// The hub, connecting in the background until it succeeds or is refused for good.
    ///
    /// # Errors
    ///
    /// Those of [`HubBuilder::build`].
    pub fn connect_lazy(self) -> Result<EventHub> {
        let hub = self.build()?;
        hub.start_connecting()?;
        Ok(hub)
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder").field("transport", &self.transport.name()).finish_non_exhaustive()
    }
}
