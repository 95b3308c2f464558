//! The bridge and its settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event_core::hub::{IntoExpression, Subscribe};
use event_core::transport::Transport;
use event_core::{Error, ErrorKind, EventHub, Expression, Result};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transport_nats::NatsTransportBuilder;

use crate::active::Active;
use crate::keeper::Keeper;
use crate::report::{Report, Reports, Stats, count};
use crate::shared::{Adjust, MakeService, Settings, Shared};

/// The shortest lease: below it, an answer that is a little late loses it.
const SHORTEST: Duration = Duration::from_secs(1);
/// The pause after a term that ended by an error.
const PAUSE: Duration = Duration::from_secs(1);

/// A bridge between a service and a stream, in a task of its own. Dropping it ends it at once; its lease then lapses.
pub struct Bridge {
    shared: Arc<Shared>,
    drain: CancellationToken,
    active: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

/// Describes a [`Bridge`].
#[must_use = "a builder does nothing until it is started"]
pub struct BridgeBuilder {
    name: String,
    holder: Option<String>,
    service: MakeService,
    nats: NatsTransportBuilder,
    forward: Result<Expression>,
    back: Result<Option<Expression>>,
    adjust: Option<Adjust>,
    kept: bool,
    lease: Duration,
    replicas: usize,
    slack: Duration,
    patience: Option<Duration>,
    timeout: Duration,
    window: usize,
}

impl Bridge {
    /// Starts describing a bridge.
    ///
    /// - `name`, of `A-Z a-z 0-9 - _`: bridges of one name share a lease, and take over from each other.
    /// - `service` makes a hub of the service that is not connected; it is asked for one at the beginning of every term.
    /// - `nats` leads to the stream; it must be told of [`JetStream`](transport_nats::JetStream).
    pub fn builder(
        name: impl Into<String>,
        service: impl Fn() -> Result<EventHub> + Send + Sync + 'static,
        nats: NatsTransportBuilder,
    ) -> BridgeBuilder {
        BridgeBuilder {
            name: name.into(),
            holder: None,
            service: Arc::new(service),
            nats,
            forward: Expression::parse("topic=*").map_err(Error::from),
            back: Expression::parse("topic=*").map(Some).map_err(Error::from),
            adjust: None,
            kept: false,
            lease: Duration::from_secs(10),
            replicas: 1,
            slack: Duration::from_secs(2),
            patience: None,
            timeout: Duration::from_secs(30),
            window: 256,
        }
    }

    /// Whether events go through this bridge now.
    pub fn is_active(&self) -> bool {
        *self.active.borrow()
    }

    /// Everything that happens from now on.
    pub fn reports(&self) -> Reports {
        Reports(self.shared.reports.subscribe())
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.shared.counters.read(self.shared.nats.stats().own)
    }

    /// Ends the bridge in good order: it takes nothing new, what is under way is stored and acknowledged, the lease is
    /// given back, so that another bridge goes on at once. What is not done within `limit` is cut off: it comes again,
    /// or lies inside the gap that the next bridge tells. `true` when everything was done.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cuts off what is not done.
    pub async fn drain(mut self, limit: Duration) -> bool {
        self.drain.cancel();
        let done = matches!(tokio::time::timeout(limit, &mut self.task).await, Ok(Ok(())));
        self.shared.report(Report::Ended);
        done
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl BridgeBuilder {
    /// What this one of several bridges is called, for people. Default: the number of the process.
    pub fn holder(mut self, name: impl Into<String>) -> Self {
        self.holder = Some(name.into());
        self
    }

    /// Which events of the service go into the stream. Default `topic=*`: all that it gives out.
    ///
    /// A malformed expression is reported when the bridge is started.
    pub fn forward(mut self, expression: impl IntoExpression) -> Self {
        self.forward = expression.into_expression();
        self
    }

    /// Which events of the stream go to the service: of those that no bridge of this name has brought. Default `topic=*`,
    /// where the service takes events at all. Replies are events, too: of ftrack those on `ftrack.meta.reply`.
    ///
    /// A malformed expression is reported when the bridge is started.
    pub fn back(mut self, expression: impl IntoExpression) -> Self {
        self.back = expression.into_expression().map(Some);
        self
    }

    /// Brings nothing back to the service.
    pub fn forward_only(mut self) -> Self {
        self.back = Ok(None);
        self
    }

    /// Says more about the subscription to the service: its address, or metadata by which targeted events find it.
    pub fn subscription(mut self, adjust: impl Fn(Subscribe) -> Subscribe + Send + Sync + 'static) -> Self {
        self.adjust = Some(Arc::new(adjust));
        self
    }

    /// The service keeps events until they are settled, as iModelHub's queues do: they are read under a lock, and settled
    /// when the stream has them. What an outage of bridges leaves behind is then no gap. Default no.
    pub fn at_least_once(mut self) -> Self {
        self.kept = true;
        self
    }

    /// How long the lease lasts without being renewed, which is what a takeover takes at most, and a second. Default 10 s,
    /// at least 1 s. The holder stops after four fifths of it. All bridges of a name must agree; whoever creates the bucket
    /// decides.
    pub fn lease(mut self, time: Duration) -> Self {
        self.lease = time;
        self
    }

    /// How many servers keep the lease. Default 1; in a cluster as many as keep the stream.
    pub fn lease_replicas(mut self, servers: usize) -> Self {
        self.replicas = servers;
        self
    }

    /// How long an event may be on its way from the service, and how far the clocks of bridges may be apart: a gap begins so
    /// much earlier. Default 2 s. A connection that is dead and looks alive hides more, as long as it is not noticed.
    pub fn slack(mut self, time: Duration) -> Self {
        self.slack = time;
        self
    }

    /// How long the service may be out of reach before the lease is given back, and left to others for as long. Default:
    /// three times the lease.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = Some(time);
        self
    }

    /// How long one event may wait to be acknowledged. Default 30 s.
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many events may be under way in each direction. Default 256.
    pub fn window(mut self, events: usize) -> Self {
        self.window = events.max(1);
        self
    }

    /// Starts the bridge: it connects, asks for the lease, and goes on until it is drained or dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] and [`ErrorKind::InvalidExpression`] for settings that cannot be used,
    /// [`ErrorKind::NoRuntime`] outside a tokio runtime. What goes wrong later is [reported](Bridge::reports).
    pub fn start(self) -> Result<Bridge> {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            let message = "this must run inside a tokio runtime, for example in #[tokio::main]";
            return Err(Error::new(ErrorKind::NoRuntime, "start bridge", message));
        };
        self.check()?;
        let nats = Arc::new(self.nats.origin(&self.name).build()?);
        if !nats.capabilities().durable {
            return Err(invalid(
                "the bridge needs a stream; give the NATS transport .jetstream(..)".to_owned(),
            ));
        }
        let shared = Arc::new(Shared {
            settings: Settings {
                holder: self.holder.unwrap_or_else(|| format!("process {}", std::process::id())),
                forward: self.forward?,
                back: self.back?,
                adjust: self.adjust,
                kept: self.kept,
                lease: self.lease,
                replicas: self.replicas,
                slack: self.slack,
                patience: self.patience.unwrap_or(self.lease * 3),
                timeout: self.timeout,
                window: self.window,
                name: self.name,
            },
            service: self.service,
            nats,
            counters: crate::report::Counters::default(),
            reports: broadcast::Sender::new(1_024),
        });
        let (drain, (told, active)) = (CancellationToken::new(), watch::channel(false));
        let task = runtime.spawn(run(Arc::clone(&shared), told, drain.clone()));
        Ok(Bridge { shared, drain, active, task })
    }

    fn check(&self) -> Result<()> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(plain) {
            return Err(invalid(format!(
                "{:?} is no name of a bridge; use up to 64 letters, digits, - and _",
                self.name
            )));
        }
        if self.lease < SHORTEST {
            return Err(invalid(format!("a lease of {:?} is too short; give 1 s or more", self.lease)));
        }
        Ok(())
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, "start bridge", message)
}

/// Waits for the lease and plays terms, until it is drained.
async fn run(shared: Arc<Shared>, active: watch::Sender<bool>, drain: CancellationToken) {
    let (keeper, mut hold) = Keeper::start(&shared);
    loop {
        tokio::select! {
            biased;
            () = drain.cancelled() => break,
            () = hold.won() => {}
        }
        count(&shared.counters.won);
        shared.report(Report::Won);
        let mut watching = hold.clone();
        let term = Active::play(&shared, &hold, &drain, &active);
        let outcome = tokio::select! {
            biased;
            () = watching.lost() => None,
            outcome = term => Some(outcome),
        };
        active.send_replace(false);
        match outcome {
            None => {
                count(&shared.counters.lost);
                tracing::warn!(bridge = shared.settings.name, "the lease is lost");
                shared.report(Report::Lost);
            }
            Some(Ok(())) => break,
            // Somebody else may reach the service.
            Some(Err(error)) if error.kind() == ErrorKind::Unreachable => {
                keeper.resign(shared.settings.patience).await;
                shared.problem(error.duplicate());
                shared.report(Report::Resigned(Arc::new(error)));
                watching.lost().await;
            }
            Some(Err(error)) => {
                shared.problem(error);
                tokio::select! {
                    () = drain.cancelled() => break,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
    keeper.leave().await;
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("name", &self.shared.settings.name)
            .field("active", &self.is_active())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BridgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeBuilder")
            .field("name", &self.name)
            .field("nats", &self.nats)
            .finish_non_exhaustive()
    }
}
