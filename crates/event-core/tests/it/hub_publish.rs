//! Publishing and asking: receipts, deadlines, refusals, replies.

use std::future::IntoFuture;
use std::time::Duration;

use event_core::dialect::PlainDialect;
use event_core::hub::Report;
use event_core::memory::MemoryHub;
use event_core::{ErrorKind, Event, EventHub, Json, Lifecycle, Resend};
use serde_json::json;

use crate::support::{Log, event, one_hub};

#[tokio::test]
async fn a_publish_returns_when_it_is_acknowledged() {
    let (bus, hub) = one_hub().await;
    bus.hold_acknowledgements(true);
    let publishing = tokio::spawn(hub.publish(event("t")).into_future());
    let mut stream = hub.subscribe("topic=other").stream().await.unwrap();
    bus.inject(&event("other"));
    stream.next().await.unwrap().unwrap();
    assert!(!publishing.is_finished());
    bus.hold_acknowledgements(false);
    let receipt = publishing.await.unwrap().unwrap();
    assert_eq!((receipt.attempts, receipt.possible_duplicate), (1, false));
}

#[tokio::test]
async fn the_source_is_filled_in_and_its_id_cannot_be_chosen() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).dialect(PlainDialect::new("me")).connect().await.unwrap();
    let mut stream = hub.subscribe("topic=t").stream().await.unwrap();
    let event = Event::builder("t").source_field("id", "other").source_field("show", "dune").build().unwrap();
    hub.publish(event).await.unwrap();
    let seen = stream.next().await.unwrap().unwrap().into_event();
    assert_eq!(seen.source(), &json!({"id": "me", "show": "dune"}));
}

#[tokio::test(start_paused = true)]
async fn publishing_before_the_connection_stands_waits_for_it_up_to_the_timeout() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).build().unwrap();
    let error = hub.publish(event("t")).timeout(Duration::from_secs(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("not connected"), "{error}");
    let early = tokio::spawn(hub.publish(event("t")).into_future());
    tokio::task::yield_now().await;
    hub.connect().await.unwrap();
    early.await.unwrap().unwrap();
    assert_eq!((bus.published(), hub.stats().expired), (1, 1), "the expired one is never sent");
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_is_never_sent_says_what_it_waited_for() {
    let (bus, hub) = one_hub().await;
    bus.hold_acknowledgements(true);
    for _ in 0..64 {
        hub.publish(event("t")).timeout(Duration::from_secs(60)).no_wait().await.unwrap();
    }
    let late = hub.publish(event("late")).timeout(Duration::from_secs(3));
    let error = late.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(
        error.message(),
        "64 events that were sent before are not acknowledged yet, and no more may be on their way; the event on \
         \"late\" was not sent before its deadline"
    );
    hub.disconnect().await;
    let error = hub.publish(event("later")).timeout(Duration::from_secs(3)).await.unwrap_err();
    assert_eq!(
        error.message(),
        "there is no connection, the hub is not connected; the event on \"later\" was not sent before its deadline"
    );
    assert_eq!((bus.published(), hub.stats().expired), (64, 2));
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_was_sent_and_not_acknowledged_says_so() {
    let (bus, hub) = one_hub().await;
    bus.hold_acknowledgements(true);
    let error = hub.publish(event("t")).timeout(Duration::from_secs(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.message(), "the event on \"t\" was not acknowledged within 3s (the hub is connected)");
    assert_eq!((bus.published(), hub.stats().expired), (1, 0));
}

#[tokio::test]
async fn a_refused_publish_fails_alone() {
    let (bus, hub) = one_hub().await;
    bus.refuse_events(Some(ErrorKind::Refused));
    assert_eq!(hub.publish(event("t")).await.unwrap_err().kind(), ErrorKind::Refused);
    bus.refuse_events(None);
    hub.publish(event("t")).await.unwrap();
    assert_eq!((hub.stats().refused, hub.stats().published), (1, 1));
}

#[tokio::test]
async fn events_are_sent_in_the_order_of_publishing_even_past_a_full_window() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").stream().await.unwrap();
    bus.hold_acknowledgements(true);
    let mut publishing = Vec::new();
    for n in 0..200 {
        let publish = hub.publish(Event::new("t", &json!({ "n": n })).unwrap()).into_future();
        publishing.push(tokio::spawn(publish));
        tokio::task::yield_now().await;
    }
    for n in 0..64 {
        assert_eq!(stream.next().await.unwrap().unwrap().event().data_value()["n"], n);
    }
    bus.hold_acknowledgements(false);
    for n in 64..200 {
        assert_eq!(stream.next().await.unwrap().unwrap().event().data_value()["n"], n);
    }
    for publish in publishing {
        publish.await.unwrap().unwrap();
    }
    assert_eq!(hub.stats().outstanding, 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_makes_publishers_wait_and_then_fail() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).outbox_capacity(2).build().unwrap();
    for _ in 0..2 {
        hub.publish(event("t")).timeout(Duration::from_secs(60)).no_wait().await.unwrap();
    }
    let error = hub.publish(event("t")).timeout(Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    hub.connect().await.unwrap();
    hub.publish(event("t")).await.unwrap();
    assert_eq!(bus.published(), 3);
}

#[tokio::test(start_paused = true)]
async fn room_that_comes_with_the_deadline_comes_too_late() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).outbox_capacity(2).build().unwrap();
    let publishing = (0..4).map(|_| hub.publish(event("t")).into_future());
    let kinds = futures_util::future::join_all(publishing).await;
    let kinds: Vec<_> = kinds.into_iter().map(|outcome| outcome.unwrap_err().kind()).collect();
    assert_eq!(kinds, [ErrorKind::Timeout, ErrorKind::Timeout, ErrorKind::Full, ErrorKind::Full]);
    assert_eq!((hub.stats().expired, hub.stats().outstanding), (2, 0));
}

#[tokio::test]
async fn a_publish_cut_off_is_sent_again_and_says_so_and_a_request_is_not() {
    let bus = MemoryHub::new();
    // It is to see what comes twice.
    let hub = EventHub::builder(bus.transport()).repeats(Duration::ZERO, 0).connect().await.unwrap();
    bus.hold_acknowledgements(true);
    let mut seen = hub.subscribe("topic=t or topic=ask or topic=once").stream().await.unwrap();
    let publishing = tokio::spawn(hub.publish(event("t")).into_future());
    seen.next().await.unwrap().unwrap();
    let once = tokio::spawn(hub.publish(event("once")).resend(Resend::Never).into_future());
    seen.next().await.unwrap().unwrap();
    let asking = tokio::spawn(hub.request(event("ask")).into_future());
    seen.next().await.unwrap().unwrap();
    bus.hold_acknowledgements(true);
    bus.cut();
    // Resubscribing needs no acknowledgement on this bus; publishing does.
    let again = seen.next().await.unwrap().unwrap().into_event();
    assert_eq!(again.topic(), &"t");
    bus.hold_acknowledgements(false);
    let receipt = publishing.await.unwrap().unwrap();
    assert_eq!((receipt.attempts, receipt.possible_duplicate), (2, true));
    assert_eq!(once.await.unwrap().unwrap_err().kind(), ErrorKind::Unconfirmed);
    assert_eq!(asking.await.unwrap().unwrap_err().kind(), ErrorKind::Unconfirmed);
    assert_eq!(hub.stats().open_requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_nobody_answers_ends_in_a_timeout_and_leaves_no_slot() {
    let (_bus, hub) = one_hub().await;
    let started = tokio::time::Instant::now();
    let error = hub.request(event("t")).timeout(Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert!(error.to_string().contains("no reply") && error.to_string().contains("connected"), "{error}");
    assert_eq!(hub.stats().open_requests, 0);
}

#[tokio::test]
async fn a_reply_counts_as_an_acknowledgement() {
    let (bus, hub) = one_hub().await;
    let bystander = EventHub::builder(bus.transport()).connect().await.unwrap();
    let mut asked = bystander.subscribe("topic=ask").stream().await.unwrap();
    bus.hold_acknowledgements(true);
    let asking = tokio::spawn(hub.request(event("ask")).into_future());
    let question = asked.next().await.unwrap().unwrap();
    let answering = tokio::spawn(async move { question.reply(&json!("now")).await });
    assert_eq!(asking.await.unwrap().unwrap().data_value(), "now");
    bus.hold_acknowledgements(false);
    answering.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_reply_arrives_until_the_deadline() {
    let (bus, asker) = one_hub().await;
    for n in 0..3 {
        let hub = EventHub::builder(bus.transport()).connect().await.unwrap();
        hub.subscribe("topic=ask").handle(move |_event: Event| async move { Json(n) }).await.unwrap();
        // A handler that holds its own hub keeps it alive for the test.
        hub.subscribe("topic=keep")
            .handle_with(hub.clone(), async |_event, _hub: EventHub| {})
            .await
            .unwrap();
    }
    let mut replies = asker.request(event("ask")).timeout(Duration::from_secs(2)).replies().await.unwrap();
    let mut seen = Vec::new();
    while let Some(reply) = replies.next().await {
        seen.push(reply.data_value().as_u64().unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2]);
    drop(replies);
    assert_eq!((asker.stats().open_requests, asker.stats().replies), (0, 3));
}

#[tokio::test]
async fn late_duplicate_and_foreign_replies_are_counted() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).dialect(PlainDialect::new("me")).connect().await.unwrap();
    hub.subscribe("topic=ask").handle(async |_event: Event| Json(1)).await.unwrap();
    let question = event("ask");
    hub.request(question.clone()).await.unwrap();
    let answer = |to: &str| {
        Event::builder("reply").target("id=me").in_reply_to(to.to_owned()).data(&2).build().unwrap()
    };
    bus.inject(&answer(question.id().unwrap().as_str()));
    bus.inject(&answer("never-asked"));
    let silent = event("silent");
    {
        let asking = hub.request(silent.clone()).into_future();
        tokio::pin!(asking);
        assert!(futures_util::poll!(&mut asking).is_pending());
    }
    bus.inject(&answer(silent.id().unwrap().as_str()));
    hub.request(event("ask")).await.unwrap();
    let stats = hub.stats();
    assert_eq!((stats.duplicate_replies, stats.late_replies, stats.foreign_replies), (1, 1, 1));
    assert_eq!(stats.open_requests, 0);
}

#[tokio::test]
async fn two_hubs_that_share_a_subscriber_id_both_answer() {
    let (bus, asker) = one_hub().await;
    let mut others = Vec::new();
    for n in 0..2 {
        let hub = EventHub::builder(bus.transport()).connect().await.unwrap();
        hub.subscribe("topic=ask")
            .id("shared")
            .handle(move |_event: Event| async move { Json(n) })
            .await
            .unwrap();
        others.push(hub);
    }
    let mut replies = asker.request(event("ask")).replies().await.unwrap();
    let mut seen =
        [replies.next().await.unwrap(), replies.next().await.unwrap()].map(|r| r.data_value().as_u64());
    seen.sort_unstable();
    assert_eq!(seen, [Some(0), Some(1)]);
}

#[tokio::test]
async fn an_event_without_an_address_cannot_be_answered_and_a_failed_automatic_reply_is_reported() {
    let (bus, hub) = one_hub().await;
    let mut lifecycle = hub.lifecycle();
    let nameless = Event::from_json(r#"{"topic":"t","data":{}}"#).unwrap();
    assert_eq!(hub.reply(&nameless, &1).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    hub.subscribe("topic=t").id("eager").handle(async |_event: Event| Json(1)).await.unwrap();
    bus.inject(&nameless);
    loop {
        if let Some(Report::Happened(Lifecycle::ReplyFailed { id, .. })) = lifecycle.next().await {
            assert_eq!(id, "eager");
            break;
        }
    }
}

#[tokio::test]
async fn a_local_publish_runs_matching_handlers_in_priority_order_and_returns_their_results() {
    let (bus, hub) = one_hub().await;
    let log = Log::default();
    for (id, priority) in [("late", 200), ("early", 10), ("middle", 100)] {
        hub.subscribe("topic=local")
            .id(id)
            .priority(priority)
            .handle_with((log.clone(), id), async |_event: Event, (log, id): (Log, &str)| {
                log.add(id);
                if id == "middle" { Err("no") } else { Ok(Json(id)) }
            })
            .await
            .unwrap();
    }
    hub.subscribe("topic=other").handle(async |_event: Event| Json("not me")).await.unwrap();
    let outcomes = hub.publish_local(&event("local")).await.unwrap();
    assert_eq!(log.lines(), ["early", "middle", "late"]);
    let replies: Vec<_> = outcomes
        .iter()
        .map(|o| o.reply.as_ref().ok().and_then(|r| r.as_ref()).map(|r| r.as_str().to_owned()))
        .collect();
    assert_eq!(replies, [Some("\"early\"".to_owned()), None, Some("\"late\"".to_owned())]);
    assert_eq!(bus.published(), 0, "nothing is sent");
}

#[tokio::test]
async fn a_local_publish_can_be_stopped() {
    let (_bus, hub) = one_hub().await;
    hub.subscribe("topic=local")
        .priority(1)
        .handle_ctx(async |_event, context: event_core::Context| assert!(context.stop()))
        .await
        .unwrap();
    hub.subscribe("topic=local").priority(2).handle(async |_event: Event| Json("too late")).await.unwrap();
    assert_eq!(hub.publish_local(&event("local")).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_verbatim_publish_keeps_every_byte_and_its_source() {
    let (bus, hub) = one_hub().await;
    let listener = EventHub::builder(bus.transport()).connect().await.unwrap();
    let mut came = listener.subscribe("topic=odd").stream().await.unwrap();
    for text in [
        r#"{"topic" : "odd","id":"e1","source":{"id":"somebody"},"extra":[1, 2],"extra":3}"#,
        r#"{"topic":"odd","data":1.0}"#,
    ] {
        hub.publish(Event::from_json(text).unwrap()).verbatim().await.unwrap();
        assert_eq!(came.next().await.unwrap().unwrap().event().to_json(), text);
    }
}
