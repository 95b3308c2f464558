//! Closing and dropping: nothing is left behind.

use ftrack_hub::{ConnectionState, ErrorKind, Event, Json};
use hub_emulator::Emulator;

use crate::support::{
    ClosedPort, Log, builder, connect, connected, emulated, event, one, quick, state, two, within,
};
use crate::wire::{Frame, Wire};

#[tokio::test]
async fn closing_leaves_no_connection_and_no_subscription() {
    let emulator = Emulator::start().await.unwrap();
    let wire = Wire::new();
    let session = connect(builder(&emulator, "ann").dialer(wire.clone())).await;
    let hub = session.event_hub();
    Log::default().follow(hub, "topic=t").await;
    within(hub.close()).await;
    assert!(matches!(hub.state(), ConnectionState::Closed));
    let state = emulated(&emulator, |state| state.connections == 0).await;
    assert_eq!((state.subscriptions, state.pending_handshakes), (0, 0));
    assert_eq!((state.stats.connections_opened, state.stats.connections_closed), (1, 1));
    let sent = wire.sent();
    let last = sent.last().unwrap().frames.last().unwrap();
    assert_eq!((last.opcode, &*last.payload), (Frame::CLOSE, &1000_u16.to_be_bytes()[..]));
    // It is final.
    for outcome in [
        within(hub.connect()).await.map(drop),
        within(hub.publish(event("t", 1)).into_future()).await.map(drop),
        within(hub.subscribe("topic=t").handle(async |_: Event| ())).await.map(drop),
        within(hub.publish_and_wait_for_reply(event("t", 1)).into_future()).await.map(drop),
    ] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Closed);
    }
    within(hub.close()).await;
}

#[tokio::test]
async fn closing_lets_handlers_finish_and_their_replies_out() {
    let (_emulator, ann, ben) = two().await;
    let log = Log::default();
    let (go, gone) = tokio::sync::watch::channel(false);
    let handler = move |_: Event, log: Log| {
        let mut gone = gone.clone();
        async move {
            log.add("started");
            gone.wait_for(|gone| *gone).await.unwrap();
            Json("finished")
        }
    };
    ann.event_hub().subscribe("topic=ask").handle_with(log.clone(), handler).await.unwrap();
    let asking = tokio::spawn(ben.event_hub().publish_and_wait_for_reply(event("ask", 1)).into_future());
    log.wait_for(1).await;
    let mut closing = std::pin::pin!(ann.event_hub().close());
    assert!(futures_util::poll!(&mut closing).is_pending());
    go.send(true).unwrap();
    within(closing).await;
    assert_eq!(within(asking).await.unwrap().unwrap().data_value(), "finished");
}

#[tokio::test]
async fn dropping_a_session_and_its_hubs_leaves_no_connection() {
    let (emulator, session) = one().await;
    let hub = session.event_hub().clone();
    Log::default().follow(&hub, "topic=t").await;
    let stream = hub.subscribe("topic=t").stream().await.unwrap();
    drop(session);
    within(hub.publish(event("t", 1))).await.unwrap();
    assert_eq!(emulator.state().connections, 1, "a clone of the hub holds it");
    drop(hub);
    let state = emulated(&emulator, |state| state.connections == 0).await;
    assert_eq!(state.subscriptions, 0);
    drop(stream);
}

#[tokio::test]
async fn dropping_a_session_that_tries_to_connect_ends_the_attempts_and_every_task() {
    let port = ClosedPort::new();
    let metrics = tokio::runtime::Handle::current().metrics();
    let session = ftrack_hub::Session::builder(port.url(), "ann", "k")
        .reconnect(quick())
        .auto_connect_event_hub(true)
        .build()
        .unwrap();
    let hub = session.event_hub().clone();
    let subscribing = tokio::spawn(async move { hub.subscribe("topic=t").stream().await.map(drop) });
    let waiting = tokio::spawn(session.event_hub().publish(event("t", 1)).into_future());
    state(session.event_hub(), |state| matches!(state, ConnectionState::Reconnecting { attempt: 3.., .. }))
        .await;
    drop(session);
    assert!(!subscribing.is_finished() && !waiting.is_finished());
    subscribing.abort();
    let error = within(waiting).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    within(async {
        while metrics.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_that_come_and_go_leave_nothing() {
    let emulator = Emulator::start().await.unwrap();
    for n in 0..30 {
        let session = connected(&emulator, "ann").await;
        Log::default().follow(session.event_hub(), "topic=t").await;
        within(session.event_hub().publish(event("t", n))).await.unwrap();
        if n % 2 == 0 {
            within(session.event_hub().close()).await;
        }
    }
    let state = emulated(&emulator, |state| state.connections == 0).await;
    assert_eq!((state.subscriptions, state.pending_handshakes), (0, 0));
    assert_eq!((state.stats.handshakes, state.stats.connections_closed), (30, 30));
}
