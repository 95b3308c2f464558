//! The emulator's own time: tokio's or the caller's, plus what tests have put forward.

// The one place that reads clocks; all else gets the time from here or as an argument.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell reads the clock; the core gets the time as an argument"
)]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Where the time comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// This at the start, and from there on as tokio's clock goes.
    From(SystemTime),
    /// Whatever this says.
    Asked(Arc<dyn Fn() -> SystemTime + Send + Sync>),
}

/// Time since 1970.
#[derive(Debug)]
pub(crate) struct Clock {
    source: Source,
    started: Instant,
    ahead: Mutex<Duration>,
    /// Rung when the time is put forward.
    pub(crate) advanced: Notify,
}

impl Source {
    /// The machine's time at the start.
    pub(crate) fn machine() -> Self {
        Self::From(SystemTime::now())
    }
}

impl Clock {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, started: Instant::now(), ahead: Mutex::default(), advanced: Notify::new() }
    }

    pub(crate) fn now(&self) -> Duration {
        let now = match &self.source {
            Source::From(start) => since_1970(*start).saturating_add(self.started.elapsed()),
            Source::Asked(ask) => since_1970(ask()),
        };
        now.saturating_add(*self.ahead.lock())
    }

    /// Puts the time forward, at most to the year 9999, which dates can still say.
    pub(crate) fn advance(&self, by: Duration) {
        let room = Duration::from_secs(253_402_000_000).saturating_sub(self.now());
        *self.ahead.lock() += by.min(room);
        self.advanced.notify_waiters();
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(start) => f.debug_tuple("From").field(start).finish(),
            Self::Asked(_) => f.write_str("Asked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_put_forward_and_stands_still_with_tokio() {
        let clock = Clock::new(Source::machine());
        let start = clock.now();
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.now(), start + Duration::from_secs(60));
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now().as_secs(), 253_402_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_is_what_the_caller_says() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let clock = Clock::new(Source::From(at(5)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now().as_secs(), 7);
        let clock = Clock::new(Source::Asked(Arc::new(move || at(100))));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now().as_secs(), 100);
    }
}
