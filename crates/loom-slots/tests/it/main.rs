//! What must hold of the slots in every order of steps: nothing hangs, no slot is left, and every answer is accounted
//! for: read by whoever asked, or told as a duplicate, late, or left unread.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which say how much they explored")]

#[path = "../../../event-core/src/correlator/slots.rs"]
mod slots;
mod sync;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use loom::future::{AtomicWaker, block_on};
use loom::sync::atomic::AtomicBool;
use loom::thread;

use slots::{Outcome, Slots, Tally};
use sync::Arc;

type Table = Slots<u8, u8>;

/// How often a thread may be interrupted where it could go on, in scenes whose orders are too many to see them all. Real
/// faults show with two or three.
const INTERRUPTIONS: usize = 3;

/// Explores every order and says how many executions there were.
fn explore(at_least: usize, scene: impl Fn() + Send + Sync + 'static) {
    explore_within(None, at_least, scene);
}

/// Explores every order with at most so many interruptions.
fn explore_within(bound: Option<usize>, at_least: usize, scene: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let counting = std::sync::Arc::clone(&executions);
    let mut exploring = loom::model::Builder::new();
    exploring.preemption_bound = bound;
    exploring.check(move || {
        counting.fetch_add(1, Ordering::Relaxed);
        scene();
    });
    let explored = executions.load(Ordering::Relaxed);
    println!("{}: {explored} executions", std::thread::current().name().unwrap_or("?"));
    assert!(explored >= at_least, "{explored} executions: nothing ran at the same time");
}

fn reply(table: &Arc<Table>, key: u8, answer: u8) -> thread::JoinHandle<Outcome> {
    let table = Arc::clone(table);
    thread::spawn(move || table.resolve(&key, answer))
}

/// A deadline that comes whenever it likes.
#[derive(Default)]
struct Deadline {
    passed: AtomicBool,
    waker: AtomicWaker,
}

impl Deadline {
    fn pass(&self) {
        self.passed.store(true, loom::sync::atomic::Ordering::Release);
        self.waker.wake();
    }
}

/// Waits as a request does: for the reply first, then for the deadline.
fn reply_or_timeout(asked: &mut slots::Asked<u8, u8>, deadline: &Deadline) -> Option<u8> {
    block_on(std::future::poll_fn(|cx| {
        if let Poll::Ready(answer) = asked.poll_next(cx) {
            return Poll::Ready(Some(answer));
        }
        deadline.waker.register_by_ref(cx.waker());
        if deadline.passed.load(loom::sync::atomic::Ordering::Acquire) {
            return Poll::Ready(None);
        }
        Poll::Pending
    }))
}

fn tally(read: u64, unread: u64) -> Tally {
    Tally { read, unread }
}

#[test]
fn whoever_waits_is_woken_by_the_reply() {
    explore(2, || {
        let table = Arc::new(Table::default());
        let mut asked = Slots::open(&table, 1, 1).unwrap();
        let replying = reply(&table, 1, 7);
        assert_eq!(block_on(asked.next()), 7);
        drop(asked);
        assert_eq!(replying.join().unwrap(), Outcome::Delivered);
        assert_eq!((table.len(), table.tally()), (0, tally(1, 0)));
    });
}

#[test]
fn a_reply_that_meets_the_deadline_is_read_or_told() {
    explore_within(Some(INTERRUPTIONS), 10, || {
        let table = Arc::new(Table::default());
        let deadline = Arc::new(Deadline::default());
        let mut asked = Slots::open(&table, 1, 1).unwrap();
        let replying = reply(&table, 1, 7);
        let passing = Arc::clone(&deadline);
        let passing = thread::spawn(move || passing.pass());
        let got = reply_or_timeout(&mut asked, &deadline);
        drop(asked);
        let outcome = replying.join().unwrap();
        passing.join().unwrap();
        match (got, outcome) {
            (Some(7), Outcome::Delivered) => assert_eq!(table.tally(), tally(1, 0)),
            (None, Outcome::Delivered) => assert_eq!(table.tally(), tally(0, 1)),
            (None, Outcome::Late) => assert_eq!(table.tally(), tally(0, 0)),
            other => panic!("{other:?}"),
        }
        assert_eq!(table.len(), 0);
    });
}

#[test]
fn a_reply_that_meets_the_drop_of_its_request_is_late_or_left() {
    explore(2, || {
        let table = Arc::new(Table::default());
        let asked = Slots::open(&table, 1, 1).unwrap();
        let replying = reply(&table, 1, 7);
        drop(asked);
        match replying.join().unwrap() {
            Outcome::Late => assert_eq!(table.tally(), tally(0, 0)),
            Outcome::Delivered => assert_eq!(table.tally(), tally(0, 1)),
            other => panic!("{other:?}"),
        }
        assert_eq!(table.len(), 0);
    });
}

#[test]
fn of_two_replies_one_is_delivered_and_the_other_is_a_duplicate() {
    explore_within(Some(INTERRUPTIONS), 10, || {
        let table = Arc::new(Table::default());
        let mut asked = Slots::open(&table, 1, 1).unwrap();
        let both = [reply(&table, 1, 7), reply(&table, 1, 8)];
        let got = block_on(asked.next());
        drop(asked);
        let outcomes = both.map(|replying| replying.join().unwrap());
        let expected = if got == 7 {
            [Outcome::Delivered, Outcome::Duplicate]
        } else {
            [Outcome::Duplicate, Outcome::Delivered]
        };
        assert_eq!(outcomes, expected, "{got}");
        assert_eq!((table.len(), table.tally()), (0, tally(1, 0)));
    });
}

#[test]
fn duplicates_that_meet_deadline_and_drop_are_all_accounted_for() {
    explore_within(Some(INTERRUPTIONS - 1), 100, || {
        let table = Arc::new(Table::default());
        let deadline = Arc::new(Deadline::default());
        let mut asked = Slots::open(&table, 1, 1).unwrap();
        let both = [reply(&table, 1, 7), reply(&table, 1, 8)];
        let passing = Arc::clone(&deadline);
        let passing = thread::spawn(move || passing.pass());
        let got = reply_or_timeout(&mut asked, &deadline);
        drop(asked);
        let outcomes = both.map(|replying| replying.join().unwrap());
        passing.join().unwrap();
        let delivered = outcomes.iter().filter(|outcome| **outcome == Outcome::Delivered).count() as u64;
        let Tally { read, unread } = table.tally();
        assert!(delivered <= 1, "{outcomes:?}");
        assert_eq!((read, read + unread), (u64::from(got.is_some()), delivered), "{outcomes:?}");
        for outcome in outcomes {
            assert!(
                matches!(outcome, Outcome::Delivered | Outcome::Duplicate | Outcome::Late),
                "{outcome:?}"
            );
        }
        assert_eq!(table.len(), 0);
    });
}

#[test]
fn two_askers_get_each_their_own_reply() {
    explore_within(Some(INTERRUPTIONS), 10, || {
        let table = Arc::new(Table::default());
        let asking = Arc::clone(&table);
        let mut first = Slots::open(&table, 1, 1).unwrap();
        let other = thread::spawn(move || {
            let mut second = Slots::open(&asking, 2, 1).unwrap();
            let replying = reply(&asking, 2, 20);
            let got = block_on(second.next());
            (got, replying.join().unwrap())
        });
        assert_eq!(table.resolve(&1, 10), Outcome::Delivered);
        assert_eq!(block_on(first.next()), 10);
        drop(first);
        assert_eq!(other.join().unwrap(), (20, Outcome::Delivered));
        assert_eq!((table.len(), table.tally()), (0, tally(2, 0)));
    });
}

#[test]
fn of_two_who_ask_with_one_id_at_the_same_time_one_is_refused_and_nothing_is_left() {
    explore(2, || {
        let table = Arc::new(Table::default());
        let asking = Arc::clone(&table);
        let other = thread::spawn(move || Slots::open(&asking, 1, 1));
        let mine = Slots::open(&table, 1, 1);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some());
        drop((mine, theirs));
        assert_eq!(table.len(), 0);
    });
}

#[test]
fn a_stream_of_replies_gives_every_one_that_was_delivered_before_it_ends() {
    explore_within(Some(INTERRUPTIONS), 10, || {
        let table = Arc::new(Table::default());
        let mut asked = Slots::open(&table, 1, 4).unwrap();
        let both = [reply(&table, 1, 7), reply(&table, 1, 8)];
        let mut got = [block_on(asked.next()), block_on(asked.next())];
        drop(asked);
        got.sort_unstable();
        assert_eq!(got, [7, 8]);
        assert_eq!(both.map(|replying| replying.join().unwrap()), [Outcome::Delivered; 2]);
        assert_eq!((table.len(), table.tally()), (0, tally(2, 0)));
    });
}
