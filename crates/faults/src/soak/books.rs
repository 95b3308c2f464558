//! What was acknowledged against what was seen, for a run that never ends: rows are judged after a while and forgotten.
//!
//! Pure: times are durations since the start of the run.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// After so long a row is judged: whoever is to see an event has seen it by then, or has been told of the gap.
pub(super) const HORIZON: Duration = Duration::from_secs(150);
/// How much later than the acknowledgement an event may be on its way to others.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// The books of one kind of events. Receivers have numbers, at most 32.
#[derive(Debug)]
pub(super) struct Books {
    receivers: usize,
    rows: BTreeMap<u64, Row>,
    /// For each receiver, the gaps it was told of.
    gaps: Vec<VecDeque<(Duration, Duration)>>,
    totals: Totals,
}

#[derive(Debug)]
struct Row {
    sent: Duration,
    acknowledged: Option<Duration>,
    seen: u32,
}

/// What came of the rows that were judged, and of repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Handed over for sending.
    pub(super) sent: u64,
    /// Acknowledged.
    pub(super) acknowledged: u64,
    /// Seen, over all receivers; repeats not counted.
    pub(super) seen: u64,
    /// Acknowledged and not seen by a receiver who was told of a gap at that time, over all receivers.
    pub(super) in_gaps: u64,
    /// Acknowledged and not seen by a receiver who was told of none.
    pub(super) unreported: u64,
    /// Deliveries beyond the first.
    pub(super) duplicates: u64,
}

impl Books {
    pub(super) fn new(receivers: usize) -> Self {
        Self {
            receivers,
            rows: BTreeMap::new(),
            gaps: vec![VecDeque::new(); receivers],
            totals: Totals::default(),
        }
    }

    pub(super) fn sent(&mut self, n: u64, at: Duration) {
        self.totals.sent += 1;
        self.rows.insert(n, Row { sent: at, acknowledged: None, seen: 0 });
    }

    pub(super) fn acknowledged(&mut self, n: u64, at: Duration) {
        if let Some(row) = self.rows.get_mut(&n) {
            self.totals.acknowledged += 1;
            row.acknowledged = Some(at);
        }
    }

    pub(super) fn seen(&mut self, n: u64, receiver: usize) {
        match self.rows.get_mut(&n) {
            Some(row) if row.seen & (1 << receiver) == 0 => {
                row.seen |= 1 << receiver;
                self.totals.seen += 1;
            }
            // Seen before, or judged already.
            _ => self.totals.duplicates += 1,
        }
    }

    pub(super) fn gap(&mut self, receiver: usize, from: Duration, until: Duration) {
        self.gaps[receiver].push_back((from, until));
    }

    /// Judges and forgets what is older than the horizon; everything, if the run is over.
    pub(super) fn judge(&mut self, now: Duration, over: bool) -> Totals {
        let due = |row: &Row| over || row.sent + HORIZON <= now;
        let judged: Vec<u64> = self.rows.iter().filter(|(_, row)| due(row)).map(|(n, _)| *n).collect();
        for n in judged {
            if let Some(row) = self.rows.remove(&n) {
                self.close(&row);
            }
        }
        for gaps in &mut self.gaps {
            gaps.retain(|(_, until)| *until + 2 * HORIZON > now);
        }
        self.totals
    }

    fn close(&mut self, row: &Row) {
        let Some(acknowledged) = row.acknowledged else { return };
        for receiver in (0..self.receivers).filter(|receiver| row.seen & (1 << receiver) == 0) {
            let told = |(from, until): &(Duration, Duration)| {
                *from <= acknowledged + UNDER_WAY && row.sent <= *until
            };
            if self.gaps[receiver].iter().any(told) {
                self.totals.in_gaps += 1;
            } else {
                self.totals.unreported += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn sent_and_acknowledged(n: u64, seconds: u64) -> Books {
        let mut books = Books::new(2);
        books.sent(n, at(seconds));
        books.acknowledged(n, at(seconds + 1));
        books
    }

    #[test]
    fn what_both_saw_is_clean_and_is_forgotten() {
        let mut books = sent_and_acknowledged(7, 1);
        books.seen(7, 0);
        books.seen(7, 1);
        let totals = books.judge(at(1) + HORIZON, false);
        assert_eq!(totals, Totals { sent: 1, acknowledged: 1, seen: 2, ..Totals::default() });
        assert!(books.rows.is_empty());
    }

    #[test]
    fn what_one_did_not_see_is_unreported_unless_that_one_was_told_of_a_gap() {
        let mut books = sent_and_acknowledged(7, 10);
        books.seen(7, 0);
        books.gap(0, at(9), at(12));
        assert_eq!(books.judge(at(10) + HORIZON, false).unreported, 1, "the gap was another's");
        let mut books = sent_and_acknowledged(7, 10);
        books.seen(7, 0);
        books.gap(1, at(9), at(12));
        let totals = books.judge(at(10) + HORIZON, false);
        assert_eq!((totals.unreported, totals.in_gaps), (0, 1));
        let mut books = sent_and_acknowledged(7, 10);
        books.gap(0, at(20), at(30));
        books.gap(1, at(2), at(9));
        assert_eq!(books.judge(at(10) + HORIZON, false).unreported, 2, "gaps elsewhere excuse nothing");
    }

    #[test]
    fn nothing_is_judged_before_its_time_nor_without_an_acknowledgement() {
        let mut books = sent_and_acknowledged(7, 10);
        assert_eq!(books.judge(at(9) + HORIZON, false).unreported, 0);
        assert_eq!(books.judge(at(11), true).unreported, 2);
        let mut books = Books::new(2);
        books.sent(7, at(1));
        assert_eq!(books.judge(at(1), true).unreported, 0);
    }

    #[test]
    fn repeats_count_even_after_the_judgement() {
        let mut books = sent_and_acknowledged(7, 1);
        books.seen(7, 0);
        books.seen(7, 0);
        books.judge(at(2), true);
        books.seen(7, 0);
        assert_eq!(books.judge(at(3), true).duplicates, 2);
    }
}
