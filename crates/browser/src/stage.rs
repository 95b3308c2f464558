//! The hubs, the inspector, and clients of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use event_core::Event;
use ftrack_hub::Session;
use hub_emulator::Emulator;
use hub_emulator::inspector::{Inspector, InspectorBuilder};

use crate::Failure;

/// What a page looks at.
pub(crate) struct Stage {
    pub(crate) emulator: Emulator,
    pub(crate) inspector: Inspector,
}

impl Stage {
    pub(crate) async fn new() -> Result<Self, Failure> {
        Self::with(Inspector::builder()).await
    }

    pub(crate) async fn with(inspector: InspectorBuilder) -> Result<Self, Failure> {
        let emulator = Emulator::start().await?;
        let inspector = inspector.start(&emulator).await?;
        Ok(Self { emulator, inspector })
    }

    /// With a clock that only goes when it is told: pictures show the same times.
    pub(crate) async fn at(clock: &Arc<AtomicU64>) -> Result<Self, Failure> {
        let clock = Arc::clone(clock);
        let now = move || UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::Relaxed));
        let emulator = Emulator::builder().clock(now).start().await?;
        let inspector = Inspector::builder().start(&emulator).await?;
        Ok(Self { emulator, inspector })
    }

    pub(crate) fn url(&self) -> String {
        self.inspector.url()
    }

    /// An event from nobody in particular.
    pub(crate) fn publish(&self, json: &str) -> Result<usize, Failure> {
        Ok(self.emulator.publish(&Event::from_json(json.to_owned())?)?.recipients)
    }

    /// A client of ours.
    pub(crate) async fn client(&self, user: &str) -> Result<Session, Failure> {
        let session = Session::builder(self.emulator.ftrack_url(), user, "any").build()?;
        session.event_hub().connect().await?;
        Ok(session)
    }

    /// Ends both.
    pub(crate) async fn end(self) {
        self.inspector.stop().await;
        self.emulator.stop().await;
    }
}

/// Gives up on what takes far too long.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T, Failure> {
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, future).await.map_err(|_| format!("{what}: it takes too long").into())
}
