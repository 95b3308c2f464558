use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn policy() -> RetryPolicy {
    RetryPolicy {
        first: Duration::from_millis(100),
        max: Duration::from_secs(1),
        deliveries: 3,
        lock: Duration::from_millis(500),
    }
}

const ABANDON: Settlement = Settlement::Abandon { delay: None };

#[test]
fn pauses_double_up_to_the_longest() {
    let pauses: Vec<_> = (1..=6).map(|n| policy().pause(n).as_millis()).collect();
    assert_eq!(pauses, [100, 200, 400, 800, 1_000, 1_000]);
    assert_eq!(policy().pause(u32::MAX).as_millis(), 1_000);
}

#[test]
fn an_abandoned_delivery_comes_again_later_and_at_last_is_dead() {
    let mut cursor = Cursor::new(5);
    let first = cursor.deliver(5, 0, &policy());
    assert_eq!((first.sequence, first.attempt, cursor.next(), cursor.floor()), (5, 1, 6, 5));
    assert_eq!(cursor.settle(5, first.lease, ABANDON, 10, &policy()), Some(Settled::Again { due: 110 }));
    assert_eq!((cursor.due(109), cursor.due(110)), (None, Some(5)));
    let Some(Again::Deliver(second)) = cursor.again(5, 110, &policy()) else { panic!() };
    assert_eq!(second.attempt, 2);
    let delay = Settlement::Abandon { delay: Some(Duration::from_millis(7)) };
    assert_eq!(cursor.settle(5, second.lease, delay, 200, &policy()), Some(Settled::Again { due: 207 }));
    let Some(Again::Deliver(third)) = cursor.again(5, 207, &policy()) else { panic!() };
    let dead = Settled::Dead { attempts: 3, cause: Cause::DeliveryLimit };
    assert_eq!(cursor.settle(5, third.lease, ABANDON, 300, &policy()), Some(dead));
    assert_eq!((cursor.open(), cursor.in_flight(), cursor.floor()), (0, 0, 6));
}

#[test]
fn a_lapsed_lock_is_nobodys_and_an_extended_one_lasts() {
    let mut cursor = Cursor::new(1);
    let lease = cursor.deliver(1, 0, &policy());
    assert!(cursor.extend(1, lease.lease, 400, &policy()));
    cursor.lapse(899);
    assert_eq!((cursor.in_flight(), cursor.wake_at(true)), (1, Some(900)));
    cursor.lapse(900);
    assert_eq!((cursor.in_flight(), cursor.due(900)), (0, Some(1)));
    assert!(!cursor.extend(1, lease.lease, 900, &policy()));
    assert_eq!(cursor.settle(1, lease.lease, Settlement::Complete, 900, &policy()), None);
    // The next holder is not disturbed by that.
    let Some(Again::Deliver(again)) = cursor.again(1, 900, &policy()) else { panic!() };
    assert_eq!(cursor.settle(1, lease.lease, Settlement::Complete, 901, &policy()), None);
    assert_eq!(cursor.settle(1, again.lease, Settlement::Complete, 901, &policy()), Some(Settled::Done));
}

#[test]
fn a_rejected_delivery_is_dead_at_once() {
    let mut cursor = Cursor::new(1);
    let lease = cursor.deliver(1, 0, &policy());
    let dead = Settled::Dead { attempts: 1, cause: Cause::Rejected };
    assert_eq!(cursor.settle(1, lease.lease, Settlement::Reject, 0, &policy()), Some(dead));
}

#[test]
fn what_crashes_its_worker_each_time_is_given_up() {
    let mut cursor = Cursor::new(1);
    cursor.deliver(1, 0, &policy());
    for _ in 1..3 {
        cursor = Cursor::decode(&cursor.encode()).unwrap();
        assert!(matches!(cursor.again(1, 1, &policy()), Some(Again::Deliver(_))));
    }
    cursor = Cursor::decode(&cursor.encode()).unwrap();
    assert_eq!(cursor.again(1, 1, &policy()), Some(Again::Dead { attempts: 3 }));
}

#[test]
fn what_retention_removed_is_counted() {
    let mut cursor = Cursor::new(1);
    let one = cursor.deliver(1, 0, &policy());
    cursor.deliver(2, 0, &policy());
    cursor.settle(1, one.lease, ABANDON, 0, &policy());
    // Record 1 waited, 3 to 9 were never seen; 2 is in somebody's hands.
    assert_eq!(cursor.removed_before(10), 1 + 7);
    assert_eq!((cursor.next(), cursor.in_flight()), (10, 1));
    assert_eq!(cursor.removed_before(10), 0);
}

/// What may happen to a consumer.
#[derive(Clone, Debug)]
enum Step {
    Fresh { wanted: bool },
    Again,
    Settle { which: usize, outcome: u8 },
    Extend { which: usize },
    Pass(u64),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(|wanted| Step::Fresh { wanted }),
        3 => Just(Step::Again),
        4 => (0..8_usize, 0..3_u8).prop_map(|(which, outcome)| Step::Settle { which, outcome }),
        1 => (0..8_usize).prop_map(|which| Step::Extend { which }),
        2 => (1..700_u64).prop_map(Step::Pass),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    /// Against a plain model: every wanted record is completed, dead or open; none twice; attempts count up.
    #[test]
    fn nothing_is_lost_and_nothing_done_comes_back(steps in prop::collection::vec(step(), 0..120)) {
        let policy = policy();
        let (mut cursor, mut now) = (Cursor::new(1), 0_u64);
        let (mut wanted, mut finished) = (BTreeSet::new(), BTreeSet::new());
        let mut held: Vec<Lease> = Vec::new();
        let mut attempts: BTreeMap<u64, u32> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Fresh { wanted: false } => cursor.skip(cursor.next()),
                Step::Fresh { wanted: true } => {
                    let sequence = cursor.next();
                    wanted.insert(sequence);
                    let lease = cursor.deliver(sequence, now, &policy);
                    attempts.insert(sequence, lease.attempt);
                    held.push(lease);
                }
                Step::Again => {
                    let Some(sequence) = cursor.due(now) else { continue };
                    prop_assert!(!finished.contains(&sequence), "{sequence} is done and comes back");
                    match cursor.again(sequence, now, &policy) {
                        Some(Again::Deliver(lease)) => {
                            prop_assert_eq!(lease.attempt, attempts[&sequence] + 1);
                            attempts.insert(sequence, lease.attempt);
                            held.push(lease);
                        }
                        Some(Again::Dead { attempts: after }) => {
                            prop_assert_eq!(after, policy.deliveries);
                            prop_assert!(finished.insert(sequence));
                        }
                        None => prop_assert!(false, "{sequence} is due and locked"),
                    }
                }
                Step::Settle { which, outcome } => {
                    if held.is_empty() { continue }
                    let lease = held.swap_remove(which % held.len());
                    let outcome = [Settlement::Complete, ABANDON, Settlement::Reject][usize::from(outcome)];
                    match cursor.settle(lease.sequence, lease.lease, outcome, now, &policy) {
                        Some(Settled::Done | Settled::Dead { .. }) => prop_assert!(finished.insert(lease.sequence)),
                        Some(Settled::Again { due }) => prop_assert!(due >= now),
                        None => {}
                    }
                }
                Step::Extend { which } => {
                    if held.is_empty() { continue }
                    let lease = held[which % held.len()];
                    cursor.extend(lease.sequence, lease.lease, now, &policy);
                }
                Step::Pass(time) => {
                    now += time;
                    cursor.lapse(now);
                }
                Step::Crash => {
                    cursor = Cursor::decode(&cursor.encode()).unwrap();
                    held.clear();
                }
            }
            prop_assert_eq!(cursor.open(), wanted.len() - finished.len());
            prop_assert!(cursor.floor() <= cursor.next());
            prop_assert!(cursor.in_flight() <= cursor.open());
        }
    }

    #[test]
    fn a_place_is_read_as_it_was_written(next in any::<u32>(), open in prop::collection::btree_map(any::<u64>(), (any::<u32>(), any::<u64>()), 0..50)) {
        let mut cursor = Cursor::new(u64::from(next));
        for (sequence, (deliveries, due)) in open {
            cursor.open.insert(sequence, Open { deliveries, phase: Phase::Waiting { due } });
        }
        prop_assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor.clone()));
        let bytes = cursor.encode();
        prop_assert_eq!(Cursor::decode(&bytes[..bytes.len() - 1]), None);
    }
}
