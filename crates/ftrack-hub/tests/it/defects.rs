//! What was shown to go wrong with other clients of the hub, and does not here. In memory, paused time.
//!
//! The rest of what was shown is tested where the subject is: see the other modules.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ftrack_hub::hub::Report;
use ftrack_hub::{ConnectionState, ErrorKind, Event, EventHub, Json, Lifecycle, Session, SessionBuilder};
use futures_util::future::join_all;
use hub_emulator::Emulator;
use hub_emulator::ftrack::{Action, Fault};
use tokio::time::Instant;

use crate::scripted::Scripted;
use crate::support::{Log, event, quick};

const MINUTE: Duration = Duration::from_secs(60);

async fn emulator() -> Emulator {
    Emulator::builder().without_imodelhub().in_memory().start().await.unwrap()
}

fn builder(emulator: &Emulator) -> SessionBuilder {
    Session::builder(emulator.ftrack_url(), "ann", "any-key").dialer(emulator.ftrack_dialer())
}

async fn connected(emulator: &Emulator) -> Session {
    let session = builder(emulator).build().unwrap();
    session.event_hub().connect().await.unwrap();
    session
}

/// Waits far longer than anything takes, at no cost.
async fn state(hub: &EventHub, fits: impl FnMut(&ConnectionState) -> bool) -> ConnectionState {
    tokio::time::timeout(MINUTE * 120, hub.wait_for_state(fits)).await.expect("it never comes")
}

async fn pause(time: Duration) {
    tokio::time::sleep(time).await; // paused
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_an_hour_is_outlived() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    let log = Log::default();
    log.follow(session.event_hub(), "topic=t").await;
    emulator.stop().await;
    pause(60 * MINUTE).await;
    emulator.restart().await.unwrap();
    state(session.event_hub(), ConnectionState::is_connected).await;
    emulator.publish(event("t", 1)).unwrap();
    assert_eq!(log.wait_for(1).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn every_way_in_which_a_server_ends_a_connection_is_answered_with_another_one() {
    let ends = [
        Action::Fin,
        Action::Reset,
        Action::Disconnect,
        Action::Close { code: 1001 },
        Action::Close { code: 1000 },
        Action::ErrorPacket { packet: "7:::1+0".to_owned(), stays: false },
        Action::ErrorPacket { packet: "7:::".to_owned(), stays: true },
        Action::Silent,
        Action::HalfOpen,
    ];
    for end in ends {
        let emulator = emulator().await;
        let session = connected(&emulator).await;
        let log = Log::default();
        log.follow(session.event_hub(), "topic=t").await;
        let mut lifecycle = session.event_hub().lifecycle();
        emulator.ftrack_faults().fire(end.clone()).unwrap();
        while let Some(told) = lifecycle.next().await {
            if matches!(told, Report::Happened(Lifecycle::Disconnected { .. })) {
                break;
            }
        }
        state(session.event_hub(), ConnectionState::is_connected).await;
        session.event_hub().publish(event("t", 1)).await.unwrap();
        assert_eq!(log.wait_for(1).await, ["1"], "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_beats_every_25_seconds_is_no_reason_to_leave() {
    let emulator = Emulator::builder().without_imodelhub().in_memory();
    let emulator = emulator.heartbeat_interval(Duration::from_secs(25)).start().await.unwrap();
    let session = connected(&emulator).await;
    pause(10 * MINUTE).await;
    assert_eq!(session.event_hub().stats().connections, 1);
    assert!(session.event_hub().is_connected());
}

#[tokio::test(start_paused = true)]
async fn events_are_a_sign_of_life_where_heartbeats_are_missing() {
    let emulator = Emulator::builder().without_imodelhub().in_memory();
    let emulator = emulator.heartbeat_interval(60 * MINUTE).heartbeat_timeout(MINUTE).start().await.unwrap();
    let session = connected(&emulator).await;
    let log = Log::default();
    log.follow(session.event_hub(), "topic=t").await;
    for n in 1..=30 {
        pause(MINUTE / 2).await;
        // It must hear something from here, too.
        session.event_hub().publish(event("t", n)).await.unwrap();
        log.wait_for(n).await;
    }
    assert_eq!(session.event_hub().stats().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn no_caller_is_held_longer_than_its_own_timeout_around_a_reset() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    emulator.ftrack_faults().fire(Action::WithholdAcks { count: 0 }).unwrap();
    let start = Instant::now();
    let publishing: Vec<_> = (0..100)
        .map(|n| {
            let timeout = Duration::from_secs(1 + n % 3);
            let publish = session.event_hub().publish(event("t", n)).timeout(timeout).into_future();
            tokio::spawn(async move { (publish.await, timeout, start.elapsed()) })
        })
        .collect();
    pause(Duration::from_millis(500)).await;
    emulator.stop().await;
    for publish in publishing {
        let (outcome, timeout, took) = publish.await.unwrap();
        assert!(matches!(outcome.unwrap_err().kind(), ErrorKind::Timeout | ErrorKind::Unconfirmed));
        assert!(took <= timeout + Duration::from_millis(10), "{took:?} for a timeout of {timeout:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_is_cut_off_again_and_again_gets_every_event_through_once() {
    let emulator = emulator().await;
    let cut = Fault::new(Action::DestroyBuffer { bytes: 100_000 }).times(0).user("ann");
    emulator.ftrack_faults().add(cut).unwrap();
    let ben = Session::builder(emulator.ftrack_url(), "ben", "k").dialer(emulator.ftrack_dialer());
    let ben = ben.build().unwrap();
    ben.event_hub().connect().await.unwrap();
    let log = Log::default();
    log.follow(ben.event_hub(), "topic=t").await;
    let ann = builder(&emulator).publish_timeout(60 * MINUTE).build().unwrap();
    ann.event_hub().connect().await.unwrap();
    let data = |n: usize| serde_json::json!({"n": n, "fill": "x".repeat(1_000)});
    let publishing = (0..1_000).map(|n| ann.event_hub().publish(event("t", data(n))).into_future());
    for outcome in join_all(publishing).await {
        outcome.unwrap();
    }
    assert!(ann.event_hub().stats().connections > 5, "{:?}", ann.event_hub().stats());
    let mut lines = log.wait_for(1_000).await;
    pause(MINUTE).await;
    assert_eq!(log.lines().len(), 1_000);
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_requests_leave_nothing_whether_they_were_answered_or_not() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    let hub = session.event_hub();
    hub.subscribe("topic=asked").handle(async |_event: Event| Json("yes")).await.unwrap();
    let ask = |topic| (0..200).map(move |n| hub.publish_and_wait_for_reply(event(topic, n)).into_future());
    assert!(join_all(ask("asked")).await.iter().all(Result::is_ok));
    for outcome in join_all(ask("ignored")).await {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Timeout);
    }
    assert_eq!((hub.stats().open_requests, hub.stats().outstanding), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_keeps_a_finished_program_alive() {
    let emulator = emulator().await;
    let before = tasks();
    let session = connected(&emulator).await;
    let publishing = (0..250).map(|n| session.event_hub().publish(event("t", n)).into_future());
    assert!(join_all(publishing).await.iter().all(Result::is_ok));
    let start = Instant::now();
    session.event_hub().close().await;
    drop(session);
    emulator.wait_for(|state| state.connections == 0).await;
    while tasks() > before {
        pause(Duration::from_millis(1)).await;
    }
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn asking_and_subscribing_while_the_server_is_down_fail_in_time_and_the_hub_goes_on() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    let hub = session.event_hub();
    emulator.stop().await;
    state(hub, |state| !state.is_connected()).await;
    let asked = hub.publish_and_wait_for_reply(event("t", 1)).await.unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::Timeout, "{asked}");
    let subscribed = hub.subscribe("topic=t").handle(async |_event: Event| {}).await.unwrap_err();
    assert_eq!(subscribed.kind(), ErrorKind::Timeout, "{subscribed}");
    emulator.restart().await.unwrap();
    state(hub, ConnectionState::is_connected).await;
    assert_eq!(hub.stats().subscriptions, 0, "what was not confirmed in time is not left behind");
    let log = Log::default();
    log.follow(hub, "topic=t").await;
    hub.publish(event("t", 2)).await.unwrap();
    assert_eq!(log.wait_for(1).await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_connection_is_bounded_and_frees_its_place_when_it_gives_up() {
    let emulator = emulator().await;
    let session = builder(&emulator).outbox_capacity(10).build().unwrap();
    let publishing = (0..20).map(|n| session.event_hub().publish(event("t", n)).into_future());
    let kinds: Vec<ErrorKind> =
        join_all(publishing).await.into_iter().map(|outcome| outcome.unwrap_err().kind()).collect();
    let count = |kind| kinds.iter().filter(|one| **one == kind).count();
    assert_eq!((count(ErrorKind::Timeout), count(ErrorKind::Full)), (10, 10), "{kinds:?}");
    pause(MINUTE).await;
    assert_eq!(session.event_hub().stats().outstanding, 0);
    session.event_hub().connect().await.unwrap();
    session.event_hub().publish(event("t", 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_disconnecting_and_connecting_an_event_is_handled_once() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    let hub = session.event_hub();
    let log = Log::default();
    log.follow(hub, "topic=t").await;
    for n in 0..3 {
        hub.disconnect().await;
        hub.connect().await.unwrap();
        hub.publish(event("t", n)).await.unwrap();
        pause(MINUTE).await;
    }
    assert_eq!(log.lines(), ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_sessions_of_one_user_each_gets_its_replies_and_one_may_leave() {
    let emulator = emulator().await;
    let (one, other) = (connected(&emulator).await, connected(&emulator).await);
    one.event_hub().subscribe("topic=t").handle(async |_event: Event| Json("one")).await.unwrap();
    let reply = other.event_hub().publish_and_wait_for_reply(event("t", 1)).await.unwrap();
    assert_eq!(reply.data_value(), "one");
    let reply = one.event_hub().publish_and_wait_for_reply(event("t", 2)).await.unwrap();
    assert_eq!(reply.data_value(), "one");
    other.event_hub().disconnect().await;
    assert!(one.event_hub().is_connected());
    one.event_hub().publish_and_wait_for_reply(event("t", 3)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_expression_may_be_subscribed_twice_and_each_ends_alone() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    let (first, second) = (Log::default(), Log::default());
    let subscription = first.follow(session.event_hub(), "topic=t").await;
    second.follow(session.event_hub(), "topic=t").await;
    session.event_hub().publish(event("t", 1)).await.unwrap();
    second.wait_for(1).await;
    subscription.unsubscribe().await.unwrap();
    session.event_hub().publish(event("t", 2)).await.unwrap();
    assert_eq!(second.wait_for(2).await, ["1", "2"]);
    assert_eq!(first.lines(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn no_publisher_can_end_a_listener_by_the_types_of_its_values() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    let log = Log::default();
    for expression in ["data.n>3", "data.n=1*", "data.n=\"\"", "topic=\"\"", "not data.n.m=1", "data.n!=2"] {
        log.follow(session.event_hub(), expression).await;
    }
    let values = [
        serde_json::json!(7),
        serde_json::json!("7"),
        serde_json::json!([1, {"m": 2}]),
        serde_json::json!({"m": null}),
        serde_json::json!(null),
        serde_json::json!(true),
        serde_json::json!(""),
        serde_json::json!(1e308),
    ];
    for value in &values {
        session.event_hub().publish(event("t", serde_json::json!({ "n": value }))).await.unwrap();
    }
    session.event_hub().publish(event("t", serde_json::json!({"n": 7, "last": true}))).await.unwrap();
    while !log.lines().iter().any(|line| line.contains("last")) {
        pause(Duration::from_millis(1)).await;
    }
    assert_eq!(session.event_hub().stats().handler_failures, 0);
    assert!(session.event_hub().is_connected());
}

#[tokio::test(start_paused = true)]
async fn names_inside_the_data_stay_as_they_are() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    let log = Log::default();
    log.follow(session.event_hub(), "topic=t").await;
    let data =
        serde_json::json!({"inReplyToEvent": 1, "deep": [{"inReplyToEvent": {"in_reply_to_event": 2}}]});
    session.event_hub().publish(event("t", &data)).await.unwrap();
    assert_eq!(log.wait_for(1).await, [data.to_string()]);
}

#[tokio::test(start_paused = true)]
async fn a_hub_has_one_source_id_over_all_its_events_and_connections() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    let sources = Log::default();
    let noting = async |event: Event, log: Log| log.add(event.source_id().unwrap_or("none"));
    session.event_hub().subscribe("topic=t").handle_with(sources.clone(), noting).await.unwrap();
    for n in 0..3 {
        session.event_hub().publish(event("t", n)).await.unwrap();
        sources.wait_for(n + 1).await;
        session.event_hub().reconnect().await.unwrap();
    }
    assert_eq!(sources.lines(), [session.event_hub().id().as_str(); 3]);
}

#[tokio::test(start_paused = true)]
async fn handlers_of_a_subscription_do_not_overlap_unless_asked_to() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let log = Log::default();
    let (counting, reached, noting) = (Arc::clone(&running), Arc::clone(&most), log.clone());
    let handler = move |event: Event| {
        let (counting, reached, noting) = (Arc::clone(&counting), Arc::clone(&reached), noting.clone());
        async move {
            reached.fetch_max(counting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // The earlier the event, the longer.
            let n = event.data_value().as_u64().unwrap_or(0);
            pause(Duration::from_millis(100 - n)).await;
            counting.fetch_sub(1, Ordering::SeqCst);
            noting.add(n.to_string());
        }
    };
    session.event_hub().subscribe("topic=t").handle(handler).await.unwrap();
    for n in 0..50 {
        session.event_hub().publish(event("t", n)).await.unwrap();
    }
    let lines = log.wait_for(50).await;
    assert_eq!(lines, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deep_queue_of_events_is_handled_although_nobody_waits_for_it() {
    let emulator = emulator().await;
    let session = connected(&emulator).await;
    let log = Log::default();
    log.follow(session.event_hub(), "topic=t").await;
    for n in 0..500 {
        emulator.publish(event("t", n)).unwrap();
    }
    assert_eq!(log.wait_for(500).await.len(), 500);
    assert_eq!(session.event_hub().stats().dropped, 0);
}

/// With a socket: what is sent is looked at.
#[tokio::test]
async fn answering_changes_nothing_about_a_subscriber() {
    let server = Scripted::start().await;
    let session = Session::builder(server.url(), "ann", "k").reconnect(quick()).build().unwrap();
    let hub = session.event_hub();
    let (connecting, mut peer) = tokio::join!(hub.connect(), server.accept());
    connecting.unwrap();
    let subscribing = hub.subscribe("topic=t").metadata("shot", 7).handle(async |_event: Event| Json("yes"));
    let (subscription, subscribed) = tokio::join!(subscribing, peer.acknowledge());
    peer.tell(r#"{"topic":"t","data":1,"id":"q","source":{"id":"asker"}}"#).await;
    assert_eq!(peer.acknowledge().await["topic"], "ftrack.meta.reply");
    let subscription = subscription.unwrap();
    let (gone, unsubscribed) = tokio::join!(subscription.unsubscribe(), peer.acknowledge());
    gone.unwrap();
    assert_eq!(unsubscribed["data"]["subscriber"]["id"], subscribed["data"]["subscriber"]["id"]);
    let (before, after) = (&subscribed["data"]["subscriber"], &unsubscribed["data"]["subscriber"]);
    assert!(after.as_object().unwrap().iter().all(|(key, value)| before[key] == *value), "{before} {after}");
}
