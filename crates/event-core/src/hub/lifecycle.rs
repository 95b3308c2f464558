//! What a hub says about itself: its state, what happens to it, its counters.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::transport::Gap;
use crate::{Error, EventId, SubscriptionId};

/// The state of a hub's connection.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Not connected, and not trying: before the first connect, or after a disconnect.
    #[default]
    Idle,
    /// The server refused for good, or the one attempt asked for failed. Connecting again is allowed.
    Failed {
        /// Why.
        reason: Arc<Error>,
    },
    /// The first connection is being made.
    Connecting {
        /// Which attempt this is, from 1.
        attempt: u32,
    },
    /// Connected, with every subscription confirmed.
    Connected,
    /// The connection broke and is being made anew.
    Reconnecting {
        /// Which attempt comes next, from 1.
        attempt: u32,
        /// How long until then.
        retry_in: Duration,
    },
    /// The hub is being drained: nothing new comes in.
    Draining,
    /// The hub was closed.
    Closed,
}

impl ConnectionState {
    /// Whether events flow.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected)
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("not connected"),
            Self::Failed { reason } => write!(f, "not connected: {reason}"),
            Self::Connecting { attempt } => write!(f, "connecting, attempt {attempt}"),
            Self::Connected => f.write_str("connected"),
            Self::Reconnecting { attempt, retry_in } => {
                write!(f, "reconnecting, attempt {attempt} in {:.1} s", retry_in.as_secs_f64())
            }
            Self::Draining => f.write_str("being drained"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

/// Something that happened to a hub. Read with [`EventHub::lifecycle`](crate::EventHub::lifecycle).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Lifecycle {
    /// Connected, or connected again, with every subscription confirmed.
    Connected {
        /// How many subscriptions were confirmed.
        subscriptions: usize,
    },
    /// The connection broke, or was given up.
    Disconnected {
        /// Why; `None` when the caller asked for it.
        reason: Option<Arc<Error>>,
    },
    /// Another attempt will be made.
    Reconnecting {
        /// Which attempt, from 1.
        attempt: u32,
        /// In how long.
        retry_in: Duration,
    },
    /// After a break, every subscription is confirmed again. [`Lifecycle::Connected`] follows.
    Resubscribed {
        /// How many.
        subscriptions: usize,
    },
    /// The service refused the credentials, and took others.
    Reauthenticated {
        /// Whose, on services where each subscription has its own; `None`: the connection's.
        id: Option<SubscriptionId>,
    },
    /// The service made a subscription anew: events between the old and the new one are missing.
    SubscriptionRecreated {
        /// Which one.
        id: SubscriptionId,
    },
    /// One event of a subscription may be lost: a destructive read broke off after the service may have given the
    /// event out. Each report stands for one event at most.
    PossibleLoss {
        /// Which subscription.
        id: SubscriptionId,
        /// How the read broke off.
        reason: Arc<Error>,
    },
    /// The service will end the connection.
    GoAway {
        /// In how long.
        after: Duration,
    },
    /// Events may have been missed.
    Gap(Gap),
    /// The service dropped a subscription, or refused it on a new connection: for good, or again and again.
    SubscriptionLost {
        /// Which one.
        id: SubscriptionId,
        /// Why.
        error: Arc<Error>,
    },
    /// A subscription's buffer overflowed. At most one report a second for each subscription.
    SlowConsumer {
        /// Which one.
        id: SubscriptionId,
        /// Events it has lost so far.
        dropped: u64,
    },
    /// A handler returned an error or panicked.
    HandlerFailed {
        /// Its subscription.
        id: SubscriptionId,
        /// What happened.
        error: Arc<Error>,
    },
    /// An automatic reply could not be delivered.
    ReplyFailed {
        /// The subscription that answered.
        id: SubscriptionId,
        /// What happened.
        error: Arc<Error>,
    },
    /// The lock of a delivery could not be kept: the service may give the event to somebody else, or here again.
    /// Whoever works on it is not stopped.
    LockLost {
        /// The event's id.
        id: Option<EventId>,
        /// Why: [`ErrorKind::LockLost`](crate::ErrorKind::LockLost) when the service says that it is gone,
        /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) when the work took longer than
        /// [`max_processing`](crate::hub::HubBuilder::max_processing), or how prolonging it failed.
        error: Arc<Error>,
    },
    /// A delivery could not be settled: it may come again.
    SettleFailed {
        /// The event's id.
        id: Option<EventId>,
        /// What happened.
        error: Arc<Error>,
    },
    /// Something arrived that could not be used, or an attempt to connect failed. The hub goes on.
    Problem(Arc<Error>),
    /// A drain began.
    Draining,
    /// The hub was closed.
    Closed,
}

/// The end of the hub's report that a reader holds.
///
/// A reader that falls more than 256 reports behind is told how many it missed.
#[derive(Debug)]
pub struct LifecycleStream {
    reports: tokio::sync::broadcast::Receiver<Lifecycle>,
    ended: bool,
}

/// What a [`LifecycleStream`] yields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Report {
    /// Something happened.
    Happened(Lifecycle),
    /// So many reports were missed because this reader was slow.
    Missed(u64),
}

impl LifecycleStream {
    pub(super) fn new(reports: tokio::sync::broadcast::Receiver<Lifecycle>) -> Self {
        Self { reports, ended: false }
    }

    /// The next report; `None` after [`Lifecycle::Closed`], which is the last one. Cancel-safe.
    pub async fn next(&mut self) -> Option<Report> {
        use tokio::sync::broadcast::error::RecvError;
        if self.ended {
            return None;
        }
        match self.reports.recv().await {
            Ok(change) => {
                self.ended = matches!(change, Lifecycle::Closed);
                Some(Report::Happened(change))
            }
            Err(RecvError::Lagged(missed)) => Some(Report::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Counters of a hub since it was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Events received.
    pub received: u64,
    /// Received events that had come already, and were dropped.
    pub repeats: u64,
    /// Received events, replies aside, that matched no subscription here.
    pub unmatched: u64,
    /// Received events whose target is not an expression, and which therefore reached nobody.
    pub unreadable_targets: u64,
    /// Packets and events that could not be used.
    pub problems: u64,
    /// Replies given to whoever asked.
    pub replies: u64,
    /// Replies to requests that were no longer waiting.
    pub late_replies: u64,
    /// Further replies to requests that take one.
    pub duplicate_replies: u64,
    /// Replies to events that this hub did not send.
    pub foreign_replies: u64,
    /// Replies that found the asker's buffer full.
    pub overflowed_replies: u64,
    /// Events acknowledged by the service.
    pub published: u64,
    /// Events refused by the service.
    pub refused: u64,
    /// Events whose connection ended before the acknowledgement; those that are resent count each time.
    pub unconfirmed: u64,
    /// Events that expired before they could be sent.
    pub expired: u64,
    /// Handlers that returned an error or panicked.
    pub handler_failures: u64,
    /// Of these: events whose data did not have the shape that a typed handler asked for.
    pub undecodable: u64,
    /// Events dropped because a subscription's buffer was full.
    pub dropped: u64,
    /// Deliveries completed with the service.
    pub completed: u64,
    /// Deliveries given back to the service.
    pub abandoned: u64,
    /// Deliveries that could not be settled, or whose lock was lost.
    pub settle_failures: u64,
    /// Requests that wait for a reply now.
    pub open_requests: usize,
    /// Subscriptions now.
    pub subscriptions: usize,
    /// Events that wait to be sent or acknowledged now.
    pub outstanding: usize,
    /// How many events may be in flight now.
    pub window: usize,
    /// Connections made.
    pub connections: u64,
}

macro_rules! counters {
    ($($name:ident),*) => {
        /// The counting side of [`Stats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64),* }

        impl Counters {
            pub(crate) fn fill(&self, stats: &mut Stats) {
                $(stats.$name = self.$name.load(Ordering::Relaxed);)*
            }
        }
    };
}

counters!(
    received,
    repeats,
    unmatched,
    unreadable_targets,
    problems,
    late_replies,
    duplicate_replies,
    foreign_replies,
    overflowed_replies,
    published,
    refused,
    unconfirmed,
    handler_failures,
    undecodable,
    dropped,
    completed,
    abandoned,
    settle_failures,
    connections
);

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
