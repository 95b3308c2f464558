//! Describing the transport.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event_core::supervisor::ReconnectPolicy;
use event_core::{Error, Event, Result, SubscriptionId};
use parking_lot::Mutex;

use super::{AuthOf, Config, LongPollTransport};
use crate::address::QueueAddress;
use crate::auth::QueueAuth;
use crate::exchange::HttpExchange;
use crate::message::Message;
use crate::poll::{PollConfig, Stats, StopPolicy};
use crate::queue::{Mapper, QueueState, Watch};
use crate::request::ReceiveMode;

/// Describes a [`LongPollTransport`].
#[must_use = "a builder does nothing until it is built"]
pub struct LongPollTransportBuilder {
    exchange: Arc<dyn HttpExchange>,
    auth: AuthOf,
    poll: PollConfig,
    mapper: Mapper,
    watch: Option<Watch>,
    failure: Option<Error>,
}

impl LongPollTransportBuilder {
    pub(super) fn new(exchange: Arc<dyn HttpExchange>, auth: Arc<dyn QueueAuth>) -> Self {
        Self {
            exchange,
            auth: Arc::new(move |_| Arc::clone(&auth)),
            // The mode is the subscription's.
            poll: PollConfig::new(ReceiveMode::ReceiveAndDelete),
            mapper: Arc::new(Message::to_event),
            watch: None,
            failure: None,
        }
    }

    /// A source of authorizations for each queue, instead of one for all.
    pub fn auth_of(
        mut self,
        auth: impl Fn(&QueueAddress) -> Arc<dyn QueueAuth> + Send + Sync + 'static,
    ) -> Self {
        self.auth = Arc::new(auth);
        self
    }

    /// How long the service may hold a poll: whole seconds, from 1 to 230. Default 60 s. Choose less than what the
    /// proxies on the way cut off as idle; it is also how long a graceful stop of a destructive reader may take.
    pub fn long_poll(mut self, long_poll: Duration) -> Self {
        if let Err(error) = PollConfig::check_long_poll(long_poll) {
            self.failure.get_or_insert(error);
        }
        self.poll.long_poll = long_poll;
        self
    }

    /// How much longer than the service the client waits for the answer to a poll. Default 5 s.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.poll.margin = margin;
        self
    }

    /// The pauses after failures: `first`, `max` and `jitter` of the policy. Default 500 ms, doubling up to 60 s.
    pub fn backoff(mut self, backoff: ReconnectPolicy) -> Self {
        self.poll.backoff = backoff;
        self
    }

    /// The longest wait that the service can ask for by `Retry-After`. Default 10 min.
    pub fn max_retry_after(mut self, max: Duration) -> Self {
        self.poll.max_retry_after = max;
        self
    }

    /// After an empty answer the next poll begins no sooner than this after the one before began. Default 1 s.
    pub fn empty_interval(mut self, interval: Duration) -> Self {
        self.poll.empty_interval = interval;
        self
    }

    /// How long an authorization may take. Default 60 s.
    pub fn authorize_timeout(mut self, timeout: Duration) -> Self {
        self.poll.authorize_timeout = timeout;
        self
    }

    /// What a stop does with a destructive poll. Default [`StopPolicy::FinishPoll`].
    pub fn stop(mut self, policy: StopPolicy) -> Self {
        self.poll.stop = policy;
        self
    }

    /// Makes the event of a message. Default [`Message::to_event`], which is also what becomes of a message for
    /// which this fails; the failure is reported beside it.
    pub fn mapper(mut self, mapper: impl Fn(&Message) -> Result<Event> + Send + Sync + 'static) -> Self {
        self.mapper = Arc::new(mapper);
        self
    }

    /// Tells where each queue stands, as it changes. Called while the link is read: it must not block.
    pub fn watch(mut self, watch: impl Fn(&SubscriptionId, &QueueState) + Send + Sync + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// The transport.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](event_core::ErrorKind::InvalidInput) for a poll length that the service does not take.
    pub fn build(self) -> Result<LongPollTransport> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let config = Config {
            exchange: self.exchange,
            auth: self.auth,
            poll: self.poll,
            mapper: self.mapper,
            watch: self.watch,
            totals: Arc::new(Mutex::new(Stats::default())),
        };
        Ok(LongPollTransport { config: Arc::new(config) })
    }
}

impl fmt::Debug for LongPollTransportBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongPollTransportBuilder").field("poll", &self.poll).finish_non_exhaustive()
    }
}
