//! What everybody in a run writes into.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::column::Column;
use super::queue_column::Told;
use super::trace::Trace;
use crate::figures::{Broken, ensure};
use crate::scenes::stage;

/// One run's book. A clone is the same book.
#[derive(Clone)]
pub(super) struct World(Arc<Inner>);

struct Inner {
    start: Instant,
    book: Mutex<Book>,
    changed: Notify,
}

/// The columns.
#[derive(Default)]
pub(super) struct Book {
    pub(super) trace: Trace,
    /// What the service took of the ftrack events, and when, in this order.
    pub(super) taken: Vec<(u64, Duration)>,
    pub(super) taken_set: BTreeSet<u64>,
    /// What publishers were told that it arrived.
    pub(super) acknowledged: BTreeSet<u64>,
    pub(super) resent: u64,
    pub(super) refused: u64,
    pub(super) timed_out: u64,
    /// What subscribers saw.
    pub(super) columns: Vec<Column>,
    /// What listeners were told: under a lock, destructively.
    pub(super) locked: Vec<Told>,
    pub(super) destructive: Vec<Told>,
    /// What fired that the emulator does not count.
    pub(super) struck: BTreeMap<String, u64>,
    /// What does not hold, as soon as that shows.
    broken: Option<Broken>,
    /// The longest that a caller was held, of what it had asked for.
    pub(super) longest_held: Duration,
}

impl World {
    pub(super) fn new(subscribers: usize, keep_trace: bool) -> Self {
        let book = Book {
            trace: Trace::new(keep_trace),
            columns: vec![Column::default(); subscribers],
            ..Book::default()
        };
        Self(Arc::new(Inner { start: stage::now(), book: Mutex::new(book), changed: Notify::new() }))
    }

    pub(super) fn now(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// A line in the trace.
    pub(super) fn note(&self, what: fmt::Arguments<'_>) {
        let now = self.now();
        self.0.book.lock().trace.note(now, what);
    }

    pub(super) fn write<T>(&self, write: impl FnOnce(&mut Book, Duration) -> T) -> T {
        let now = self.now();
        let written = write(&mut self.0.book.lock(), now);
        self.0.changed.notify_waiters();
        written
    }

    pub(super) fn struck(&self, name: &str) {
        self.write(|book, _| *book.struck.entry(name.to_owned()).or_default() += 1);
    }

    /// Something does not hold; the first such thing stays.
    pub(super) fn broken(&self, what: impl FnOnce() -> String) {
        self.write(|book, _| {
            book.broken.get_or_insert_with(|| Broken::new(what()));
        });
    }

    /// A call that was to take `limit` at most has returned: it must have kept to that.
    pub(super) fn held(&self, call: &str, since: Duration, limit: Duration) {
        /// Timers go by whole milliseconds.
        const GRAIN: Duration = Duration::from_millis(1);
        let held = self.now().saturating_sub(since);
        self.write(|book, _| book.longest_held = book.longest_held.max(held));
        if held > limit + GRAIN {
            self.broken(|| format!("{call} was held for {held:?}, its timeout is {limit:?}"));
        }
    }

    /// Waits until something holds of the book.
    pub(super) async fn until(
        &self,
        what: &str,
        limit: Duration,
        mut holds: impl FnMut(&Book) -> bool,
    ) -> Result<(), Broken> {
        let waiting = async {
            loop {
                let changed = self.0.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if holds(&self.0.book.lock()) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, waiting)
            .await
            .map_err(|_| Broken::new(format!("not within {limit:?}: {what}")))
    }

    /// What was found broken so far.
    pub(super) fn check(&self) -> Result<(), Broken> {
        self.0.book.lock().broken.clone().map_or(Ok(()), Err)
    }
}

/// Waits until no more tasks are alive than there were.
pub(super) async fn tasks_end(alive_before: usize) -> Result<(), Broken> {
    const LIMIT: usize = 180;
    let metrics = tokio::runtime::Handle::current().metrics();
    for _ in 0..LIMIT {
        if metrics.num_alive_tasks() <= alive_before {
            return Ok(());
        }
        stage::pause(Duration::from_secs(1)).await;
    }
    let left = metrics.num_alive_tasks();
    ensure(left <= alive_before, || {
        format!("{left} tasks are alive {LIMIT} s after everything was closed, {alive_before} were before")
    })
}
