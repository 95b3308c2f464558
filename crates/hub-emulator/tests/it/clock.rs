//! The emulator's time, on the ftrack side.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use hub_emulator::Emulator;
use serde_json::json;

use crate::support::{Client, http_over};

#[tokio::test(start_paused = true)]
async fn handshakes_and_event_ids_age_when_the_time_is_put_forward() {
    let emulator = Emulator::builder().in_memory().start().await.unwrap();
    let mut client = Client::in_memory(&emulator).await;
    let event = json!({"topic": "a", "id": "e"});
    client.publish_acked(&event).await;
    client.publish_acked(&event).await;
    assert_eq!(emulator.stats().events_repeated, 1);
    let stream = Box::new(emulator.ftrack_stream().unwrap());
    http_over(stream, "localhost", "GET /socket.io/1/?api_user=a&api_key=k HTTP/1.1", "").await;
    assert_eq!(emulator.state().pending_handshakes, 1);
    emulator.advance(Duration::from_secs(600));
    assert_eq!((emulator.state().pending_handshakes, emulator.stats().handshakes_expired), (0, 1));
    client.publish_acked(&event).await;
    assert_eq!(emulator.stats().events_repeated, 1, "forgotten by then");
}

#[tokio::test(start_paused = true)]
async fn the_time_can_be_the_callers() {
    let seconds = Arc::new(AtomicU64::new(1_000));
    let asked = Arc::clone(&seconds);
    let emulator = Emulator::builder()
        .in_memory()
        .clock(move || UNIX_EPOCH + Duration::from_secs(asked.load(Ordering::Relaxed)))
        .start()
        .await
        .unwrap();
    let mut client = Client::in_memory(&emulator).await;
    let event = json!({"topic": "a", "id": "e"});
    client.publish_acked(&event).await;
    seconds.store(1_601, Ordering::Relaxed);
    client.publish_acked(&event).await;
    assert_eq!(emulator.stats().events_repeated, 0);
    let dated = Emulator::builder().in_memory().starts_at(UNIX_EPOCH).start().await.unwrap();
    let stream = Box::new(dated.imodelhub_stream().unwrap());
    let (_, head, _) = http_over(stream, "localhost", "GET /x HTTP/1.1", "").await;
    assert!(head.contains("date: thu, 01 jan 1970"), "{head}");
}
