//! Settling a delivery once, however many subscriptions work on it.
//!
//! Each of them holds a share. The first failure abandons the delivery, the last success completes it; a share
//! that is dropped without a word is a failure.
#![expect(clippy::disallowed_methods, reason = "reads tokio's clock when the work begins")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::transport::Settlement;
use crate::{Error, ErrorKind, Result};

/// What was decided, and who wants to hear how settling went.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) outcome: Settlement,
    /// Why, where it was not handled.
    pub(crate) reason: Option<Box<str>>,
    pub(crate) done: oneshot::Sender<Result<()>>,
}

/// The decision about one delivery; never arrives if it could not be made.
pub(crate) type Decided = oneshot::Receiver<Verdict>;

/// The work on a delivery, as those who work on it and whoever keeps its lock know it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work(Arc<Mutex<Progress>>);

#[derive(Debug, Default)]
struct Progress {
    /// Since when it is worked on: not yet, while it waits in a buffer.
    since: Option<Instant>,
    /// Why its lock is lost, if it is.
    lost: Option<Error>,
}

impl Work {
    /// Somebody works on it, from now on.
    pub(crate) fn begin(&self) {
        self.0.lock().since.get_or_insert_with(Instant::now);
    }

    /// Nobody does yet.
    pub(crate) fn defer(&self) {
        self.0.lock().since = None;
    }

    /// For how long it has been worked on.
    pub(crate) fn lasted(&self) -> Duration {
        self.0.lock().since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The lock is lost, for this reason: nothing is settled any more, and whoever decides is told. Without it, the
    /// connection ended.
    pub(crate) fn lose_lock(&self, mut decided: Decided, reason: &Error) {
        self.0.lock().lost = Some(reason.duplicate());
        decided.close();
        // Decided in this very moment.
        if let Ok(verdict) = decided.try_recv() {
            self.tell_lost(verdict.done);
        }
    }

    fn tell_lost(&self, done: oneshot::Sender<Result<()>>) {
        if let Some(reason) = &self.0.lock().lost {
            let message = "the lock was lost before the delivery was settled; it comes again";
            let error = Error::new(ErrorKind::LockLost, "settle", message);
            let _ = done.send(Err(error.with_source(reason.duplicate())));
        }
    }
}

#[derive(Debug)]
struct Settler {
    state: Mutex<State>,
    work: Work,
}

#[derive(Debug)]
struct State {
    open: usize,
    decide: Option<oneshot::Sender<Verdict>>,
}

/// One subscription's part in a delivery.
#[derive(Debug)]
pub(crate) struct Share(Option<Arc<Settler>>);

/// Shares for so many subscriptions; none at all completes the delivery at once.
pub(crate) fn shares(count: usize) -> (Vec<Share>, Decided, Work) {
    let (decide, decided) = oneshot::channel();
    let work = Work::default();
    let state = Mutex::new(State { open: count, decide: Some(decide) });
    let settler = Arc::new(Settler { state, work: work.clone() });
    let shares = (0..count).map(|_| Share(Some(Arc::clone(&settler)))).collect();
    if count == 0 {
        settler.state.lock().decide(&work, COMPLETE, None);
    }
    (shares, decided, work)
}

const COMPLETE: Settlement = Settlement::Complete;
const ABANDON: Settlement = Settlement::Abandon { delay: None };

impl State {
    fn decide(
        &mut self,
        work: &Work,
        outcome: Settlement,
        reason: Option<Box<str>>,
    ) -> Option<oneshot::Receiver<Result<()>>> {
        let decide = self.decide.take()?;
        let (done, settled) = oneshot::channel();
        // Nobody listens any more when the lock is lost, or the link: then `settled` fails without a word.
        if let Err(verdict) = decide.send(Verdict { outcome, reason, done }) {
            work.tell_lost(verdict.done);
        }
        Some(settled)
    }
}

impl Share {
    /// Since when the delivery is worked on.
    pub(crate) fn work(&self) -> Option<Work> {
        self.0.as_ref().map(|settler| settler.work.clone())
    }

    /// This subscription is done with the delivery, and well. Tells how settling goes, if it was the last.
    pub(crate) fn succeed(mut self) -> Option<oneshot::Receiver<Result<()>>> {
        let settler = self.0.take()?;
        let mut state = settler.state.lock();
        state.open -= 1;
        if state.open == 0 { state.decide(&settler.work, COMPLETE, None) } else { None }
    }

    /// This subscription could not handle the delivery. Tells how settling goes, if it was the first.
    pub(crate) fn fail(self, outcome: Settlement) -> Option<oneshot::Receiver<Result<()>>> {
        self.fail_because(outcome, None)
    }

    /// The same, with a word on why.
    pub(crate) fn fail_because(
        mut self,
        outcome: Settlement,
        reason: Option<Box<str>>,
    ) -> Option<oneshot::Receiver<Result<()>>> {
        let settler = self.0.take()?;
        settler.state.lock().decide(&settler.work, outcome, reason)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(settler) = self.0.take() {
            settler.state.lock().decide(&settler.work, ABANDON, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(mut decided: Decided) -> Option<Settlement> {
        decided.try_recv().ok().map(|verdict| verdict.outcome)
    }

    #[test]
    fn the_last_success_completes() {
        let (mut shares, mut decided, _) = shares(2);
        assert!(shares.pop().unwrap().succeed().is_none());
        assert!(decided.try_recv().is_err());
        assert!(shares.pop().unwrap().succeed().is_some());
        assert_eq!(outcome(decided), Some(COMPLETE));
    }

    #[test]
    fn the_first_failure_abandons_and_later_words_change_nothing() {
        let (mut shares, decided, _) = shares(3);
        let delay = Settlement::Abandon { delay: Some(std::time::Duration::from_secs(1)) };
        assert!(shares.pop().unwrap().fail(delay).is_some());
        assert!(shares.pop().unwrap().fail(ABANDON).is_none());
        assert!(shares.pop().unwrap().succeed().is_none());
        assert_eq!(outcome(decided), Some(delay));
    }

    #[test]
    fn whoever_decides_before_at_or_after_the_loss_of_the_lock_hears_of_it() {
        let lapsed = Error::new(ErrorKind::Timeout, "extend a lock", "too long");
        let (mut some, decided, work) = shares(1);
        let early = some.pop().unwrap().succeed();
        work.lose_lock(decided, &lapsed);
        let (mut some, decided, work) = shares(1);
        work.lose_lock(decided, &lapsed);
        let late = some.pop().unwrap().fail(ABANDON);
        for settled in [early, late] {
            let error = settled.unwrap().try_recv().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LockLost);
            assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "extend a lock: too long");
        }
    }

    #[test]
    fn whoever_decides_after_the_end_of_the_link_is_told_nothing_here() {
        let (mut some, decided, _) = shares(1);
        drop(decided);
        assert!(some.pop().unwrap().succeed().unwrap().try_recv().is_err());
    }

    #[test]
    fn a_share_dropped_without_a_word_is_a_failure() {
        let (some, decided, _) = shares(2);
        drop(some);
        assert_eq!(outcome(decided), Some(ABANDON));
    }

    #[test]
    fn a_delivery_that_nobody_wants_is_complete() {
        let (none, decided, _) = shares(0);
        assert!(none.is_empty());
        assert_eq!(outcome(decided), Some(COMPLETE));
    }
}
