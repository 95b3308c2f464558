//! Connecting, losing the connection, ending.

use std::future::IntoFuture;
use std::time::Duration;

use event_core::hub::Report;
use event_core::memory::MemoryHub;
use event_core::{ConnectionState, ErrorKind, Event, EventHub, Json, Lifecycle};
use serde_json::json;

use crate::support::{Log, event, one_hub};

#[tokio::test]
async fn a_first_attempt_that_fails_is_returned_and_another_may_follow() {
    let bus = MemoryHub::new();
    bus.refuse_connections(Some((ErrorKind::Unreachable, "no server there")));
    let hub = EventHub::builder(bus.transport()).build().unwrap();
    let error = hub.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(matches!(hub.state(), ConnectionState::Failed { .. }));
    let refused = hub.publish(event("t")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotConnected);
    assert!(refused.to_string().contains("no server there"), "{refused}");
    bus.refuse_connections(None);
    hub.connect().await.unwrap();
    hub.connect().await.unwrap();
    hub.publish(event("t")).await.unwrap();
    assert_eq!((bus.links(), hub.stats().connections), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn connecting_in_the_background_goes_on_until_the_server_is_there() {
    let bus = MemoryHub::new();
    bus.refuse_connections(Some((ErrorKind::Unreachable, "no server there")));
    let hub = EventHub::builder(bus.transport()).connect_lazy().unwrap();
    let log = Log::default();
    let subscribing = {
        let (hub, log) = (hub.clone(), log.clone());
        tokio::spawn(async move {
            hub.subscribe("topic=t")
                .handle_with(log, async |event: Event, log: Log| log.add(event.data_value().to_string()))
                .await
        })
    };
    let early = tokio::spawn(hub.publish(Event::new("t", &1).unwrap()).into_future());
    hub.wait_for_state(|state| matches!(state, ConnectionState::Reconnecting { attempt: 4.., .. })).await;
    bus.refuse_connections(None);
    subscribing.await.unwrap().unwrap();
    early.await.unwrap().unwrap();
    assert_eq!(log.wait_for(1).await, ["1"], "subscribed before the first publish went out");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_stops_at_once_with_its_reason() {
    let bus = MemoryHub::new();
    bus.refuse_connections(Some((ErrorKind::Unauthenticated, "the API key was refused")));
    let hub = EventHub::builder(bus.transport()).connect_lazy().unwrap();
    let waiting = tokio::spawn(hub.publish(event("t")).into_future());
    let state = hub.wait_for_state(|state| matches!(state, ConnectionState::Failed { .. })).await;
    assert!(state.to_string().contains("the API key was refused"), "{state}");
    assert_eq!(bus.attempts(), 1);
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert!(error.to_string().contains("the API key was refused"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_cut_link_is_made_anew_subscriptions_first_and_the_gap_is_told() {
    let (bus, hub) = one_hub().await;
    let mut lifecycle = hub.lifecycle();
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(hub.subscribe("topic=t").stream().await.unwrap());
    }
    for round in 0..3 {
        bus.cut();
        let mut story = Vec::new();
        loop {
            match lifecycle.next().await.unwrap() {
                Report::Happened(Lifecycle::Disconnected { reason: Some(reason) }) => {
                    assert_eq!(reason.kind(), ErrorKind::Disconnected);
                    story.push("disconnected");
                    // Waits for the connection, and then reaches everybody.
                    tokio::spawn(hub.publish(Event::new("t", &round).unwrap()).into_future());
                }
                Report::Happened(Lifecycle::Reconnecting { attempt: 1, .. }) => story.push("reconnecting"),
                Report::Happened(Lifecycle::Gap(_)) => story.push("gap"),
                Report::Happened(Lifecycle::Resubscribed { subscriptions: 100 }) => {
                    story.push("resubscribed");
                }
                Report::Happened(Lifecycle::Connected { subscriptions: 100 }) => {
                    story.push("connected");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(story, ["disconnected", "reconnecting", "gap", "resubscribed", "connected"]);
        assert_eq!(bus.subscriptions(), 101);
        for stream in &mut streams {
            assert_eq!(stream.next().await.unwrap().unwrap().event().data_value(), round);
        }
    }
    assert_eq!(hub.stats().connections, 4);
}

#[tokio::test(start_paused = true)]
async fn a_server_away_for_ten_minutes_is_found_again() {
    let (bus, hub) = one_hub().await;
    let before = bus.attempts();
    bus.refuse_connections(Some((ErrorKind::Unreachable, "down")));
    bus.cut();
    tokio::time::sleep(Duration::from_secs(600)).await; // paused
    assert!(matches!(hub.state(), ConnectionState::Reconnecting { .. }));
    let attempts = bus.attempts() - before;
    assert!((10..=60).contains(&attempts), "{attempts} attempts in ten minutes");
    bus.refuse_connections(None);
    let back = tokio::time::Instant::now();
    hub.wait_for_state(ConnectionState::is_connected).await;
    assert!(back.elapsed() <= Duration::from_secs(61));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_told_of_a_refusal_for_good() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").stream().await.unwrap();
    bus.refuse_connections(Some((ErrorKind::Unauthenticated, "key revoked")));
    bus.cut();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    bus.refuse_connections(None);
    hub.connect().await.unwrap();
    bus.inject(&event("t"));
    stream.next().await.unwrap().unwrap();
}

#[tokio::test]
async fn disconnect_keeps_subscriptions_for_the_next_connect() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").stream().await.unwrap();
    for _ in 0..3 {
        hub.disconnect().await;
        assert!(matches!(hub.state(), ConnectionState::Idle));
        assert_eq!(bus.links(), 0);
        hub.disconnect().await;
        hub.connect().await.unwrap();
        bus.inject(&event("t"));
        stream.next().await.unwrap().unwrap();
    }
    assert_eq!(stream.stats().delivered, 3, "once each time, not twice");
}

#[tokio::test]
async fn a_subscription_made_before_connecting_is_made_with_the_connection() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).build().unwrap();
    hub.subscribe("topic=ask").handle(async |_event: Event| Json("answer")).await.unwrap();
    hub.connect().await.unwrap();
    assert_eq!(hub.request(event("ask")).await.unwrap().data_value(), "answer");
}

#[tokio::test]
async fn closing_finishes_handlers_and_their_replies_and_is_final() {
    let (bus, hub) = one_hub().await;
    let asker = EventHub::builder(bus.transport()).connect().await.unwrap();
    let log = Log::default();
    hub.subscribe("topic=ask")
        .handle_with(log.clone(), async |_event, log: Log| {
            log.add("started");
            tokio::task::yield_now().await;
            Json(json!("finished"))
        })
        .await
        .unwrap();
    let asking = tokio::spawn(asker.request(event("ask")).into_future());
    log.wait_for(1).await;
    hub.close().await;
    assert_eq!(asking.await.unwrap().unwrap().data_value(), "finished");
    assert!(matches!(hub.state(), ConnectionState::Closed));
    assert_eq!(bus.links(), 1);
    assert_eq!(hub.publish(event("t")).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(hub.connect().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(hub.subscribe("topic=t").stream().await.unwrap_err().kind(), ErrorKind::Closed);
    hub.close().await;
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_a_stuck_handler_only_so_long() {
    let bus = MemoryHub::new();
    let hub =
        EventHub::builder(bus.transport()).close_timeout(Duration::from_secs(2)).connect().await.unwrap();
    let stuck = hub
        .subscribe("topic=t")
        .handle(async |_event: Event| std::future::pending::<()>().await)
        .await
        .unwrap();
    hub.publish(event("t")).await.unwrap();
    while stuck.stats().running == 0 {
        tokio::task::yield_now().await;
    }
    let started = tokio::time::Instant::now();
    hub.close().await;
    assert!(started.elapsed() <= Duration::from_secs(2));
}

#[tokio::test]
async fn dropping_the_last_handle_ends_every_task_and_the_link() {
    let (bus, hub) = one_hub().await;
    hub.subscribe("topic=t").handle(async |_event: Event| std::future::pending::<()>().await).await.unwrap();
    let mut stream = hub.subscribe("topic=t").stream().await.unwrap();
    hub.publish(event("t")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(hub);
    assert!(stream.next().await.is_none());
    let metrics = tokio::runtime::Handle::current().metrics();
    while metrics.num_alive_tasks() > 0 || bus.links() > 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_hub_may_be_dropped_outside_its_runtime_and_needs_one_to_be_built() {
    let bus = MemoryHub::new();
    let error = EventHub::builder(bus.transport()).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (hub, stream) = runtime.block_on(async {
        let hub = EventHub::builder(bus.transport()).connect().await.unwrap();
        let stream = hub.subscribe("topic=t").stream().await.unwrap();
        (hub, stream)
    });
    drop(stream);
    drop(hub);
    drop(runtime);
    assert_eq!(bus.links(), 0);
}

#[tokio::test]
async fn a_problem_on_the_link_is_counted_and_the_rest_arrives() {
    let (bus, hub) = one_hub().await;
    let mut lifecycle = hub.lifecycle();
    let mut stream = hub.subscribe("topic=t").stream().await.unwrap();
    bus.inject_problem("malformed packet");
    bus.inject(&event("t"));
    stream.next().await.unwrap().unwrap();
    assert_eq!(hub.stats().problems, 1);
    assert!(matches!(lifecycle.next().await, Some(Report::Happened(Lifecycle::Problem(_)))));
}

#[tokio::test]
async fn a_slow_reader_of_the_lifecycle_is_told_what_it_missed() {
    let (bus, hub) = one_hub().await;
    let mut lifecycle = hub.lifecycle();
    let mut stream = hub.subscribe("topic=t").stream().await.unwrap();
    for _ in 0..300 {
        bus.inject_problem("again");
    }
    bus.inject(&event("t"));
    stream.next().await.unwrap().unwrap();
    assert!(matches!(lifecycle.next().await, Some(Report::Missed(44))));
}

#[tokio::test(start_paused = true)]
async fn a_subscribe_that_is_given_up_leaves_nothing_behind() {
    let bus = MemoryHub::new();
    bus.refuse_connections(Some((ErrorKind::Unreachable, "down")));
    let hub = EventHub::builder(bus.transport()).connect_lazy().unwrap();
    let late = hub.subscribe("topic=t").id("x").timeout(Duration::from_secs(3));
    let error = late.handle(async |_event: Event| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    {
        let dropped = hub.subscribe("topic=t").id("y").stream();
        tokio::pin!(dropped);
        assert!(futures_util::poll!(&mut dropped).is_pending());
    }
    bus.refuse_connections(None);
    hub.wait_for_state(ConnectionState::is_connected).await;
    assert_eq!((hub.stats().subscriptions, bus.subscriptions()), (0, 1), "the inbox alone");
    // Another one with the same id is not touched by the end of the first.
    let mut stream = hub.subscribe("topic=t").id("x").stream().await.unwrap();
    {
        let again = hub.subscribe("topic=t").id("x").stream();
        tokio::pin!(again);
        assert!(futures_util::poll!(&mut again).is_pending());
    }
    bus.inject(&event("t"));
    stream.next().await.unwrap().unwrap();
    drop(stream);
    hub.subscribe("topic=t").id("x").stream().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscribe_interrupted_by_a_disconnect_is_kept_for_the_next_connection() {
    let bus = MemoryHub::new();
    bus.refuse_connections(Some((ErrorKind::Unreachable, "down")));
    let hub = EventHub::builder(bus.transport()).connect_lazy().unwrap();
    let subscribing = {
        let hub = hub.clone();
        tokio::spawn(async move { hub.subscribe("topic=t").stream().await })
    };
    hub.wait_for_state(|state| matches!(state, ConnectionState::Reconnecting { .. })).await;
    hub.disconnect().await;
    let mut stream = subscribing.await.unwrap().unwrap();
    bus.refuse_connections(None);
    hub.connect().await.unwrap();
    bus.inject(&event("t"));
    stream.next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_id_given_up_twice_leaves_nothing_on_the_server() {
    let bus = MemoryHub::new();
    bus.refuse_connections(Some((ErrorKind::Unreachable, "down")));
    let hub = EventHub::builder(bus.transport()).connect_lazy().unwrap();
    for _ in 0..2 {
        let late = hub.subscribe("topic=t").id("x").timeout(Duration::from_secs(3)).stream().await;
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
    }
    bus.refuse_connections(None);
    hub.wait_for_state(ConnectionState::is_connected).await;
    // A round trip: everything asked before is done.
    hub.publish(event("t")).await.unwrap();
    assert_eq!((hub.stats().subscriptions, bus.subscriptions()), (0, 1), "the inbox alone");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_good_and_answers_nonsense_is_tried_again_but_not_one_that_refuses_the_key() {
    let (bus, hub) = one_hub().await;
    bus.refuse_connections(Some((ErrorKind::Protocol, "a maintenance page")));
    bus.cut();
    hub.wait_for_state(|state| matches!(state, ConnectionState::Reconnecting { attempt: 3.., .. })).await;
    bus.refuse_connections(Some((ErrorKind::Unauthenticated, "key revoked")));
    let state = hub.wait_for_state(|state| matches!(state, ConnectionState::Failed { .. })).await;
    assert!(state.to_string().contains("key revoked"));
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_whatever_ended_the_connection() {
    let (bus, hub) = one_hub().await;
    let mut lifecycle = hub.lifecycle();
    hub.disconnect().await;
    tokio::time::sleep(Duration::from_secs(7)).await; // paused
    hub.connect().await.unwrap();
    bus.refuse_connections(Some((ErrorKind::Unauthenticated, "key revoked")));
    bus.cut();
    hub.wait_for_state(|state| matches!(state, ConnectionState::Failed { .. })).await;
    tokio::time::sleep(Duration::from_secs(9)).await; // paused
    bus.refuse_connections(None);
    hub.connect().await.unwrap();
    hub.close().await;
    let mut gaps = Vec::new();
    while let Some(report) = lifecycle.next().await {
        if let Report::Happened(Lifecycle::Gap(gap)) = report {
            gaps.push(gap.lasted.as_secs());
        }
    }
    assert!(gaps.len() == 2 && gaps[0] == 7 && (9..=10).contains(&gaps[1]), "{gaps:?}");
}
