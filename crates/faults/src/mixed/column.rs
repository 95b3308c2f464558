//! What one subscriber of the ftrack side saw, against what the service took. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long what was taken may be on its way to a subscriber: no fault of the run slows a connection down by more.
const ON_ITS_WAY: Duration = Duration::from_secs(10);

/// One subscriber's column in the book.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    /// When each event came first, and the last one at all.
    seen: BTreeMap<u64, Duration>,
    pub(crate) duplicates: u64,
    gaps: Vec<(Duration, Duration)>,
}

impl Column {
    pub(crate) fn saw(&mut self, event: u64, at: Duration) {
        if self.seen.insert(event, at).is_some() {
            self.duplicates += 1;
        }
    }

    pub(crate) fn has(&self, event: u64) -> bool {
        self.seen.contains_key(&event)
    }

    pub(crate) fn gap(&mut self, lasted: Duration, until: Duration) {
        self.gaps.push((until.saturating_sub(lasted), until));
    }

    pub(crate) fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// What the service took, in this order and at these times, and the subscriber missed: how much of it, and which
    /// of it no reported gap explains. A gap does, if the event was taken within it, or was on its way when it began,
    /// and if it began before the next delivery.
    pub(crate) fn missed(&self, taken: &[(u64, Duration)]) -> (usize, BTreeSet<u64>) {
        let (mut missed, mut unexplained) = (0, BTreeSet::new());
        for (place, (event, at)) in taken.iter().enumerate() {
            if self.has(*event) {
                continue;
            }
            missed += 1;
            let next = taken[place..].iter().find_map(|(later, _)| self.seen.get(later)).copied();
            let latest = next.unwrap_or(Duration::MAX).min(*at + ON_ITS_WAY);
            if !self.gaps.iter().any(|(from, until)| *from <= latest && *at <= *until) {
                unexplained.insert(*event);
            }
        }
        (missed, unexplained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Events 1 to 5 were taken at the seconds 10, 20, .. 50.
    fn taken() -> Vec<(u64, Duration)> {
        (1..=5).map(|event| (event, at(event * 10))).collect()
    }

    fn saw(events: &[u64]) -> Column {
        let mut column = Column::default();
        for event in events {
            column.saw(*event, at(event * 10));
        }
        column
    }

    #[test]
    fn what_was_seen_is_not_missed_and_twice_is_a_duplicate() {
        let mut column = saw(&[1, 2, 3, 4, 5]);
        assert_eq!(column.missed(&taken()), (0, BTreeSet::new()));
        column.saw(3, at(55));
        assert_eq!(column.duplicates, 1);
    }

    #[test]
    fn a_gap_explains_what_was_taken_in_it_and_nothing_else() {
        let mut column = saw(&[1, 3, 5]);
        column.gap(at(10), at(28));
        assert_eq!(column.missed(&taken()), (2, BTreeSet::from([4])));
        column.gap(at(5), at(44));
        assert_eq!(column.missed(&taken()), (2, BTreeSet::new()));
    }

    #[test]
    fn a_gap_that_was_over_before_the_delivery_before_explains_nothing() {
        let mut column = saw(&[1, 2, 4, 5]);
        column.gap(at(5), at(19));
        assert_eq!(column.missed(&taken()).1, BTreeSet::from([3]));
    }

    #[test]
    fn what_the_service_took_again_after_a_restart_does_not_part_a_loss_from_its_gap() {
        let mut column = saw(&[3, 4, 5]);
        column.gap(at(15), at(25));
        // The first was taken a second time, and came late.
        column.saw(1, at(60));
        assert_eq!(column.missed(&taken()), (1, BTreeSet::new()));
    }

    #[test]
    fn without_gaps_everything_missed_is_unexplained_the_last_ones_too() {
        assert_eq!(saw(&[1, 2]).missed(&taken()), (3, BTreeSet::from([3, 4, 5])));
    }
}
