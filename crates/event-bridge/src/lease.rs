//! Who is active: the state machine of one candidate. Pure: times are durations since any moment that its owner chose.
//!
//! A value in a bucket lapses a while after it was written. Whoever writes it where none is holds the lease; writing it again
//! in time keeps it. A candidate counts from the moment at which it *asked*: the server counts from a later one, so the
//! candidate stops first, whatever became of the answers.

use std::time::Duration;

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Times {
    /// How long the server keeps the value.
    pub(crate) lease: Duration,
    /// How much earlier the holder stops: what clocks may differ by, and stopping may take.
    pub(crate) margin: Duration,
    /// The pause between two renewals.
    pub(crate) renew: Duration,
    /// The pause between two questions of somebody who waits, or got no answer.
    pub(crate) retry: Duration,
    /// How long an answer may take.
    pub(crate) answer: Duration,
}

impl Times {
    /// For a lease of this length.
    pub(crate) fn of(lease: Duration) -> Self {
        Self { lease, margin: lease / 5, renew: lease / 5, retry: lease / 10, answer: lease / 4 }
    }
}

/// What to ask the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    /// Write the value where none is.
    Claim,
    /// Write it in the place of this revision.
    Renew(u64),
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask, forgetting any question that is open.
    Ask(Ask),
    /// Nothing before this time, unless an answer comes.
    Wait(Duration),
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// Written, with this revision.
    Written(u64),
    /// There is another value, of somebody else.
    Theirs,
    /// There is another value, and it is ours, of this revision: an answer was lost.
    Ours(u64),
    /// There is none.
    Nobodys,
    /// Not known.
    Unknown,
}

/// The state of one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    times: Times,
    held: Option<Held>,
    /// The open question, and when it was asked.
    asked: Option<(Ask, Duration)>,
    /// The next question, and when.
    next: (Ask, Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Held {
    revision: u64,
    until: Duration,
}

impl Lease {
    /// A candidate who asks at once.
    pub(crate) fn new(times: Times, now: Duration) -> Self {
        Self { times, held: None, asked: None, next: (Ask::Claim, now) }
    }

    /// Until when the lease is held, if it is.
    pub(crate) fn held_until(&self, now: Duration) -> Option<Duration> {
        self.held.map(|held| held.until).filter(|until| *until > now)
    }

    /// The revision under which it can be given back.
    pub(crate) fn revision(&self) -> Option<u64> {
        self.held.map(|held| held.revision)
    }

    /// What to do now. To be called after every answer, and when the time is come that it gave.
    pub(crate) fn poll(&mut self, now: Duration) -> Step {
        if self.held.is_some_and(|held| held.until <= now) {
            self.held = None;
        }
        if let Some((_, at)) = self.asked {
            if now < at + self.times.answer {
                return Step::Wait(self.earliest(at + self.times.answer));
            }
            self.asked = None;
            self.next.1 = now;
        }
        let (ask, at) = self.next;
        if now < at {
            return Step::Wait(self.earliest(at));
        }
        self.asked = Some((ask, now));
        Step::Ask(ask)
    }

    /// What came of the open question.
    pub(crate) fn answered(&mut self, answer: Answer, now: Duration) {
        let Some((ask, at)) = self.asked.take() else { return };
        match answer {
            Answer::Written(revision) => {
                // The server wrote it later than it was asked, and lets it lapse later than this.
                let until = at + self.times.lease.saturating_sub(self.times.margin);
                self.held = Some(Held { revision, until });
                self.next = (Ask::Renew(revision), at + self.times.renew);
            }
            Answer::Theirs => {
                self.held = None;
                self.next = (Ask::Claim, now + self.times.retry);
            }
            // When it was written is not known; until it is written anew, only what was held before counts.
            Answer::Ours(revision) => self.next = (Ask::Renew(revision), now),
            Answer::Nobodys => {
                self.held = None;
                self.next = (Ask::Claim, now);
            }
            Answer::Unknown => self.next = (ask, now + self.times.retry),
        }
    }

    fn earliest(&self, at: Duration) -> Duration {
        self.held.map_or(at, |held| held.until.min(at))
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
