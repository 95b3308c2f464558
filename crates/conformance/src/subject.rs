//! What a transport gives in order to be judged.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use event_core::dialect::Dialect;
use event_core::transport::{Guarantee, Transport};
use event_core::{Event, Expression, Subscriber, SubscriptionSpec};
use futures_util::future::BoxFuture;

use crate::verdict::{Broken, Verdict};

/// The topic of every event that the behaviours deliver or publish.
pub const TOPIC: &str = "conformance";
/// A topic that the specs of a [`Subject`] do not match.
pub const OTHER_TOPIC: &str = "elsewhere";

/// A subject, as behaviours share it.
pub type Bench = Arc<dyn Subject>;

/// A transport to a service of its own, and a hand on that service. Each behaviour gets a fresh one.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// The transport to be judged; the same one each time.
    fn transport(&self) -> Arc<dyn Transport>;

    /// Has the service give this event to every subscription that wants it. Envelope members that the service
    /// sets itself, such as the id, may differ; topic and data may not.
    async fn deliver(&self, event: &Event) -> Verdict;

    /// A subscription to [`TOPIC`], to be made on a link. Services with a queue for each subscription create it here.
    async fn spec(&self, id: &str, require: Guarantee) -> Verdict<SubscriptionSpec> {
        let expression = Expression::topic(TOPIC).map_err(|error| Broken::promise(error.to_string()))?;
        let mut spec = SubscriptionSpec::new(Subscriber::new(id), Some(expression));
        spec.require = require;
        Ok(spec)
    }

    /// How the service speaks, where subscriptions and refusals are events. Default: the transport's own verbs.
    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(Verbs)
    }

    /// Ends every connection, without a word.
    async fn cut(&self) -> Verdict {
        Err(Broken::Missing(Tool::Cut))
    }

    /// Refuses every connection from now on, or no longer.
    async fn refuse_connections(&self, _refuse: bool) -> Verdict {
        Err(Broken::Missing(Tool::RefuseConnections))
    }

    /// How many attempts to connect there have been. Only the difference while connections are refused is looked at.
    fn attempts(&self) -> Verdict<u64> {
        Err(Broken::Missing(Tool::RefuseConnections))
    }

    /// Holds acknowledgements back, or releases those held: what is sent on a link that is not read meanwhile is
    /// not acknowledged.
    async fn withhold(&self, _withhold: bool) -> Verdict {
        Err(Broken::Missing(Tool::Withhold))
    }

    /// An event that the service refuses, when published while `refuse` is the last thing that was said here.
    fn refused_event(&self, _refuse: bool) -> Verdict<Event> {
        Err(Broken::Missing(Tool::RefuseEvents))
    }
}

/// What some services cannot be made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tool {
    /// [`Subject::cut`].
    Cut,
    /// [`Subject::refuse_connections`] and [`Subject::attempts`].
    RefuseConnections,
    /// [`Subject::withhold`].
    Withhold,
    /// [`Subject::refused_event`].
    RefuseEvents,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "cut connections",
            Self::RefuseConnections => "refuse connections",
            Self::Withhold => "hold acknowledgements back",
            Self::RefuseEvents => "refuse an event",
        })
    }
}

/// Makes a fresh subject.
pub type Make = fn() -> BoxFuture<'static, Verdict<Bench>>;

/// One transport in the list of those judged.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name in the names of the tests.
    pub name: &'static str,
    /// Makes a fresh subject, inside the runtime in which it is judged.
    pub make: Make,
    /// Whether tokio's clock stands still while it is judged. Default yes; real sockets need real time.
    pub paused: bool,
    /// The tools that it may miss: a behaviour that needs one of these is not judged. Default none.
    pub without: &'static [Tool],
    /// What this machine lacks to judge it, in words on how to get it. Default nothing.
    pub missing: fn() -> Option<&'static str>,
}

impl Entry {
    /// A transport that is judged in paused time and has every tool.
    pub const fn new(name: &'static str, make: Make) -> Self {
        Self { name, make, paused: true, without: &[], missing: || None }
    }

    /// The same, judged in real time.
    #[must_use]
    pub const fn in_real_time(mut self) -> Self {
        self.paused = false;
        self
    }

    /// The same, judged only where this machine lacks nothing.
    #[must_use]
    pub const fn needing(mut self, missing: fn() -> Option<&'static str>) -> Self {
        self.missing = missing;
        self
    }

    /// The same, without these tools.
    #[must_use]
    pub const fn without(mut self, tools: &'static [Tool]) -> Self {
        self.without = tools;
        self
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The dialect of a service without one.
struct Verbs;

impl Dialect for Verbs {}

/// A layer over another subject's transport; the hand on the service stays the same.
pub struct Layered {
    inner: Bench,
    transport: Arc<dyn Transport>,
    dialect: Arc<dyn Dialect>,
}

impl Layered {
    /// `inner` with its transport inside a layer.
    pub fn wrap<T: Transport>(inner: Bench, layer: impl FnOnce(Arc<dyn Transport>) -> T) -> Bench {
        let transport = Arc::new(layer(inner.transport()));
        let dialect = inner.dialect();
        Arc::new(Self { inner, transport, dialect })
    }

    /// `inner` with its transport inside a layer that speaks its dialect: subscriptions are made by the verb, whatever
    /// the service.
    pub fn wrap_speaking<T: Transport>(
        inner: Bench,
        layer: impl FnOnce(Arc<dyn Transport>, Arc<dyn Dialect>) -> T,
    ) -> Bench {
        let transport = Arc::new(layer(inner.transport(), inner.dialect()));
        Arc::new(Self { inner, transport, dialect: Arc::new(Verbs) })
    }
}

#[async_trait]
impl Subject for Layered {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport)
    }

    async fn deliver(&self, event: &Event) -> Verdict {
        self.inner.deliver(event).await
    }

    async fn spec(&self, id: &str, require: Guarantee) -> Verdict<SubscriptionSpec> {
        self.inner.spec(id, require).await
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::clone(&self.dialect)
    }

    async fn cut(&self) -> Verdict {
        self.inner.cut().await
    }

    async fn refuse_connections(&self, refuse: bool) -> Verdict {
        self.inner.refuse_connections(refuse).await
    }

    fn attempts(&self) -> Verdict<u64> {
        self.inner.attempts()
    }

    async fn withhold(&self, withhold: bool) -> Verdict {
        self.inner.withhold(withhold).await
    }

    fn refused_event(&self, refuse: bool) -> Verdict<Event> {
        self.inner.refused_event(refuse)
    }
}
