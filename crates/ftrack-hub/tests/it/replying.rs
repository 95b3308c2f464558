//! "Sending replies" and "Handling replies".

use std::time::Duration;

use ftrack_hub::{Context, ErrorKind, Event, Json};
use hub_emulator::Emulator;
use serde_json::{Value, json};

use crate::support::{Log, connected, event, holds, two, within};

/// A deadline that is meant to pass.
const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn what_a_handler_returns_is_the_reply() {
    let (_emulator, ann, ben) = two().await;
    ann.event_hub()
        .subscribe("topic=test-reply")
        .id("answering")
        .handle(async |event: Event| {
            Json(json!({"success": true, "message": "Cool!", "to": event.data_value()}))
        })
        .await
        .unwrap();
    let asked = event("test-reply", 42);
    let reply = within(ben.event_hub().publish_and_wait_for_reply(asked.clone())).await.unwrap();
    assert_eq!(reply.data_value(), &json!({"success": true, "message": "Cool!", "to": 42}));
    assert_eq!(reply.topic().as_str(), "ftrack.meta.reply");
    assert_eq!(reply.in_reply_to(), asked.id());
    assert_eq!(reply.target(), format!("id={}", ben.event_hub().id()));
    assert_eq!(reply.source()["user"]["username"], "ann");
    assert_eq!(reply.source_id(), Some("answering"), "as the official clients sign");
}

#[tokio::test]
async fn a_handler_that_returns_nothing_sends_no_reply() {
    let (emulator, ann, ben) = two().await;
    let hub = ann.event_hub();
    hub.subscribe("topic=t").handle(async |_: Event| ()).await.unwrap();
    hub.subscribe("topic=t").handle(async |_: Event| Json(Value::Null)).await.unwrap();
    hub.subscribe("topic=t").handle(async |_: Event| None::<Json<u8>>).await.unwrap();
    hub.subscribe("topic=t").priority(101).handle(async |_: Event| Json(false)).await.unwrap();
    let before = emulator.stats().events_received;
    let reply = within(ben.event_hub().publish_and_wait_for_reply(event("t", 1))).await.unwrap();
    assert_eq!(reply.data_value(), false, "false is a reply");
    hub.close().await;
    let unsubscribed = 4;
    assert_eq!(emulator.stats().events_received, before + 2 + unsubscribed, "the event and one reply");
}

#[tokio::test]
async fn a_context_sends_several_replies_and_the_return_value_is_one_more() {
    let (_emulator, ann, ben) = two().await;
    ann.event_hub()
        .subscribe("topic=count")
        .handle_ctx(async |event: Event, context: Context| {
            for n in 1..=event.data::<u8>()? {
                context.reply(&n).await?;
            }
            Ok::<_, ftrack_hub::Error>(Json("done"))
        })
        .await
        .unwrap();
    let hub = ben.event_hub();
    let replies = hub.publish_with_replies(event("count", 3), Duration::from_secs(60));
    let mut replies = within(replies).await.unwrap();
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(within(replies.next()).await.unwrap().data_value().to_string());
    }
    assert_eq!(got, ["1", "2", "3", "\"done\""]);
    assert_eq!(hub.stats().open_requests, 1);
    drop(replies);
    assert_eq!(hub.stats().open_requests, 0);
}

#[tokio::test]
async fn replies_of_several_sessions_come_until_the_deadline() {
    let emulator = Emulator::start().await.unwrap();
    let asker = connected(&emulator, "asker").await;
    let mut sessions = Vec::new();
    for user in ["ann", "ben", "carl"] {
        let session = connected(&emulator, user).await;
        let answer = move |_: Event| async move { Json(user) };
        within(session.event_hub().subscribe("topic=who").handle(answer)).await.unwrap();
        sessions.push(session);
    }
    let hub = asker.event_hub();
    let mut replies =
        within(hub.publish_with_replies(event("who", 0), Duration::from_secs(1))).await.unwrap();
    let mut names = Vec::new();
    while let Some(reply) = within(replies.next()).await {
        names.push(reply.data_value().as_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["ann", "ben", "carl"]);
    // Waiting for one takes the first; the others are counted.
    let reply = within(hub.publish_and_wait_for_reply(event("who", 0))).await.unwrap();
    assert!(names.contains(&reply.data_value().as_str().unwrap().to_owned()));
    for session in &sessions {
        session.event_hub().close().await;
    }
    within(hub.publish(event("end", 0))).await.unwrap();
    let stats = hub.stats();
    assert_eq!((stats.replies, stats.late_replies + stats.duplicate_replies), (4, 2), "{stats:?}");
}

#[tokio::test]
async fn an_event_can_be_answered_by_hand_later() {
    let (_emulator, ann, ben) = two().await;
    let hub = ann.event_hub();
    let mut stream = within(hub.subscribe("topic=ask").stream()).await.unwrap();
    let other = ben.event_hub().clone();
    let asking = tokio::spawn(async move {
        let mut replies = other.publish_with_replies(event("ask", 0), Duration::from_secs(60)).await.unwrap();
        [replies.next().await.unwrap(), replies.next().await.unwrap()]
    });
    let asked = within(stream.next()).await.unwrap().unwrap();
    within(asked.reply(&"from the stream")).await.unwrap();
    let receipt = within(hub.publish_reply(asked.event(), &json!({"by": "hand"}))).await.unwrap();
    assert!(!receipt.possible_duplicate);
    let [first, second] = within(asking).await.unwrap();
    assert_eq!(first.data_value(), "from the stream");
    assert_eq!(second.data_value(), &json!({"by": "hand"}));
    assert_eq!(second.source_id(), Some(hub.id().as_str()), "signed by the hub");
}

#[tokio::test]
async fn what_came_from_nowhere_cannot_be_answered() {
    let (_emulator, ann, _ben) = two().await;
    let orphan = event("ask", 0);
    let error = within(ann.event_hub().publish_reply(&orphan, &1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn waiting_for_a_reply_ends_with_its_timeout_and_a_late_reply_disturbs_nobody() {
    let (emulator, ann, ben) = two().await;
    let hub = ben.event_hub();
    let error =
        within(hub.publish_and_wait_for_reply(event("nobody.listens", 0)).timeout(SHORT).into_future())
            .await
            .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("nobody.listens"), "{error}");

    let mut stream = within(ann.event_hub().subscribe("topic=slow").stream()).await.unwrap();
    let asking = hub.publish_and_wait_for_reply(event("slow", 0)).timeout(SHORT);
    let error = within(asking.into_future()).await.unwrap_err();
    assert_eq!((error.kind(), hub.stats().open_requests), (ErrorKind::Timeout, 0));
    within(within(stream.next()).await.unwrap().unwrap().reply(&"late")).await.unwrap();
    let log = Log::default();
    log.follow(hub, "topic=end").await;
    emulator.publish(event("end", 0)).unwrap();
    log.wait_for(1).await;
    assert_eq!((hub.stats().late_replies, hub.stats().replies), (1, 0));
}

#[tokio::test]
async fn a_reply_reaches_only_whoever_asked() {
    let (emulator, ann, ben) = two().await;
    let curious = connected(&emulator, "curious").await;
    let log = Log::default();
    log.follow(curious.event_hub(), "topic=ftrack.meta.reply or topic=end").await;
    assert!(holds(&emulator, "topic=ftrack.meta.reply or topic=end"));
    within(ann.event_hub().subscribe("topic=ask").handle(async |_: Event| Json(1))).await.unwrap();
    within(ben.event_hub().publish_and_wait_for_reply(event("ask", 0))).await.unwrap();
    within(ben.event_hub().publish(event("end", "end"))).await.unwrap();
    assert_eq!(log.wait_for(1).await, ["\"end\""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sessions_talk_both_ways_at_the_same_time() {
    let (_emulator, ann, ben) = two().await;
    for (session, name) in [(&ann, "ann"), (&ben, "ben")] {
        let answer = move |event: Event| async move { Json(json!([name, event.data_value()])) };
        let topic = format!("topic=to.{name}");
        within(session.event_hub().subscribe(topic).concurrency(8).handle(answer)).await.unwrap();
    }
    let mut talks = Vec::new();
    for n in 0..100 {
        for (from, to) in [(&ann, "ben"), (&ben, "ann")] {
            let hub = from.event_hub().clone();
            talks.push(tokio::spawn(async move {
                let reply = hub.publish_and_wait_for_reply(event(&format!("to.{to}"), n)).await.unwrap();
                assert_eq!(reply.data_value(), &json!([to, n]));
            }));
        }
    }
    for talk in talks {
        within(talk).await.unwrap();
    }
    for session in [&ann, &ben] {
        // Until the last reply is acknowledged, too.
        within(session.event_hub().close()).await;
        let stats = session.event_hub().stats();
        assert_eq!((stats.replies, stats.open_requests, stats.outstanding), (100, 0, 0), "{stats:?}");
    }
}

#[tokio::test]
async fn a_handler_may_ask_the_other_session_before_it_answers() {
    let (_emulator, ann, ben) = two().await;
    within(ben.event_hub().subscribe("topic=inner").handle(async |_: Event| Json(7))).await.unwrap();
    let outer = async |_: Event, context: Context| {
        let hub = context.hub().expect("the session is held");
        let inner = hub.request(event("inner", 0)).await?;
        Ok::<_, ftrack_hub::Error>(Json(json!({"inner": inner.data_value()})))
    };
    within(ann.event_hub().subscribe("topic=outer").handle_ctx(outer)).await.unwrap();
    let reply = within(ben.event_hub().publish_and_wait_for_reply(event("outer", 0))).await.unwrap();
    assert_eq!(reply.data_value(), &json!({"inner": 7}));
}
