//! What was published, and who handled it. Pure; 4 bytes and a bit for each event, whatever happens.

/// The books of a run with events of the numbers from 0 on.
#[derive(Clone, Debug)]
pub(super) struct Books {
    events: u32,
    confirmed: Vec<u64>,
    /// The latest handling of each event that is known.
    latest: Vec<Handling>,
    workers: Vec<Tally>,
    handled: u64,
    distinct: u64,
    /// Handlings that no delivery of the stream accounts for.
    unexplained: u64,
    ended_by_itself: Option<String>,
}

/// One handling; of worker 0, which is nobody, for none.
#[derive(Clone, Copy, Debug, Default)]
struct Handling {
    worker: u16,
    /// 1 for the first delivery of an event.
    attempt: u16,
}

/// One worker, from its start to its end.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    killed: bool,
    /// Events that it handled and that were handled again.
    again: u64,
}

/// What the books say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Publishes of which the stream said that it has them.
    pub(super) confirmed: u64,
    /// Events that nobody handled.
    pub(super) lost: u64,
    pub(super) kills: u64,
    /// Deliveries beyond the first of each event.
    pub(super) again: u64,
    /// Of these: the worker before had handled it, and was killed.
    pub(super) unacknowledged: u64,
    /// Of these: the worker before had not come to it.
    pub(super) unhandled: u64,
    /// Of these: the worker before had handled it, and lives.
    pub(super) lapsed: u64,
    /// The most events that one killed worker had handled and that were handled again.
    pub(super) most_for_a_kill: u64,
    /// The same delivery handled twice, and events that nobody published.
    pub(super) unexplained: u64,
}

impl Books {
    pub(super) fn new(events: u32) -> Self {
        let places = usize::try_from(events).unwrap_or(usize::MAX);
        Self {
            events,
            confirmed: vec![0; places.div_ceil(64)],
            latest: vec![Handling::default(); places],
            workers: vec![Tally::default()],
            handled: 0,
            distinct: 0,
            unexplained: 0,
            ended_by_itself: None,
        }
    }

    /// Another worker; gives its number, from 1 on.
    pub(super) fn hired(&mut self) -> u16 {
        self.workers.push(Tally::default());
        u16::try_from(self.workers.len() - 1).unwrap_or(u16::MAX)
    }

    /// A worker is killed; what it said before may still come.
    pub(super) fn killed(&mut self, worker: u16) {
        if let Some(tally) = self.workers.get_mut(usize::from(worker)) {
            tally.killed = true;
        }
    }

    /// A worker says nothing any more; what is told of that if it was not killed.
    pub(super) fn silent(&mut self, worker: u16, what: String) {
        if self.workers.get(usize::from(worker)).is_some_and(|tally| !tally.killed) {
            self.ended_by_itself.get_or_insert(what);
        }
    }

    /// The stream has an event.
    pub(super) fn confirmed(&mut self, n: u32) {
        if let Some(bits) = self.confirmed.get_mut(usize::try_from(n / 64).unwrap_or(usize::MAX)) {
            *bits |= 1 << (n % 64);
        }
    }

    /// A worker handled an event at this attempt. Workers may be heard of in any order: of two handlings of one event
    /// the earlier one is that of the smaller attempt.
    pub(super) fn note(&mut self, worker: u16, n: u32, attempt: u32) {
        self.handled += 1;
        let this = Handling { worker, attempt: u16::try_from(attempt).unwrap_or(u16::MAX) };
        let place = usize::try_from(n).ok().and_then(|n| self.latest.get_mut(n));
        let Some(latest) = place else {
            self.unexplained += 1;
            return;
        };
        let before = *latest;
        if before.worker == 0 {
            *latest = this;
            self.distinct += 1;
        } else if before.attempt == this.attempt {
            self.unexplained += 1;
        } else {
            let earlier = if before.attempt < this.attempt { before.worker } else { this.worker };
            if before.attempt < this.attempt {
                *latest = this;
            }
            if let Some(tally) = self.workers.get_mut(usize::from(earlier)) {
                tally.again += 1;
            }
        }
    }

    pub(super) fn events(&self) -> u32 {
        self.events
    }

    /// Handlings so far.
    pub(super) fn handled(&self) -> u64 {
        self.handled
    }

    /// Events that were handled so far.
    pub(super) fn distinct(&self) -> u64 {
        self.distinct
    }

    pub(super) fn is_complete(&self) -> bool {
        self.distinct == u64::from(self.events)
    }

    pub(super) fn ended_by_itself(&self) -> Option<&str> {
        self.ended_by_itself.as_deref()
    }

    pub(super) fn verdict(&self) -> Verdict {
        let again: u64 = self.latest.iter().map(|latest| u64::from(latest.attempt.saturating_sub(1))).sum();
        let sum = |killed: bool| -> u64 {
            self.workers.iter().filter(|tally| tally.killed == killed).map(|tally| tally.again).sum()
        };
        let killed = || self.workers.iter().filter(|tally| tally.killed);
        let (unacknowledged, lapsed) = (sum(true), sum(false));
        Verdict {
            confirmed: self.confirmed.iter().map(|bits| u64::from(bits.count_ones())).sum(),
            lost: u64::from(self.events) - self.distinct,
            kills: killed().map(|_| 1).sum(),
            again,
            unacknowledged,
            unhandled: again.saturating_sub(unacknowledged + lapsed),
            lapsed,
            most_for_a_kill: killed().map(|tally| tally.again).max().unwrap_or(0),
            unexplained: self.unexplained,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_delivery_beyond_the_first_has_one_reason() {
        let mut books = Books::new(100);
        let (dying, living) = (books.hired(), books.hired());
        for n in 0..100 {
            books.confirmed(n);
            // The first ten were handled and not acknowledged, the next five not handled.
            if n < 10 {
                books.note(dying, n, 1);
            }
            books.note(living, n, if n < 15 { 2 } else { 1 });
        }
        assert!(books.is_complete());
        books.killed(dying);
        let expected = Verdict {
            confirmed: 100,
            kills: 1,
            again: 15,
            unacknowledged: 10,
            unhandled: 5,
            most_for_a_kill: 10,
            ..Verdict::default()
        };
        assert_eq!(books.verdict(), expected);
    }

    #[test]
    fn it_does_not_matter_who_is_heard_of_first() {
        let mut books = Books::new(1);
        let (dying, living) = (books.hired(), books.hired());
        books.note(living, 0, 3);
        books.note(dying, 0, 1);
        books.killed(dying);
        let verdict = books.verdict();
        assert_eq!((verdict.again, verdict.unacknowledged, verdict.unhandled, verdict.lapsed), (2, 1, 1, 0));
    }

    #[test]
    fn what_is_missing_is_lost_and_what_nobody_published_is_unexplained() {
        let mut books = Books::new(3);
        let worker = books.hired();
        books.note(worker, 1, 1);
        books.note(worker, 1, 1);
        books.note(worker, 3, 1);
        let verdict = books.verdict();
        assert_eq!((verdict.lost, verdict.unexplained, verdict.confirmed), (2, 2, 0));
        assert_eq!((books.handled(), books.distinct()), (3, 1));
    }
}
