//! The transport: many queues behind one link.

mod builder;
mod link;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use event_core::Result;
use event_core::transport::{Attempt, Capabilities, Continuity, Flow, Guarantees, Link, LinkInfo, Transport};
use parking_lot::Mutex;

use crate::address::QueueAddress;
use crate::auth::QueueAuth;
use crate::client::{Lock, QueueClient};
use crate::exchange::HttpExchange;
use crate::poll::{PollConfig, Stats};
use crate::queue::{Locked, Mapper, Watch};
use event_core::transport::SettleToken;

pub use builder::LongPollTransportBuilder;

/// Queues with a head, each drained by long polls over HTTP.
///
/// A subscription is a queue: its [`address`](event_core::SubscriptionSpec::address) is the queue's URL, and what it
/// [requires](event_core::SubscriptionSpec::require) is the mode in which it is read, at most once destructively, at
/// least once under a lock. A queue is polled while its subscription has credit, one poll at a time.
///
/// # Delivery
///
/// In the order in which the service gives messages out, each to its subscription. **At most once**: a message is
/// gone from the queue when the service has written the answer; if the connection breaks just then it is lost, and each
/// read that broke off so is reported
/// ([`PossibleLoss`](event_core::transport::SubscriptionChange::PossibleLoss)). **At least once**: a message is locked until it is settled, and comes back when its lock lapses. Repeats are
/// recognised by the event's id; the delivery's `attempt` is the service's count. A body that cannot be read is
/// delivered as it came ([`Message::to_event`](crate::message::Message::to_event)).
///
/// Settling: complete and abandon as they say (a pause cannot be asked for, so an abandoned message comes back at
/// once); the service's HTTP interface cannot reject.
///
/// # Recovery
///
/// Each queue heals itself: failures that may pass are reported as [`Inbound::Problem`](event_core::transport::Inbound::Problem) and followed by another
/// poll after a pause; a refused authorization is replaced. What cannot pass ends that queue, visibly
/// (`Inbound::Subscription` with `Lost`), and no other. The link itself never fails.
///
/// # Stopping
///
/// Unsubscribing ends a poll under a lock at once; a message that is being locked for it comes back after its
/// lock. A destructive poll ends by itself, which takes up to the length of a poll, and what it brings is still
/// delivered, unless the builder chose [`StopPolicy::DropPoll`](crate::poll::StopPolicy::DropPoll). Subscribing to
/// a queue whose last destructive poll is still in flight takes that poll over.
pub struct LongPollTransport {
    config: Arc<Config>,
}

/// Gives each queue its source of authorizations.
type AuthOf = Arc<dyn Fn(&QueueAddress) -> Arc<dyn QueueAuth> + Send + Sync>;

struct Config {
    exchange: Arc<dyn HttpExchange>,
    auth: AuthOf,
    poll: PollConfig,
    mapper: Mapper,
    watch: Option<Watch>,
    totals: Arc<Mutex<Stats>>,
}

impl LongPollTransport {
    /// Starts describing a transport: what speaks HTTP, and where authorizations come from.
    ///
    /// The source is asked before every request; wrap it in [`SharedAuth`](crate::auth::SharedAuth) unless it keeps
    /// its answers itself.
    pub fn builder(exchange: impl HttpExchange, auth: impl QueueAuth) -> LongPollTransportBuilder {
        LongPollTransportBuilder::new(Arc::new(exchange), Arc::new(auth))
    }

    /// What the queues of all links of this transport have done.
    pub fn stats(&self) -> Stats {
        *self.config.totals.lock()
    }

    /// One of its queues, for single requests.
    pub fn client(&self, address: QueueAddress) -> QueueClient {
        self.config.client(address)
    }

    /// The lock behind the token of a delivery; `None` for a token of another transport, or when the service did
    /// not say where the message is settled.
    pub fn lock_of(token: &SettleToken) -> Option<&Lock> {
        token.get::<Locked>()?.lock.as_ref().ok()
    }
}

impl Config {
    fn client(&self, address: QueueAddress) -> QueueClient {
        let auth = (self.auth)(&address);
        QueueClient::new(address, Arc::clone(&self.exchange), auth).jitter(self.poll.backoff.jitter)
    }
}

#[async_trait]
impl Transport for LongPollTransport {
    fn name(&self) -> &'static str {
        "longpoll"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.flow = Flow::Credit;
        capabilities.guarantees = Guarantees::both();
        capabilities.continuity = Continuity::SelfHealing;
        // Of subscriptions that require "at least once".
        capabilities.nack = true;
        capabilities.extend_lock = true;
        capabilities
    }

    /// Always succeeds, and sends nothing: what cannot be reached shows on the queues.
    async fn connect(&self, _attempt: Attempt) -> Result<Link> {
        let (tx, rx) = link::pair(Arc::clone(&self.config));
        Ok(Link { info: LinkInfo::ready("long polling"), tx: Box::new(tx), rx: Box::pin(rx) })
    }
}

impl fmt::Debug for LongPollTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongPollTransport").field("poll", &self.config.poll).finish_non_exhaustive()
    }
}
