//! Settings of a journal.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// When what is written is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// Each group is synced before anybody hears that it is written: it survives a crash of the process and of the
    /// machine. The default.
    #[default]
    EachGroup,
    /// Syncing is left to the operating system: what is written survives a crash of the process. After a crash of
    /// the machine or a loss of power the last seconds may be missing, and the file may be damaged as a whole.
    Never,
}

/// When records are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Older ones are. Default 7 days.
    pub age: Duration,
    /// The oldest ones are, when events take more than this many bytes. Default 4 GiB.
    pub bytes: u64,
    /// Whether that holds for records that a durable consumer has not handled yet. Default no: they are kept, and a
    /// consumer that never comes back must be [forgotten](crate::Journal::forget). With yes, the consumer is told of
    /// the gap.
    pub even_unhandled: bool,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 3_600), bytes: 4 << 30, even_unhandled: false }
    }
}

/// When an event comes again that was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The pause after the first failure; each further one doubles it. Default 1 s.
    pub first: Duration,
    /// The longest pause. Default 5 minutes.
    pub max: Duration,
    /// How often an event is delivered before it becomes a dead letter. Default 10.
    pub deliveries: u32,
    /// How long a delivery is locked unless it is prolonged; hubs prolong it while a handler works. Default 60 s.
    pub lock: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            max: Duration::from_secs(300),
            deliveries: 10,
            lock: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// The pause after so many deliveries that were not handled.
    pub(crate) fn pause(&self, deliveries: u32) -> Duration {
        let doubled = 1_u32.checked_shl(deliveries.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.max)
    }
}

/// Settings of a journal. `Config::default()`, changed field by field.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// When what is written is on the disk.
    pub fsync: Fsync,
    /// How long nothing is written until the file is marked, so that it opens at once after a crash, whatever its
    /// size. After a crash before that, opening reads the whole file. Zero marks it with each group, which then takes
    /// two syncs instead of one. Default 100 ms. With [`Fsync::Never`] each group is marked.
    pub checkpoint: Duration,
    /// When records are removed.
    pub retention: Retention,
    /// When an event comes again that was not handled.
    pub retry: RetryPolicy,
    /// Events that come again within this time, by their id, are dropped. Default 10 minutes. Zero keeps all.
    pub repeats: Duration,
    /// How many ids are remembered for that. Default 100,000, about 12 MB.
    pub repeats_ids: usize,
    /// How long to wait for a file that another process has open: one that is just ending, for instance. Default 1 s.
    pub lock_wait: Duration,
    /// How long a publish is kept that names no time of its own. Default 24 hours.
    pub outbox_expiry: Duration,
    /// The store's cache in bytes. Default 32 MiB.
    pub cache: usize,
    /// The wall clock, for tests.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for Config {
    #[expect(clippy::disallowed_methods, reason = "names the system's clock as the default")]
    fn default() -> Self {
        Self {
            fsync: Fsync::default(),
            checkpoint: Duration::from_millis(100),
            retention: Retention::default(),
            retry: RetryPolicy::default(),
            repeats: Duration::from_secs(600),
            repeats_ids: 100_000,
            lock_wait: Duration::from_secs(1),
            outbox_expiry: Duration::from_secs(24 * 3_600),
            cache: 32 << 20,
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl Config {
    /// Whether each group is to leave the file so that it opens at once after a crash.
    pub(crate) fn marks_each_group(&self) -> bool {
        self.checkpoint.is_zero() || self.fsync == Fsync::Never
    }

    /// Now, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        let since = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        millis(since)
    }
}

/// Milliseconds as they are counted here.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("fsync", &self.fsync)
            .field("checkpoint", &self.checkpoint)
            .field("retention", &self.retention)
            .field("retry", &self.retry)
            .field("repeats", &self.repeats)
            .finish_non_exhaustive()
    }
}
