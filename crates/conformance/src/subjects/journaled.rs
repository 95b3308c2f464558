//! A subject's transport inside a journal, in memory or in a file of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_core::Result;
use event_core::dialect::Speaking;
use event_core::supervisor::Supervised;
use event_core::transport::{Attempt, Capabilities, Link, Transport};
use event_journal::{Config, Journal, Journaled};
use tempfile::TempDir;

use crate::subject::{Bench, Layered};
use crate::verdict::{Broken, Verdict};

fn config() -> Config {
    let mut config = Config::default();
    config.retry.first = Duration::from_millis(20);
    config.retry.lock = Duration::from_secs(3);
    config
}

/// A journal without threads, for paused time.
pub(super) fn in_memory(inner: Bench) -> Verdict<Bench> {
    Ok(kept(inner, Journal::in_memory(config())?, None))
}

/// A journal on the disk.
pub(super) async fn in_file(inner: Bench) -> Verdict<Bench> {
    let folder = tempfile::tempdir().map_err(|error| Broken::promise(format!("no folder: {error}")))?;
    let journal = Journal::open(folder.path().join("journal"), config()).await?;
    Ok(kept(inner, journal, Some(folder)))
}

/// Speaking, healing and keeping.
fn kept(inner: Bench, journal: Journal, folder: Option<TempDir>) -> Bench {
    Layered::wrap_speaking(inner, |transport, dialect| {
        let speaking = Arc::new(Speaking::new(transport, Arc::clone(&dialect)));
        let healing = Supervised::new(speaking, super::short_pauses());
        InFolder { inner: Journaled::new(healing, journal).dialect(dialect), _folder: folder }
    })
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
