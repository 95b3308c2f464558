//! Subscriptions that a new connection refuses: for the moment, or for good.

use std::error::Error as _;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use event_core::hub::{LifecycleStream, Report};
use event_core::memory::MemoryHub;
use event_core::{ConnectionState, Error, ErrorKind, EventHub, Lifecycle, SubscriptionId};
use tokio::time::Instant;

use crate::support::{event, one_hub};

/// Cuts the link of a hub whose subscription "s" is refused on the next one.
async fn cut_and_refuse(bus: &MemoryHub, hub: &EventHub, kind: ErrorKind) {
    bus.refuse_subscription("s", Some(kind));
    bus.cut();
    hub.wait_for_state(|state| !state.is_connected()).await;
}

async fn problem(lifecycle: &mut LifecycleStream) -> Arc<Error> {
    loop {
        match lifecycle.next().await {
            Some(Report::Happened(Lifecycle::Problem(error))) => return error,
            Some(Report::Happened(Lifecycle::SubscriptionLost { error, .. })) => panic!("lost: {error}"),
            Some(_) => {}
            None => panic!("the hub is gone"),
        }
    }
}

async fn lost(lifecycle: &mut LifecycleStream) -> (SubscriptionId, Arc<Error>, usize) {
    let mut problems = 0;
    loop {
        match lifecycle.next().await {
            Some(Report::Happened(Lifecycle::SubscriptionLost { id, error })) => {
                return (id, error, problems);
            }
            Some(Report::Happened(Lifecycle::Problem(_))) => problems += 1,
            Some(_) => {}
            None => panic!("the hub is gone"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_refused_for_the_moment_is_asked_for_again_before_anything_is_sent() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").id("s").stream().await.unwrap();
    let mut lifecycle = hub.lifecycle();
    let began = Instant::now();
    cut_and_refuse(&bus, &hub, ErrorKind::Timeout).await;
    let publishing = tokio::spawn(hub.publish(event("t")).into_future());
    let error = problem(&mut lifecycle).await;
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("\"s\"") && error.message().contains("attempt 1 of 8"), "{error}");
    assert_eq!(error.source().unwrap().to_string(), "subscribe: the bus refuses this subscription");
    problem(&mut lifecycle).await;
    assert_eq!((bus.links(), bus.published()), (1, 0), "connected, and nothing is sent yet");
    let attempts = bus.attempts();
    bus.refuse_subscription("s", None);
    stream.next().await.unwrap().unwrap();
    publishing.await.unwrap().unwrap();
    assert_eq!(bus.attempts(), attempts, "on the same connection");
    let gap = loop {
        if let Some(Report::Happened(Lifecycle::Gap(gap))) = lifecycle.next().await {
            break gap;
        }
    };
    assert_eq!(gap.lasted, began.elapsed(), "the gap lasts until the subscription stands");
    assert_eq!(hub.stats().problems, 2);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_refused_again_and_again_is_lost_and_the_hub_goes_on() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").id("s").stream().await.unwrap();
    let mut lifecycle = hub.lifecycle();
    cut_and_refuse(&bus, &hub, ErrorKind::Timeout).await;
    let began = Instant::now();
    let (id, error, problems) = lost(&mut lifecycle).await;
    assert_eq!((id.as_str(), error.kind(), problems), ("s", ErrorKind::Timeout, 7));
    assert!(began.elapsed() < Duration::from_secs(64), "{:?}", began.elapsed());
    assert_eq!(stream.next().await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    assert!(stream.next().await.is_none());
    hub.wait_for_state(ConnectionState::is_connected).await;
    bus.refuse_subscription("s", None);
    let mut again = hub.subscribe("topic=t").id("s").stream().await.unwrap();
    hub.publish(event("t")).await.unwrap();
    again.next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_refused_for_good_is_lost_at_once() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").id("s").stream().await.unwrap();
    let mut lifecycle = hub.lifecycle();
    cut_and_refuse(&bus, &hub, ErrorKind::PermissionDenied).await;
    let (id, error, problems) = lost(&mut lifecycle).await;
    assert_eq!((id.as_str(), error.kind(), problems), ("s", ErrorKind::PermissionDenied, 0));
    assert_eq!(stream.next().await.unwrap().unwrap_err().kind(), ErrorKind::PermissionDenied);
    hub.wait_for_state(ConnectionState::is_connected).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_a_refused_subscription_that_nobody_wants_any_more() {
    let (bus, hub) = one_hub().await;
    let stream = hub.subscribe("topic=t").id("s").stream().await.unwrap();
    let mut lifecycle = hub.lifecycle();
    cut_and_refuse(&bus, &hub, ErrorKind::Timeout).await;
    problem(&mut lifecycle).await;
    problem(&mut lifecycle).await;
    let before = Instant::now();
    stream.unsubscribe().await.unwrap();
    hub.wait_for_state(ConnectionState::is_connected).await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!((hub.stats().problems, hub.stats().subscriptions), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_meanwhile_is_asked_from_the_beginning() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").id("s").stream().await.unwrap();
    let mut lifecycle = hub.lifecycle();
    cut_and_refuse(&bus, &hub, ErrorKind::Timeout).await;
    for _ in 0..5 {
        problem(&mut lifecycle).await;
    }
    bus.cut();
    for n in 1..=7 {
        let error = problem(&mut lifecycle).await;
        assert!(error.message().contains(&format!("attempt {n} of 8")), "{error}");
    }
    bus.refuse_subscription("s", None);
    hub.wait_for_state(ConnectionState::is_connected).await;
    bus.inject(&event("t"));
    stream.next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_was_made_without_a_connection_is_asked_for_again_with_the_first_one() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).build().unwrap();
    let mut stream = hub.subscribe("topic=t").id("s").stream().await.unwrap();
    let mut lifecycle = hub.lifecycle();
    bus.refuse_subscription("s", Some(ErrorKind::Timeout));
    let connecting = tokio::spawn({
        let hub = hub.clone();
        async move { hub.connect().await }
    });
    problem(&mut lifecycle).await;
    problem(&mut lifecycle).await;
    assert!(!connecting.is_finished() && !hub.state().is_connected());
    bus.refuse_subscription("s", None);
    connecting.await.unwrap().unwrap();
    hub.publish(event("t")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(bus.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_refused_when_connecting_by_hand_is_asked_for_again_and_lost_at_last() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").id("s").stream().await.unwrap();
    let mut lifecycle = hub.lifecycle();
    bus.refuse_subscription("s", Some(ErrorKind::Timeout));
    hub.reconnect().await.unwrap();
    let (id, error, problems) = lost(&mut lifecycle).await;
    assert_eq!((id.as_str(), error.kind(), problems), ("s", ErrorKind::Timeout, 7));
    assert_eq!(stream.next().await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    assert!(hub.state().is_connected());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_first_connection_hears_of_a_refusal_at_once() {
    let bus = MemoryHub::new();
    bus.refuse_subscription("s", Some(ErrorKind::Timeout));
    bus.refuse_connections(Some((ErrorKind::Unreachable, "down")));
    let hub = EventHub::builder(bus.transport()).connect_lazy().unwrap();
    let subscribing = tokio::spawn(hub.subscribe("topic=t").id("s").stream());
    hub.wait_for_state(
        |state| matches!(state, ConnectionState::Reconnecting { attempt, .. } if *attempt > 1),
    )
    .await;
    bus.refuse_connections(None);
    assert_eq!(subscribing.await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    hub.wait_for_state(ConnectionState::is_connected).await;
    assert_eq!(hub.stats().subscriptions, 0);
}

#[tokio::test(start_paused = true)]
async fn a_first_subscription_that_is_refused_is_the_callers_to_repeat() {
    let (bus, hub) = one_hub().await;
    bus.refuse_subscription("s", Some(ErrorKind::Timeout));
    let began = Instant::now();
    let error = hub.subscribe("topic=t").id("s").stream().await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Timeout, Duration::ZERO));
    assert_eq!((hub.stats().problems, hub.stats().subscriptions), (0, 0));
}
