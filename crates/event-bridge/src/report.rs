//! What a bridge tells: changes, and what went through; and what it counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event_core::{Error, Event};

use crate::account::Gap;

/// Something that happened to a bridge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Report {
    /// Another bridge is active; this one waits.
    Waiting {
        /// What it is called.
        holder: String,
    },
    /// This bridge has the lease, and connects.
    Won,
    /// Both sides are connected, and events go through.
    Active,
    /// The lease is lost: nothing goes through any more.
    Lost,
    /// The lease is given back, since the service is out of reach: another bridge may have more luck.
    Resigned(Arc<Error>),
    /// An event of the service is in the stream.
    Forwarded(Event),
    /// An event of the stream was acknowledged by the service.
    Returned(Event),
    /// A stretch in which events may be missing was told in the stream.
    Gap(Gap),
    /// Something went wrong. The bridge goes on.
    Problem(Arc<Error>),
    /// The bridge has ended.
    Ended,
}

/// Counters of a bridge since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Events of the service that are in the stream.
    pub forwarded: u64,
    /// Events of the stream that the service acknowledged.
    pub returned: u64,
    /// Events of the service that this bridge had brought there, and left out.
    pub echoes: u64,
    /// Events of the stream that a bridge of this name had brought there, and left out.
    pub own: u64,
    /// Gaps told in the stream.
    pub gaps: u64,
    /// Events of the service that could not be stored: they are inside a gap, or come again.
    pub not_stored: u64,
    /// Events of the stream that the service did not take: they come again, or become dead letters.
    pub not_returned: u64,
    /// How often the lease was won.
    pub won: u64,
    /// How often it was lost.
    pub lost: u64,
    /// Other things that went wrong.
    pub problems: u64,
}

/// The counters as they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) forwarded: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) echoes: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) not_stored: AtomicU64,
    pub(crate) not_returned: AtomicU64,
    pub(crate) won: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) problems: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self, own: u64) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            forwarded: of(&self.forwarded),
            returned: of(&self.returned),
            echoes: of(&self.echoes),
            own,
            gaps: of(&self.gaps),
            not_stored: of(&self.not_stored),
            not_returned: of(&self.not_returned),
            won: of(&self.won),
            lost: of(&self.lost),
            problems: of(&self.problems),
        }
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The end of a bridge's reports that a reader holds. A reader that falls more than 1,024 reports behind misses some.
#[derive(Debug)]
pub struct Reports(pub(crate) tokio::sync::broadcast::Receiver<Report>);

/// What [`Reports`] yield.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Told {
    /// Something happened.
    Happened(Report),
    /// So many reports were missed because this reader was slow.
    Missed(u64),
}

impl Reports {
    /// Whether no report waits now.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next report; `None` when the bridge is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Told> {
        use tokio::sync::broadcast::error::RecvError;
        match self.0.recv().await {
            Ok(report) => Some(Told::Happened(report)),
            Err(RecvError::Lagged(missed)) => Some(Told::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}
