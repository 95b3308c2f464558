use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use event_core::Event;
use hub_emulator::{Emulator, ErrorKind};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::support::{Client, event, session, subscribe, wait_for};

#[tokio::test]
async fn dropping_the_emulator_frees_the_port_at_once_and_ends_the_clients() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    let idle = TcpStream::connect(emulator.ftrack_addr()).await.unwrap();
    let address = emulator.ftrack_addr();
    drop(emulator);
    TcpListener::bind(address).unwrap();
    assert!(client.rest().await.is_empty());
    drop(idle);
}

#[tokio::test]
async fn stopping_leaves_no_task() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=*").await;
    session(&emulator).await;
    let _idle = TcpStream::connect(emulator.ftrack_addr()).await.unwrap();
    assert!(Handle::current().metrics().num_alive_tasks() > 0);
    emulator.stop().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    let state = emulator.state();
    assert!(!state.running);
    assert_eq!((state.connections, state.subscriptions, state.pending_handshakes), (0, 0, 0));
    assert!(TcpStream::connect(emulator.ftrack_addr()).await.is_err());
    emulator.stop().await;
}

#[tokio::test]
async fn restarting_keeps_the_port_and_the_counters_and_nothing_else() {
    let emulator = Emulator::start().await.unwrap();
    let url = emulator.ftrack_url();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=*").await;
    client.publish_acked(&json!({"id": "e", "topic": "a"})).await;
    client.next_event().await;
    let old_session = session(&emulator).await;

    emulator.restart().await.unwrap();
    assert!(client.rest().await.is_empty());
    let state = emulator.state();
    assert!(state.running);
    assert_eq!((state.connections, state.subscriptions, state.stats.events_routed), (0, 0, 1));
    assert_eq!(emulator.ftrack_url(), url);
    assert_eq!(Client::with_session(&emulator, &old_session).await.rest().await, ["7:::1+0"]);

    emulator.stop().await;
    emulator.restart().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=*").await;
    client.publish_acked(&json!({"id": "e", "topic": "a"})).await;
    assert_eq!(client.next_event().await["id"], "e", "event ids are forgotten");
}

#[tokio::test]
async fn disconnecting_says_goodbye_and_cutting_does_not() {
    let emulator = Emulator::start().await.unwrap();
    for (polite, farewell) in [(true, &["0::"][..]), (false, &[])] {
        let mut clients = [Client::connect(&emulator).await, Client::connect(&emulator).await];
        // Unread words of the client must not turn the farewell into a reset.
        for client in &mut clients {
            client.send(&"x".repeat(100_000)).await;
        }
        assert_eq!(if polite { emulator.disconnect_all() } else { emulator.cut_all() }, 2);
        assert_eq!(emulator.state().connections, 0);
        for client in &mut clients {
            assert_eq!(client.rest().await, farewell);
        }
    }
    let stats = emulator.stats();
    assert_eq!((stats.disconnected_by_request, stats.cut_by_request, stats.connections_closed), (2, 2, 4));
    Client::connect(&emulator).await.publish_acked(&event("a")).await;
}

#[tokio::test]
async fn what_was_published_before_a_disconnect_still_arrives() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=*").await;
    for n in 0..100 {
        emulator.publish(Event::new("a", &n).unwrap()).unwrap();
    }
    emulator.disconnect_all();
    for n in 0..100 {
        assert_eq!(client.next_event().await["data"], n);
    }
    assert_eq!(client.rest().await, ["0::"]);
}

#[tokio::test]
async fn published_events_reach_subscribers_but_cannot_subscribe() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=a").await;
    let event = Event::new("a", &json!({"x": 1})).unwrap();
    let published = emulator.publish(&event).unwrap();
    assert_eq!((published.recipients, published.repeated), (1, false));
    assert_eq!(client.next_event().await["id"], event.id().unwrap().as_str());
    assert!(emulator.publish(event).unwrap().repeated);
    let meta = Event::from_json(subscribe(&json!({"id": "x"}), "topic=*").to_string()).unwrap();
    assert_eq!(emulator.publish(meta).unwrap_err().kind(), ErrorKind::InvalidEvent);
}

#[tokio::test]
async fn a_start_that_cannot_be_says_why() {
    let first = Emulator::start().await.unwrap();
    let at = |address| Emulator::builder().ftrack_addr(address);
    let error = at(first.ftrack_addr()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse);
    assert!(error.to_string().contains(&first.ftrack_addr().to_string()), "{error}");
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    assert_eq!(at(everywhere).start().await.unwrap_err().kind(), ErrorKind::NotLoopback);
    at(everywhere).allow_remote(true).start().await.unwrap();
    for builder in [
        Emulator::builder().allow_origin("tool.example.com"),
        Emulator::builder().allow_host("http://x"),
        Emulator::builder().user("ann", ""),
        Emulator::builder().max_frame(0),
        Emulator::builder().queue(0, 1),
        Emulator::builder().heartbeat_interval(std::time::Duration::ZERO),
    ] {
        assert_eq!(builder.start().await.unwrap_err().kind(), ErrorKind::InvalidSetting);
    }
}

#[tokio::test]
async fn a_key_is_in_no_log_no_debug_text_and_no_state() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let builder = Emulator::builder().user("ann", "key-marked");
    let shown = format!("{builder:?}");
    let emulator = builder.start().await.unwrap();
    let address = emulator.ftrack_addr();
    for head in [
        "GET /socket.io/1/?api_user=ann&api_key=key-marked HTTP/1.1",
        "GET /socket.io/1/?api_user=ann&api_key=key-marked-wrong HTTP/1.1",
        "GET /socket.io/1/ HTTP/1.1\nftrack-user: ann\nftrack-api-key: key-marked",
        "GET /socket.io/1/?api_user=ann&api_key=key-marked HTTP/1.1\nOrigin: https://evil.example",
    ] {
        crate::support::http(address, head, "").await;
    }
    let state = crate::support::get(&emulator, "/admin/state").await.1;
    wait_for(&emulator, |state| state.pending_handshakes == 2).await;
    let shown = format!("{shown} {emulator:?} {:?} {state}", emulator.connections());
    drop(guard);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("listening") && !log.contains("marked"), "{log}");
    assert!(!shown.contains("marked"), "{shown}");
}

#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
