//! "Publishing events": acknowledged, before the connection stands, with the session's source.

use std::time::Duration;

use ftrack_hub::{ConnectionState, ErrorKind, Event, Session};
use futures_util::future::join_all;
use hub_emulator::Emulator;
use serde_json::json;

use crate::scripted::Scripted;
use crate::support::{
    ClosedPort, Log, builder, connect, connected, emulated, event, following, one, quick, state, two, within,
};

#[tokio::test]
async fn a_publish_returns_when_the_server_has_acknowledged_it() {
    let server = Scripted::start().await;
    let session = Session::builder(server.url(), "ann", "k").build().unwrap();
    let (connecting, mut peer) =
        within(async { tokio::join!(session.event_hub().connect(), server.accept()) }).await;
    connecting.unwrap();
    let hub = session.event_hub().clone();
    let publishing = tokio::spawn(async move { hub.publish(event("my-company.some-topic", 1)).await });
    let (number, sent) = peer.hear().await;
    assert_eq!((&sent["topic"], &sent["data"]), (&json!("my-company.some-topic"), &json!(1)));
    // An answered heartbeat in between shows that the client had its chance to be too early.
    peer.tell(r#"{"topic":"other"}"#).await;
    peer.say("2::").await;
    while session.event_hub().stats().received == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!publishing.is_finished());
    peer.say(&format!(r#"6:::{number}+[{{"success":true}}]"#)).await;
    let receipt = within(publishing).await.unwrap().unwrap();
    assert_eq!((receipt.attempts, receipt.possible_duplicate), (1, false));
}

#[tokio::test]
async fn an_event_arrives_as_it_was_published() {
    let (_emulator, ann, ben) = two().await;
    let mut stream = within(ann.event_hub().subscribe("topic=my-company.some-topic").stream()).await.unwrap();
    let sent = Event::builder("my-company.some-topic")
        .id("chosen-by-the-caller")
        .data(&json!({"foo": "bar", "xyz": true}))
        .build()
        .unwrap();
    within(ben.event_hub().publish(sent)).await.unwrap();
    let got = within(stream.next()).await.unwrap().unwrap().into_event();
    assert_eq!(got.id().unwrap().as_str(), "chosen-by-the-caller");
    assert_eq!(got.data_value(), &json!({"foo": "bar", "xyz": true}));
    assert_eq!((got.target(), got.in_reply_to()), ("", None));
    assert_eq!(got.source_id(), Some(ben.event_hub().id().as_str()));
}

#[tokio::test]
async fn the_source_says_who_published_and_the_caller_may_add_to_it() {
    let emulator = Emulator::start().await.unwrap();
    let ann = connect(builder(&emulator, "ann@example.com").application_id("studio.tool")).await;
    let hub = ann.event_hub();
    let mut stream = within(hub.subscribe("topic=t").stream()).await.unwrap();
    within(hub.publish(event("t", 1))).await.unwrap();
    let plain = within(stream.next()).await.unwrap().unwrap().into_event();
    let mut expected = json!({
        "id": hub.id().as_str(),
        "applicationId": "studio.tool",
        "user": {"username": "ann@example.com"},
    });
    if cfg!(feature = "hostname") {
        let host = plain.source()["host"].as_str().expect("this machine's name");
        assert!(!host.is_empty());
        expected["host"] = json!(host);
    }
    assert_eq!(plain.source(), &expected);

    let own = Event::builder("t")
        .source_field("id", "lost replies")
        .source_field("applicationId", "maya")
        .source_field("user", json!({"username": "ben", "id": "7"}))
        .source_field("show", "dune")
        .build()
        .unwrap();
    within(hub.publish(own)).await.unwrap();
    let got = within(stream.next()).await.unwrap().unwrap().into_event();
    expected["applicationId"] = json!("maya");
    expected["user"] = json!({"username": "ben", "id": "7"});
    expected["show"] = json!("dune");
    assert_eq!(got.source(), &expected, "all but the id, to which replies go");
}

#[tokio::test]
async fn text_of_every_alphabet_and_a_mebibyte_arrive_unchanged() {
    let (_emulator, ann, ben) = two().await;
    let mut stream = within(ann.event_hub().subscribe("topic=t").stream()).await.unwrap();
    let big: String = "aé😀\u{0}\"\\\u{2028}".chars().cycle().take(400_000).collect();
    let raw = format!(
        "{{\"s\": {}, \"unlikely\":\"\\u00e9\\ud83d\\ude00\", \"n\" : 1.50e3 }}",
        serde_json::to_string(&big).unwrap()
    );
    assert!(raw.len() > 1024 * 1024);
    let data = ftrack_hub::RawJson::from_text(raw.clone()).unwrap();
    for data in [data, ftrack_hub::RawJson::from_text("\"ünïcödé 漢字 👩‍🚀\"".to_owned()).unwrap()]
    {
        let sent = Event::builder("t").raw_data(data.clone()).build().unwrap();
        within(ben.event_hub().publish(sent)).await.unwrap();
        let got = within(stream.next()).await.unwrap().unwrap().into_event();
        assert!(got.raw_data().value().unwrap().as_str() == data.as_str(), "byte for byte");
    }
    // Every length at which the framing changes.
    for length in [0, 1, 124, 125, 126, 127, 65_000, 65_534, 65_535, 65_536, 65_537] {
        let text = "x".repeat(length);
        within(ben.event_hub().publish(event("t", &text))).await.unwrap();
        let got = within(stream.next()).await.unwrap().unwrap().into_event();
        assert!(got.data_value() == text.as_str(), "{length}");
    }
}

#[tokio::test]
async fn what_is_published_before_the_connection_stands_goes_out_when_it_does() {
    let port = ClosedPort::new();
    let builder = Session::builder(port.url(), "ann", "k").reconnect(quick()).auto_connect_event_hub(true);
    let session = builder.build().unwrap();
    let hub = session.event_hub();
    let (log, subscribing) = following(hub, "topic=t");
    let publishing = join_all((0..20).map(|n| hub.publish(event("t", n)).into_future()));
    let publishing = tokio::spawn(publishing);
    state(hub, |state| matches!(state, ConnectionState::Reconnecting { attempt: 2.., .. })).await;
    assert_eq!(hub.stats().outstanding, 20);
    assert!(!publishing.is_finished());
    let _emulator = port.open().await;
    within(subscribing).await.unwrap();
    for receipt in within(publishing).await.unwrap() {
        assert!(!receipt.unwrap().possible_duplicate);
    }
    let numbers: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(log.wait_for(20).await, numbers, "in order, and after the subscription");
}

#[tokio::test]
async fn a_publish_without_a_connection_gives_up_after_its_timeout_and_is_not_sent_later() {
    let port = ClosedPort::new();
    let session = Session::builder(port.url(), "ann", "k")
        .reconnect(quick())
        .publish_timeout(Duration::from_millis(40))
        .auto_connect_event_hub(true)
        .build()
        .unwrap();
    let hub = session.event_hub();
    let kept = hub.publish(event("t", "kept")).timeout(Duration::from_secs(60));
    let kept = tokio::spawn(kept.into_future());
    for publish in [
        hub.publish(event("t", "by the session's timeout")),
        hub.publish(event("t", "by its own")).timeout(Duration::from_millis(1)),
    ] {
        let error = within(publish.into_future()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Timeout, true));
        assert!(error.to_string().contains("\"t\""), "{error}");
    }
    let (log, subscribing) = following(hub, "topic=t");
    let _emulator = port.open().await;
    within(subscribing).await.unwrap();
    within(kept).await.unwrap().unwrap();
    hub.close().await;
    assert_eq!(log.lines(), ["\"kept\""]);
}

#[tokio::test]
async fn a_publish_that_the_server_refuses_fails_with_its_reason() {
    let (_emulator, ann) = one().await;
    let wrong = event("ftrack.meta.subscribe", json!({"subscriber": {"id": "x"}}));
    let error = within(ann.event_hub().publish(wrong).into_future()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Refused, false));
    assert!(error.to_string().contains("data.subscription"), "{error}");
    assert_eq!(ann.event_hub().stats().refused, 1);
}

#[tokio::test]
async fn publishing_without_waiting_keeps_the_order_in_a_small_window() {
    let emulator = Emulator::start().await.unwrap();
    let ann = connected(&emulator, "ann").await;
    let ben = connect(builder(&emulator, "ben").window(2)).await;
    let log = Log::default();
    log.follow(ann.event_hub(), "topic=t").await;
    for n in 0..500 {
        within(ben.event_hub().publish(event("t", n)).no_wait()).await.unwrap();
    }
    let numbers: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    assert_eq!(log.wait_for(500).await, numbers);
}

#[tokio::test]
async fn an_event_published_twice_is_dropped_by_a_hub_that_knows_it() {
    let (emulator, ann, ben) = two().await;
    let log = Log::default();
    log.follow(ann.event_hub(), "topic=t").await;
    let sent = event("t", 1);
    for _ in 0..2 {
        within(ben.event_hub().publish(sent.clone())).await.unwrap();
    }
    within(ben.event_hub().publish(event("t", 2))).await.unwrap();
    assert_eq!(log.wait_for(2).await, ["1", "2"]);
    emulated(&emulator, |state| state.stats.events_repeated == 1).await;
}

#[tokio::test]
async fn publishing_to_nobody_is_acknowledged_all_the_same() {
    let (emulator, ann) = one().await;
    within(ann.event_hub().publish(event("t", 1))).await.unwrap();
    let stats = emulator.stats();
    assert_eq!((stats.events_received, stats.events_routed, stats.acks), (2, 0, 2));
    assert_eq!(ann.event_hub().stats().published, 1);
}
