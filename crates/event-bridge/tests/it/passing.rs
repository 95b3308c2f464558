//! What goes through: there, back, and not in circles.

use std::time::Duration;

use event_bridge::{Bridge, GAP_TOPIC, Report};
use event_core::memory::MemoryHub;
use event_core::{ErrorKind, EventHub};
use ftrack_hub::nats::NatsTransport;
use ftrack_hub::{Event, Json};
use nats_server::skipped;
use serde_json::json;

use crate::support::{Stage, event, gap_of, next, reached, started, stored, streaming, until, wall, within};

#[tokio::test]
async fn an_event_of_the_service_is_stored_as_it_came() {
    if skipped("an_event_of_the_service_is_stored_as_it_came") {
        return;
    }
    let stage = Stage::set().await;
    let (artist, worker) = (stage.artist().await, stage.worker().await);
    let mut came = artist.event_hub().subscribe("topic=shot.*").stream().await.unwrap();
    let mut kept = stored(&worker, "topic=shot.*").await;
    let (bridge, _reports) = started(stage.bridge()).await;
    for n in 0..20 {
        let sent = event("shot.done", n);
        artist.event_hub().publish(sent.clone()).await.unwrap();
        let (there, here) = (next(&mut came).await, next(&mut kept).await);
        assert_eq!(here.to_json(), there.to_json());
        assert_eq!(here.id(), sent.id());
    }
    assert_eq!((bridge.stats().forwarded, bridge.stats().gaps), (20, 0));
}

#[tokio::test]
async fn a_worker_behind_nats_answers_an_action_of_the_service() {
    if skipped("a_worker_behind_nats_answers_an_action_of_the_service") {
        return;
    }
    let stage = Stage::set().await;
    let (artist, worker) = (stage.artist().await, stage.worker().await);
    worker
        .event_hub()
        .subscribe("topic=ftrack.action.launch and data.actionIdentifier=render")
        .durable("farm")
        .handle(async |asked: Event| Json(json!({"success": true, "shot": asked.data_value()["shot"]})))
        .await
        .unwrap();
    let (_bridge, _reports) = started(stage.bridge()).await;
    for shot in ["sh010", "sh020"] {
        let launch = Event::new("ftrack.action.launch", &json!({"actionIdentifier": "render", "shot": shot}));
        let reply = within(artist.event_hub().publish_and_wait_for_reply(launch.unwrap())).await.unwrap();
        assert_eq!(reply.data_value(), &json!({"success": true, "shot": shot}));
        assert_eq!(reply.target(), format!("id={}", artist.event_hub().id()));
    }
}

#[tokio::test]
async fn nothing_goes_in_circles_not_even_past_a_new_bridge() {
    if skipped("nothing_goes_in_circles_not_even_past_a_new_bridge") {
        return;
    }
    let stage = Stage::set().await;
    let (artist, worker) = (stage.artist().await, stage.worker().await);
    let mut at_service = artist.event_hub().subscribe("topic=load.*").stream().await.unwrap();
    let (bridge, mut reports) = started(stage.bridge()).await;
    artist.event_hub().publish(event("load.there", 1)).await.unwrap();
    assert_eq!(next(&mut at_service).await.topic(), "load.there");
    let sent = event("load.back", 2);
    worker.event_hub().publish(sent.clone()).await.unwrap();
    let came = next(&mut at_service).await;
    assert_eq!((came.id(), came.source_id()), (sent.id(), Some(worker.event_hub().id().as_str())));
    // What came back, and what the stream held of its own, was noticed.
    reached(|| bridge.stats().echoes >= 1 && bridge.stats().own >= 1).await;
    assert_eq!((bridge.stats().forwarded, bridge.stats().returned), (1, 1));
    assert!(bridge.drain(Duration::from_secs(10)).await);
    until(&mut reports, |report| matches!(report, Report::Ended).then_some(())).await;

    let (bridge, _reports) = started(stage.bridge()).await;
    artist.event_hub().publish(event("load.there", 3)).await.unwrap();
    assert_eq!(next(&mut at_service).await.data_value()["n"], 3);
    worker.event_hub().publish(event("load.back", 4)).await.unwrap();
    assert_eq!(next(&mut at_service).await.data_value()["n"], 4);
    reached(|| bridge.stats().echoes >= 1 && bridge.stats().own >= 2).await;
    assert_eq!((bridge.stats().forwarded, bridge.stats().returned), (1, 1));
}

#[tokio::test]
async fn a_broken_connection_with_the_service_is_a_gap_in_the_stream() {
    if skipped("a_broken_connection_with_the_service_is_a_gap_in_the_stream") {
        return;
    }
    let stage = Stage::set().await;
    let worker = stage.worker().await;
    let mut gaps = stored(&worker, &format!("topic={GAP_TOPIC}")).await;
    let (bridge, mut reports) = started(stage.bridge()).await;
    let before = wall();
    assert_eq!(stage.emulator.cut_all(), 1);
    let told = until(&mut reports, gap_of).await;
    let event = next(&mut gaps).await;
    assert_eq!(event.data_value()["from"], told.from);
    assert_eq!(event.data_value()["to"], told.to);
    assert!(event.data_value()["reason"].as_str().unwrap().contains("broke"), "{event:?}");
    assert_eq!(event.source_id(), Some("ftrack"));
    assert!(told.from <= before && told.to >= before && told.to <= wall(), "{told:?} {before}");
    assert!(bridge.stats().gaps >= 1);
}

#[tokio::test]
async fn an_event_that_cannot_be_stored_is_a_gap() {
    if skipped("an_event_that_cannot_be_stored_is_a_gap") {
        return;
    }
    let stage = Stage::set().await;
    let bus = MemoryHub::new();
    let (service, url) = (bus.clone(), stage.server.url());
    let make = move || EventHub::builder(service.transport()).build();
    let builder = Bridge::builder("small", make, streaming(&url).max_payload(1_000));
    let (bridge, mut reports) = started(builder).await;
    let before = wall();
    bus.inject(&Event::new("big", &"x".repeat(2_000)).unwrap());
    let gap = until(&mut reports, gap_of).await;
    assert!(gap.from <= before && gap.reason.contains("TooLarge"), "{gap:?}");
    bus.inject(&event("small", 1));
    until(&mut reports, |report| matches!(report, Report::Forwarded(_)).then_some(())).await;
    assert_eq!((bridge.stats().not_stored, bridge.stats().forwarded), (1, 1));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let make = || EventHub::builder(MemoryHub::new().transport()).build();
    let url = "nats://127.0.0.1:1";
    let kind = |builder: event_bridge::BridgeBuilder| builder.start().unwrap_err().kind();
    let plain = NatsTransport::builder([url]);
    assert_eq!(kind(Bridge::builder("b", make, plain)), ErrorKind::InvalidInput);
    for name in ["", "a.b", "a b"] {
        assert_eq!(kind(Bridge::builder(name, make, streaming(url))), ErrorKind::InvalidInput);
    }
    let short = Bridge::builder("b", make, streaming(url)).lease(Duration::from_millis(900));
    assert_eq!(kind(short), ErrorKind::InvalidInput);
    let malformed = Bridge::builder("b", make, streaming(url)).forward("topic=");
    assert_eq!(kind(malformed), ErrorKind::InvalidExpression);
    let nowhere = Bridge::builder("b", make, streaming("no address at all")).start();
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::InvalidUrl);
}
