//! A ledger that misses nothing, or the suite proves nothing.

use std::time::Duration;

use crate::{Ledger, Verdict};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn acknowledged(id: &str, seconds: u64) -> Ledger {
    let mut ledger = Ledger::new();
    ledger.sent(id, at(seconds));
    ledger.acknowledged(id);
    ledger
}

#[test]
fn what_was_acknowledged_and_seen_once_is_clean() {
    let mut ledger = acknowledged("a", 1);
    ledger.seen("a");
    assert_eq!(ledger.verdict(), Verdict::default());
}

#[test]
fn acknowledged_and_never_seen_is_lost_and_unreported() {
    let verdict = acknowledged("a", 1).verdict();
    assert_eq!((verdict.lost, verdict.unreported), (vec!["a".to_owned()], vec!["a".to_owned()]));
}

#[test]
fn a_loss_inside_a_reported_gap_is_lost_but_reported() {
    let mut ledger = acknowledged("a", 5);
    ledger.gap(at(5), at(6));
    let verdict = ledger.verdict();
    assert_eq!((verdict.lost, verdict.unreported), (vec!["a".to_owned()], vec![]));
}

#[test]
fn a_gap_elsewhere_excuses_nothing() {
    let mut ledger = acknowledged("a", 5);
    ledger.gap(at(6), at(9));
    assert_eq!(ledger.verdict().unreported, ["a"]);
}

#[test]
fn sent_without_an_acknowledgement_is_not_lost() {
    let mut ledger = Ledger::new();
    ledger.sent("a", at(1));
    assert_eq!(ledger.verdict(), Verdict::default());
}

#[test]
fn every_delivery_beyond_the_first_is_a_duplicate() {
    let mut ledger = acknowledged("a", 1);
    (0..3).for_each(|_| ledger.seen("a"));
    assert_eq!(ledger.verdict().duplicates, 2);
}

#[test]
fn an_id_nobody_sent_is_unknown() {
    let mut ledger = Ledger::new();
    ledger.seen("ghost");
    assert_eq!(ledger.verdict().unknown, ["ghost"]);
}
