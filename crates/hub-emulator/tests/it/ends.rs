//! How connections end.

use std::time::Duration;

use hub_emulator::Emulator;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Client, event, wait_for, within};

#[tokio::test]
async fn heartbeats_come_at_the_interval_and_every_form_of_answer_counts() {
    let emulator = Emulator::builder()
        .heartbeat_interval(Duration::from_millis(50))
        .heartbeat_timeout(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    let mut client = Client::connect(&emulator).await;
    // Answered beats outlast the timeout.
    for n in 0..30 {
        assert_eq!(client.next().await, "2::");
        client.send(if n % 2 == 0 { "2::" } else { "2:::" }).await;
    }
    let state = wait_for(&emulator, |state| state.stats.heartbeats_received == 30).await;
    assert_eq!((state.connections, state.stats.cut_silent), (1, 0));
}

#[tokio::test]
async fn a_heartbeat_that_nobody_asked_for_gets_no_answer() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.send("2::").await;
    client.send("2:::").await;
    client.publish_acked(&event("a")).await;
    assert_eq!(emulator.stats().heartbeats_received, 2);
}

#[tokio::test]
async fn a_silent_client_is_cut() {
    let emulator = Emulator::builder()
        .heartbeat_interval(Duration::from_millis(50))
        .heartbeat_timeout(Duration::from_millis(300))
        .start()
        .await
        .unwrap();
    let mut client = Client::connect(&emulator).await;
    let state = wait_for(&emulator, |state| state.stats.cut_silent == 1).await;
    assert_eq!((state.connections, state.stats.connections_closed), (0, 1));
    assert!(client.rest().await.iter().all(|packet| packet == "2::"));
}

#[tokio::test]
async fn a_client_that_says_goodbye_gets_it_back_and_then_the_end() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=*").await;
    client.send("0::").await;
    assert_eq!(client.rest().await, ["0::"]);
    let state = wait_for(&emulator, |state| state.connections == 0).await;
    assert_eq!(state.subscriptions, 0);
}

#[tokio::test]
async fn a_websocket_close_is_answered_by_a_fin_alone() {
    let emulator = Emulator::start().await.unwrap();
    let mut stream = Client::connect(&emulator).await.into_stream();
    stream.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, [0_u8; 0]);
    wait_for(&emulator, |state| state.connections == 0).await;
}

#[tokio::test]
async fn a_client_that_vanishes_takes_its_subscriptions_along() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=*").await;
    drop(client.into_stream());
    let state = wait_for(&emulator, |state| state.connections == 0).await;
    assert_eq!((state.subscriptions, state.stats.connections_closed), (0, 1));
}

#[tokio::test]
async fn a_frame_beyond_the_limit_ends_the_connection() {
    let emulator = Emulator::builder().max_frame(1000).start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.try_send(&"x".repeat(1000)).await;
    client.publish_acked(&event("a")).await;
    client.try_send(&"x".repeat(1001)).await;
    let state = wait_for(&emulator, |state| state.stats.cut_oversize == 1).await;
    assert_eq!(state.connections, 0);
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_holds_nobody_up() {
    let emulator = Emulator::builder().queue(100, 1024 * 1024).start().await.unwrap();
    let mut stuck = Client::connect(&emulator).await;
    let mut reading = Client::connect(&emulator).await;
    let mut publisher = Client::connect(&emulator).await;
    stuck.subscribe(&json!({"id": "stuck"}), "topic=big").await;
    reading.subscribe(&json!({"id": "reading"}), "topic=big").await;
    let big = json!({"topic": "big", "data": "x".repeat(300_000)});
    let mut rounds = 0;
    while emulator.stats().cut_slow == 0 {
        assert!(rounds < 1000, "300 MB did not fill the queue");
        publisher.publish_acked(&big).await;
        reading.next_event().await;
        rounds += 1;
    }
    let state = emulator.state();
    assert_eq!((state.connections, state.subscriptions, state.stats.cut_slow), (2, 1, 1));
    publisher.publish_acked(&event("big")).await;
    assert_eq!(reading.next_event().await["data"]["n"], 1);
}

#[tokio::test]
async fn a_packet_larger_than_the_queue_reaches_a_client_that_keeps_up() {
    let emulator = Emulator::builder().queue(10, 1000).start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=big").await;
    let packet = format!(
        r#"5:::{{"name":"ftrack.event","args":[{{"topic":"big","data":"{}"}}]}}"#,
        "x".repeat(10_000)
    );
    client.send(&packet).await;
    assert!(client.next().await == packet);
}
