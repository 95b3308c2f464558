//! What was acknowledged against what was seen.
//!
//! Pure: times are durations since the start of the run, so a run under paused time gives the same verdict every time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everything that one run published, was promised, received and was warned of.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    sent: BTreeMap<String, Duration>,
    acknowledged: BTreeSet<String>,
    seen: BTreeMap<String, u64>,
    gaps: Vec<(Duration, Duration)>,
}

/// What the ledger says at the end of a run. Ids are in order of their text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged and never seen, whether or not a gap was reported.
    pub lost: Vec<String>,
    /// Lost, and sent at a time that no reported gap covers.
    pub unreported: Vec<String>,
    /// Deliveries beyond the first, over all ids.
    pub duplicates: u64,
    /// Seen or acknowledged although never sent.
    pub unknown: Vec<String>,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `id` was handed over for sending. The first time stays when it is sent again.
    pub fn sent(&mut self, id: impl Into<String>, at: Duration) {
        self.sent.entry(id.into()).or_insert(at);
    }

    /// Notes that the publisher was told that `id` arrived.
    pub fn acknowledged(&mut self, id: impl Into<String>) {
        self.acknowledged.insert(id.into());
    }

    /// Notes one delivery of `id`.
    pub fn seen(&mut self, id: impl Into<String>) {
        *self.seen.entry(id.into()).or_insert(0) += 1;
    }

    /// Notes a reported gap; both ends belong to it.
    pub fn gap(&mut self, from: Duration, until: Duration) {
        self.gaps.push((from, until));
    }

    /// Compares the columns.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let lost: Vec<String> =
            self.acknowledged.iter().filter(|id| !self.seen.contains_key(*id)).cloned().collect();
        let unreported = lost.iter().filter(|id| !self.in_a_gap(id)).cloned().collect();
        let noted: BTreeSet<&String> = self.seen.keys().chain(&self.acknowledged).collect();
        Verdict {
            unreported,
            duplicates: self.seen.values().map(|times| times - 1).sum(),
            unknown: noted.into_iter().filter(|id| !self.sent.contains_key(*id)).cloned().collect(),
            lost,
        }
    }

    fn in_a_gap(&self, id: &str) -> bool {
        self.sent.get(id).is_some_and(|at| self.gaps.iter().any(|(from, until)| (from..=until).contains(&at)))
    }
}
