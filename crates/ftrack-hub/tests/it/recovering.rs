//! The connection breaks: subscriptions come back first, then what was published meanwhile.

use std::time::Duration;

use ftrack_hub::{ConnectionState, ErrorKind, Lifecycle, Resend, Session};
use hub_emulator::Emulator;

use crate::scripted::Scripted;
use crate::support::{
    Log, break_reason, builder, connect, connected, emulated, event, holds, one, quick, report, state, within,
};
use crate::wire::Wire;

#[derive(Clone, Copy, Debug)]
enum How {
    Cut,
    PutOut,
    Restart,
}

#[tokio::test]
async fn every_subscription_is_back_before_what_was_published_meanwhile_goes_out() {
    for how in [How::Cut, How::PutOut, How::Restart] {
        let emulator = Emulator::start().await.unwrap();
        let wire = Wire::new();
        let session = connect(builder(&emulator, "ann").dialer(wire.clone())).await;
        let hub = session.event_hub();
        let log = Log::default();
        for n in 0..40 {
            log.follow(hub, &format!("topic=t and data!=x{n}")).await;
        }
        let mut lifecycle = hub.lifecycle();
        wire.shut();
        match how {
            How::Cut => assert_eq!(emulator.cut_all(), 1),
            How::PutOut => assert_eq!(emulator.disconnect_all(), 1),
            How::Restart => emulator.restart().await.unwrap(),
        }
        assert_eq!(break_reason(&mut lifecycle).await.kind(), ErrorKind::Disconnected, "{how:?}");
        assert!(!hub.is_connected());
        let publishing: Vec<_> =
            (0..10).map(|n| tokio::spawn(hub.publish(event("t", n)).into_future())).collect();
        while hub.stats().outstanding < 10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(emulator.state().subscriptions, 0);
        wire.open();
        for publish in publishing {
            let receipt = within(publish).await.unwrap().unwrap();
            assert_eq!((receipt.attempts, receipt.possible_duplicate), (1, false));
        }
        // The gap is told, then the connection with everything in place.
        report(&mut lifecycle, |change| match change {
            Lifecycle::Gap(_) => Some(()),
            Lifecycle::Connected { .. } => panic!("{how:?}: the gap comes first"),
            _ => None,
        })
        .await;
        let connected = report(&mut lifecycle, |change| match change {
            Lifecycle::Connected { subscriptions } => Some(subscriptions),
            _ => None,
        });
        assert_eq!(connected.await, 40);
        assert_eq!(emulator.state().subscriptions, 41);
        // Every one of the 40 got all ten, in order.
        let mut lines = log.wait_for(400).await;
        lines.sort();
        assert!(
            (0..10).all(|n| lines.iter().filter(|line| **line == n.to_string()).count() == 40),
            "{how:?}"
        );
        assert_eq!(hub.stats().connections, 2);
    }
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_found_again() {
    let (emulator, session) = one().await;
    let hub = session.event_hub();
    let log = Log::default();
    log.follow(hub, "topic=t").await;
    for round in 0..3 {
        emulator.stop().await;
        state(hub, |state| matches!(state, ConnectionState::Reconnecting { attempt: 3.., .. })).await;
        within(hub.publish(event("t", round)).no_wait()).await.unwrap();
        emulator.restart().await.unwrap();
        assert_eq!(log.wait_for(round + 1).await[round], round.to_string());
    }
}

#[tokio::test]
async fn connections_that_break_again_and_again_lose_no_publish() {
    let (emulator, ann) = one().await;
    let log = Log::default();
    log.follow(ann.event_hub(), "topic=t").await;
    let ben = connected(&emulator, "ben").await;
    let hub = ben.event_hub().clone();
    let publishing = tokio::spawn(async move {
        for n in 0..200 {
            hub.publish(event("t", n)).await.unwrap();
        }
    });
    for round in 1..=5 {
        // Some were acknowledged in between.
        emulated(&emulator, |state| state.stats.events_received > 40 * round).await;
        if round % 2 == 0 {
            emulator.cut_all()
        } else {
            emulator.disconnect_all()
        };
    }
    within(publishing).await.unwrap();
    assert!(ben.event_hub().stats().connections > 1);
    assert_eq!((ben.event_hub().stats().published, ben.event_hub().stats().outstanding), (200, 0));
}

#[tokio::test]
async fn an_event_without_its_acknowledgement_is_sent_again_and_a_question_is_not() {
    let server = Scripted::start().await;
    let session = Session::builder(server.url(), "ann", "k").reconnect(quick()).build().unwrap();
    let hub = session.event_hub();
    let (connecting, mut peer) = within(async { tokio::join!(hub.connect(), server.accept()) }).await;
    connecting.unwrap();
    let again = tokio::spawn(hub.publish(event("again", 1)).into_future());
    let once = tokio::spawn(hub.publish(event("once", 1)).resend(Resend::Never).into_future());
    let asked = tokio::spawn(hub.publish_and_wait_for_reply(event("asked", 1)).into_future());
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(peer.hear().await.1);
    }
    drop(peer);
    let mut peer = within(server.accept()).await;
    let second = peer.acknowledge().await;
    assert_eq!(second, first[0], "the same event, with the same id");
    let receipt = within(again).await.unwrap().unwrap();
    assert_eq!((receipt.attempts, receipt.possible_duplicate), (2, true));
    assert_eq!(within(once).await.unwrap().unwrap_err().kind(), ErrorKind::Unconfirmed);
    assert_eq!(within(asked).await.unwrap().unwrap_err().kind(), ErrorKind::Unconfirmed);
    let next = tokio::spawn(hub.publish(event("next", 1)).into_future());
    assert_eq!(peer.acknowledge().await["topic"], "next", "nothing in between");
    within(next).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_breaks_the_connection_and_is_reported() {
    let (emulator, ben) = one().await;
    let ann = connect(builder(&emulator, "ann").max_frame(10_000)).await;
    let hub = ann.event_hub();
    let log = Log::default();
    log.follow(hub, "topic=t").await;
    let mut lifecycle = hub.lifecycle();
    within(ben.event_hub().publish(event("t", "x".repeat(9_000)))).await.unwrap();
    within(ben.event_hub().publish(event("t", "x".repeat(10_001)))).await.unwrap();
    let reason = break_reason(&mut lifecycle).await;
    assert_eq!((reason.kind(), reason.is_transient()), (ErrorKind::TooLarge, true));
    state(hub, ConnectionState::is_connected).await;
    within(ben.event_hub().publish(event("t", "small"))).await.unwrap();
    let lines = log.wait_for(2).await;
    assert_eq!((lines[0].len(), &*lines[1]), (9_002, "\"small\""));
    assert_eq!(hub.stats().connections, 2);
}

#[tokio::test]
async fn a_silent_server_is_left_after_the_heartbeat_timeout_that_it_granted() {
    let server = Scripted::start().await;
    let session = Session::builder(server.url(), "ann", "k").reconnect(quick()).build().unwrap();
    let hub = session.event_hub();
    let mut lifecycle = hub.lifecycle();
    let (connecting, silent) =
        within(async { tokio::join!(hub.connect(), server.accept_for("SID:1:60:websocket")) }).await;
    connecting.unwrap();
    let reason = break_reason(&mut lifecycle).await;
    assert_eq!(reason.kind(), ErrorKind::Timeout, "{reason}");
    let _peer = within(server.accept()).await;
    state(hub, ConnectionState::is_connected).await;
    drop(silent);
}

#[tokio::test]
async fn a_subscription_that_the_server_refuses_on_a_new_connection_is_reported_lost() {
    let emulator = Emulator::builder().max_subscriptions(3).start().await.unwrap();
    let wire = Wire::new();
    let ann = connect(builder(&emulator, "ann").dialer(wire.clone())).await;
    let hub = ann.event_hub();
    let log = Log::default();
    log.follow(hub, "topic=a").await;
    log.follow(hub, "topic=b").await;
    let mut lifecycle = hub.lifecycle();
    wire.shut();
    emulator.cut_all();
    break_reason(&mut lifecycle).await;
    let ben = connected(&emulator, "ben").await;
    wire.open();
    let (id, error) = report(&mut lifecycle, |change| match change {
        Lifecycle::SubscriptionLost { id, error } => Some((id, error)),
        _ => None,
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(hub.get_subscriber_by_identifier(id).is_none());
    state(hub, ConnectionState::is_connected).await;
    assert_eq!((holds(&emulator, "topic=a"), holds(&emulator, "topic=b")), (true, false));
    within(ben.event_hub().publish(event("a", 1))).await.unwrap();
    log.wait_for(1).await;
}

#[tokio::test]
async fn disconnecting_keeps_the_subscriptions_for_the_next_connect() {
    let (emulator, session) = one().await;
    let hub = session.event_hub();
    let log = Log::default();
    log.follow(hub, "topic=t").await;
    for n in 1..=3 {
        hub.disconnect().await;
        assert!(matches!(hub.state(), ConnectionState::Idle));
        emulated(&emulator, |state| state.connections == 0).await;
        within(hub.connect()).await.unwrap();
        within(hub.publish(event("t", n))).await.unwrap();
        log.wait_for(n).await;
    }
    hub.close().await;
    assert_eq!(log.lines(), ["1", "2", "3"], "each event once, not once for each connect");
}

#[tokio::test]
async fn a_key_that_stops_being_good_ends_the_attempts() {
    let port = crate::support::ClosedPort::new();
    let address = port.address();
    let emulator = port.open().await;
    let session = connected(&emulator, "ann").await;
    let hub = session.event_hub();
    let wire_is_gone = tokio::spawn({
        let hub = hub.clone();
        async move { state(&hub, |state| matches!(state, ConnectionState::Reconnecting { .. })).await }
    });
    drop(emulator);
    within(wire_is_gone).await.unwrap();
    let strict = Emulator::builder().ftrack_addr(address).user("ann", "another-key").start().await.unwrap();
    let ended = state(hub, |state| matches!(state, ConnectionState::Failed { .. })).await;
    let ConnectionState::Failed { reason } = &ended else { panic!("{ended}") };
    assert_eq!(reason.kind(), ErrorKind::Unauthenticated);
    assert_eq!(strict.stats().handshakes_unauthorized, 1);
    let error = within(hub.publish(event("t", 1)).timeout(Duration::from_secs(60)).into_future()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotConnected);
}

#[tokio::test]
async fn a_hub_whose_own_subscription_is_refused_on_a_new_connection_does_not_stay_deaf() {
    let emulator = Emulator::builder().max_subscriptions(1).start().await.unwrap();
    let wire = Wire::new();
    let ann = connect(builder(&emulator, "ann").dialer(wire.clone())).await;
    let hub = ann.event_hub();
    let mut lifecycle = hub.lifecycle();
    wire.shut();
    emulator.cut_all();
    break_reason(&mut lifecycle).await;
    let _ben = connected(&emulator, "ben").await;
    wire.open();
    let ended = state(hub, |state| {
        assert!(!state.is_connected(), "it would get no reply");
        matches!(state, ConnectionState::Failed { .. })
    })
    .await;
    let ConnectionState::Failed { reason } = &ended else { panic!("{ended}") };
    assert_eq!(reason.kind(), ErrorKind::Refused);
    emulated(&emulator, |state| state.connections == 1).await;
}
