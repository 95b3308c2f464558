//! "Connecting to event hub": at once, in the background, by every spelling of the address; and why not.

use ftrack_hub::{ConnectionState, ErrorKind, Session};
use hub_emulator::Emulator;

use crate::scripted::Scripted;
use crate::support::{ClosedPort, builder, connect, connected, emulated, event, one, quick, state, within};

fn is_failed(state: &ConnectionState) -> bool {
    matches!(state, ConnectionState::Failed { .. })
}

#[tokio::test]
async fn a_session_connects_when_it_is_told_to() {
    let emulator = Emulator::start().await.unwrap();
    let session = builder(&emulator, "ann").build().unwrap();
    let hub = session.event_hub();
    assert!(!hub.is_connected());
    assert!(matches!(hub.state(), ConnectionState::Idle));
    within(hub.connect()).await.unwrap();
    assert!(hub.is_connected());
    let [connection] = &emulator.connections()[..] else { panic!("one connection") };
    assert_eq!(connection.user, "ann");
    let [inbox] = &connection.subscriptions[..] else { panic!("one subscription") };
    assert_eq!((&*inbox.id, &*inbox.expression), (hub.id().as_str(), "topic=ftrack.meta.reply"));
    within(hub.connect()).await.unwrap();
    assert_eq!(emulator.stats().handshakes, 1, "a connected hub does not connect again");
}

#[tokio::test]
async fn a_session_connects_by_itself_if_its_builder_was_told_to() {
    let emulator = Emulator::start().await.unwrap();
    let session = builder(&emulator, "ann").auto_connect_event_hub(true).build().unwrap();
    state(session.event_hub(), ConnectionState::is_connected).await;
    assert_eq!(emulator.state().connections, 1);
    let not = builder(&emulator, "ben").auto_connect_event_hub(false).build().unwrap();
    within(not.event_hub().connect()).await.unwrap();
    assert_eq!(emulator.stats().handshakes, 2, "and only then");
}

#[tokio::test]
async fn an_address_may_end_in_a_slash() {
    let emulator = Emulator::start().await.unwrap();
    let port = emulator.ftrack_addr().port();
    for url in [
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!(" HTTP://127.0.0.1:{port}//\n"),
    ] {
        let session = connect(Session::builder(&url, "ann", "k")).await;
        within(session.event_hub().publish(event("t", 1))).await.unwrap();
        session.event_hub().close().await;
    }
    assert_eq!(emulator.stats().events_routed, 0);
    assert_eq!(emulator.stats().events_received, 8);
}

#[tokio::test]
async fn a_path_of_the_address_leads_every_request() {
    let server = Scripted::start().await;
    let session = Session::builder(format!("{}/ftrack/", server.url()), "ann", "k").build().unwrap();
    let serving = async {
        let handshake = server.grant("SID:60:60:websocket").await;
        let upgrade = server.answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
        (handshake, upgrade)
    };
    let (outcome, (handshake, upgrade)) =
        within(async { tokio::join!(session.event_hub().connect(), serving) }).await;
    assert!(handshake.starts_with("GET /ftrack/socket.io/1/ HTTP/1.1\r\n"), "{handshake}");
    assert!(upgrade.starts_with("GET /ftrack/socket.io/1/websocket/SID HTTP/1.1\r\n"), "{upgrade}");
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::UnsupportedTransport, true));
}

#[tokio::test]
async fn a_wrong_key_is_refused_at_once_and_not_tried_again() {
    let emulator = Emulator::builder().user("ann", "right").start().await.unwrap();
    let wrong = || Session::builder(emulator.ftrack_url(), "ann", "wrong").reconnect(quick());
    let session = wrong().build().unwrap();
    let error = within(session.event_hub().connect()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!error.is_transient());
    assert!(error.to_string().contains(&emulator.ftrack_url()), "{error}");
    assert!(is_failed(&session.event_hub().state()));

    let background = wrong().auto_connect_event_hub(true).build().unwrap();
    let hub = background.event_hub();
    let failed = state(hub, is_failed).await;
    let ConnectionState::Failed { reason } = &failed else { unreachable!() };
    assert_eq!(reason.kind(), ErrorKind::Unauthenticated);
    // Nobody waits in vain for a connection that will not come.
    let error = within(hub.publish(event("t", 1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    let error = within(hub.connect_persistently()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);

    // Time enough for many attempts with these pauses.
    let right = connect(Session::builder(emulator.ftrack_url(), "ann", "right")).await;
    for n in 0..100 {
        within(right.event_hub().publish(event("t", n))).await.unwrap();
    }
    let stats = emulator.stats();
    assert_eq!((stats.handshakes, stats.handshakes_unauthorized), (1, 3));
}

#[tokio::test]
async fn an_empty_user_or_key_is_refused_before_anything_is_sent() {
    let emulator = Emulator::start().await.unwrap();
    for (user, key) in [("", "k"), ("ann", ""), ("  ", "k"), ("ann", "\t")] {
        let builder = Session::builder(emulator.ftrack_url(), user, key).auto_connect_event_hub(true);
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCredentials, "{user:?} {key:?}");
    }
    connected(&emulator, "ann").await;
    let stats = emulator.stats();
    assert_eq!((stats.handshakes, stats.handshakes_unauthorized), (1, 0));
}

#[tokio::test]
async fn a_closed_port_is_unreachable_until_a_server_is_there() {
    let port = ClosedPort::new();
    let session = Session::builder(port.url(), "ann", "k").reconnect(quick()).build().unwrap();
    let hub = session.event_hub();
    let error = within(hub.connect()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unreachable, true));
    assert!(error.to_string().contains(&port.url()), "{error}");
    assert!(is_failed(&hub.state()), "connect() is one attempt");
    let emulator = port.open().await;
    within(hub.connect()).await.unwrap();
    assert_eq!(emulator.state().connections, 1);
}

#[tokio::test]
async fn connecting_persistently_waits_for_the_server() {
    let port = ClosedPort::new();
    let session = Session::builder(port.url(), "ann", "k").reconnect(quick()).build().unwrap();
    let hub = session.event_hub().clone();
    let connecting = tokio::spawn(async move { hub.connect_persistently().await });
    state(session.event_hub(), |state| matches!(state, ConnectionState::Reconnecting { attempt: 3.., .. }))
        .await;
    let _emulator = port.open().await;
    within(connecting).await.unwrap().unwrap();
    assert!(session.event_hub().is_connected());
}

#[tokio::test]
async fn a_server_without_websockets_or_without_events_is_told_apart() {
    for (answer, kind) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\nSID:60:60:xhr-polling,",
            ErrorKind::UnsupportedTransport,
        ),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ErrorKind::UnsupportedTransport),
        ("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>", ErrorKind::Protocol),
        ("220 mail.example.com ESMTP\r\n\r\n", ErrorKind::Protocol),
    ] {
        let server = Scripted::start().await;
        let session = Session::builder(server.url(), "ann", "k").build().unwrap();
        let hub = session.event_hub();
        let (outcome, _) = within(async { tokio::join!(hub.connect(), server.answer(answer)) }).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, false), "{answer}: {error}");
        assert!(error.to_string().contains(&server.url()), "{error}");
    }
}

#[tokio::test]
async fn a_full_server_is_asked_again_until_it_has_room() {
    let emulator = Emulator::builder().max_connections(1).start().await.unwrap();
    let first = connected(&emulator, "ann").await;
    let second = builder(&emulator, "ben").auto_connect_event_hub(true).build().unwrap();
    emulated(&emulator, |state| state.stats.handshakes_over_limit >= 2).await;
    first.event_hub().close().await;
    state(second.event_hub(), ConnectionState::is_connected).await;
    assert_eq!(emulator.connections()[0].user, "ben");
}

#[tokio::test]
async fn two_sessions_are_two_connections() {
    let (emulator, ann) = one().await;
    let again = connected(&emulator, "ann").await;
    assert_ne!(ann.event_hub().id(), again.event_hub().id());
    assert_eq!(emulator.state().connections, 2);
    drop(ann);
    emulated(&emulator, |state| state.connections == 1).await;
    within(again.event_hub().publish(event("t", 1))).await.unwrap();
}
