//! Listening to a subscription: one poll, however many listeners.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use event_core::transport::Guarantee;
use event_core::{Error, ErrorKind, Event, EventHub, IntoReply, Result, SubscriptionId};
use futures_util::Stream;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use transport_longpoll::auth::{Authorization, FixedAuth, QueueAuth};
use transport_longpoll::request::ReceiveMode;
use transport_longpoll::{HttpExchange, LongPollTransport, QueueState};

use crate::client::{EventSubscription, IModelHubClient};
use crate::event::HubEvent;

/// Where a listener stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ListenerState {
    /// It is being set up, or waits for its handlers before it polls again.
    Idle,
    /// It polls.
    Listening,
    /// A token is being renewed.
    Renewing,
    /// A step failed and is tried again.
    Retrying {
        /// How it failed.
        error: Arc<Error>,
        /// Failures in a row.
        attempt: u32,
        /// In how long.
        retry_in: Duration,
    },
    /// It has ended: for this reason, or because it was asked to.
    Ended(Option<Arc<Error>>),
}

/// All listeners of a client: the engine that polls for them, and who gets what.
pub(crate) struct Listeners {
    transport: Mutex<Option<LongPollTransport>>,
    hub: Mutex<Option<EventHub>>,
    shared: Arc<Shared>,
    /// Setting up a queue, one at a time.
    setting_up: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Shared {
    /// By queue address.
    auths: Mutex<HashMap<String, Arc<dyn QueueAuth>>>,
    /// By subscription id.
    fans: Mutex<HashMap<SubscriptionId, Arc<Fan>>>,
}

/// One subscription, and everybody who listens to it.
struct Fan {
    mode: ReceiveMode,
    listeners: Mutex<Vec<(u64, Sink)>>,
    next: Mutex<u64>,
    state: watch::Sender<ListenerState>,
    subscription: Mutex<Option<event_core::Subscription>>,
}

type Sink = Arc<dyn Fn(HubEvent) -> BoxFuture<'static, Result<()>> + Send + Sync>;

impl Listeners {
    pub(crate) fn new(exchange: Arc<dyn HttpExchange>, long_poll: Duration) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let nobody: Arc<dyn QueueAuth> = Arc::new(FixedAuth::new(Authorization::new("")));
        let (auths, fans) = (Arc::clone(&shared), Arc::clone(&shared));
        let transport = LongPollTransport::builder(exchange, Arc::clone(&nobody))
            .auth_of(move |address| {
                auths.auths.lock().get(address.as_str()).map_or_else(|| Arc::clone(&nobody), Arc::clone)
            })
            .long_poll(long_poll)
            .watch(move |id, state| fans.moved(id, state))
            .build()?;
        Ok(Self {
            transport: Mutex::new(Some(transport)),
            hub: Mutex::new(None),
            shared,
            setting_up: tokio::sync::Mutex::new(()),
        })
    }

    /// The engine, made when the first listener needs it.
    async fn hub(&self) -> Result<EventHub> {
        if let Some(hub) = self.hub.lock().clone() {
            return Ok(hub);
        }
        let Some(transport) = self.transport.lock().take() else {
            return Err(Error::new(
                ErrorKind::Closed,
                "listen",
                "an earlier attempt to start listening was cut off",
            ));
        };
        let hub = EventHub::builder(transport).build()?;
        *self.hub.lock() = Some(hub.clone());
        hub.connect().await?;
        Ok(hub)
    }
}

impl Shared {
    fn moved(&self, id: &SubscriptionId, state: &QueueState) {
        let Some(fan) = self.fans.lock().get(id).cloned() else { return };
        let state = match state {
            QueueState::Idle => ListenerState::Idle,
            QueueState::Renewing => ListenerState::Renewing,
            QueueState::Polling => ListenerState::Listening,
            QueueState::Retrying { error, attempt, retry_in } => {
                ListenerState::Retrying { error: Arc::clone(error), attempt: *attempt, retry_in: *retry_in }
            }
            QueueState::Stopped(reason) => {
                if let Some(reason) = reason {
                    tracing::error!(%id, %reason, "a listener has ended");
                    self.fans.lock().remove(id);
                }
                ListenerState::Ended(reason.clone())
            }
            _ => return,
        };
        fan.state.send_replace(state);
    }
}

impl Fan {
    /// Gives an event to everybody; all must succeed.
    async fn spread(&self, event: HubEvent) -> Result<()> {
        let sinks: Vec<Sink> = self.listeners.lock().iter().map(|(_, sink)| Arc::clone(sink)).collect();
        let outcomes = join_all(sinks.iter().map(|sink| sink(event.clone()))).await;
        outcomes.into_iter().collect()
    }

    fn add(&self, sink: Sink) -> u64 {
        let number = {
            let mut next = self.next.lock();
            *next += 1;
            *next
        };
        self.listeners.lock().push((number, sink));
        number
    }

    /// `true` when that was the last one.
    fn remove(&self, number: u64) -> bool {
        let mut listeners = self.listeners.lock();
        listeners.retain(|(other, _)| *other != number);
        listeners.is_empty()
    }
}

/// Describes a listener.
#[must_use = "nothing is listened to until a handler or a stream is asked for"]
pub struct ListenerBuilder {
    client: IModelHubClient,
    subscription: EventSubscription,
    mode: ReceiveMode,
}

impl ListenerBuilder {
    pub(crate) fn new(client: IModelHubClient, subscription: EventSubscription) -> Self {
        Self { client, subscription, mode: ReceiveMode::PeekLock }
    }

    /// How events leave the queue. Default [`ReceiveMode::PeekLock`]: an event is completed when every listener has
    /// handled it, and comes again otherwise. All listeners of one subscription must agree.
    pub fn mode(mut self, mode: ReceiveMode) -> Self {
        self.mode = mode;
        self
    }

    /// Listens with a handler. An error or a panic gives the event back, under a lock.
    ///
    /// # Errors
    ///
    /// Those of the service when the first token is asked for; [`ErrorKind::Duplicate`] for another mode than that
    /// of those who listen already; [`ErrorKind::NoRuntime`] outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is done leaves no listener behind.
    pub async fn handle<F, Fut>(self, handler: F) -> Result<Listener>
    where
        F: Fn(HubEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.listen(Arc::new(move |event| {
            let handling = handler(event);
            Box::pin(async move { handling.await.into_reply().map(drop) })
        }))
        .await
    }

    /// Listens with a stream. Under a lock each event must be [acknowledged](Listened::ack).
    ///
    /// # Errors
    ///
    /// As [`ListenerBuilder::handle`].
    ///
    /// # Cancel safety
    ///
    /// As [`ListenerBuilder::handle`].
    pub async fn stream(self) -> Result<ListenerStream> {
        let (events, arriving) = mpsc::channel::<Listened>(1);
        let locked = self.mode == ReceiveMode::PeekLock;
        let listener = self
            .listen(Arc::new(move |event| {
                let events = events.clone();
                Box::pin(async move {
                    let (done, handled) = oneshot::channel();
                    let gone = |_| Error::new(ErrorKind::Handler, "listen", "the stream was dropped");
                    events.send(Listened { event, done: Some(done) }).await.map_err(gone)?;
                    if locked {
                        handled.await.map_err(|_| {
                            Error::new(
                                ErrorKind::Handler,
                                "listen",
                                "the event was dropped without an acknowledgement",
                            )
                        })?;
                    }
                    Ok(())
                })
            }))
            .await?;
        let state = listener.fan.state.subscribe();
        Ok(ListenerStream { arriving, state, listener, told: false })
    }

    async fn listen(self, sink: Sink) -> Result<Listener> {
        let Self { client, subscription, mode } = self;
        let listeners = client.listeners();
        let _one_at_a_time = listeners.setting_up.lock().await;
        let id = SubscriptionId::from(subscription.id.as_str());
        let known = listeners.shared.fans.lock().get(&id).cloned();
        if let Some(fan) = known {
            if fan.mode != mode {
                let message =
                    format!("others listen to \"{id}\" by {:?}; a queue is read in one mode", fan.mode);
                return Err(Error::new(ErrorKind::Duplicate, "listen", message));
            }
            let number = fan.add(sink);
            return Ok(Listener { client: client.clone(), fan, id, number });
        }
        let hub = listeners.hub().await?;
        let (address, auth) = client.queue_parts(&subscription).await?;
        listeners.shared.auths.lock().insert(address.as_str().to_owned(), auth);
        let fan = Arc::new(Fan {
            mode,
            listeners: Mutex::default(),
            next: Mutex::new(0),
            state: watch::Sender::new(ListenerState::Idle),
            subscription: Mutex::new(None),
        });
        let number = fan.add(sink);
        listeners.shared.fans.lock().insert(id.clone(), Arc::clone(&fan));
        let listener = Listener { client: client.clone(), fan: Arc::clone(&fan), id: id.clone(), number };
        let guarantee = match mode {
            ReceiveMode::PeekLock => Guarantee::AtLeastOnce,
            ReceiveMode::ReceiveAndDelete => Guarantee::AtMostOnce,
        };
        let spreading = Arc::downgrade(&fan);
        // Queues are addressed already: every event of this one matches.
        let subscribed = hub
            .subscribe("topic=*")
            .id(id)
            .address(address.as_str())
            .require(guarantee)
            .handle(move |event: Event| {
                let fan = spreading.upgrade();
                async move {
                    match fan {
                        Some(fan) => fan.spread(HubEvent::new(event)).await,
                        None => Err(Error::new(ErrorKind::Closed, "listen", "nobody listens any more")),
                    }
                }
            })
            .await?;
        *fan.subscription.lock() = Some(subscribed);
        Ok(listener)
    }
}

/// A listener. Dropping it stops it; when the last one of a subscription stops, so does the poll.
///
/// Under a lock no event is lost by that: one that was just locked comes back after its lock. A destructive poll that is
/// under way ends by itself, and what it brings is lost.
pub struct Listener {
    client: IModelHubClient,
    fan: Arc<Fan>,
    id: SubscriptionId,
    number: u64,
}

impl Listener {
    /// Where it stands.
    pub fn state(&self) -> ListenerState {
        self.fan.state.borrow().clone()
    }

    /// Waits until the state fits, and returns it; at the latest when it has ended. Cancel-safe.
    pub async fn wait_for_state(&self, mut fits: impl FnMut(&ListenerState) -> bool) -> ListenerState {
        let mut state = self.fan.state.subscribe();
        let reached = state.wait_for(|state| fits(state) || matches!(state, ListenerState::Ended(_))).await;
        reached.map_or(ListenerState::Ended(None), |state| state.clone())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !self.fan.remove(self.number) {
            return;
        }
        let mut fans = self.client.listeners().shared.fans.lock();
        if fans.get(&self.id).is_some_and(|fan| Arc::ptr_eq(fan, &self.fan)) {
            fans.remove(&self.id);
        }
        drop(fans);
        self.fan.state.send_replace(ListenerState::Ended(None));
        if let Some(subscription) = self.fan.subscription.lock().take() {
            subscription.cancel();
        }
    }
}

/// An event from a stream.
#[derive(Debug)]
pub struct Listened {
    event: HubEvent,
    done: Option<oneshot::Sender<()>>,
}

impl Listened {
    /// The event.
    pub fn event(&self) -> &HubEvent {
        &self.event
    }

    /// Says that the event is handled. Under a lock it is completed when every listener has said so; dropped
    /// without that, it comes again.
    pub fn ack(mut self) -> HubEvent {
        if let Some(done) = self.done.take() {
            let _ = done.send(());
        }
        self.event
    }
}

/// The events of a subscription as a stream. Dropping it stops the listener.
///
/// When the listener ends for a reason, the stream yields it as an `Err` and ends.
pub struct ListenerStream {
    arriving: mpsc::Receiver<Listened>,
    state: watch::Receiver<ListenerState>,
    listener: Listener,
    told: bool,
}

impl ListenerStream {
    /// The next event. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The reason for which the listener has ended.
    pub async fn next(&mut self) -> Option<Result<Listened>> {
        if self.told {
            return None;
        }
        tokio::select! {
            biased;
            Some(event) = self.arriving.recv() => Some(Ok(event)),
            ended = self.state.wait_for(|state| matches!(state, ListenerState::Ended(_))) => {
                let reason = match ended.as_deref() {
                    Ok(ListenerState::Ended(reason)) => reason.clone(),
                    _ => None,
                };
                self.told = true;
                reason.map(|reason| Err(reason.duplicate()))
            }
        }
    }

    /// Where the listener stands.
    pub fn state(&self) -> ListenerState {
        self.listener.state()
    }
}

impl Stream for ListenerStream {
    type Item = Result<Listened>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Waiting is cancel-safe, so a wait that is begun anew at every poll loses nothing but its waker, which
        // the poll renews.
        let next = self.next();
        let mut next = std::pin::pin!(next);
        next.as_mut().poll(cx)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("subscription", &self.id)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ListenerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerStream").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl fmt::Debug for ListenerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerBuilder")
            .field("subscription", &self.subscription)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
