//! One queue, everybody who listens to it, and what keeps it going.

use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_core::hub::HubBuilder;
use event_core::supervisor::ReconnectPolicy;
use event_core::transport::Guarantee;
use event_core::{Context, Error, ErrorKind, Event, EventHub, Result, SubscriptionId};
use futures_util::FutureExt;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use transport_longpoll::auth::{Authorization, FixedAuth, QueueAuth};
use transport_longpoll::request::ReceiveMode;
use transport_longpoll::{HttpExchange, LongPollTransport, QueueState};

use super::sink::Sink;
use super::{ListenerState, SubscriptionGap};
use crate::client::{EventSubscription, IModelHubClient, WeakClient};
use crate::event::HubEvent;

/// What a journal notes for itself is no event of the service.
pub(crate) const BUT_GAPS: &str = "not topic=event-journal.gap";
/// The longest pause between attempts to create an expired subscription anew; the first is a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// All listeners of a client: the engine that polls for them, and who gets what.
pub(crate) struct Listeners {
    transport: Mutex<Option<LongPollTransport>>,
    hub: Mutex<Option<EventHub>>,
    /// What goes between the engine and its transport, until the engine is made.
    layer: Mutex<Option<Layer>>,
    /// Whether that keeps places.
    durable: bool,
    shared: Arc<Shared>,
    /// Setting up a queue, one at a time.
    pub(super) setting_up: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Shared {
    /// By queue address.
    auths: Mutex<HashMap<String, Arc<dyn QueueAuth>>>,
    /// By subscription id.
    fans: Mutex<HashMap<SubscriptionId, Arc<Fan>>>,
}

/// Adds a layer to the engine.
pub(crate) type Layer = Box<dyn FnOnce(HubBuilder) -> HubBuilder + Send>;

/// The layer of a journal.
#[cfg(feature = "journal")]
pub(crate) fn journaling(journal: event_journal::Journal) -> Layer {
    Box::new(|builder| {
        builder.layer(|transport, _dialect| event_journal::Journaled::over(transport, journal))
    })
}

/// How a queue is listened to.
#[derive(Clone, Default)]
pub(super) struct Wishes {
    pub(super) recreate_expired: bool,
    pub(super) fallback: bool,
    pub(super) durable: Option<String>,
    pub(super) on_gap: Option<OnGap>,
    pub(super) on_fallback: Option<OnFallback>,
    pub(super) on_possible_loss: Option<OnPossibleLoss>,
}

pub(super) type OnGap = Arc<dyn Fn(&SubscriptionGap) + Send + Sync>;
pub(super) type OnPossibleLoss = Arc<dyn Fn(&Error) + Send + Sync>;
pub(super) type OnFallback = Arc<dyn Fn(&Error) + Send + Sync>;

/// Calls a function of the caller; if it panics, that is logged, and the listener goes on.
fn told(what: &'static str, tell: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(tell)).is_err() {
        tracing::error!("the function given to {what} panicked");
    }
}

/// One subscription, and everybody who listens to it.
pub(super) struct Fan {
    client: WeakClient,
    wishes: Wishes,
    current: Mutex<Current>,
    received: AtomicBool,
    listeners: Mutex<(u64, Vec<(u64, Sink)>)>,
    pub(super) state: watch::Sender<ListenerState>,
    mending: Mutex<Option<AbortHandle>>,
}

/// What changes when a subscription is created anew or read in another mode.
struct Current {
    subscription: EventSubscription,
    mode: ReceiveMode,
    core: Option<event_core::Subscription>,
}

impl Listeners {
    pub(crate) fn new(
        exchange: Arc<dyn HttpExchange>,
        long_poll: Duration,
        backoff: ReconnectPolicy,
        layer: Option<Layer>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let nobody: Arc<dyn QueueAuth> = Arc::new(FixedAuth::new(Authorization::new("")));
        let (auths, fans) = (Arc::clone(&shared), Arc::clone(&shared));
        let transport = LongPollTransport::builder(exchange, Arc::clone(&nobody))
            .auth_of(move |address| {
                auths.auths.lock().get(address.as_str()).map_or_else(|| Arc::clone(&nobody), Arc::clone)
            })
            .long_poll(long_poll)
            .backoff(backoff)
            .watch(move |id, state| fans.moved(id, state))
            .build()?;
        Ok(Self {
            transport: Mutex::new(Some(transport)),
            hub: Mutex::new(None),
            durable: layer.is_some(),
            layer: Mutex::new(layer),
            shared,
            setting_up: tokio::sync::Mutex::new(()),
        })
    }

    /// The engine, made when the first listener needs it. Only while setting up.
    async fn hub(&self) -> Result<EventHub> {
        let made = self.hub.lock().clone();
        if let Some(hub) = made {
            hub.connect().await?;
            return Ok(hub);
        }
        let Some(transport) = self.transport.lock().take() else {
            return Err(Error::new(
                ErrorKind::Closed,
                "listen",
                "the engine could not be made; build another client",
            ));
        };
        let builder = EventHub::builder(transport).name("imodelhub");
        let hub = match self.layer.lock().take() {
            Some(layer) => layer(builder),
            None => builder,
        }
        .build()?;
        *self.hub.lock() = Some(hub.clone());
        hub.connect().await?;
        Ok(hub)
    }

    /// The engine, if a listener needed it yet.
    pub(crate) fn engine(&self) -> Option<EventHub> {
        self.hub.lock().clone()
    }

    pub(super) fn fan(&self, id: &SubscriptionId) -> Option<Arc<Fan>> {
        self.shared.fans.lock().get(id).cloned()
    }

    /// Refuses a name for a place that would not be kept.
    pub(super) fn may_keep(&self, wishes: &Wishes, mode: ReceiveMode) -> Result<()> {
        if wishes.durable.is_none() || (self.durable && mode == ReceiveMode::PeekLock) {
            return Ok(());
        }
        let message = "a place is kept with a journal and under locks only; give the client a journal and use \
                       ReceiveMode::PeekLock, or leave the name out";
        Err(Error::new(ErrorKind::Unsupported, "listen", message))
    }

    fn forget(&self, fan: &Arc<Fan>) {
        self.shared.forget(&fan.id(), fan);
    }

    /// Begins to drain the fan's queue.
    pub(super) async fn attach(&self, client: &IModelHubClient, fan: &Arc<Fan>) -> Result<()> {
        let (subscription, mode) = {
            let current = fan.current.lock();
            (current.subscription.clone(), current.mode)
        };
        let hub = self.hub().await?;
        let (address, auth) = client.queue_parts(&subscription).await?;
        self.shared.auths.lock().insert(address.as_str().to_owned(), auth);
        self.shared.fans.lock().insert(fan.id(), Arc::clone(fan));
        let guarantee = match mode {
            ReceiveMode::PeekLock => Guarantee::AtLeastOnce,
            ReceiveMode::ReceiveAndDelete => Guarantee::AtMostOnce,
        };
        let spreading = Arc::downgrade(fan);
        // Queues are addressed already: every event of this one matches.
        let mut subscribe = hub
            .subscribe(if self.durable { BUT_GAPS } else { "topic=*" })
            .id(fan.id())
            .address(address.as_str())
            .require(guarantee);
        if self.durable && mode == ReceiveMode::PeekLock {
            let name = fan.wishes.durable.clone().unwrap_or_else(|| subscription.id.clone());
            subscribe = subscribe.durable(name);
        }
        let core = subscribe
            .handle_ctx(move |event: Event, context: Context| {
                let fan = spreading.upgrade();
                async move {
                    match fan {
                        Some(fan) => fan.spread(HubEvent::new(event), &context).await,
                        None => Err(Error::new(ErrorKind::Closed, "listen", "nobody listens any more")),
                    }
                }
            })
            .await?;
        let unwanted = {
            let mut current = fan.current.lock();
            let unwanted = fan.listeners.lock().1.is_empty();
            if !unwanted {
                current.core = Some(core.clone());
            }
            unwanted
        };
        if unwanted {
            core.cancel();
            self.forget(fan);
        }
        Ok(())
    }
}

impl Shared {
    fn forget(&self, id: &SubscriptionId, fan: &Arc<Fan>) {
        let mut fans = self.fans.lock();
        if fans.get(id).is_some_and(|held| Arc::ptr_eq(held, fan)) {
            fans.remove(id);
        }
    }

    fn moved(&self, id: &SubscriptionId, state: &QueueState) {
        let Some(fan) = self.fans.lock().get(id).cloned() else { return };
        let state = match state {
            QueueState::Idle => ListenerState::Idle,
            QueueState::Renewing => ListenerState::Renewing,
            QueueState::Polling => ListenerState::Listening,
            QueueState::Retrying { error, attempt, retry_in } => {
                ListenerState::Retrying { error: Arc::clone(error), attempt: *attempt, retry_in: *retry_in }
            }
            QueueState::PossibleLoss(reason) => {
                if let Some(on_possible_loss) = &fan.wishes.on_possible_loss {
                    on_possible_loss(reason);
                }
                return;
            }
            QueueState::Stopped(Some(reason)) => {
                self.forget(id, &fan);
                fan.stopped(reason);
                return;
            }
            QueueState::Stopped(None) => ListenerState::Ended(None),
            _ => return,
        };
        fan.state.send_replace(state);
    }
}

impl Fan {
    pub(super) fn new(
        client: &IModelHubClient,
        subscription: EventSubscription,
        mode: ReceiveMode,
        wishes: Wishes,
    ) -> Arc<Self> {
        Arc::new(Self {
            client: client.downgrade(),
            wishes,
            current: Mutex::new(Current { subscription, mode, core: None }),
            received: AtomicBool::new(false),
            listeners: Mutex::default(),
            state: watch::Sender::new(ListenerState::Idle),
            mending: Mutex::new(None),
        })
    }

    pub(super) fn id(&self) -> SubscriptionId {
        SubscriptionId::from(self.current.lock().subscription.id.as_str())
    }

    pub(super) fn mode(&self) -> ReceiveMode {
        self.current.lock().mode
    }

    pub(super) fn add(&self, sink: Sink) -> u64 {
        let mut listeners = self.listeners.lock();
        listeners.0 += 1;
        let number = listeners.0;
        listeners.1.push((number, sink));
        number
    }

    /// One listener less; the last one ends the poll.
    pub(super) fn remove(self: &Arc<Self>, client: &IModelHubClient, number: u64) {
        let last = {
            let mut listeners = self.listeners.lock();
            listeners.1.retain(|(other, _)| *other != number);
            listeners.1.is_empty()
        };
        if !last {
            return;
        }
        client.listeners().forget(self);
        if let Some(mending) = self.mending.lock().take() {
            mending.abort();
        }
        let core = self.current.lock().core.take();
        if let Some(core) = core {
            core.cancel();
        }
        self.end(None);
    }

    /// Gives an event to everybody; all must succeed.
    async fn spread(&self, event: HubEvent, context: &Context) -> Result<()> {
        self.received.store(true, Ordering::Relaxed);
        let sinks: Vec<Sink> = self.listeners.lock().1.iter().map(|(_, sink)| sink.clone()).collect();
        let deferred = context.defer();
        if !sinks.iter().all(Sink::waits) {
            deferred.begin();
        }
        let handled = join_all(sinks.into_iter().map(|sink| {
            let (event, deferred) = (event.clone(), deferred.clone());
            // One that panics must not cut the others off.
            AssertUnwindSafe(async move { sink.give(event, deferred).await }).catch_unwind()
        }));
        let mut outcome = Ok(());
        for handled in handled.await {
            let panicked = |_| Err(Error::new(ErrorKind::Handler, "listen", "a listener panicked"));
            if let Err(error) = handled.unwrap_or_else(panicked) {
                tracing::error!(id = %self.id(), %error, "an event was not handled");
                outcome = Err(error);
            }
        }
        outcome
    }

    fn end(&self, reason: Option<Arc<Error>>) {
        if matches!(&*self.state.borrow(), ListenerState::Ended(_)) {
            return;
        }
        if let Some(reason) = &reason {
            tracing::error!(id = %self.id(), %reason, "a listener has ended");
        }
        self.state.send_replace(ListenerState::Ended(reason));
    }

    /// The queue has ended by itself: mend it if that is wished for, or end with the reason.
    fn stopped(self: &Arc<Self>, reason: &Arc<Error>) {
        self.current.lock().core = None;
        let gone = reason.kind() == ErrorKind::NotFound;
        let refused = matches!(reason.kind(), ErrorKind::PermissionDenied | ErrorKind::Refused);
        if gone && self.wishes.recreate_expired {
            self.mend(Self::recreate(Arc::clone(self), Arc::clone(reason)));
        } else if refused && self.mode() == ReceiveMode::PeekLock && !self.received.load(Ordering::Relaxed) {
            if self.wishes.fallback {
                tracing::warn!(id = %self.id(), %reason, "locked reading is refused; falling back to destructive reading");
                self.current.lock().mode = ReceiveMode::ReceiveAndDelete;
                if let Some(on_fallback) = &self.wishes.on_fallback {
                    told("on_fallback", || on_fallback(&peek_lock_refused(reason)));
                }
                self.mend(Self::reattach(Arc::clone(self)));
            } else {
                self.end(Some(Arc::new(peek_lock_refused(reason))));
            }
        } else {
            self.end(Some(Arc::clone(reason)));
        }
    }

    fn mend(&self, mending: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(mending);
        if let Some(before) = self.mending.lock().replace(task.abort_handle()) {
            before.abort();
        }
    }

    /// Creates the expired subscription anew and goes on with its queue.
    async fn recreate(self: Arc<Self>, reason: Arc<Error>) {
        let mut pause = Duration::from_secs(1);
        let mut attempt = 1;
        loop {
            let Some(client) = self.client.upgrade() else { return };
            let one_at_a_time = client.listeners().setting_up.lock().await;
            let expired = self.current.lock().subscription.clone();
            let failure = match client.recreate(&expired).await {
                Ok(recreated) => {
                    self.current.lock().subscription = recreated.clone();
                    match client.listeners().attach(&client, &self).await {
                        Ok(()) => {
                            tracing::warn!(expired = %expired.id, recreated = %recreated.id, "an expired subscription was created anew; events were missed");
                            if let Some(on_gap) = &self.wishes.on_gap {
                                told("on_gap", || on_gap(&SubscriptionGap { expired, recreated }));
                            }
                            return;
                        }
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            if !failure.is_transient() {
                tracing::error!(%failure, "an expired subscription could not be created anew");
                self.end(Some(reason));
                return;
            }
            let error = Arc::new(failure);
            self.state.send_replace(ListenerState::Retrying { error, attempt, retry_in: pause });
            drop(one_at_a_time);
            drop(client);
            tokio::time::sleep(pause).await;
            attempt += 1;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Goes on with the same queue in the mode of now.
    async fn reattach(self: Arc<Self>) {
        let Some(client) = self.client.upgrade() else { return };
        let _one_at_a_time = client.listeners().setting_up.lock().await;
        if let Err(failure) = client.listeners().attach(&client, &self).await {
            self.end(Some(Arc::new(failure)));
        }
    }
}

fn peek_lock_refused(reason: &Arc<Error>) -> Error {
    let message = format!(
        "the service refuses locked reading of this queue ({reason}); use ReceiveMode::ReceiveAndDelete, or \
         .fallback(true)"
    );
    Error::new(ErrorKind::PeekLockRefused, "listen", message).with_source(reason.duplicate())
}
