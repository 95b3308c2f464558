//! Subscriptions and queues, with the time as a number.

use std::sync::Arc;
use std::time::Duration;

use super::bus::{Bus, Gone, NotSettled, Rules};
use super::ids::Ids;
use super::queue::{Delivery, Settle};
use super::topic::Topic;
use crate::faults::Defects;

const LOCK: u64 = 60;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn topic() -> Topic {
    Topic::IModel("m".into())
}

fn rules() -> Rules {
    Rules {
        lock: at(LOCK),
        max_deliveries: 3,
        idle: at(3_600),
        global_idle: None,
        after_deletion: at(300),
        max_subscriptions: 3,
        max_queued: 5,
    }
}

/// A bus with one subscription to `A` and `iModelDeletedEvent`.
fn bus() -> (Bus, String) {
    let mut bus = Bus::new(rules(), Ids::new(1), Defects::default());
    let types = vec!["A".to_owned(), "iModelDeletedEvent".to_owned()];
    let id = bus.create(topic(), types, None, at(0)).unwrap().id.clone();
    (bus, id)
}

fn publish(bus: &mut Bus, name: &str, body: &'static str, now: u64) -> usize {
    bus.publish(&topic(), &Arc::from(name), body.into(), at(now)).len()
}

fn receive(bus: &mut Bus, id: &str, lock: bool, now: u64) -> Option<Delivery> {
    bus.receive(&topic(), id, lock, at(now)).unwrap()
}

fn body(delivery: Option<Delivery>) -> String {
    delivery.map_or_else(String::new, |delivery| String::from_utf8_lossy(&delivery.event.body).into_owned())
}

fn settle(bus: &mut Bus, id: &str, locked: &Delivery, settle: Settle, now: u64) -> Result<(), NotSettled> {
    let token = locked.lock.as_ref().unwrap().token.clone();
    bus.settle(&topic(), id, (&locked.sequence.to_string(), &token), settle, at(now))
}

#[test]
fn each_subscription_has_its_own_queue_of_what_it_wants_from_its_creation_on() {
    let (mut bus, first) = bus();
    assert_eq!(publish(&mut bus, "A", "1", 1), 1);
    let second = bus.create(topic(), vec!["A".into(), "B".into()], None, at(1)).unwrap().id.clone();
    let other = bus.create(Topic::IModel("n".into()), vec!["A".into()], None, at(1)).unwrap().id.clone();
    assert_eq!((publish(&mut bus, "A", "2", 1), publish(&mut bus, "B", "3", 1)), (2, 1));
    let taken = |bus: &mut Bus, id: &str| -> Vec<String> {
        std::iter::from_fn(|| receive(bus, id, false, 2)).map(|delivery| body(Some(delivery))).collect()
    };
    assert_eq!(taken(&mut bus, &first), ["1", "2"]);
    assert_eq!(taken(&mut bus, &second.to_ascii_uppercase()), ["2", "3"]);
    assert_eq!(bus.receive(&topic(), &other, false, at(2)).err(), Some(Gone), "of another iModel");
    assert!(bus.create(topic(), vec![], None, at(2)).is_none(), "no room");
}

#[test]
fn a_lock_hides_and_returns_to_the_front_in_order() {
    let (mut bus, id) = bus();
    for text in ["1", "2", "3"] {
        publish(&mut bus, "A", text, 0);
    }
    let first = receive(&mut bus, &id, true, 0).unwrap();
    let second = receive(&mut bus, &id, true, 10).unwrap();
    assert_eq!((first.sequence, second.sequence, first.count), (1, 2, 1));
    assert_eq!(first.lock.as_ref().unwrap().until, at(LOCK));
    assert_eq!(bus.next_end(&id), Some(at(LOCK)));
    settle(&mut bus, &id, &second, Settle::Unlock, 20).unwrap();
    assert_eq!(body(receive(&mut bus, &id, false, 59)), "2", "given back before 3");
    let again = receive(&mut bus, &id, true, 60).unwrap();
    assert_eq!((again.sequence, again.count, &again.event.message_id), (1, 2, &first.event.message_id));
    assert_ne!(again.lock, first.lock);
    assert_eq!(settle(&mut bus, &id, &first, Settle::Complete, 60), Err(NotSettled::NoSuchLock));
    settle(&mut bus, &id, &again, Settle::Complete, 61).unwrap();
    assert_eq!(settle(&mut bus, &id, &again, Settle::Complete, 61), Err(NotSettled::NoSuchLock));
    assert_eq!(body(receive(&mut bus, &id, false, 61)), "3");
    assert_eq!((bus.stats.locks_lapsed, bus.stats.redeliveries), (1, 2));
}

#[test]
fn a_renewed_lock_lasts_from_then_on_and_message_ids_serve_too() {
    let (mut bus, id) = bus();
    publish(&mut bus, "A", "1", 0);
    let locked = receive(&mut bus, &id, true, 0).unwrap();
    let token = locked.lock.clone().unwrap().token.to_ascii_uppercase();
    let message = locked.event.message_id.to_ascii_uppercase();
    bus.settle(&topic(), &id, (&message, &token), Settle::Renew(at(LOCK)), at(50)).unwrap();
    assert!(receive(&mut bus, &id, true, 109).is_none());
    for wrong in [("1", "x"), ("2", token.as_str()), ("x", token.as_str())] {
        let settled = bus.settle(&topic(), &id, wrong, Settle::Complete, at(109));
        assert_eq!(settled, Err(NotSettled::NoSuchLock));
    }
    assert_eq!(receive(&mut bus, &id, true, 110).unwrap().count, 2);
}

#[test]
fn a_message_delivered_too_often_is_taken_out_and_counted() {
    let (mut bus, id) = bus();
    publish(&mut bus, "A", "1", 0);
    for count in 1..=3 {
        let locked = receive(&mut bus, &id, true, 0).unwrap();
        assert_eq!(locked.count, count);
        settle(&mut bus, &id, &locked, Settle::Unlock, 0).unwrap();
    }
    assert!(receive(&mut bus, &id, true, 0).is_none());
    assert_eq!((bus.stats.dead_lettered, bus.stats.unlocked), (1, 3));
    publish(&mut bus, "A", "2", 0);
    for turn in 0..3 {
        assert!(receive(&mut bus, &id, true, turn * LOCK).is_some());
    }
    assert!(receive(&mut bus, &id, true, 3 * LOCK).is_none());
    assert_eq!(bus.stats.dead_lettered, 2);
}

#[test]
fn a_subscription_ends_an_hour_after_its_last_use() {
    let (mut bus, id) = bus();
    receive(&mut bus, &id, false, 3_599);
    bus.update(&topic(), &id, vec!["A".into()], at(7_198)).unwrap();
    assert!(bus.tick(at(10_797)).is_empty());
    bus.waiting(&id, true, at(10_797));
    assert!(bus.tick(at(99_999)).is_empty(), "a poll that waits is use");
    bus.waiting(&id, false, at(99_999));
    assert!(bus.tick(at(103_598)).is_empty());
    assert_eq!(bus.tick(at(103_599)), std::slice::from_ref(&id));
    assert_eq!(bus.receive(&topic(), &id, false, at(103_599)).err(), Some(Gone));
    assert_eq!(bus.stats.subscriptions_expired, 1);
    bus.create(Topic::Global, vec![], Some("G".into()), at(0)).unwrap();
    assert!(bus.tick(at(1_000_000_000)).is_empty(), "a global one does not, unless it is told to");
    assert!(bus.with_given_id("g", at(1_000_000_000)).is_some());
    bus.rules.global_idle = Some(at(10));
    assert!(bus.with_given_id("g", at(1_000_000_000)).is_none());
}

#[test]
fn a_subscription_outlives_its_imodel_by_five_minutes_even_without_wanting_to_know() {
    let (mut bus, id) = bus();
    let deaf = bus.create(topic(), vec!["A".into()], None, at(0)).unwrap().id.clone();
    publish(&mut bus, "A", "1", 0);
    assert_eq!(publish(&mut bus, "iModelDeletedEvent", "gone", 100), 1);
    assert_eq!(bus.next_end(&deaf), Some(at(400)));
    assert_eq!(body(receive(&mut bus, &id, false, 399)), "1");
    publish(&mut bus, "iModelDeletedEvent", "again", 399);
    assert_eq!(bus.receive(&topic(), &id, false, at(400)).err(), Some(Gone));
    assert_eq!(bus.tick(at(400)), [deaf]);
}

#[test]
fn a_full_queue_drops_what_comes_and_counts_it() {
    let (mut bus, id) = bus();
    let queued: usize = (0..7).map(|_| publish(&mut bus, "A", "x", 0)).sum();
    assert_eq!((queued, bus.stats.events_over_limit), (5, 2));
    receive(&mut bus, &id, false, 0);
    assert_eq!(publish(&mut bus, "A", "x", 0), 1);
}

#[test]
fn a_changed_filter_leaves_what_is_queued() {
    let (mut bus, id) = bus();
    publish(&mut bus, "A", "1", 0);
    bus.update(&topic(), &id, vec!["B".into()], at(0)).unwrap();
    assert_eq!((publish(&mut bus, "A", "2", 0), publish(&mut bus, "B", "3", 0)), (0, 1));
    assert_eq!(body(receive(&mut bus, &id, false, 0)), "1");
    assert_eq!(body(receive(&mut bus, &id, false, 0)), "3");
    bus.delete(&topic(), &id, at(0)).unwrap();
    assert_eq!(bus.delete(&topic(), &id, at(0)), Err(Gone));
    assert!(bus.update(&topic(), &id, vec![], at(0)).is_err());
}
