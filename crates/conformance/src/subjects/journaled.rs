//! A subject's transport inside a journal, in memory or in a file of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_core::Event;
use event_core::Result;
use event_core::SubscriptionSpec;
use event_core::dialect::Speaking;
use event_core::supervisor::{ReconnectPolicy, Supervised};
use event_core::transport::{Attempt, Capabilities, Guarantee, Link, Transport};
use event_journal::{Config, Journal, Journaled};
use tempfile::TempDir;

use crate::subject::{Bench, Subject};
use crate::verdict::{Broken, Verdict};

fn config() -> Config {
    let mut config = Config::default();
    config.retry.first = Duration::from_millis(20);
    config.retry.lock = Duration::from_secs(3);
    config
}

/// A journal without threads, for paused time.
pub(super) fn in_memory(inner: Bench) -> Verdict<Bench> {
    Ok(Kept::wrap(inner, Journal::in_memory(config())?, None))
}

/// A journal on the disk.
pub(super) async fn in_file(inner: Bench) -> Verdict<Bench> {
    let folder = tempfile::tempdir().map_err(|error| Broken::promise(format!("no folder: {error}")))?;
    let journal = Journal::open(folder.path().join("journal"), config()).await?;
    Ok(Kept::wrap(inner, journal, Some(folder)))
}

/// Speaking, healing and keeping: subscriptions are made by the verb whatever the service.
struct Kept {
    inner: Bench,
    transport: Arc<dyn Transport>,
}

/// The transport, and the folder that must last as long.
struct InFolder<T> {
    inner: T,
    _folder: Option<TempDir>,
}

#[async_trait]
impl<T: Transport> Transport for InFolder<T> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn connect(&self, attempt: Attempt) -> Result<Link> {
        self.inner.connect(attempt).await
    }
}

impl Kept {
    fn wrap(inner: Bench, journal: Journal, folder: Option<TempDir>) -> Bench {
        let mut policy = ReconnectPolicy::default();
        policy.first = Duration::from_millis(5);
        policy.max = Duration::from_millis(20);
        let dialect = inner.dialect();
        let speaking = Arc::new(Speaking::new(inner.transport(), Arc::clone(&dialect)));
        let kept = Journaled::new(Supervised::new(speaking, policy), journal).dialect(dialect);
        Arc::new(Self { inner, transport: Arc::new(InFolder { inner: kept, _folder: folder }) })
    }
}

#[async_trait]
impl Subject for Kept {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport)
    }

    async fn deliver(&self, event: &Event) -> Verdict {
        self.inner.deliver(event).await
    }

    async fn spec(&self, id: &str, require: Guarantee) -> Verdict<SubscriptionSpec> {
        self.inner.spec(id, require).await
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
