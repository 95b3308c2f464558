//! Events from and to the official clients: subscriptions, replies, targets, payloads, order.

use std::time::Duration;

use event_core::Event;
use ftrack_hub::Json;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Lang, PATIENCE, Scene, USER, session, within};
use crate::{Failure, ensure};

pub(super) async fn receives_a_plain_topic_and_no_other(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.plain"})).await?;
    scene.we_publish("interop.other", &json!(0)).await?;
    scene.we_publish("interop.plain", &json!({"n": 1})).await?;
    let event = scene.theirs.event(|_| true).await?["event"].clone();
    ensure(event["topic"] == "interop.plain" && event["data"] == json!({"n": 1}), || event.to_string())
}

pub(super) async fn receives_a_wildcard(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.w*"})).await?;
    scene.we_publish("other.topic", &json!(0)).await?;
    scene.we_publish("interop.wild", &json!(1)).await?;
    let event = scene.theirs.event(|_| true).await?["event"].clone();
    ensure(event["topic"] == "interop.wild", || event.to_string())
}

pub(super) async fn receives_an_event_of_ours_byte_for_byte(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.all"})).await?;
    let data = json!({"numbers": [0, -1, 1.5, 9_007_199_254_740_991_i64], "null": null, "nested": {"a": [{}, []]},
        "text": "\"quoted\" \\ / \u{1}", "yes": true});
    let event = Event::builder("interop.all").data(&data).build()?;
    scene.ours.event_hub().publish(event).await?;
    let got = scene.theirs.event_on("interop.all").await?;
    ensure(got["data"] == data, || got.to_string())?;
    ensure(got["source"]["user"]["username"] == USER, || format!("source {}", got["source"]))?;
    ensure(got["id"].as_str().is_some_and(|id| !id.is_empty()), || format!("id {}", got["id"]))
}

pub(super) async fn its_events_reach_us_with_their_envelope(scene: Scene) -> Result<(), Failure> {
    let mut stream = scene.ours.event_hub().subscribe("topic=interop.theirs").stream().await?;
    let args = json!({"hub": "a", "topic": "interop.theirs", "data": {"n": 7}});
    let published = scene.theirs.call("publish", args).await?;
    let delivery = within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
    let event = delivery.event();
    ensure(*event.data_value() == json!({"n": 7}), || format!("{event:?}"))?;
    // The Python client does not say.
    let id = published["id"].as_str();
    ensure(id.is_none() || event.id().map(event_core::EventId::as_str) == id, || {
        format!("{published} {event:?}")
    })?;
    ensure(event.source_id().is_some(), || format!("no source: {event:?}"))?;
    let whole: Value =
        serde_json::from_slice(&event.to_json()).map_err(|error| Failure::new(error.to_string()))?;
    let known = ["topic", "data", "target", "inReplyToEvent", "id", "source", "sent"];
    let strange: Vec<&String> = whole
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
        .filter(|key| !known.contains(&key.as_str()))
        .collect();
    ensure(strange.is_empty(), || format!("unknown members {strange:?}"))
}

pub(super) async fn its_publish_reaches_itself(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.self"})).await?;
    scene.theirs.call("publish", json!({"hub": "a", "topic": "interop.self", "data": 1})).await?;
    scene.theirs.event_on("interop.self").await.map(drop)
}

pub(super) async fn answers_our_request_by_returning_a_value(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.ask", "answer": "echo"})).await?;
    let request = Event::new("interop.ask", &json!({"q": "?"}))?;
    let reply = scene.ours.event_hub().publish_and_wait_for_reply(request).timeout(PATIENCE).await?;
    ensure(*reply.data_value() == json!({"echo": {"q": "?"}}), || format!("{reply:?}"))
}

pub(super) async fn gets_our_answer(scene: Scene) -> Result<(), Failure> {
    let answer = |event: Event| async move { Json(json!({"answer": event.data_value()})) };
    scene.ours.event_hub().subscribe("topic=interop.ask").handle(answer).await?;
    let got =
        scene.theirs.call("request", json!({"hub": "a", "topic": "interop.ask", "data": {"n": 3}})).await?;
    ensure(got["reply"]["data"] == json!({"answer": {"n": 3}}), || got.to_string())?;
    ensure(got["reply"]["topic"] == "ftrack.meta.reply", || got.to_string())
}

pub(super) async fn sends_several_replies_to_one_event(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.twice", "answer": "twice"})).await?;
    let request = Event::new("interop.twice", &json!(null))?;
    let mut replies = scene.ours.event_hub().publish_with_replies(request, PATIENCE).await?;
    for part in [1, 2] {
        let reply = within(replies.next()).await?.ok_or_else(|| Failure::new("no more replies"))?;
        ensure(*reply.data_value() == json!({"part": part}), || format!("{reply:?}"))?;
    }
    Ok(())
}

pub(super) async fn gets_several_replies_to_one_event(scene: Scene) -> Result<(), Failure> {
    for n in 1..=3 {
        let answer = move |_: Event| async move { Json(json!({"part": n})) };
        scene.ours.event_hub().subscribe("topic=interop.many").handle(answer).await?;
    }
    let args = json!({"hub": "a", "topic": "interop.many", "data": null, "count": 3});
    let got = scene.theirs.call("request_all", args).await?;
    let mut parts: Vec<u64> = got["replies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|reply| reply["data"]["part"].as_u64())
        .collect();
    parts.sort_unstable();
    ensure(parts == [1, 2, 3], || got.to_string())
}

pub(super) async fn gives_up_waiting_for_a_reply_that_nobody_sends(scene: Scene) -> Result<(), Failure> {
    let args = json!({"hub": "a", "topic": "interop.silence", "data": null, "seconds": 1});
    let error = scene.theirs.refused("request", args).await?;
    let wanted = match scene.lang {
        Lang::Js => "EventServerReplyTimeoutError",
        // It has no such call; the puppet waits and gives up.
        Lang::Python => "TimeoutError",
    };
    ensure(error == wanted, || format!("{error} instead of {wanted}"))
}

pub(super) async fn its_reply_reaches_the_asker_and_nobody_else(scene: Scene) -> Result<(), Failure> {
    let bystander = session(&scene.emulator, USER).await?;
    let mut overheard = bystander.event_hub().subscribe("topic=ftrack.meta.reply").stream().await?;
    let mut marker = bystander.event_hub().subscribe("topic=interop.marker").stream().await?;
    scene.they_subscribe(json!({"expression": "topic=interop.ask", "answer": "echo"})).await?;
    let request = Event::new("interop.ask", &json!(1))?;
    scene.ours.event_hub().publish_and_wait_for_reply(request).timeout(PATIENCE).await?;
    scene.we_publish("interop.marker", &json!(1)).await?;
    within(marker.next()).await?;
    let nothing = timeout(Duration::from_millis(1), overheard.next()).await.is_err();
    ensure(nothing, || "a bystander got the reply".to_owned())
}

pub(super) async fn gets_what_is_targeted_at_its_subscriber(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.target", "id": "their-subscriber"})).await?;
    let event = Event::builder("interop.target").data(&json!(1)).target("id=their-subscriber").build()?;
    scene.ours.event_hub().publish(event).await?;
    scene.theirs.event_on("interop.target").await.map(drop)
}

pub(super) async fn does_not_get_what_is_targeted_at_another(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.target", "id": "their-subscriber"})).await?;
    let event = Event::builder("interop.target").data(&json!("no")).target("id=somebody-else").build()?;
    scene.ours.event_hub().publish(event).await?;
    scene.we_publish("interop.target", &json!("yes")).await?;
    let got = scene.theirs.event_on("interop.target").await?;
    ensure(got["data"] == "yes", || got.to_string())
}

pub(super) async fn hears_nothing_after_unsubscribing(scene: Scene) -> Result<(), Failure> {
    let args = json!({"expression": "topic=interop.left", "id": "leaving"});
    let subscribed = scene.they_subscribe(args).await?;
    scene.they_subscribe(json!({"expression": "topic=interop.marker"})).await?;
    let before = scene.emulator.stats().unsubscribed;
    let gone = json!({"hub": "a", "subscriber": subscribed["subscriber"]});
    scene.theirs.call("unsubscribe", gone).await?;
    within(scene.emulator.wait_for(|state| state.stats.unsubscribed > before)).await?;
    scene.we_publish("interop.left", &json!(1)).await?;
    scene.we_publish("interop.marker", &json!(1)).await?;
    let first = scene.theirs.event(|_| true).await?;
    ensure(first["event"]["topic"] == "interop.marker", || first.to_string())
}

pub(super) async fn carries_unicode_both_ways(scene: Scene) -> Result<(), Failure> {
    let text = "ÅÄÖ ß 漢字 🎬 \u{200d} \u{feff}é \u{2028} end";
    scene.they_subscribe(json!({"expression": "topic=interop.unicode", "answer": "echo"})).await?;
    let request = Event::new("interop.unicode", &json!({"text": text}))?;
    let reply = scene.ours.event_hub().publish_and_wait_for_reply(request).timeout(PATIENCE).await?;
    ensure(reply.data_value()["echo"]["text"] == text, || format!("{:?}", reply.data_value()))
}

pub(super) async fn carries_a_megabyte_both_ways(scene: Scene) -> Result<(), Failure> {
    let text = "0123456789abcdef".repeat(65_536);
    scene.they_subscribe(json!({"expression": "topic=interop.large", "answer": "echo"})).await?;
    let request = Event::new("interop.large", &json!({"text": text}))?;
    let reply = scene.ours.event_hub().publish_and_wait_for_reply(request).timeout(PATIENCE).await?;
    ensure(reply.data_value()["echo"]["text"] == text.as_str(), || "it came back changed".to_owned())
}

pub(super) async fn keeps_the_order_of_a_thousand_events_from_us(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.order"})).await?;
    for n in 0..1000 {
        scene.ours.event_hub().publish(Event::new("interop.order", &json!({"n": n}))?).no_wait().await?;
    }
    for n in 0..1000 {
        let event = scene.theirs.event_on("interop.order").await?;
        ensure(event["data"]["n"] == n, || format!("{} instead of {n}", event["data"]))?;
    }
    Ok(())
}

pub(super) async fn keeps_the_order_of_a_thousand_events_to_us(scene: Scene) -> Result<(), Failure> {
    let subscribe = scene.ours.event_hub().subscribe("topic=interop.order");
    let mut stream = subscribe.buffer(2048, event_core::Overflow::DropNewest).stream().await?;
    let args = json!({"hub": "a", "topic": "interop.order", "data": {}, "count": 1000});
    scene.theirs.call("publish_many", args).await?;
    for n in 0..1000 {
        let delivery = within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
        let got = delivery.event().data_value();
        ensure(got["n"] == n, || format!("{got} instead of {n}"))?;
    }
    Ok(())
}

pub(super) async fn subscribes_by_a_full_expression(scene: Scene) -> Result<(), Failure> {
    let expression =
        "topic=interop.full and (data.kind=shot or not data.kind=task) and source.user.username!=bob";
    scene.they_subscribe(json!({"expression": expression})).await?;
    for kind in ["task", "shot", "asset"] {
        scene.we_publish("interop.full", &json!({"kind": kind})).await?;
    }
    for kind in ["shot", "asset"] {
        let event = scene.theirs.event(|_| true).await?["event"].clone();
        ensure(event["data"]["kind"] == kind, || format!("{event} instead of {kind}"))?;
    }
    Ok(())
}

pub(super) async fn has_its_packets_acknowledged(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.acked"})).await?;
    scene
        .theirs
        .call("publish_many", json!({"hub": "a", "topic": "interop.acked", "data": {}, "count": 20}))
        .await?;
    for _ in 0..20 {
        scene.theirs.event_on("interop.acked").await?;
    }
    let open = scene.theirs.call("unacknowledged", json!({"hub": "a"})).await?;
    ensure(open["packets"] == 0, || format!("{open} when the consequences had arrived"))
}

pub(super) async fn publishes_locally(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.local", "answer": "echo"})).await?;
    let args = json!({"hub": "a", "topic": "interop.local", "data": 5});
    let got = scene.theirs.call("publish_local", args).await?;
    ensure(got["results"] == json!([{"echo": 5}]), || got.to_string())
}

pub(super) async fn stops_an_event_by_priority(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.stop", "id": "late", "priority": 200})).await?;
    scene
        .they_subscribe(
            json!({"expression": "topic=interop.stop", "id": "early", "priority": 10, "stop": true}),
        )
        .await?;
    scene.they_subscribe(json!({"expression": "topic=interop.marker"})).await?;
    scene.we_publish("interop.stop", &json!(1)).await?;
    scene.we_publish("interop.marker", &json!(1)).await?;
    let first = scene.theirs.event(|_| true).await?;
    let second = scene.theirs.event(|_| true).await?;
    ensure(first["subscriber"] == "early" && second["event"]["topic"] == "interop.marker", || {
        format!("{first} {second}")
    })
}

pub(super) async fn gets_what_is_targeted_at_its_metadata(scene: Scene) -> Result<(), Failure> {
    let metadata = json!({"applicationId": "interop.judge"});
    scene.they_subscribe(json!({"expression": "topic=interop.target", "metadata": metadata})).await?;
    for (target, data) in [("applicationId=another", "no"), ("applicationId=interop.*", "yes")] {
        let event = Event::builder("interop.target").data(&json!(data)).target(target).build()?;
        scene.ours.event_hub().publish(event).await?;
    }
    let got = scene.theirs.event_on("interop.target").await?;
    ensure(got["data"] == "yes", || got.to_string())
}

pub(super) async fn targets_one_of_ours(scene: Scene) -> Result<(), Failure> {
    let hub = scene.ours.event_hub();
    let mut stream = hub.subscribe("topic=interop.target").id("ours").stream().await?;
    for (target, data) in [("id=another", 1), ("id=ours", 2)] {
        let args = json!({"hub": "a", "topic": "interop.target", "target": target, "data": data});
        scene.theirs.call("publish", args).await?;
    }
    let delivery = within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))??;
    ensure(*delivery.event().data_value() == json!(2), || format!("{:?}", delivery.event()))
}

pub(super) async fn subscribes_with_quotes_and_precedence(scene: Scene) -> Result<(), Failure> {
    let expression = r#"(topic="interop.quoted" and data.path='c:/shots/a b') or TOPIC=x or topic=interop.never and not id=0"#;
    scene.they_subscribe(json!({"expression": expression})).await?;
    for path in ["c:/shots/a", "c:/shots/a b"] {
        scene.we_publish("interop.quoted", &json!({"path": path})).await?;
    }
    let got = scene.theirs.event(|_| true).await?["event"].clone();
    ensure(got["data"]["path"] == "c:/shots/a b", || got.to_string())
}
