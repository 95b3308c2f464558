//! Subscribing: handlers in their forms, streams, ids, ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_core::dispatch::Overflow;
use event_core::hub::Report;
use event_core::transport::Guarantee;
use event_core::{Context, Error, ErrorKind, Event, EventHub, Json, Lifecycle, Subscriber, SubscriptionId};
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use crate::support::{Log, event, one_hub};

#[tokio::test]
async fn only_matching_events_reach_a_handler_in_order() {
    let (_bus, hub) = one_hub().await;
    let log = Log::default();
    let subscription = hub
        .subscribe("topic=a and data.n>1")
        .handle_with(log.clone(), async |event: Event, log: Log| log.add(event.data_value()["n"].to_string()))
        .await
        .unwrap();
    for (topic, n) in [("a", 1), ("a", 2), ("b", 3), ("a", 4), ("a", 5)] {
        hub.publish(Event::new(topic, &json!({ "n": n })).unwrap()).await.unwrap();
    }
    assert_eq!(log.wait_for(3).await, ["2", "4", "5"]);
    assert_eq!(subscription.stats().delivered, 3);
    // The bus filters: what matches nothing is not even received.
    assert_eq!((hub.stats().received, hub.stats().unmatched), (3, 0));
}

#[tokio::test]
async fn a_return_value_is_the_reply_and_nothing_is_none() {
    let (_bus, hub) = one_hub().await;
    hub.subscribe("topic=value").handle(async |_event: Event| Json(json!({"success": true}))).await.unwrap();
    hub.subscribe("topic=option").handle(async |_event: Event| Some(Json("yes"))).await.unwrap();
    hub.subscribe("topic=result")
        .handle(async |_event: Event| Ok::<_, event_core::Error>(json!([1])))
        .await
        .unwrap();
    for (topic, expected) in
        [("value", json!({"success": true})), ("option", json!("yes")), ("result", json!([1]))]
    {
        assert_eq!(hub.request(event(topic)).await.unwrap().data_value(), &expected);
    }
}

#[tokio::test(start_paused = true)]
async fn unit_none_and_json_null_are_no_reply() {
    let (_bus, hub) = one_hub().await;
    hub.subscribe("topic=unit").handle(async |_event: Event| {}).await.unwrap();
    hub.subscribe("topic=none").handle(async |_event: Event| None::<Json<u8>>).await.unwrap();
    hub.subscribe("topic=null").handle(async |_event: Event| Json(())).await.unwrap();
    for topic in ["unit", "none", "null"] {
        let error = hub.request(event(topic)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{topic}");
    }
    assert_eq!(hub.stats().open_requests, 0);
}

#[tokio::test]
async fn a_context_sends_several_replies_and_the_return_value_is_one_more() {
    let (_bus, hub) = one_hub().await;
    hub.subscribe("topic=ask")
        .handle_ctx(async |_event, context: event_core::Context| {
            for n in 0..2 {
                context.reply(&json!({ "part": n })).await?;
            }
            Ok::<_, event_core::Error>(Json(json!({"part": "last"})))
        })
        .await
        .unwrap();
    let mut replies = hub.request(event("ask")).replies().await.unwrap();
    let mut parts = Vec::new();
    while parts.len() < 3 {
        parts.push(replies.next().await.unwrap().data_value()["part"].clone());
    }
    assert_eq!(parts, [json!(0), json!(1), json!("last")]);
}

#[tokio::test]
async fn a_stream_yields_events_answers_them_and_unsubscribes_when_dropped() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=a").stream().await.unwrap();
    assert_eq!((bus.subscriptions(), hub.stats().subscriptions), (2, 1), "the inbox and the stream");
    let asking = tokio::spawn({
        let hub = hub.clone();
        async move { hub.request(event("a")).await }
    });
    let delivery = stream.next().await.unwrap().unwrap();
    assert_eq!((delivery.event().topic().as_str(), delivery.attempt()), ("a", 1));
    delivery.reply(&json!("here")).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap().data_value(), "here");
    drop(stream);
    // The next command runs after the unsubscription.
    assert_eq!(hub.unsubscribe(&SubscriptionId::from("none")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!((bus.subscriptions(), hub.stats().subscriptions), (1, 0));
}

#[tokio::test]
async fn an_explicit_unsubscribe_is_confirmed() {
    let (bus, hub) = one_hub().await;
    let stream = hub.subscribe("topic=a").id("s").stream().await.unwrap();
    stream.unsubscribe().await.unwrap();
    let handled = hub.subscribe("topic=a").id("h").handle(async |_event: Event| {}).await.unwrap();
    assert_eq!(hub.subscription(&SubscriptionId::from("h")).unwrap().id(), handled.id());
    handled.unsubscribe().await.unwrap();
    assert_eq!(handled.unsubscribe().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(hub.subscription(handled.id()).is_none());
    assert_eq!(bus.subscriptions(), 1);
}

#[tokio::test]
async fn a_cancelled_subscription_ends_and_its_id_is_free_again() {
    let (bus, hub) = one_hub().await;
    let first = hub.subscribe("topic=a").id("x").handle(async |_event: Event| {}).await.unwrap();
    first.cancel();
    let second = hub.subscribe("topic=a").id("x").handle(async |_event: Event| {}).await.unwrap();
    // The second one is another, which the first does not end.
    first.cancel();
    hub.publish(event("a")).await.unwrap();
    assert_eq!((hub.stats().subscriptions, bus.subscriptions(), second.id().as_str()), (1, 2, "x"));
}

#[tokio::test]
async fn an_id_in_use_or_the_hubs_own_is_refused() {
    let (_bus, hub) = one_hub().await;
    hub.subscribe("topic=a").id("mine").handle(async |_event: Event| {}).await.unwrap();
    let error = hub.subscribe("topic=b").id("mine").handle(async |_event: Event| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    assert!(error.to_string().contains("\"mine\""));

    let bus = event_core::memory::MemoryHub::new();
    let dialect = event_core::dialect::PlainDialect::new("hub-id");
    let hub = EventHub::builder(bus.transport()).dialect(dialect).connect().await.unwrap();
    let error = hub.subscribe("topic=b").id("hub-id").stream().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
}

#[tokio::test]
async fn a_malformed_expression_is_refused_with_its_column() {
    let (_bus, hub) = one_hub().await;
    let error = hub.subscribe("topic=a and (data.n=").stream().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidExpression);
    assert!(error.to_string().contains('^'), "{error}");
}

#[tokio::test]
async fn a_guarantee_that_the_transport_does_not_give_is_refused_at_once() {
    let (_bus, hub) = one_hub().await;
    let error = hub.subscribe("topic=a").require(Guarantee::AtLeastOnce).stream().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn targets_reach_those_whose_metadata_they_describe() {
    let (_bus, hub) = one_hub().await;
    let log = Log::default();
    for application in ["maya", "nuke"] {
        let subscriber = Subscriber::anonymous().with("applicationId", application);
        hub.subscribe("topic=t")
            .subscriber(subscriber)
            .handle_with((log.clone(), application), async |_event: Event, (log, name): (Log, &str)| {
                log.add(name);
            })
            .await
            .unwrap();
    }
    hub.subscribe("topic=t")
        .id("plain")
        .metadata("n", 7)
        .handle_with(log.clone(), async |_event, log: Log| log.add("plain"))
        .await
        .unwrap();
    let targeted = |target: &str| Event::builder("t").target(target).build().unwrap();
    for target in ["applicationId=maya", "id=plain", "not applicationId=*", "n>6", "id=nobody", "((", ""] {
        hub.publish(targeted(target)).await.unwrap();
        log.add(format!("-- {target}"));
        // A request to everyone, answered by nobody else, orders the log: deliveries come before it.
        let mut order = hub.subscribe("topic=order").stream().await.unwrap();
        hub.publish(event("order")).await.unwrap();
        order.next().await.unwrap().unwrap();
        tokio::task::yield_now().await;
    }
    let mut lines = log.wait_for(7 + 6).await;
    lines.retain(|line| !line.starts_with("--"));
    lines.sort();
    assert_eq!(lines, ["maya", "maya", "nuke", "plain", "plain", "plain", "plain"]);
}

#[tokio::test]
async fn a_target_that_is_no_expression_reaches_nobody_and_is_counted() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").stream().await.unwrap();
    let local = Event::builder("t").target("((").build().unwrap();
    assert!(hub.publish_local(&local).await.unwrap().is_empty());
    assert_eq!(hub.stats().unreadable_targets, 1);
    bus.inject(&event("t"));
    assert!(stream.next().await.unwrap().unwrap().event().target().is_empty());
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_is_reported_and_the_others_run() {
    let (_bus, hub) = one_hub().await;
    let mut lifecycle = hub.lifecycle();
    let log = Log::default();
    hub.subscribe("topic=t")
        .id("fails")
        .handle(
            async |event: Event| {
                if event.data_value()["n"] == 0 { Err("disk full") } else { Ok(Json("fine")) }
            },
        )
        .await
        .unwrap();
    hub.subscribe("topic=t")
        .id("panics")
        .handle(async |event: Event| assert_ne!(event.data_value()["n"], 0, "no zeroes"))
        .await
        .unwrap();
    hub.subscribe("topic=t")
        .handle_with(log.clone(), async |_event, log: Log| log.add("runs"))
        .await
        .unwrap();
    hub.publish(Event::new("t", &json!({"n": 0})).unwrap()).await.unwrap();
    let mut failures = Vec::new();
    while failures.len() < 2 {
        if let Some(Report::Happened(Lifecycle::HandlerFailed { id, error })) = lifecycle.next().await {
            failures.push(format!("{id}: {error}"));
        }
    }
    failures.sort();
    assert!(failures[0].starts_with("fails") && failures[0].contains("disk full"), "{failures:?}");
    assert!(failures[1].starts_with("panics") && failures[1].contains("no zeroes"), "{failures:?}");
    log.wait_for(1).await;
    assert_eq!(hub.stats().handler_failures, 2);
    // Both go on.
    let reply = hub.request(Event::new("t", &json!({"n": 1})).unwrap()).await.unwrap();
    assert_eq!(reply.data_value(), "fine");
}

#[tokio::test]
async fn a_full_buffer_drops_by_its_policy_counts_and_reports() {
    let (bus, hub) = one_hub().await;
    let mut lifecycle = hub.lifecycle();
    let mut oldest =
        hub.subscribe("topic=t").id("oldest").buffer(2, Overflow::DropOldest).stream().await.unwrap();
    let mut newest =
        hub.subscribe("topic=t").id("newest").buffer(2, Overflow::DropNewest).stream().await.unwrap();
    for n in 0..5 {
        bus.inject(&Event::new("t", &json!({ "n": n })).unwrap());
    }
    let mut seen = Vec::new();
    let mut slow = 0;
    while slow < 2 {
        if let Some(Report::Happened(Lifecycle::SlowConsumer { .. })) = lifecycle.next().await {
            slow += 1;
        }
    }
    // A round trip: all five have been dispatched.
    hub.publish(event("other")).await.unwrap();
    for stream in [&mut oldest, &mut newest] {
        for _ in 0..2 {
            seen.push(stream.next().await.unwrap().unwrap().event().data_value()["n"].as_u64().unwrap());
        }
    }
    assert_eq!(seen, [3, 4, 0, 1]);
    assert_eq!((oldest.stats().dropped, newest.stats().dropped, hub.stats().dropped), (3, 3, 6));
}

#[tokio::test]
async fn one_slow_handler_holds_up_no_other_subscription() {
    let (_bus, hub) = one_hub().await;
    let gate = Arc::new(Notify::new());
    hub.subscribe("topic=t")
        .handle_with(Arc::clone(&gate), async |_event, gate: Arc<Notify>| gate.notified().await)
        .await
        .unwrap();
    let mut quick = hub.subscribe("topic=t").stream().await.unwrap();
    for _ in 0..10 {
        hub.publish(event("t")).await.unwrap();
        quick.next().await.unwrap().unwrap();
    }
    gate.notify_one();
}

#[tokio::test]
async fn concurrency_is_as_asked_for_and_not_more() {
    let (_bus, hub) = one_hub().await;
    let (running, most, door) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let log = Log::default();
    let state = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&door), log.clone());
    let subscription =
        hub.subscribe("topic=t")
            .concurrency(3)
            .handle_with(
                state,
                async |_event,
                       (running, most, door, log): (
                    Arc<AtomicUsize>,
                    Arc<AtomicUsize>,
                    Arc<Semaphore>,
                    Log,
                )| {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    log.add("started");
                    door.acquire().await.unwrap().forget();
                    running.fetch_sub(1, Ordering::SeqCst);
                    log.add("done");
                },
            )
            .await
            .unwrap();
    for _ in 0..6 {
        hub.publish(event("t")).await.unwrap();
    }
    assert_eq!(log.wait_for(3).await, ["started"; 3]);
    assert_eq!(subscription.stats().running, 3);
    door.add_permits(6);
    log.wait_for(12).await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_handler_may_subscribe_publish_and_unsubscribe() {
    let (_bus, hub) = one_hub().await;
    let log = Log::default();
    hub.subscribe("topic=start")
        .id("start")
        .handle_ctx({
            let log = log.clone();
            move |_event, context: event_core::Context| {
                let log = log.clone();
                async move {
                    let hub = context.hub().unwrap();
                    hub.subscribe("topic=next")
                        .handle_with(log, async |_event, log: Log| log.add("next"))
                        .await?;
                    hub.publish(event("next")).await?;
                    hub.unsubscribe(context.subscription_id()).await
                }
            }
        })
        .await
        .unwrap();
    hub.publish(event("start")).await.unwrap();
    log.wait_for(1).await;
    assert_eq!(hub.stats().subscriptions, 1);
}

#[tokio::test(start_paused = true)]
async fn subscribing_that_is_dropped_after_any_number_of_polls_leaves_no_subscription() {
    let (bus, hub) = one_hub().await;
    for polls in 1..20 {
        let subscribing = hub.subscribe("topic=t").stream();
        tokio::pin!(subscribing);
        for _ in 0..polls {
            if futures_util::poll!(subscribing.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await; // paused
    assert_eq!(hub.stats().subscriptions, 0);
    assert_eq!(bus.subscriptions(), 1, "the hub's own, for replies");
}

#[tokio::test]
async fn a_subscription_can_be_narrowed_step_by_step() {
    let (_bus, hub) = one_hub().await;
    let handler = async |_event: Event| {};
    let narrowed = hub.subscribe("topic=t or topic=u").where_("data.n>1").where_("not source.id=me");
    let narrowed = narrowed.handle(handler).await.unwrap();
    assert_eq!(narrowed.expression().to_string(), "(topic=t or topic=u) and data.n>1 and not source.id=me");
    for (whole, more) in [("topic=t", "a=="), ("topic", "a=1")] {
        let error = hub.subscribe(whole).where_(more).handle(handler).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidExpression, "{whole} {more}");
    }
}

#[tokio::test]
async fn work_that_outlives_its_handler_reports_its_failure_as_the_handlers() {
    let (_bus, hub) = one_hub().await;
    let mut lifecycle = hub.lifecycle();
    hub.subscribe("topic=t")
        .id("long")
        .handle_ctx(async |_event: Event, context: Context| {
            tokio::spawn(async move {
                context.report_failure(Error::new(ErrorKind::Handler, "render", "the disk is full"));
            });
        })
        .await
        .unwrap();
    hub.publish(event("t")).await.unwrap();
    loop {
        if let Some(Report::Happened(Lifecycle::HandlerFailed { id, error })) = lifecycle.next().await {
            assert_eq!((id.as_str(), error.message()), ("long", "the disk is full"));
            break;
        }
    }
    assert_eq!((hub.stats().handler_failures, hub.stats().undecodable), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_any_target_gets_events_that_are_for_others() {
    let (bus, hub) = one_hub().await;
    let mut any = hub.subscribe("topic=t").any_target().stream().await.unwrap();
    let mut own = hub.subscribe("topic=t").metadata("applicationId", "maya").stream().await.unwrap();
    for (n, target) in ["id=somebody", "applicationId=maya", "not an expression"].iter().enumerate() {
        bus.inject(&Event::builder("t").data(&n).target(target).build().unwrap());
    }
    for n in 0..3 {
        assert_eq!(any.next().await.unwrap().unwrap().event().data_value(), n);
    }
    assert_eq!(own.next().await.unwrap().unwrap().event().data_value(), 1);
}
