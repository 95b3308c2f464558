//! Priority and stop: when an event is wanted at several priorities, the smaller numbers finish first.
//!
//! A lane starts such an event only when every lane of a smaller number that also got it has finished with it,
//! and skips it if one of them stopped it. Finished means handled, failed, dropped by overflow, unsubscribed or
//! released. Nothing waits on a larger or an equal number, so gates cannot wait on each other in a circle; a
//! handler that waits for an answer gives up its gate first.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Whether a lane may start an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Wait,
    Start,
    Skip,
}

/// The rules, without locks and wakers.
#[derive(Debug)]
struct Rules {
    /// Priorities in ascending order, and how many lanes of each have not finished.
    levels: Vec<(i32, usize)>,
    /// The level whose handler stopped the event.
    stopped_at: Option<usize>,
}

impl Rules {
    fn new(priorities: impl IntoIterator<Item = i32>) -> Self {
        let mut levels: Vec<(i32, usize)> = Vec::new();
        for priority in priorities {
            match levels.binary_search_by_key(&priority, |l| l.0) {
                Ok(at) => levels[at].1 += 1,
                Err(at) => levels.insert(at, (priority, 1)),
            }
        }
        Self { levels, stopped_at: None }
    }

    fn turn(&self, level: usize) -> Turn {
        if self.stopped_at.is_some_and(|stopped| stopped < level) {
            Turn::Skip
        } else if self.levels[..level].iter().any(|l| l.1 > 0) {
            Turn::Wait
        } else {
            Turn::Start
        }
    }

    fn finish(&mut self, level: usize) {
        self.levels[level].1 = self.levels[level].1.saturating_sub(1);
    }

    fn stop(&mut self, level: usize) {
        self.stopped_at = Some(self.stopped_at.map_or(level, |stopped| stopped.min(level)));
    }
}

/// The gate of one event.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<(Rules, Vec<Waker>)>,
}

/// One lane's place at a gate. Dropping the last reference counts as finished.
#[derive(Debug)]
pub(crate) struct Ticket {
    gate: Arc<Gate>,
    level: usize,
    finished: AtomicBool,
}

impl Gate {
    /// A gate for lanes of these priorities.
    pub(crate) fn new(priorities: impl IntoIterator<Item = i32>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new((Rules::new(priorities), Vec::new())) })
    }

    /// The place of one lane. Ask once per lane.
    pub(crate) fn ticket(self: &Arc<Self>, priority: i32) -> Arc<Ticket> {
        let level = self.state.lock().0.levels.partition_point(|l| l.0 < priority);
        Arc::new(Ticket { gate: Arc::clone(self), level, finished: AtomicBool::new(false) })
    }

    fn change(&self, change: impl FnOnce(&mut Rules)) {
        let wakers = {
            let mut state = self.state.lock();
            change(&mut state.0);
            std::mem::take(&mut state.1)
        };
        for waker in wakers {
            waker.wake();
        }
    }
}

impl Ticket {
    /// Waits for this lane's turn: `true` to start, `false` to skip. Cancel-safe.
    pub(crate) async fn turn(&self) -> bool {
        poll_fn(|cx| self.poll_turn(cx)).await
    }

    pub(crate) fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.gate.state.lock();
        match state.0.turn(self.level) {
            Turn::Start => Poll::Ready(true),
            Turn::Skip => Poll::Ready(false),
            Turn::Wait => {
                if !state.1.iter().any(|w| w.will_wake(cx.waker())) {
                    state.1.push(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// This lane is done with the event. Further calls do nothing.
    pub(crate) fn finish(&self) {
        if !self.finished.swap(true, Ordering::AcqRel) {
            self.gate.change(|rules| rules.finish(self.level));
        }
    }

    /// Keeps the event from lanes of larger numbers. `false` when the right to do so was given up.
    pub(crate) fn stop(&self) -> bool {
        if self.finished.load(Ordering::Acquire) {
            return false;
        }
        self.gate.change(|rules| rules.stop(self.level));
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
#[path = "tests/gate.rs"]
mod tests;
