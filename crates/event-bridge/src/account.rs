//! Up to when everything that came is stored, and where it is not: what a gap must span. Pure.
//!
//! Times are milliseconds since 1970, as gaps are told in.

use std::collections::BTreeMap;
use std::time::Duration;

/// A stretch of time in which events may be missing from the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// From when on, in milliseconds since 1970.
    pub from: u64,
    /// Until when.
    pub to: u64,
    /// How it came to be.
    pub reason: String,
}

/// The books of one active bridge.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// What came and is not stored, by number: everything before it came until then.
    open: BTreeMap<u64, u64>,
    next: u64,
    /// Since when the service may not be heard.
    away: Option<u64>,
    /// Gaps that the stream does not have yet, joined.
    gap: Option<Gap>,
}

impl Account {
    /// An event came, and whatever came before `as_of` was counted. Gives its number.
    pub(crate) fn came(&mut self, as_of: u64) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, as_of);
        number
    }

    /// An event is stored, or needs not be.
    pub(crate) fn stored(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// An event could not be stored, and may have been on its way for so long.
    pub(crate) fn lost(&mut self, number: u64, slack: u64, now: u64, reason: &str) {
        if let Some(from) = self.open.remove(&number) {
            self.missed(from.saturating_sub(slack), now, reason);
        }
    }

    /// The service is not heard any more.
    pub(crate) fn interrupted(&mut self, now: u64) {
        self.away.get_or_insert(now);
    }

    /// It is heard again. Gives since when it was not.
    pub(crate) fn restored(&mut self) -> Option<u64> {
        self.away.take()
    }

    /// How long the service has not been heard.
    pub(crate) fn away(&self, now: u64) -> Duration {
        self.away.map_or(Duration::ZERO, |since| Duration::from_millis(now.saturating_sub(since)))
    }

    /// Events may be missing.
    pub(crate) fn missed(&mut self, from: u64, to: u64, reason: &str) {
        let gap = self.gap.get_or_insert_with(|| Gap { from, to, reason: reason.to_owned() });
        (gap.from, gap.to) = (gap.from.min(from), gap.to.max(to));
    }

    /// The gap that is to be told, joined from those that came up since the last one.
    pub(crate) fn gap(&self) -> Option<&Gap> {
        self.gap.as_ref()
    }

    /// A gap is in the stream. What was joined to it meanwhile stays.
    pub(crate) fn told(&mut self, told: &Gap) {
        if self.gap.as_ref() == Some(told) {
            self.gap = None;
        }
    }

    /// Up to when everything is stored or told, if everything before `as_of` was counted.
    pub(crate) fn mark(&self, as_of: u64) -> u64 {
        let open = self.open.values().min().copied();
        [open, self.away, self.gap.as_ref().map(|gap| gap.from)].into_iter().flatten().fold(as_of, u64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_the_oldest_thing_that_is_not_stored() {
        let mut account = Account::default();
        assert_eq!(account.mark(100), 100);
        let (first, second) = (account.came(100), account.came(110));
        assert_eq!(account.mark(120), 100);
        account.stored(first);
        assert_eq!(account.mark(120), 110);
        account.interrupted(105);
        account.interrupted(119);
        assert_eq!(account.mark(120), 105);
        assert_eq!(account.away(125), Duration::from_millis(20));
        assert_eq!((account.restored(), account.restored()), (Some(105), None));
        account.stored(second);
        assert_eq!(account.mark(130), 130);
    }

    #[test]
    fn what_cannot_be_stored_is_a_gap_until_that_is_told() {
        let mut account = Account::default();
        let (first, second) = (account.came(100), account.came(110));
        account.lost(second, 5, 130, "refused");
        let told = account.gap().cloned().unwrap();
        assert_eq!(told, Gap { from: 105, to: 130, reason: "refused".to_owned() });
        // Meanwhile another one.
        account.lost(first, 0, 140, "too late");
        account.told(&told);
        let both = account.gap().cloned().unwrap();
        assert_eq!((both.from, both.to, account.mark(150)), (100, 140, 100));
        account.told(&both);
        assert_eq!((account.gap(), account.mark(150)), (None, 150));
        // Nothing is lost twice.
        account.lost(first, 0, 160, "again");
        assert_eq!(account.gap(), None);
    }
}
