//! Both services without a socket, in paused time.

#![expect(clippy::disallowed_methods, reason = "paused time is measured")]

use std::io::ErrorKind;
use std::time::Duration;

use event_core::transport::{Attempt, Transport};
use hub_emulator::Emulator;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::Instant;
use transport_longpoll::exchange::{ExchangeErrorKind, HttpExchange, Request};
use transport_ws::{Endpoint, WsTransport};

use crate::support::{Client, event, http_over};

async fn emulator() -> Emulator {
    Emulator::builder().in_memory().start().await.unwrap()
}

#[test]
fn a_runtime_without_io_is_enough() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let emulator = emulator().await;
        let mut client = Client::in_memory(&emulator).await;
        client.subscribe(&json!({"id": "s"}), "topic=a").await;
        client.publish_acked(&event("a")).await;
        assert_eq!(client.next_event().await["data"]["n"], 1);
        assert!(emulator.ftrack_url().starts_with("http://127.0.0.1:"));
        emulator.stop().await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    });
}

#[tokio::test(start_paused = true)]
async fn heartbeats_and_the_silence_of_a_client_follow_paused_time() {
    let emulator = emulator().await;
    let start = Instant::now();
    let mut client = Client::in_memory(&emulator).await;
    for _ in 0..5 {
        assert_eq!(client.next().await, "2::");
    }
    assert_eq!(start.elapsed(), Duration::from_secs(50));
    emulator.wait_for(|state| state.stats.cut_silent == 1).await;
    assert_eq!(start.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn farewells_and_cuts_end_as_over_tcp() {
    let emulator = emulator().await;
    for (polite, farewell) in [(true, &["0::"][..]), (false, &[])] {
        let mut client = Client::in_memory(&emulator).await;
        let ended = if polite { emulator.disconnect_all() } else { emulator.cut_all() };
        assert_eq!(ended, 1);
        assert_eq!(client.rest().await, farewell);
    }
}

#[tokio::test(start_paused = true)]
async fn the_ways_in_outlive_a_restart_and_refuse_while_it_is_stopped() {
    let emulator = emulator().await;
    let (dialer, exchange) = (emulator.ftrack_dialer(), emulator.imodelhub_http());
    let transport = WsTransport::builder(Endpoint::new("localhost", 80, false), "ftrack.event")
        .secret_header("ftrack-user", "ann")
        .secret_header("ftrack-api-key", "key")
        .dialer(dialer)
        .build()
        .unwrap();
    let asked = || Request::new(http::Method::GET, "http://localhost/x", Duration::from_secs(1));
    for _ in 0..2 {
        let link = transport.connect(Attempt::first()).await.unwrap();
        assert_eq!(emulator.wait_for(|state| state.connections == 1).await.connections, 1);
        assert_eq!(exchange.exchange(asked()).await.unwrap().status, 404);
        emulator.stop().await;
        drop(link);
        let refused = transport.connect(Attempt::first()).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), event_core::ErrorKind::Unreachable, "{refused}");
        assert_eq!(emulator.ftrack_stream().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(emulator.imodelhub_stream().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(exchange.exchange(asked()).await.unwrap_err().kind(), ExchangeErrorKind::Connect);
        emulator.restart().await.unwrap();
    }
    drop(emulator);
    assert!(transport.connect(Attempt::first()).await.is_err() && exchange.exchange(asked()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_imodelhub_side_speaks_http_in_memory() {
    let emulator = emulator().await;
    let stream = emulator.imodelhub_stream().unwrap();
    let (status, head, _) = http_over(Box::new(stream), "localhost", "GET /admin/state HTTP/1.1", "").await;
    assert_eq!(status, 200);
    assert!(!head.contains("\ndate:"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_witness_sees_what_is_taken_once_and_for_how_many() {
    let seen = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let book = std::sync::Arc::clone(&seen);
    let builder = Emulator::builder().in_memory().witness(move |event, connections| {
        book.lock().push((event.topic().as_str().to_owned(), connections));
    });
    let emulator = builder.start().await.unwrap();
    let mut client = Client::in_memory(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=a").await;
    let mut repeated = event("a");
    repeated["id"] = json!("e1");
    client.publish_acked(&repeated).await;
    client.next_event().await;
    client.publish_acked(&repeated).await;
    client.publish_acked(&event("b")).await;
    assert_eq!(*seen.lock(), [("a".to_owned(), 1), ("b".to_owned(), 0)]);
}
