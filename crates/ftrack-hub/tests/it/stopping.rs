//! Priorities and stopping, which the seed's JavaScript client lacks; and publishing in this process only.

use ftrack_hub::{Context, ErrorKind, Event, Json};
use serde_json::json;

use crate::support::{Log, event, one, two, within};

#[tokio::test]
async fn smaller_priority_numbers_come_first_and_may_stop_an_event_from_the_wire() {
    let (_emulator, ann, ben) = two().await;
    let hub = ann.event_hub();
    let log = Log::default();
    // Subscribed in the wrong order on purpose.
    for (priority, name) in [(300, "last"), (100, "middle"), (-1, "first"), (100, "middle")] {
        let handler = move |event: Event, context: Context| {
            let log = event.data_value().as_str().unwrap().to_owned();
            async move {
                if name == "middle" && log == "stop" {
                    assert!(context.stop());
                }
                Json(json!(name))
            }
        };
        let (log, handler) = (log.clone(), handler);
        hub.subscribe("topic=t")
            .priority(priority)
            .handle_ctx(move |event, context| {
                log.add(name);
                handler(event, context)
            })
            .await
            .unwrap();
    }
    within(ben.event_hub().publish(event("t", "go"))).await.unwrap();
    assert_eq!(log.wait_for(4).await, ["first", "middle", "middle", "last"]);
    within(ben.event_hub().publish(event("t", "stop"))).await.unwrap();
    log.wait_for(7).await;
    within(ben.event_hub().publish(event("t", "go"))).await.unwrap();
    assert_eq!(
        log.wait_for(11).await[4..],
        ["first", "middle", "middle", "first", "middle", "middle", "last"]
    );
}

#[tokio::test]
async fn stopping_an_event_here_does_not_stop_it_for_another_session() {
    let (_emulator, ann, ben) = two().await;
    let log = Log::default();
    log.follow(ben.event_hub(), "topic=t").await;
    ann.event_hub()
        .subscribe("topic=t")
        .priority(1)
        .handle_ctx(async |_, context: Context| {
            context.stop();
        })
        .await
        .unwrap();
    let stopped = ann.event_hub().subscribe("topic=t").handle(async |_: Event| ()).await.unwrap();
    within(ann.event_hub().publish(event("t", 1))).await.unwrap();
    assert_eq!(log.wait_for(1).await, ["1"]);
    ann.event_hub().close().await;
    assert_eq!((stopped.stats().handled, stopped.stats().skipped), (0, 1));
}

#[tokio::test]
async fn a_local_publish_calls_the_handlers_here_in_order_and_sends_nothing() {
    let (emulator, ann, ben) = two().await;
    let hub = ann.event_hub();
    let elsewhere = Log::default();
    elsewhere.follow(ben.event_hub(), "topic=t").await;
    hub.subscribe("topic=t").id("second").handle(async |_: Event| Json(2)).await.unwrap();
    hub.subscribe("topic=t")
        .id("first")
        .priority(1)
        .handle(async |event: Event| Json(json!([event.data_value(), event.source()["user"]["username"]])))
        .await
        .unwrap();
    hub.subscribe("topic=t")
        .id("third")
        .priority(200)
        .handle(async |_: Event| Err::<(), _>("no"))
        .await
        .unwrap();
    let before = emulator.stats();
    let outcomes = within(hub.publish_local(&event("t", "x"))).await.unwrap();
    let told: Vec<(&str, String)> = outcomes
        .iter()
        .map(|outcome| {
            let reply = match &outcome.reply {
                Ok(reply) => reply.as_ref().map_or("nothing", |data| data.as_str()).to_owned(),
                Err(error) => format!("{:?}", error.kind()),
            };
            (outcome.subscription.as_str(), reply)
        })
        .collect();
    let failed = format!("{:?}", ErrorKind::Handler);
    assert_eq!(told, [("first", r#"["x","ann"]"#.to_owned()), ("second", "2".to_owned()), ("third", failed)]);
    assert_eq!(emulator.stats().events_received, before.events_received);
    within(hub.publish(event("t", "wire"))).await.unwrap();
    assert_eq!(elsewhere.wait_for(1).await, ["\"wire\""]);
}

#[tokio::test]
async fn a_local_publish_needs_no_connection() {
    let (emulator, ann) = one().await;
    emulator.stop().await;
    let hub = ann.event_hub();
    hub.disconnect().await;
    within(hub.subscribe("topic=t").handle(async |_: Event| Json(1))).await.unwrap();
    assert_eq!(within(hub.publish_local(&event("t", 0))).await.unwrap().len(), 1);
}
