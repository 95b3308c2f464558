//! "Subscriber information": metadata, and events that are for some subscribers only.

use ftrack_hub::{Event, Session, Subscriber};
use serde_json::json;

use crate::support::{Log, builder, connect, event, two, within};

/// Subscribes four ways on `ann`'s hub; each writes its name.
async fn four(ann: &Session, log: &Log) {
    let hub = ann.event_hub();
    let note = |name: &'static str| move |_: Event, log: Log| async move { log.add(name) };
    hub.subscribe("topic=t")
        .id("my-unique-subscriber-id")
        .metadata("applicationId", "maya")
        .handle_with(log.clone(), note("maya"))
        .await
        .unwrap();
    hub.subscribe("topic=t")
        .metadata("applicationId", "nuke")
        .handle_with(log.clone(), note("nuke"))
        .await
        .unwrap();
    hub.subscribe("topic=t").handle_with(log.clone(), note("default")).await.unwrap();
    let farm = Subscriber::new("farm-1").with("applicationId", "farm").with("load", json!({"cores": 64}));
    hub.subscribe("topic=t").subscriber(farm).handle_with(log.clone(), note("farm")).await.unwrap();
}

#[tokio::test]
async fn a_target_selects_by_the_subscribers_metadata() {
    let (emulator, ann, ben) = two().await;
    for (target, names) in [
        ("", &["default", "farm", "maya", "nuke"][..]),
        ("id=my-unique-subscriber-id", &["maya"]),
        ("applicationId=maya", &["maya"]),
        ("applicationId=maya or applicationId=nuke", &["maya", "nuke"]),
        ("applicationId=ftrack.api.*", &["default"]),
        ("id=farm-* and load.cores>=32", &["farm"]),
        ("not applicationId=farm", &["default", "maya", "nuke"]),
        ("applicationId=blender", &[]),
    ] {
        let carl = connect(builder(&emulator, "carl")).await;
        let log = Log::default();
        four(&carl, &log).await;
        let targeted = Event::builder("t").target(target).build().unwrap();
        within(ben.event_hub().publish(targeted)).await.unwrap();
        // Past it there is nothing left.
        let end = Log::default();
        end.follow(carl.event_hub(), "topic=end").await;
        within(ben.event_hub().publish(event("end", 0))).await.unwrap();
        end.wait_for(1).await;
        carl.event_hub().close().await;
        let mut lines = log.lines();
        lines.sort();
        assert_eq!(lines, names, "{target}");
    }
    drop(ann);
}

#[tokio::test]
async fn the_application_of_a_session_is_the_one_of_its_subscribers() {
    let (emulator, _ann, ben) = two().await;
    let carl = connect(builder(&emulator, "carl").application_id("studio.tool")).await;
    let log = Log::default();
    log.follow(carl.event_hub(), "topic=t").await;
    for (target, n) in [("applicationId=ftrack.api.rust", 1), ("applicationId=studio.tool", 2)] {
        let targeted = Event::builder("t").data(&n).target(target).build().unwrap();
        within(ben.event_hub().publish(targeted)).await.unwrap();
    }
    assert_eq!(log.wait_for(1).await, ["2"]);
}

#[tokio::test]
async fn an_event_for_everyone_reaches_every_session_and_its_sender_too() {
    let (emulator, ann, ben) = two().await;
    let log = Log::default();
    log.follow(ann.event_hub(), "topic=t").await;
    log.follow(ben.event_hub(), "topic=t").await;
    within(ben.event_hub().publish(event("t", 1))).await.unwrap();
    assert_eq!(log.wait_for(2).await, ["1", "1"]);
    assert_eq!(emulator.stats().deliveries, 2);
}

#[tokio::test]
async fn a_target_that_is_no_expression_reaches_nobody() {
    let (emulator, ann, ben) = two().await;
    let log = Log::default();
    log.follow(ann.event_hub(), "topic=t").await;
    let untold = Event::builder("t").data(&1).target("id=").build().unwrap();
    within(ben.event_hub().publish(untold)).await.unwrap();
    within(ben.event_hub().publish(event("t", 2))).await.unwrap();
    assert_eq!(log.wait_for(1).await, ["2"]);
    assert_eq!(emulator.stats().targets_unreadable, 1);
}
