//! Listening to a subscription: one poll, however many listeners. What a listener is, wherever events come from.

mod fan;
mod sink;
mod stream;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use event_core::{Error, ErrorKind, IntoReply, Result, SubscriptionId};
use tokio::sync::watch;
use transport_longpoll::request::ReceiveMode;

pub(crate) use fan::Listeners;
#[cfg(feature = "journal")]
pub(crate) use fan::journaling;
#[cfg(feature = "webhooks")]
pub(crate) use fan::{BUT_GAPS, Layer};
pub(crate) use sink::Sink;
pub use stream::{Listened, ListenerStream};

use crate::client::{EventSubscription, IModelHubClient};
use crate::event::HubEvent;
use fan::{Fan, Wishes};

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

/// A subscription expired while it was listened to, and was created anew: events between the two were missed, and
/// the caller must catch up by other means, from the iModel's changesets for instance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionGap {
    /// The one that is gone.
    pub expired: EventSubscription,
    /// The one that took its place.
    pub recreated: EventSubscription,
}

/// Describes a listener.
#[must_use = "nothing is listened to until a handler or a stream is asked for"]
pub struct ListenerBuilder {
    client: IModelHubClient,
    subscription: EventSubscription,
    mode: ReceiveMode,
    wishes: Wishes,
}

impl ListenerBuilder {
    pub(crate) fn new(client: IModelHubClient, subscription: EventSubscription) -> Self {
        Self { client, subscription, mode: ReceiveMode::PeekLock, wishes: Wishes::default() }
    }

    /// Creates the subscription anew, with the same types, when the service says that it is gone (it expires after
    /// an hour without a reader). What was missed meanwhile is told to [`on_gap`](Self::on_gap). Default no: the
    /// listener ends. Of several listeners on one subscription, the first decides.
    pub fn recreate_expired(mut self, recreate: bool) -> Self {
        self.wishes.recreate_expired = recreate;
        self
    }

    /// Called when an expired subscription was created anew, and events were missed. It must not block.
    pub fn on_gap(mut self, on_gap: impl Fn(&SubscriptionGap) + Send + Sync + 'static) -> Self {
        self.wishes.on_gap = Some(Arc::new(on_gap));
        self
    }

    /// Goes on by destructive reading where the service refuses locked reading. Default no: the listener ends with
    /// [`ErrorKind::PeekLockRefused`], because at most once is not what was asked for.
    pub fn fallback(mut self, fallback: bool) -> Self {
        self.wishes.fallback = fallback;
        self
    }

    /// How events leave the queue. Default [`ReceiveMode::PeekLock`]: an event is completed when every listener has
    /// handled it, and comes again otherwise. All listeners of one subscription must agree.
    pub fn mode(mut self, mode: ReceiveMode) -> Self {
        self.mode = mode;
        self
    }

    /// Called when the listener falls back to destructive reading, with the reason. It must not block.
    pub fn on_fallback(mut self, on_fallback: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.wishes.on_fallback = Some(Arc::new(on_fallback));
        self
    }

    /// Called when a [destructive](ReceiveMode::ReceiveAndDelete) read broke off after the service may have given an
    /// event out, with the reason: one event may be lost, and it would have come just now. Each call stands for one
    /// event at most. It must not block.
    pub fn on_possible_loss(mut self, on_possible_loss: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.wishes.on_possible_loss = Some(Arc::new(on_possible_loss));
        self
    }

    /// The name under which the listener's place is kept, with a [journal](crate::ClientBuilder::journal). Default: the
    /// id of the subscription, which changes when it is created anew. Of several listeners on one subscription, the
    /// first decides. Not with [`ReceiveMode::ReceiveAndDelete`], which keeps no places.
    #[cfg(feature = "journal")]
    pub fn durable(mut self, name: impl Into<String>) -> Self {
        self.wishes.durable = Some(name.into());
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
        self.listen(Sink::handling(handler)).await
    }

    /// Listens with a stream. Under a lock each event must be [acknowledged](Listened::ack). One that waits for the
    /// reader keeps its lock, unless others listen with a handler.
    ///
    /// # Errors
    ///
    /// As [`ListenerBuilder::handle`].
    ///
    /// # Cancel safety
    ///
    /// As [`ListenerBuilder::handle`].
    pub async fn stream(self) -> Result<ListenerStream> {
        let (sink, arriving) = Sink::streaming(self.mode == ReceiveMode::PeekLock);
        Ok(ListenerStream::new(arriving, self.listen(sink).await?))
    }

    async fn listen(self, sink: Sink) -> Result<Listener> {
        let Self { client, subscription, mode, wishes } = self;
        let listeners = client.listeners();
        listeners.may_keep(&wishes, mode)?;
        let _one_at_a_time = listeners.setting_up.lock().await;
        let id = SubscriptionId::from(subscription.id.as_str());
        if let Some(fan) = listeners.fan(&id) {
            if fan.mode() != mode {
                let message =
                    format!("others listen to \"{id}\" by {:?}; a queue is read in one mode", fan.mode());
                return Err(Error::new(ErrorKind::Duplicate, "listen", message));
            }
            let number = fan.add(sink);
            return Ok(Listener::holding(Reading { client: client.clone(), fan, number }));
        }
        let fan = Fan::new(&client, subscription, mode, wishes);
        let number = fan.add(sink);
        // Dropped before it is done, this removes what was begun.
        let listener = Listener::holding(Reading { client: client.clone(), fan: Arc::clone(&fan), number });
        listeners.attach(&client, &fan).await?;
        Ok(listener)
    }
}

/// A listener. Dropping it stops it; when the last one of a subscription stops, so does the poll. A handler at work
/// finishes, and its event is completed.
///
/// Under a lock no event is lost by that: one that was just locked, or is locked by a poll on its way, comes back
/// after its lock. A destructive poll that is under way ends by itself; a new listener takes over what it brings,
/// and without one that is lost.
pub struct Listener {
    held: Box<dyn Held>,
}

/// What makes a listener go on, until it is dropped.
pub(crate) trait Held: Send + Sync {
    fn states(&self) -> watch::Receiver<ListenerState>;
    fn mode(&self) -> ReceiveMode;
    fn id(&self) -> SubscriptionId;
}

impl Listener {
    pub(crate) fn holding(held: impl Held + 'static) -> Self {
        Self { held: Box::new(held) }
    }

    /// Where it stands.
    pub fn state(&self) -> ListenerState {
        self.held.states().borrow().clone()
    }

    /// How events leave the queue now: another way than at first, after a fall-back. Of webhooks: whether an event is
    /// lost when its handler fails, as by [`ReceiveMode::ReceiveAndDelete`].
    pub fn mode(&self) -> ReceiveMode {
        self.held.mode()
    }

    /// The id of the subscription of now: another one than at first, when it was created anew.
    pub fn subscription_id(&self) -> String {
        self.held.id().as_str().to_owned()
    }

    /// Waits until the state fits, and returns it; at the latest when it has ended. Cancel-safe.
    pub async fn wait_for_state(&self, mut fits: impl FnMut(&ListenerState) -> bool) -> ListenerState {
        let mut state = self.held.states();
        let reached = state.wait_for(|state| fits(state) || matches!(state, ListenerState::Ended(_))).await;
        reached.map_or(ListenerState::Ended(None), |state| state.clone())
    }
}

/// One who reads a subscription's queue.
struct Reading {
    client: IModelHubClient,
    fan: Arc<Fan>,
    number: u64,
}

impl Held for Reading {
    fn states(&self) -> watch::Receiver<ListenerState> {
        self.fan.state.subscribe()
    }

    fn mode(&self) -> ReceiveMode {
        self.fan.mode()
    }

    fn id(&self) -> SubscriptionId {
        self.fan.id()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.fan.remove(&self.client, self.number);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("subscription", &self.held.id())
            .field("state", &self.state())
            .finish_non_exhaustive()
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
