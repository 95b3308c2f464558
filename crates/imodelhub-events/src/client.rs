//! The client: subscriptions, tokens, single events.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event_core::hub::DrainReport;
use event_core::network::{Proxy, ProxySetting};
use event_core::supervisor::ReconnectPolicy;
use event_core::{Error, ErrorKind, Event, Result};
use parking_lot::Mutex;
use transport_longpoll::address::QueueAddress;
use transport_longpoll::auth::QueueAuth;
use transport_longpoll::exchange::Tls;
use transport_longpoll::message::Message;
use transport_longpoll::request::{LockAction, ReceiveMode};
use transport_longpoll::{HttpExchange, Lock, QueueClient};

use crate::environment::Environment;
use crate::event::{EventType, GlobalEventType, HubEvent};
use crate::listener::{ListenerBuilder, Listeners};
use crate::names::{GlobalSubscriptionKey, IModelId};
use crate::queues::Queues;
use crate::reach::Reach;
use crate::service::Service;
use crate::token::{AccessTokenProvider, SasToken};
use crate::wsg::Scope;

/// A client of iModelHub's events. A clone is the same client.
#[derive(Clone)]
pub struct IModelHubClient(Arc<Inner>);

/// A client that does not keep itself alive.
pub(crate) struct WeakClient(std::sync::Weak<Inner>);

impl WeakClient {
    pub(crate) fn upgrade(&self) -> Option<IModelHubClient> {
        self.0.upgrade().map(IModelHubClient)
    }
}

struct Inner {
    service: Arc<Service>,
    queues: Mutex<HashMap<Scope, Arc<Queues>>>,
    listeners: Listeners,
}

/// Describes a client.
#[must_use = "a builder does nothing until it is built"]
pub struct ClientBuilder {
    reach: Reach,
    long_poll: Duration,
    backoff: ReconnectPolicy,
    #[cfg(feature = "journal")]
    journal: Option<event_journal::Journal>,
}

/// A subscription to events, with a queue of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventSubscription {
    /// The subscription's id at the service.
    pub id: String,
    /// The types it delivers, as the service answered.
    pub event_types: Vec<String>,
    pub(crate) scope: Scope,
    key: Option<GlobalSubscriptionKey>,
    e_tag: Option<String>,
}

impl EventSubscription {
    /// A subscription of an iModel that exists already, by the id that was kept from [`EventSubscription::id`]: a
    /// program that starts again goes on with it, and finds what was queued meanwhile. Its types are not known here.
    pub fn existing(imodel: &IModelId, id: impl Into<String>) -> Self {
        Self::of(Scope::IModel(imodel.clone()), None, id.into())
    }

    /// The same for a global subscription, with the key that it was created with.
    pub fn existing_global(key: &GlobalSubscriptionKey, id: impl Into<String>) -> Self {
        Self::of(Scope::Global, Some(key.clone()), id.into())
    }

    fn of(scope: Scope, key: Option<GlobalSubscriptionKey>, id: String) -> Self {
        Self { id, event_types: Vec::new(), scope, key, e_tag: None }
    }
}

impl IModelHubClient {
    /// Starts describing a client.
    pub fn builder(environment: Environment, provider: impl AccessTokenProvider) -> ClientBuilder {
        ClientBuilder {
            reach: Reach::new(environment, provider),
            long_poll: Duration::from_secs(60),
            backoff: ReconnectPolicy::default(),
            #[cfg(feature = "journal")]
            journal: None,
        }
    }

    /// Subscribes to events of an iModel.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an empty list, before anything is sent; those of the service.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a subscription behind; the service removes it after an hour without a reader.
    pub async fn create_subscription(
        &self,
        imodel: &IModelId,
        types: &[EventType],
    ) -> Result<EventSubscription> {
        let names = names(types.iter().map(EventType::as_str))?;
        self.create(Scope::IModel(imodel.clone()), names, None).await
    }

    /// Subscribes to events of the whole service. `key` is the caller's own name for the subscription.
    ///
    /// # Errors
    ///
    /// As [`IModelHubClient::create_subscription`]; [`ErrorKind::Duplicate`] when the service does not give an
    /// existing one back.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a subscription behind.
    pub async fn create_global_subscription(
        &self,
        key: &GlobalSubscriptionKey,
        types: &[GlobalEventType],
    ) -> Result<EventSubscription> {
        let names = names(types.iter().map(GlobalEventType::as_str))?;
        self.create(Scope::Global, names, Some(key.clone())).await
    }

    async fn create(
        &self,
        scope: Scope,
        types: Vec<String>,
        key: Option<GlobalSubscriptionKey>,
    ) -> Result<EventSubscription> {
        let answer = self.0.service.call("create subscription", &scope.create(&types, key.as_ref())).await?;
        subscription(scope, key, &answer)
    }

    /// Changes the types of a subscription.
    ///
    /// # Errors
    ///
    /// As [`IModelHubClient::create_subscription`]; [`ErrorKind::NotFound`] when it has expired.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn update_subscription(
        &self,
        subscription: &EventSubscription,
        types: &[impl AsRef<str>],
    ) -> Result<EventSubscription> {
        let names = names(types.iter().map(AsRef::as_ref))?;
        let EventSubscription { id, scope, key, e_tag, .. } = subscription;
        let call = scope.update(id, &names, key.as_ref(), e_tag.as_deref());
        let answer = self.0.service.call("update subscription", &call).await?;
        self::subscription(scope.clone(), key.clone(), &answer)
    }

    /// Deletes a subscription and its queue.
    ///
    /// # Errors
    ///
    /// Those of the service.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn delete_subscription(&self, subscription: &EventSubscription) -> Result<()> {
        self.0
            .service
            .call("delete subscription", &subscription.scope.delete(&subscription.id))
            .await
            .map(drop)
    }

    /// A fresh token for the queues of an iModel. Reading events and listening get theirs by themselves.
    ///
    /// # Errors
    ///
    /// Those of the service.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn get_sas_token(&self, imodel: &IModelId) -> Result<SasToken> {
        self.queues(&Scope::IModel(imodel.clone())).fetch().await
    }

    /// The same for the queues of global events.
    ///
    /// # Errors
    ///
    /// Those of the service.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn get_global_sas_token(&self) -> Result<SasToken> {
        self.queues(&Scope::Global).fetch().await
    }

    /// Takes the first event off a subscription's queue: it is gone from there. `None` when there is none, or
    /// none came within `timeout` (whole seconds, 1 to 230); without one the service answers at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a timeout out of range, before anything is sent;
    /// [`ErrorKind::NotFound`] when the subscription has expired; those of the service.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future can lose an event.
    pub async fn get_event(
        &self,
        subscription: &EventSubscription,
        timeout: Option<Duration>,
    ) -> Result<Option<HubEvent>> {
        let queue = self.queue(subscription).await?;
        let message = queue.receive(ReceiveMode::ReceiveAndDelete, timeout).await?;
        message.map(|message| hub_event(&message)).transpose()
    }

    /// Locks the first event of a subscription's queue: nobody else gets it while the lock lasts, a minute as a
    /// rule, and it comes back unless it is deleted.
    ///
    /// # Errors
    ///
    /// As [`IModelHubClient::get_event`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: an event that was locked comes back.
    pub async fn peek_event(
        &self,
        subscription: &EventSubscription,
        timeout: Option<Duration>,
    ) -> Result<Option<LockedEvent>> {
        let queue = self.queue(subscription).await?;
        let Some(message) = queue.receive(ReceiveMode::PeekLock, timeout).await? else { return Ok(None) };
        let lock = queue.lock_of(&message).map_err(|cause| {
            Error::new(
                ErrorKind::Protocol,
                "peek event",
                "the service did not say where the event is settled",
            )
            .with_source(cause)
        })?;
        Ok(Some(LockedEvent { event: hub_event(&message)?, lock, queue }))
    }

    /// Ends every listener of this client in good order: no further polls, handlers finish what they have, events under
    /// a lock are completed or given back. What is not done within `limit` is cut off, and comes again after its lock.
    /// The report says what became of everything. It is final: listening again takes another client; the other calls go
    /// on.
    ///
    /// Drop streams first: an event that a reader holds is waited for.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the drain goes on even if the future is dropped.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        match self.0.listeners.engine() {
            Some(hub) => hub.drain(limit).await,
            None => DrainReport::default(),
        }
    }

    /// Describes a listener on a subscription. Several on one subscription share its poll.
    pub fn create_listener(&self, subscription: &EventSubscription) -> ListenerBuilder {
        ListenerBuilder::new(self.clone(), subscription.clone())
    }

    /// The same types again, after the service forgot the subscription.
    pub(crate) async fn recreate(&self, expired: &EventSubscription) -> Result<EventSubscription> {
        let EventSubscription { event_types, scope, key, .. } = expired.clone();
        self.create(scope, event_types, key).await
    }

    pub(crate) fn downgrade(&self) -> WeakClient {
        WeakClient(Arc::downgrade(&self.0))
    }

    pub(crate) fn listeners(&self) -> &Listeners {
        &self.0.listeners
    }

    pub(crate) async fn queue(&self, subscription: &EventSubscription) -> Result<QueueClient> {
        self.queues(&subscription.scope).queue(&subscription.id).await
    }

    /// Where a subscription's queue is, and whence its tokens come.
    pub(crate) async fn queue_parts(
        &self,
        subscription: &EventSubscription,
    ) -> Result<(QueueAddress, Arc<dyn QueueAuth>)> {
        self.queues(&subscription.scope).parts(&subscription.id).await
    }

    fn queues(&self, scope: &Scope) -> Arc<Queues> {
        let mut all = self.0.queues.lock();
        if let Some(queues) = all.get(scope) {
            return Arc::clone(queues);
        }
        let queues = Arc::new(Queues::new(&self.0.service, scope));
        all.insert(scope.clone(), Arc::clone(&queues));
        queues
    }
}

impl ClientBuilder {
    /// How long a REST call may take. Default 25 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.reach.request_timeout = timeout;
        self
    }

    /// How long the service may hold a listener's poll: whole seconds, 1 to 230. Default 60 s. Choose less than
    /// what proxies on the way allow.
    pub fn long_poll(mut self, timeout: Duration) -> Self {
        self.long_poll = timeout;
        self
    }

    /// The pauses of listeners after failures: `first`, `max` and `jitter` of the policy. Default 500 ms, doubling up
    /// to 60 s.
    pub fn backoff(mut self, backoff: ReconnectPolicy) -> Self {
        self.backoff = backoff;
        self
    }

    /// The clock by which tokens expire, for tests whose time is paused. Default the system's.
    pub fn wall_clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.reach.wall_clock = clock;
        self
    }

    /// How TLS is spoken. Default: rustls with the platform's certificates, where it is compiled in.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.reach.tls = tls;
        self
    }

    /// Connects through this proxy, whatever the environment says: `http://user:password@host:port`, `socks5://..`
    /// (this machine looks the server's name up), `socks5h://..` (the proxy does), or a [`Proxy`]. TLS is spoken with
    /// the service, through the proxy. User and password are shown nowhere.
    pub fn proxy<P>(mut self, proxy: P) -> Self
    where
        P: TryInto<Proxy>,
        Error: From<P::Error>,
    {
        self.reach.through(proxy);
        self
    }

    /// Connects directly, whatever the environment says.
    pub fn no_proxy(self) -> Self {
        self.proxy_setting(ProxySetting::direct())
    }

    /// Which proxy leads to the service and to its queues. Default [`ProxySetting::environment`]: `HTTPS_PROXY`,
    /// `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as they are when the client is built.
    pub fn proxy_setting(mut self, setting: ProxySetting) -> Self {
        self.reach.proxy = Some(Ok(setting));
        self
    }

    /// What speaks HTTP, instead of reqwest; TLS and proxies are its own affair then.
    pub fn exchange(mut self, exchange: impl HttpExchange) -> Self {
        self.reach.exchange = Some(Arc::new(exchange));
        self
    }

    /// Keeps what comes in a journal: an event is completed at the service when it is there, and handlers get it from
    /// there, again after a while when they fail. Each listener under a lock keeps its place, under the name given to
    /// [`ListenerBuilder::durable`].
    ///
    /// ```no_run
    /// use imodelhub_events::journal::{Config, Journal};
    /// # use imodelhub_events::{AccessTokenProvider, Environment, IModelHubClient};
    ///
    /// # async fn example(provider: impl AccessTokenProvider) -> Result<(), imodelhub_events::Error> {
    /// let journal = Journal::open("events.journal", Config::default()).await?;
    /// let client = IModelHubClient::builder(Environment::Production, provider).journal(journal).build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "journal")]
    pub fn journal(mut self, journal: event_journal::Journal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUrl`] (also of a proxy), [`ErrorKind::InvalidInput`] for a poll out of range, [`ErrorKind::Tls`] when
    /// TLS cannot be set up.
    pub fn build(self) -> Result<IModelHubClient> {
        let base = self.reach.environment.base()?;
        let service = Arc::new(self.reach.service(base)?);
        #[cfg(feature = "journal")]
        let layer = self.journal.map(crate::listener::journaling);
        #[cfg(not(feature = "journal"))]
        let layer = None;
        let listeners = Listeners::new(service.exchange(), self.long_poll, self.backoff, layer)?;
        Ok(IModelHubClient(Arc::new(Inner { service, queues: Mutex::default(), listeners })))
    }
}

/// An event under a lock.
#[derive(Debug)]
pub struct LockedEvent {
    event: HubEvent,
    lock: Lock,
    queue: QueueClient,
}

impl LockedEvent {
    /// The event.
    pub fn event(&self) -> &HubEvent {
        &self.event
    }

    /// Deletes the event from the queue. The token is the one in force now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LockLost`] when the lock has lapsed: the event comes again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn delete(&self) -> Result<()> {
        self.queue.settle(&self.lock, LockAction::Complete).await
    }

    /// Gives the event back at once.
    ///
    /// # Errors
    ///
    /// As [`LockedEvent::delete`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn abandon(&self) -> Result<()> {
        self.queue.settle(&self.lock, LockAction::Abandon).await
    }

    /// Prolongs the lock by its whole time.
    ///
    /// # Errors
    ///
    /// As [`LockedEvent::delete`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn renew(&self) -> Result<()> {
        self.queue.settle(&self.lock, LockAction::Renew).await
    }
}

fn names<'t>(types: impl Iterator<Item = &'t str>) -> Result<Vec<String>> {
    let names: Vec<String> = types.map(str::to_owned).collect();
    if names.is_empty() || names.iter().any(|name| name.trim().is_empty()) {
        let message = "give at least one event type, and none that is empty";
        return Err(Error::new(ErrorKind::InvalidInput, "subscribe", message));
    }
    Ok(names)
}

fn subscription(
    scope: Scope,
    key: Option<GlobalSubscriptionKey>,
    answer: &[u8],
) -> Result<EventSubscription> {
    let instance = scope.read(scope.subscription_class(), answer)?;
    if instance.id.is_empty() {
        let message = "the service's answer has no subscription id";
        return Err(Error::new(ErrorKind::Protocol, "subscribe", message));
    }
    let types = instance.properties.get("EventTypes").and_then(serde_json::Value::as_array);
    let event_types =
        types.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    Ok(EventSubscription { id: instance.id, event_types, scope, key, e_tag: instance.e_tag })
}

fn hub_event(message: &Message) -> Result<HubEvent> {
    let event: Event = message.to_event()?;
    Ok(HubEvent::new(event))
}

impl fmt::Debug for IModelHubClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IModelHubClient").field("service", &self.0.service).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("environment", &self.reach.environment).finish_non_exhaustive()
    }
}
