//! What the parts of a bridge share.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event_core::hub::Subscribe;
use event_core::{Error, EventHub, Expression, Result};
use tokio::sync::broadcast;
use transport_nats::{NatsTransport, NewBucket};

use crate::report::{Counters, Report, count};

/// Makes a hub of the service that is not connected.
pub(crate) type MakeService = Arc<dyn Fn() -> Result<EventHub> + Send + Sync>;
/// Says more about the subscription to the service.
pub(crate) type Adjust = Arc<dyn Fn(Subscribe) -> Subscribe + Send + Sync>;

pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) holder: String,
    pub(crate) forward: Expression,
    pub(crate) back: Option<Expression>,
    pub(crate) adjust: Option<Adjust>,
    pub(crate) kept: bool,
    pub(crate) lease: Duration,
    pub(crate) replicas: usize,
    pub(crate) slack: Duration,
    pub(crate) patience: Duration,
    pub(crate) timeout: Duration,
    pub(crate) window: usize,
}

impl Settings {
    pub(crate) fn lease_bucket(&self) -> NewBucket {
        NewBucket::new(&self.name).lapse(self.lease).replicas(self.replicas)
    }

    pub(crate) fn mark_bucket(&self) -> NewBucket {
        NewBucket::new(format!("{}-mark", self.name)).replicas(self.replicas)
    }

    /// The slack in milliseconds.
    pub(crate) fn slack_ms(&self) -> u64 {
        u64::try_from(self.slack.as_millis()).unwrap_or(u64::MAX)
    }
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) service: MakeService,
    pub(crate) nats: Arc<NatsTransport>,
    pub(crate) counters: Counters,
    pub(crate) reports: broadcast::Sender<Report>,
}

impl Shared {
    pub(crate) fn report(&self, report: Report) {
        // Nobody may be listening.
        let _ = self.reports.send(report);
    }

    pub(crate) fn problem(&self, error: Error) {
        count(&self.counters.problems);
        tracing::warn!(bridge = self.settings.name, %error, "the bridge goes on");
        self.report(Report::Problem(Arc::new(error)));
    }
}

/// Milliseconds since 1970: gaps are told to other programs.
#[expect(clippy::disallowed_methods, reason = "a shell: gaps have times")]
pub(crate) fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
