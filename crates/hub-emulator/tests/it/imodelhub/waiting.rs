#![expect(clippy::disallowed_methods, reason = "paused time is measured")]

use std::time::Duration;

use hub_emulator::Emulator;
use hub_emulator::imodelhub::State;
use tokio::time::Instant;

use super::{Lab, unwrapped};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn one_waits(state: &State) -> bool {
    state.waiting() == 1
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_held_as_long_as_it_asks_and_no_longer_than_allowed() {
    let lab = Lab::with(Emulator::builder().max_poll(seconds(100))).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    for (query, held) in
        [("", 0), ("?timeout=0", 0), ("?timeout=2", 2), ("?TIMEOUT=60&api-version=2016-07", 60)]
    {
        let start = Instant::now();
        assert_eq!(lab.head("DELETE", &queue, query).await.status(), 204);
        assert_eq!(start.elapsed().as_secs(), held, "{query}");
    }
    for query in ["?timeout=101", "?timeout=99999999999999999999999999"] {
        let start = Instant::now();
        assert_eq!(lab.head("POST", &queue, query).await.status(), 204);
        assert_eq!(start.elapsed().as_secs(), 100, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_wakes_one_poll_of_each_subscription_at_once() {
    let lab = Lab::new().await;
    let (first, second) = (lab.subscribe(&["VersionEvent"]).await, lab.subscribe(&["VersionEvent"]).await);
    let start = Instant::now();
    let publish = async {
        lab.emulator.wait_for_imodelhub(|state| state.waiting() == 3).await;
        lab.publish(1..2);
        lab.emulator.wait_for_imodelhub(one_waits).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        lab.publish(2..3);
    };
    let (a, b, c, ()) = tokio::join!(
        lab.head("DELETE", &first, "?timeout=60"),
        lab.head("DELETE", &first, "?timeout=60"),
        lab.head("POST", &second, "?timeout=60"),
        publish
    );
    let mut got = [unwrapped(&a), unwrapped(&b)];
    got.sort();
    assert_eq!((got.map(|body| body.parse::<u64>().unwrap()), unwrapped(&c).as_str()), ([1, 2], "1"));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(lab.emulator.imodelhub_state().queued(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_poll_gets_a_message_whose_lock_ends_or_is_given_back() {
    let lab = Lab::with(Emulator::builder().lock_duration(seconds(30))).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(1..2);
    lab.head("POST", &queue, "").await;
    let start = Instant::now();
    let lapsed = lab.head("POST", &queue, "?timeout=60").await;
    assert_eq!((unwrapped(&lapsed).as_str(), start.elapsed().as_secs()), ("1", 30));
    let location = super::header(&lapsed, "location");
    let give_back = async {
        lab.emulator.wait_for_imodelhub(one_waits).await;
        lab.settle("PUT", &queue, &location).await
    };
    let (again, status) = tokio::join!(lab.head("DELETE", &queue, "?timeout=60"), give_back);
    assert_eq!((unwrapped(&again).as_str(), status, start.elapsed().as_secs()), ("1", 200, 30));
}

#[tokio::test(start_paused = true)]
async fn putting_the_clock_forward_ends_polls_and_locks() {
    let lab = Lab::new().await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    let start = Instant::now();
    let forward = async {
        lab.emulator.wait_for_imodelhub(one_waits).await;
        lab.emulator.advance(seconds(61));
    };
    assert_eq!(tokio::join!(lab.head("DELETE", &queue, "?timeout=60"), forward).0.status(), 204);
    lab.publish(1..2);
    lab.head("POST", &queue, "").await;
    let forward = async {
        lab.emulator.wait_for_imodelhub(one_waits).await;
        lab.emulator.advance(seconds(60));
    };
    let (lapsed, ()) = tokio::join!(lab.head("DELETE", &queue, "?timeout=200"), forward);
    assert_eq!((unwrapped(&lapsed).as_str(), start.elapsed()), ("1", Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_poll_ends_with_its_subscription() {
    let lab = Lab::new().await;
    let gone = "<Error><Code>410</Code><Detail>subscription deleted while waiting</Detail></Error>";
    let deleted = lab.subscribe(&["VersionEvent"]).await;
    let delete = async {
        lab.emulator.wait_for_imodelhub(one_waits).await;
        lab.rest("DELETE", &super::subscriptions(&deleted.id), &serde_json::Value::Null).await.0
    };
    let (answer, status) = tokio::join!(lab.head("DELETE", &deleted, "?timeout=60"), delete);
    assert_eq!((answer.status().as_u16(), &answer.body()[..], status), (410, gone.as_bytes(), 200));
    let of_deleted_imodel = lab.subscribe(&["VersionEvent"]).await;
    lab.emulator.publish_imodel_event(super::IMODEL, "iModelDeletedEvent", None);
    lab.emulator.advance(seconds(200));
    let start = Instant::now();
    let answer = lab.head("DELETE", &of_deleted_imodel, "?timeout=230").await;
    assert_eq!((answer.status().as_u16(), start.elapsed().as_secs()), (410, 100));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_takes_no_message() {
    let lab = Lab::new().await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    tokio::select! {
        _ = lab.head("DELETE", &queue, "?timeout=60") => panic!("there is no message"),
        _ = lab.emulator.wait_for_imodelhub(one_waits) => {}
    }
    let state = lab.emulator.imodelhub_state();
    assert_eq!(state.waiting(), 0);
    lab.publish(1..2);
    assert_eq!(lab.emulator.imodelhub_state().queued(), 1);
    assert_eq!(unwrapped(&lab.head("DELETE", &queue, "").await), "1");
    let captures = lab.emulator.imodelhub_captures();
    let left: Vec<_> = captures.iter().filter(|record| record["note"] == "client closed").collect();
    assert!(left.len() == 1 && left[0]["response"].is_null());
}
