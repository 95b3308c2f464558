//! Telling the hub to reconnect, to flush, to disconnect on overflow; how it is; what it does about repeats.

use std::future::IntoFuture;
use std::time::Duration;

use event_core::hub::{Report, Verdict};
use event_core::memory::MemoryHub;
use event_core::transport::Transport;
use event_core::{ConnectionState, ErrorKind, Event, EventHub, EventId, Lifecycle, Overflow};
use tokio::time::Instant;

use crate::support::{event, one_hub, running};

#[tokio::test(start_paused = true)]
async fn reconnecting_by_hand_keeps_subscriptions_and_publishes_and_tells_the_gap() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").stream().await.unwrap();
    bus.hold_acknowledgements(true);
    let publishing = tokio::spawn(hub.publish(event("other")).into_future());
    while bus.published() == 0 {
        tokio::task::yield_now().await;
    }
    let mut lifecycle = hub.lifecycle();
    let attempts = bus.attempts();
    bus.hold_acknowledgements(true);
    hub.reconnect().await.unwrap();
    bus.hold_acknowledgements(false);
    assert!(hub.state().is_connected());
    assert_eq!(bus.attempts(), attempts + 1);
    assert_eq!(bus.links(), 1, "the old link is gone");
    let receipt = publishing.await.unwrap().unwrap();
    assert!(receipt.possible_duplicate);
    hub.publish(event("t")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let mut story = Vec::new();
    loop {
        match lifecycle.next().await.unwrap() {
            Report::Happened(Lifecycle::Disconnected { reason: None }) => story.push("disconnected"),
            Report::Happened(Lifecycle::Gap(_)) => story.push("gap"),
            Report::Happened(Lifecycle::Resubscribed { subscriptions: 1 }) => story.push("resubscribed"),
            Report::Happened(Lifecycle::Connected { .. }) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(story, ["disconnected", "gap", "resubscribed"]);
}

#[tokio::test(start_paused = true)]
async fn the_manual_verbs_work_in_any_order() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).build().unwrap();
    hub.disconnect().await;
    hub.reconnect().await.unwrap();
    hub.reconnect().await.unwrap();
    hub.connect().await.unwrap();
    hub.disconnect().await;
    hub.disconnect().await;
    assert!(matches!(hub.state(), ConnectionState::Idle));
    hub.connect().await.unwrap();
    bus.refuse_connections(Some((ErrorKind::Unauthenticated, "no")));
    assert_eq!(hub.reconnect().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert!(matches!(hub.state(), ConnectionState::Failed { .. }));
    bus.refuse_connections(None);
    hub.reconnect().await.unwrap();
    assert!(hub.state().is_connected());
    assert_eq!(bus.links(), 1);
    // While it is being made anew, too.
    bus.refuse_connections(Some((ErrorKind::Unreachable, "down")));
    let reconnecting = tokio::spawn({
        let hub = hub.clone();
        async move { hub.reconnect().await }
    });
    let reconnecting_state = |state: &ConnectionState| matches!(state, ConnectionState::Reconnecting { attempt, .. } if *attempt > 1);
    hub.wait_for_state(reconnecting_state).await;
    bus.refuse_connections(None);
    hub.reconnect().await.unwrap();
    reconnecting.await.unwrap().unwrap();
    assert_eq!(bus.links(), 1);
    hub.close().await;
    assert_eq!(hub.reconnect().await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_overflow_may_disconnect_the_hub_which_says_why_and_can_connect_again() {
    let (bus, hub) = one_hub().await;
    let strict = hub
        .subscribe("topic=t")
        .id("strict")
        .buffer(2, Overflow::Disconnect)
        .handle(async |_event: Event| std::future::pending::<()>().await)
        .await
        .unwrap();
    bus.inject(&event("t"));
    running(&strict, 1).await;
    for _ in 0..3 {
        bus.inject(&event("t"));
    }
    let state = hub.wait_for_state(|state| matches!(state, ConnectionState::Failed { .. })).await;
    let ConnectionState::Failed { reason } = state else { panic!("{state:?}") };
    assert_eq!(reason.kind(), ErrorKind::Full);
    assert!(reason.to_string().contains("\"strict\"") && !reason.is_transient(), "{reason}");
    assert_eq!((strict.stats().dropped, hub.stats().dropped), (1, 1));
    assert_eq!(bus.links(), 0);
    hub.connect().await.unwrap();
    assert!(hub.state().is_connected());
}

#[tokio::test(start_paused = true)]
async fn flushing_waits_for_what_was_published_before() {
    let (bus, hub) = one_hub().await;
    hub.flush().await.unwrap();
    bus.hold_acknowledgements(true);
    for _ in 0..10 {
        hub.publish(event("t")).no_wait().await.unwrap();
    }
    let mut flushing = std::pin::pin!(hub.flush());
    assert!(futures_util::poll!(flushing.as_mut()).is_pending());
    while bus.published() < 10 {
        tokio::task::yield_now().await;
    }
    assert!(futures_util::poll!(flushing.as_mut()).is_pending());
    bus.hold_acknowledgements(false);
    flushing.await.unwrap();
    assert_eq!(hub.stats().published, 10);
    bus.refuse_connections(Some((ErrorKind::Unreachable, "down")));
    bus.cut();
    hub.wait_for_state(|state| !state.is_connected()).await;
    hub.publish(event("t")).timeout(Duration::from_secs(3)).no_wait().await.unwrap();
    let started = Instant::now();
    hub.flush().await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(3), "an event that expired is done with");
    let waiting = hub.publish(event("t")).no_wait();
    waiting.await.unwrap();
    let flushing = tokio::spawn({
        let hub = hub.clone();
        async move { hub.flush().await }
    });
    tokio::task::yield_now().await;
    hub.drain(Duration::ZERO).await;
    assert!(flushing.await.unwrap().is_err_and(|error| error.kind() == ErrorKind::Closed));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_again_is_dropped_and_counted() {
    let (bus, hub) = one_hub().await;
    let mut stream = hub.subscribe("topic=t").stream().await.unwrap();
    let twice = |id: &str| Event::builder("t").id(EventId::from(id)).build().unwrap();
    for id in ["a", "b", "a", "a", "c"] {
        bus.inject(&twice(id));
    }
    for id in ["a", "b", "c"] {
        assert_eq!(stream.next().await.unwrap().unwrap().event().id().unwrap(), &id);
    }
    assert_eq!((hub.stats().received, hub.stats().repeats), (5, 2));
    // A resend over a new connection is one too.
    bus.cut();
    hub.wait_for_state(|state| !state.is_connected()).await;
    hub.wait_for_state(ConnectionState::is_connected).await;
    bus.inject(&twice("a"));
    while hub.stats().repeats < 3 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_secs(600)).await;
    bus.inject(&twice("d"));
    assert_eq!(stream.next().await.unwrap().unwrap().event().id().unwrap(), &"d");
    bus.inject(&twice("a"));
    assert_eq!(stream.next().await.unwrap().unwrap().event().id().unwrap(), &"a", "after its time");
}

#[tokio::test(start_paused = true)]
async fn health_tells_down_from_degraded_from_healthy_and_who_is_slow() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).build().unwrap();
    assert_eq!(hub.health().verdict, Verdict::Down);
    hub.connect().await.unwrap();
    tokio::time::advance(Duration::from_secs(7)).await;
    let health = hub.health();
    assert_eq!((health.verdict, health.lasted), (Verdict::Healthy, Duration::from_secs(7)));
    assert_eq!((health.outstanding, health.outbox_capacity, health.open_requests), (0, 4096, 0));
    assert!(health.last_failure.is_none() && health.slow.is_empty());
    let slow = hub
        .subscribe("topic=t")
        .id("slow")
        .buffer(2, Overflow::DropOldest)
        .handle(async |_event: Event| std::future::pending::<()>().await)
        .await
        .unwrap();
    for _ in 0..5 {
        bus.inject(&event("t"));
    }
    while slow.stats().dropped == 0 {
        tokio::task::yield_now().await;
    }
    let health = hub.health();
    assert_eq!(health.verdict, Verdict::Degraded);
    assert_eq!(health.slow, ["slow"]);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(hub.health().verdict, Verdict::Healthy, "it has not overflowed for a while");
    bus.refuse_connections(Some((ErrorKind::Unreachable, "down")));
    bus.cut();
    hub.wait_for_state(|state| matches!(state, ConnectionState::Reconnecting { .. })).await;
    let health = hub.health();
    assert_eq!(health.verdict, Verdict::Degraded);
    let (failure, ago) = health.last_failure.unwrap();
    assert_eq!((failure.kind(), ago), (ErrorKind::Disconnected, Duration::ZERO));
    hub.drain(Duration::ZERO).await;
    assert_eq!(hub.health().verdict, Verdict::Down);
}

#[tokio::test(start_paused = true)]
async fn the_window_shrinks_when_a_busy_link_is_cut_and_grows_back() {
    let mut able = MemoryHub::new().transport().capabilities();
    able.window = Some(32);
    let bus = MemoryHub::with_capabilities(able);
    let hub = EventHub::builder(bus.transport()).connect().await.unwrap();
    assert_eq!(hub.stats().window, 32);
    bus.hold_acknowledgements(true);
    let publishing: Vec<_> = (0..100).map(|_| tokio::spawn(hub.publish(event("t")).into_future())).collect();
    while bus.published() < 32 {
        tokio::task::yield_now().await;
    }
    bus.cut();
    hub.wait_for_state(|state| !state.is_connected()).await;
    assert_eq!(hub.stats().window, 16);
    hub.wait_for_state(ConnectionState::is_connected).await;
    while bus.published() < 32 + 16 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bus.published(), 48, "no more than the window at a time");
    bus.hold_acknowledgements(false);
    for publish in publishing {
        publish.await.unwrap().unwrap();
    }
    for _ in 0..16 * 64 {
        hub.publish(event("t")).await.unwrap();
    }
    assert_eq!(hub.stats().window, 32);
    // An idle link that breaks says nothing about sending.
    bus.cut();
    hub.wait_for_state(|state| !state.is_connected()).await;
    assert_eq!(hub.stats().window, 32);
    // Nor does one that is left on purpose.
    hub.wait_for_state(ConnectionState::is_connected).await;
    bus.hold_acknowledgements(true);
    hub.publish(event("t")).no_wait().await.unwrap();
    hub.reconnect().await.unwrap();
    assert_eq!(hub.stats().window, 32);
}
