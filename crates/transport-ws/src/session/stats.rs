//! What a session counts.

use super::ProblemKind;

/// Counters of one session, from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages received, text and binary.
    pub frames_in: u64,
    /// Messages given out to be sent.
    pub frames_out: u64,
    /// Events delivered.
    pub events: u64,
    /// Publishes accepted.
    pub published: u64,
    /// Publishes acknowledged.
    pub acknowledged: u64,
    /// Publishes given up: after the ack timeout, or because the session ended.
    pub unconfirmed: u64,
    /// Heartbeats answered.
    pub heartbeats: u64,
    problems: [u64; ProblemKind::ALL.len()],
}

impl Stats {
    /// Problems of one kind.
    pub fn problems(&self, kind: ProblemKind) -> u64 {
        self.problems[kind as usize]
    }

    /// Problems of all kinds.
    pub fn problems_total(&self) -> u64 {
        self.problems.iter().sum()
    }

    pub(super) fn count(&mut self, kind: ProblemKind) {
        self.problems[kind as usize] += 1;
    }
}
