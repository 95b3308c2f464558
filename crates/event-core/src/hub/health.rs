//! One look at a hub, for a health check.

use std::sync::Arc;
use std::time::Duration;

use super::lifecycle::ConnectionState;
use super::shared::Shared;
use crate::{Error, SubscriptionId};

/// How a hub is. See [`EventHub::health`](crate::EventHub::health).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// All in one word.
    pub verdict: Verdict,
    /// The state of the connection.
    pub state: ConnectionState,
    /// For how long it has been in that state.
    pub lasted: Duration,
    /// Events that wait to be sent or acknowledged.
    pub outstanding: usize,
    /// How many may.
    pub outbox_capacity: usize,
    /// Requests that wait for a reply.
    pub open_requests: usize,
    /// Subscriptions that cannot keep up: their buffer is nine tenths full, or overflowed in the last ten seconds.
    pub slow: Vec<SubscriptionId>,
    /// The last thing that went wrong with the connection, and how long ago.
    pub last_failure: Option<(Arc<Error>, Duration)>,
}

/// The verdict of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Connected, and everybody keeps up.
    Healthy,
    /// It works on it: connecting or draining; or a subscription or the service cannot keep up.
    Degraded,
    /// Not connected, and not trying.
    Down,
}

impl Shared {
    pub(super) fn health(&self) -> Health {
        let state = self.state.borrow().clone();
        let slow: Vec<_> = self
            .registry
            .lock()
            .all()
            .iter()
            .filter(|entry| entry.lane.is_slow())
            .map(|entry| entry.id().clone())
            .collect();
        let (outstanding, outbox_capacity) = (self.outbox.outstanding(), self.settings.outbox_capacity);
        let verdict = match &state {
            ConnectionState::Idle | ConnectionState::Failed { .. } | ConnectionState::Closed => Verdict::Down,
            ConnectionState::Connected if slow.is_empty() && outstanding < outbox_capacity => {
                Verdict::Healthy
            }
            _ => Verdict::Degraded,
        };
        let last_failure = self.last_failure.lock().clone();
        Health {
            verdict,
            state,
            lasted: self.since.lock().elapsed(),
            outstanding,
            outbox_capacity,
            open_requests: self.correlator.len(),
            slow,
            last_failure: last_failure.map(|(error, at)| (error, at.elapsed())),
        }
    }
}
