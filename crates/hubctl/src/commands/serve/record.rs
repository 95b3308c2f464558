//! Recording what the hub takes, without making it wait: a bounded queue, and a thread that writes.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ftrack_hub::Event;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::exit::{Exit, Failure, Result};
use crate::recording;

/// How many events wait for the disk before further ones are left out, which is counted and said at the end.
const WAITING: usize = 65_536;

/// A recording that is being written.
pub(super) struct Recorder {
    queue: mpsc::Sender<(Duration, Event)>,
    started: Instant,
    left_out: Arc<AtomicU64>,
    writing: JoinHandle<Result>,
}

impl Recorder {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path)
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
        let (queue, events) = mpsc::channel(WAITING);
        let writing = tokio::task::spawn_blocking(move || write(BufWriter::new(file), events));
        Ok(Self { queue, started: start(), left_out: Arc::default(), writing })
    }

    /// Sees every event, and never waits.
    pub(super) fn witness(&self) -> impl Fn(&Event, usize) + Send + Sync + 'static {
        let (queue, started, left_out) = (self.queue.clone(), self.started, Arc::clone(&self.left_out));
        move |event, _| {
            if queue.try_send((started.elapsed(), event.clone())).is_err() {
                left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Writes what waits. The hub must be gone.
    pub(super) async fn finish(self) -> Result {
        let Self { queue, left_out, writing, .. } = self;
        drop(queue);
        writing.await.map_err(|error| Failure::new(Exit::Failed, format!("the recording: {error}")))??;
        match left_out.load(Ordering::Relaxed) {
            0 => Ok(()),
            left_out => Err(Failure::new(
                Exit::Failed,
                format!("the disk was too slow: {left_out} event(s) are missing in the recording"),
            )),
        }
    }
}

/// A whole file after every pause: whoever looks at it meanwhile sees what came.
fn write(mut file: BufWriter<File>, mut events: mpsc::Receiver<(Duration, Event)>) -> Result {
    while let Some((at, event)) = events.blocking_recv() {
        file.write_all(recording::line(at, &event)?.as_bytes())?;
        if events.is_empty() {
            file.flush()?;
        }
    }
    Ok(file.flush()?)
}

#[expect(clippy::disallowed_methods, reason = "a recording has times")]
fn start() -> Instant {
    Instant::now()
}
