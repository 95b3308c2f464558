//! What is accepted: answered in time, handled once, sent again where it was not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use event_core::transport::{Attempt, Guarantee, Inbound, Link, SettleToken, Settlement, Transport};
use event_core::{Context, Event, EventHub, Subscriber, SubscriptionSpec};
use futures_util::StreamExt;
use http::StatusCode;
use http::header::RETRY_AFTER;
use hub_emulator::Emulator;
use imodelhub_events::webhooks::{Acknowledge, WebhookEventType, WebhookReceiver};
use imodelhub_events::{ErrorKind, EventType, HubEvent, IModelEvent, ListenerState, ReceiveMode, Result};
use serde_json::json;
use tokio::sync::Semaphore;

use super::sending::{body, receiver, send, signed};
use crate::support::{IMODEL, Log, client, imodel};

/// Waits until the receiver's numbers fit: they change while the hub's task runs.
async fn until(
    receiver: &WebhookReceiver,
    fits: impl Fn(&imodelhub_events::webhooks::ReceiverStats) -> bool,
) {
    while !fits(&receiver.stats()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_handler_and_a_full_receiver_refuses() {
    let receiver = receiver(|builder| builder.capacity(3));
    let (log, gate) = (Log::default(), Arc::new(Semaphore::new(0)));
    let (handled, wait) = (log.clone(), Arc::clone(&gate));
    let listener = receiver
        .create_listener()
        .handle(move |event: HubEvent| {
            let (handled, wait) = (handled.clone(), Arc::clone(&wait));
            async move {
                wait.acquire().await.unwrap().forget();
                handled.add(event.message_id().unwrap());
            }
        })
        .await
        .unwrap();
    assert!(matches!(listener.state(), ListenerState::Listening));
    assert_eq!(listener.mode(), ReceiveMode::ReceiveAndDelete);
    for id in ["1", "2", "3"] {
        assert_eq!(send(&receiver, id).await, StatusCode::OK);
    }
    let answer = receiver.answer(signed(body("4"))).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()[RETRY_AFTER], "1");
    assert_eq!((receiver.stats().full, receiver.stats().open, receiver.stats().accepted), (1, 3, 3));
    // What waits is known: a repeat of it is no fourth.
    assert_eq!(send(&receiver, "2").await, StatusCode::OK);
    gate.add_permits(1);
    until(&receiver, |stats| stats.open < 3).await;
    assert_eq!(send(&receiver, "4").await, StatusCode::OK);
    gate.add_permits(3);
    assert_eq!(log.wait_for(4).await, ["1", "2", "3", "4"]);
    until(&receiver, |stats| stats.open == 0).await;
    let stats = receiver.stats();
    assert_eq!((stats.accepted, stats.handled, stats.failed, stats.repeats, stats.full), (4, 4, 0, 1, 1));
}

#[tokio::test]
async fn nobody_is_told_that_an_event_arrived_while_nobody_listens() {
    let receiver = receiver(|builder| builder);
    assert_eq!(send(&receiver, "1").await, StatusCode::SERVICE_UNAVAILABLE);
    let log = Log::default();
    let noted = log.clone();
    let handler = move |event: HubEvent| {
        noted.add(event.message_id().unwrap());
        async {}
    };
    let listener = receiver.create_listener().handle(handler.clone()).await.unwrap();
    assert_eq!(send(&receiver, "1").await, StatusCode::OK);
    assert_eq!(log.wait_for(1).await, ["1"]);
    drop(listener);
    // The end of the last subscription is on its way to the gate: what comes before it, nobody wants any more.
    let mut late = 0;
    while send(&receiver, &format!("late {late}")).await == StatusCode::OK {
        late += 1;
        tokio::task::yield_now().await;
    }
    let _again = receiver.create_listener().handle(handler).await.unwrap();
    assert_eq!(send(&receiver, "3").await, StatusCode::OK);
    assert_eq!(log.wait_for(2).await, ["1", "3"]);
    assert!(receiver.stats().nobody_listens >= 2);
}

#[tokio::test]
async fn an_event_whose_handler_fails_is_sent_again_where_answers_wait() {
    let receiver = receiver(|builder| builder.acknowledge(Acknowledge::Settled));
    let (log, fails) = (Log::default(), Arc::new(AtomicUsize::new(2)));
    let (handled, left) = (log.clone(), Arc::clone(&fails));
    let listener = receiver
        .create_listener()
        .handle(move |event: HubEvent| {
            handled.add(event.message_id().unwrap());
            let left = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            async move {
                assert_ne!(left, Ok(2), "the first time, it panics");
                match left {
                    Ok(_) => Err(imodelhub_events::Error::new(ErrorKind::Handler, "handle", "no")),
                    Err(_) => Ok(()),
                }
            }
        })
        .await
        .unwrap();
    assert_eq!(listener.mode(), ReceiveMode::PeekLock);
    let answers = [send(&receiver, "1").await, send(&receiver, "1").await, send(&receiver, "1").await];
    assert_eq!(answers.map(|status| status.as_u16()), [500, 500, 200]);
    // Handled now: the next one is a repeat.
    assert_eq!(send(&receiver, "1").await, StatusCode::OK);
    assert_eq!(log.wait_for(3).await, ["1", "1", "1"]);
    let stats = receiver.stats();
    assert_eq!((stats.accepted, stats.handled, stats.failed, stats.repeats, stats.open), (3, 1, 2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_makes_the_platform_send_again_and_sees_the_event_once() {
    let receiver = receiver(|builder| builder.acknowledge(Acknowledge::Settled));
    let (log, gate) = (Log::default(), Arc::new(Semaphore::new(0)));
    let (handled, wait) = (log.clone(), Arc::clone(&gate));
    let _listener = receiver
        .create_listener()
        .handle(move |event: HubEvent| {
            let (handled, wait) = (handled.clone(), Arc::clone(&wait));
            async move {
                handled.add(event.message_id().unwrap());
                wait.acquire().await.unwrap().forget();
            }
        })
        .await
        .unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(send(&receiver, "1").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(begun.elapsed().as_secs(), 4, "in time for the platform, which waits 5 s");
    assert_eq!(receiver.stats().late, 1);
    // Sent again while it is handled: the answer waits for the same handler.
    let (again, ()) = tokio::join!(send(&receiver, "1"), async { gate.add_permits(1) });
    assert_eq!(again, StatusCode::OK);
    assert_eq!(send(&receiver, "1").await, StatusCode::OK);
    assert_eq!(log.wait_for(1).await, ["1"]);
    assert_eq!((receiver.stats().accepted, receiver.stats().repeats), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn ids_are_remembered_for_their_time() {
    let receiver =
        receiver(|builder| builder.repeats(Duration::from_secs(60), 10).acknowledge(Acknowledge::Settled));
    let _listener = receiver.create_listener().handle(async |_event: HubEvent| {}).await.unwrap();
    for (wait, accepted) in [(0, 1), (59, 1), (1, 2)] {
        tokio::time::advance(Duration::from_secs(wait)).await;
        assert_eq!(send(&receiver, "1").await, StatusCode::OK);
        assert_eq!(receiver.stats().accepted, accepted, "{wait}");
    }
}

#[tokio::test]
async fn listeners_get_the_types_they_ask_for_and_an_unwanted_event_is_answered() {
    let receiver = receiver(|builder| builder.acknowledge(Acknowledge::Settled));
    let types = [WebhookEventType::NamedVersionCreated, WebhookEventType::from("ours.somethingElse.v9")];
    let mut stream = receiver.create_listener().types(types).stream().await.unwrap();
    let body_of = |event_type: &str, id: &str| {
        json!({"eventType": event_type, "messageId": id, "content": {}}).to_string()
    };
    let sending = async {
        assert_eq!(receiver.answer(signed(body_of("iModels.iModelCreated.v1", "1"))).await.status(), 200);
        assert_eq!(receiver.answer(signed(body_of("ours.somethingElse.v9", "2"))).await.status(), 200);
        assert_eq!(send(&receiver, "3").await, StatusCode::OK);
    };
    let reading = async {
        assert_eq!(stream.next().await.unwrap().unwrap().ack().message_id(), Some("2"));
        let version = stream.next().await.unwrap().unwrap().ack();
        assert_eq!(version.webhook().unwrap().known_type(), Some(WebhookEventType::NamedVersionCreated));
    };
    tokio::join!(sending, reading);
    assert_eq!((receiver.stats().handled, receiver.stats().failed), (3, 0));
}

/// What a program does with named versions, wherever they come from.
fn on_version(log: &Log, event: &HubEvent) -> Result<()> {
    if let IModelEvent::Version(version) = event.imodel()? {
        log.add(format!("{} of {}", version.version_id, event.event_topic().unwrap_or("nothing")));
    }
    Ok(())
}

#[tokio::test]
async fn the_same_handler_listens_to_a_subscription_and_to_webhooks() {
    let log = Log::default();
    let handler = {
        let log = log.clone();
        move |event: HubEvent| std::future::ready(on_version(&log, &event))
    };
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let _polled = client.create_listener(&subscription).handle(handler.clone()).await.unwrap();
    let event = json!({"EventTopic": IMODEL, "VersionId": "old"});
    emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(event));
    log.wait_for(1).await;

    let receiver = receiver(|builder| builder);
    let _pushed = receiver.create_listener().handle(handler).await.unwrap();
    assert_eq!(send(&receiver, "new").await, StatusCode::OK);
    assert_eq!(log.wait_for(2).await, [format!("old of {IMODEL}"), format!("new of {IMODEL}")]);
}

#[tokio::test]
async fn a_hub_of_the_callers_takes_the_events_by_expression() {
    let receiver = receiver(|builder| builder.acknowledge(Acknowledge::Settled));
    let hub = EventHub::builder(receiver.transport()).connect().await.unwrap();
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let refused = hub.subscribe("topic=*").handle(async |_event: Event| {}).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "what fails comes again: that is not at most once");
    hub.subscribe("topic=iModels.* and data.content.changesetIndex=7")
        .require(Guarantee::AtLeastOnce)
        .handle_ctx(move |_event: Event, context: Context| {
            stop.store(context.attempt() == 1, Ordering::SeqCst);
            async {}
        })
        .await
        .unwrap();
    assert_eq!(send(&receiver, "1").await, StatusCode::OK);
    assert!(stopped.load(Ordering::SeqCst), "the answer waited for the handler");
    let refused = receiver.create_listener().handle(async |_event: HubEvent| {}).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Duplicate);
    // The platform is not published to.
    let published = hub.publish(Event::new("a", &json!(null)).unwrap()).await.unwrap_err();
    assert_eq!(published.kind(), ErrorKind::Unsupported);
    hub.close().await;
    assert_eq!(send(&receiver, "2").await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_hub_that_connects_anew_goes_on_with_the_same_receiver() {
    let receiver = receiver(|builder| builder.acknowledge(Acknowledge::Settled));
    let hub = EventHub::builder(receiver.transport()).connect().await.unwrap();
    let log = Log::default();
    let handled = log.clone();
    hub.subscribe("topic=*")
        .require(Guarantee::AtLeastOnce)
        .handle(move |event: Event| {
            handled.add(event.id().unwrap().as_str());
            async {}
        })
        .await
        .unwrap();
    assert_eq!(send(&receiver, "1").await, StatusCode::OK);
    hub.reconnect().await.unwrap();
    assert_eq!(send(&receiver, "2").await, StatusCode::OK);
    hub.disconnect().await;
    assert_eq!(send(&receiver, "3").await, StatusCode::SERVICE_UNAVAILABLE);
    hub.connect().await.unwrap();
    assert_eq!(send(&receiver, "3").await, StatusCode::OK);
    assert_eq!(log.wait_for(3).await, ["1", "2", "3"]);
    hub.close().await;
}

#[tokio::test]
async fn a_rejected_event_is_acknowledged_so_that_it_does_not_come_again() {
    let receiver = receiver(|builder| builder.acknowledge(Acknowledge::Settled));
    let Link { tx, mut rx, .. } = receiver.transport().connect(Attempt::first()).await.unwrap();
    let spec = SubscriptionSpec::new(Subscriber::anonymous(), None);
    tx.subscribe(&spec).await.unwrap();
    let deciding = async {
        let Some(Ok(Inbound::Delivery(delivery))) = rx.next().await else { panic!("no delivery") };
        let foreign = tx.settle(SettleToken::new(7_u8), Settlement::Complete).await.unwrap_err();
        assert_eq!((foreign.error.kind(), foreign.token.get()), (ErrorKind::InvalidInput, Some(&7_u8)));
        tx.settle(delivery.token.unwrap(), Settlement::Reject).await.unwrap();
    };
    let (answer, ()) = tokio::join!(send(&receiver, "1"), deciding);
    assert_eq!(answer, StatusCode::OK);
    assert_eq!(send(&receiver, "1").await, StatusCode::OK);
    let stats = receiver.stats();
    assert_eq!((stats.accepted, stats.handled, stats.failed, stats.repeats), (1, 0, 1, 1));
    tx.close().await;
    assert!(rx.next().await.is_none());
    assert_eq!(send(&receiver, "2").await, StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn the_transport_says_what_it_can_do() {
    for (acknowledge, guarantee) in
        [(Acknowledge::Accepted, Guarantee::AtMostOnce), (Acknowledge::Settled, Guarantee::AtLeastOnce)]
    {
        let receiver = receiver(|builder| builder.acknowledge(acknowledge).max_body(500));
        let can = receiver.transport().capabilities();
        let offered =
            [Guarantee::AtMostOnce, Guarantee::AtLeastOnce].map(|each| can.guarantees.contains(each));
        assert_eq!(offered, [Guarantee::AtMostOnce == guarantee, Guarantee::AtLeastOnce == guarantee]);
        assert_eq!(can.nack, acknowledge == Acknowledge::Settled);
        assert!(!can.publish && !can.extend_lock && !can.durable && can.max_payload == Some(500));
    }
}

#[tokio::test]
async fn a_drain_lets_handlers_finish_and_accepts_nothing_more() {
    let receiver = receiver(|builder| builder);
    let (log, gate) = (Log::default(), Arc::new(Semaphore::new(0)));
    let (handled, wait) = (log.clone(), Arc::clone(&gate));
    let listener = receiver
        .create_listener()
        .handle(move |event: HubEvent| {
            let (handled, wait) = (handled.clone(), Arc::clone(&wait));
            async move {
                wait.acquire().await.unwrap().forget();
                handled.add(event.message_id().unwrap());
            }
        })
        .await
        .unwrap();
    assert_eq!(send(&receiver, "1").await, StatusCode::OK);
    let draining = receiver.drain(Duration::from_secs(60));
    let meanwhile = async {
        while send(&receiver, "2").await == StatusCode::OK {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
    };
    tokio::join!(draining, meanwhile);
    assert_eq!(log.wait_for(1).await, ["1"]);
    assert!(matches!(listener.state(), ListenerState::Ended(None)));
    assert_eq!((receiver.stats().handled, receiver.stats().open), (1, 0));
}

#[tokio::test]
async fn what_waits_when_a_hub_ends_was_not_handled() {
    let receiver = receiver(|builder| builder.acknowledge(Acknowledge::Settled));
    let hub = EventHub::builder(receiver.transport()).connect().await.unwrap();
    let subscribe = hub.subscribe("topic=*").require(Guarantee::AtLeastOnce);
    subscribe.handle(async |_event: Event| std::future::pending::<()>().await).await.unwrap();
    let (answer, ()) = tokio::join!(send(&receiver, "1"), async {
        until(&receiver, |stats| stats.open == 1).await;
        drop(hub);
    });
    assert_eq!(answer, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((receiver.stats().open, receiver.stats().failed), (0, 1));
}
