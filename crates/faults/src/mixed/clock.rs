//! A wall clock that stands still with tokio's, for clients that can only be given a function.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::scenes::stage;

/// What the clock shows at the start of a run.
pub(crate) fn started_at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

thread_local! {
    static STARTED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A run begins on this thread.
pub(crate) fn start() {
    STARTED.set(Some(stage::now()));
}

/// The time by this thread's run.
pub(crate) fn wall() -> SystemTime {
    started_at() + STARTED.get().map_or(Duration::ZERO, |started| started.elapsed())
}
