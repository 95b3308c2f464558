//! Faults that are seen on a connection, and how they are counted.

#![expect(clippy::disallowed_methods, reason = "paused time is measured")]

use std::time::Duration;

use hub_emulator::imodelhub::{Action, Fault};
use hub_emulator::{Emulator, MemoryStream};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use transport_longpoll::exchange::{ExchangeErrorKind, HttpExchange, Request};

use super::Lab;

const ASKED: &str = "DELETE /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

async fn emulator() -> Emulator {
    Emulator::builder().in_memory().start().await.unwrap()
}

async fn asked(emulator: &Emulator) -> MemoryStream {
    let mut stream = emulator.imodelhub_stream().unwrap();
    stream.write_all(ASKED.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(start_paused = true)]
async fn a_body_is_cut_by_a_fin_or_by_a_reset() {
    let emulator = emulator().await;
    for (action, reset) in [(Action::CutBody, false), (Action::ResetBody, true)] {
        emulator.add_fault(Fault::new(action)).unwrap();
        let mut stream = asked(&emulator).await;
        let mut got = Vec::new();
        let end = stream.read_to_end(&mut got).await;
        assert_eq!(end.is_err(), reset, "{end:?}");
        let text = String::from_utf8(got).unwrap();
        assert!(text.contains("HTTP/1.1 404") && !text.contains("</Error>"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_trickles_on_a_stream_and_is_as_late_without_one() {
    let emulator = emulator().await;
    let trickle = || Fault::new(Action::Trickle { bytes: 1, pause_ms: 10 });
    emulator.add_fault(trickle()).unwrap();
    let start = Instant::now();
    let mut got = Vec::new();
    asked(&emulator).await.read_to_end(&mut got).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(10) * u32::try_from(got.len() - 2).unwrap());

    emulator.add_fault(trickle()).unwrap();
    let start = Instant::now();
    let request = Request::new(http::Method::DELETE, "http://localhost/x", Duration::from_secs(9));
    let answer = emulator.imodelhub_http().exchange(request).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 10 * answer.body.len() as u128);
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_refused_while_it_waits_and_takes_nothing() {
    let lab = Lab::new().await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(1..2);
    lab.emulator.add_fault(Fault::new(Action::UnauthorizedWaiting { after_ms: 4_000 })).unwrap();
    let start = Instant::now();
    assert_eq!(lab.head("DELETE", &queue, "?timeout=60").await.status(), 401);
    assert_eq!((start.elapsed().as_secs(), lab.emulator.imodelhub_state().queued()), (4, 1));
    assert_eq!(lab.head("DELETE", &queue, "").await.status(), 200, "the token is as good as before");
}

#[tokio::test(start_paused = true)]
async fn refusals_and_rubbish_are_what_they_say_and_all_is_counted() {
    let emulator = emulator().await;
    let exchange = emulator.imodelhub_http();
    let ask =
        || exchange.exchange(Request::new(http::Method::GET, "http://localhost/x", Duration::from_secs(9)));
    emulator.add_fault(Fault::new(Action::Refuse)).unwrap();
    assert_eq!(ask().await.unwrap_err().kind(), ExchangeErrorKind::Connect);
    emulator.add_fault(Fault::new(Action::GarbageBody).times(2)).unwrap();
    for _ in 0..2 {
        let body = ask().await.unwrap().body;
        assert!(!body.is_empty() && std::str::from_utf8(&body).is_err());
    }
    let faults = emulator.imodelhub_faults();
    let fired: Vec<(&str, u64)> = faults.fired().into_iter().collect();
    assert_eq!(fired, [("garbage_body", 2), ("refuse", 1)]);
    assert_eq!(emulator.fired()["imodelhub.refuse"], 1);
    faults.set(vec![Fault::new(Action::Hang), Fault::new(Action::Reset).times(0)]).unwrap();
    let waiting = json!(faults.waiting());
    assert_eq!(waiting[1]["action"], json!({"do": "reset"}));
    assert!(faults.set(vec![Fault::new(Action::Trickle { bytes: 0, pause_ms: 1 })]).is_err());
    assert_eq!((faults.waiting().len(), faults.clear()), (2, 2));
}
