//! A session with a journal: places past a restart, publishes without a server.

use ftrack_hub::journal::{Config, GAP_TOPIC, Journal};
use ftrack_hub::{ConnectionState, Event, Session};
use hub_emulator::Emulator;
use serde_json::json;

use crate::support::within;

async fn session(emulator: &Emulator, journal: &Journal) -> Session {
    let session =
        Session::builder(emulator.ftrack_url(), "ann", "her-key").journal(journal.clone()).build().unwrap();
    session.event_hub().connect().await.unwrap();
    session
}

async fn connected(session: &Session) {
    within(session.event_hub().wait_for_state(ConnectionState::is_connected)).await;
}

fn event(n: u64) -> Event {
    Event::new("journal.test", &json!({ "n": n })).unwrap()
}

#[tokio::test]
async fn a_durable_subscription_goes_on_in_the_next_session_and_learns_of_the_gap() {
    let emulator = Emulator::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.journal");
    let expression = format!("topic=journal.test or topic={GAP_TOPIC}");
    let journal = Journal::open(&path, Config::default()).await.unwrap();
    let first = session(&emulator, &journal).await;
    connected(&first).await;
    let mut stream = first.event_hub().subscribe(&expression).durable("worker").stream().await.unwrap();
    for n in 1..=3 {
        first.event_hub().publish(event(n)).await.unwrap();
    }
    let delivery = within(stream.next()).await.unwrap().unwrap();
    assert_eq!(delivery.event().data_value()["n"], 1);
    delivery.ack().await.unwrap();
    // All are there before this session ends without a word.
    while journal.stats().appended < 3 {
        within(tokio::task::yield_now()).await;
    }
    drop((delivery, stream, first));
    within(journal.close()).await;

    let journal = Journal::open(&path, Config::default()).await.unwrap();
    let second = session(&emulator, &journal).await;
    let mut stream = second.event_hub().subscribe(&expression).durable("worker").stream().await.unwrap();
    let mut came = Vec::new();
    for _ in 0..3 {
        let delivery = within(stream.next()).await.unwrap().unwrap();
        came.push((*delivery.event().topic() == GAP_TOPIC, delivery.event().data_value()["n"].as_u64()));
        delivery.ack().await.unwrap();
    }
    assert_eq!(came, [(false, Some(2)), (false, Some(3)), (true, None)]);
    second.event_hub().close().await;
}

#[tokio::test]
async fn a_publish_is_taken_without_a_server_and_arrives_with_it() {
    let emulator = Emulator::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path().join("events.journal"), Config::default()).await.unwrap();
    emulator.stop().await;
    let session = session(&emulator, &journal).await;
    for n in 1..=3 {
        within(session.event_hub().publish(event(n))).await.unwrap();
    }
    assert_eq!(journal.stats().outbox, 3);
    let mut stream = within(session.event_hub().subscribe("topic=journal.test").stream()).await.unwrap();
    emulator.restart().await.unwrap();
    for n in 1..=3 {
        let delivery = within(stream.next()).await.unwrap().unwrap();
        assert_eq!(delivery.event().data_value()["n"], n);
    }
    while journal.stats().outbox > 0 {
        within(tokio::task::yield_now()).await;
    }
    session.event_hub().close().await;
}
