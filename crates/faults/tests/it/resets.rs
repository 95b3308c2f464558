//! The publisher's link is reset in the middle of its publishing, in paused time and in memory.

#![expect(clippy::disallowed_methods, reason = "paused time is measured")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use faults::Ledger;
use ftrack_hub::{Event, Session};
use hub_emulator::Emulator;
use hub_emulator::ftrack::Action;
use serde_json::json;
use tokio::time::{Instant, timeout};

const PUBLISHES: usize = 200;
/// How many publishes before the reset the acknowledgements begin to be withheld, so that some are in doubt.
const AHEAD: usize = 12;

async fn session(emulator: &Emulator, user: &str) -> Session {
    let session = Session::builder(emulator.ftrack_url(), user, "any-key")
        .dialer(emulator.ftrack_dialer())
        .build()
        .unwrap();
    session.event_hub().connect().await.unwrap();
    session
}

/// Publishes, with withheld acknowledgements after `cut` events and a reset soon after, and tells what the ledger holds.
async fn run(cut: usize) -> (Ledger, u64) {
    let emulator = Emulator::builder().in_memory().start().await.unwrap();
    let ann = session(&emulator, "ann").await;
    let publisher = emulator.connections()[0].id;
    let ben = session(&emulator, "ben").await;
    let ledger = Arc::new(Mutex::new(Ledger::new()));
    let seen = Arc::clone(&ledger);
    ben.event_hub()
        .subscribe("topic=t")
        .handle(move |event: Event| {
            let seen = Arc::clone(&seen);
            async move { seen.lock().unwrap().seen(event.data_value()["n"].to_string()) }
        })
        .await
        .unwrap();
    let start = Instant::now();
    let mut publishing = Vec::new();
    for n in 0..PUBLISHES {
        ledger.lock().unwrap().sent(n.to_string(), start.elapsed());
        let publish = ann.event_hub().publish(Event::new("t", &json!({"n": n})).unwrap());
        publishing.push(tokio::spawn(publish.into_future()));
        tokio::task::yield_now().await;
        if n == cut {
            emulator.ftrack_faults().fire_at(publisher, Action::WithholdAcks { count: 5 }).unwrap();
        }
        if n == cut + AHEAD {
            emulator.ftrack_faults().fire_at(publisher, Action::Reset).unwrap();
        }
    }
    let mut resent = 0;
    for (n, publish) in publishing.into_iter().enumerate() {
        let receipt = publish.await.unwrap().unwrap();
        resent += u64::from(receipt.attempts > 1);
        ledger.lock().unwrap().acknowledged(n.to_string());
    }
    tokio::time::sleep(Duration::from_secs(5)).await; // paused
    ann.event_hub().close().await;
    ben.event_hub().close().await;
    let ledger = ledger.lock().unwrap().clone();
    (ledger, resent)
}

#[tokio::test(start_paused = true)]
async fn every_acknowledged_publish_around_a_reset_arrives_once() {
    let mut resent = 0;
    for cut in (0..PUBLISHES - AHEAD).step_by(10) {
        let (ledger, again) = timeout(Duration::from_secs(600), run(cut)).await.expect("it takes too long");
        resent += again;
        assert_eq!(ledger.verdict(), faults::Verdict::default(), "reset after {cut}");
    }
    assert!(resent > 0, "no reset hit a publish in flight: the test proves nothing");
}
