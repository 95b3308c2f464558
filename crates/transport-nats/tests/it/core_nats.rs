//! Core NATS: at most once, filtered, in groups.

use std::sync::Arc;
use std::time::Duration;

use event_core::ErrorKind;
use event_core::transport::{Attempt, Gap, Inbound, Route, Transport};
use nats_server::{NatsServer, Relay, ServerConfig};
use transport_nats::{Credentials, NatsTransport};

use crate::support::{Wire, at_least_once, event, needs_server, number, spec};

async fn server() -> NatsServer {
    NatsServer::start(ServerConfig::default().without_jetstream()).await.unwrap()
}

fn to(server: &NatsServer) -> NatsTransport {
    NatsTransport::builder([server.url()]).build().unwrap()
}

#[tokio::test]
async fn an_event_comes_once_however_many_subscriptions_want_it() {
    needs_server!("an_event_comes_once_however_many_subscriptions_want_it");
    let server = server().await;
    let transport = to(&server);
    let mut wire = Wire::open(&transport).await;
    // The wider ones take over from the narrower, and back.
    for (id, expression) in [("a", "topic=a.b"), ("b", "topic=a.*"), ("c", "data.n>0"), ("d", "topic=a.b")] {
        wire.subscribe(&spec(id, expression)).await.unwrap();
    }
    for n in 1..=3 {
        wire.publish(event("a.b", n)).await.unwrap();
    }
    let tx = Arc::clone(&wire.tx);
    for id in ["c", "b"] {
        wire.during(tx.unsubscribe(&spec(id, "topic=x"))).await.unwrap();
    }
    wire.publish(event("a.b", 4)).await.unwrap();
    wire.publish(event("a.c", 5)).await.unwrap();
    wire.publish(event("a.b", 6)).await.unwrap();
    for n in [1, 2, 3, 4, 6] {
        let delivery = wire.delivery().await;
        assert_eq!((number(&delivery.event), &delivery.route), (n, &Route::Match));
    }
    wire.during(tx.flush()).await.unwrap();
    assert!(!wire.has_delivery());
}

#[tokio::test]
async fn of_a_queue_group_one_gets_each_event_and_others_get_all() {
    needs_server!("of_a_queue_group_one_gets_each_event_and_others_get_all");
    let server = server().await;
    let transport = to(&server);
    let mut wires = [Wire::open(&transport).await, Wire::open(&transport).await];
    for wire in &mut wires {
        let mut grouped = spec("worker", "topic=job");
        grouped.address = Some("workers".to_owned());
        wire.subscribe(&grouped).await.unwrap();
        wire.subscribe(&spec("watcher", "topic=job")).await.unwrap();
    }
    let mut publisher = Wire::open(&transport).await;
    for n in 0..40 {
        publisher.publish(event("job", n)).await.unwrap();
    }
    let (mut worked, mut watched) = (Vec::new(), 0);
    for wire in &mut wires {
        let tx = Arc::clone(&wire.tx);
        wire.during(tx.flush()).await.unwrap();
        while wire.has_delivery() {
            let delivery = wire.delivery().await;
            match delivery.route {
                Route::Direct(id) if id == "worker" => worked.push(number(&delivery.event)),
                Route::Direct(id) if id == "watcher" => watched += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    worked.sort_unstable();
    assert_eq!((worked, watched), ((0..40).collect(), 80));
}

#[tokio::test]
async fn what_core_nats_cannot_is_unsupported() {
    needs_server!("what_core_nats_cannot_is_unsupported");
    let server = server().await;
    let mut wire = Wire::open(&to(&server)).await;
    let refused = wire.subscribe(&at_least_once("s", "topic=a")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(refused.message().contains("JetStream"), "{refused}");
    let mut durable = spec("d", "topic=a");
    durable.durable = Some("place".to_owned());
    assert_eq!(wire.subscribe(&durable).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_its_address() {
    let transport = NatsTransport::builder(["nats://127.0.0.1:1", "nats://127.0.0.1:2"]).build().unwrap();
    let error = transport.connect(Attempt::first()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.is_transient());
    for part in ["127.0.0.1:1", "127.0.0.1:2", "nats-server"] {
        assert!(error.message().contains(part), "{error}");
    }
}

#[tokio::test]
async fn something_else_that_answers_is_no_nats_server() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    let transport = NatsTransport::builder([address.to_string()]).build().unwrap();
    let error = transport.connect(Attempt::first()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedTransport, "{error}");
    answering.abort();
}

#[tokio::test]
async fn a_server_that_hangs_up_may_be_back_soon() {
    needs_server!("a_server_that_hangs_up_may_be_back_soon");
    let server = server().await;
    let relay = Relay::start(server.address()).await.unwrap();
    relay.refuse(true);
    let transport = NatsTransport::builder([relay.url()]).build().unwrap();
    let error = transport.connect(Attempt::first()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unreachable, true), "{error}");
}

#[tokio::test]
async fn a_payload_over_the_servers_maximum_is_given_back() {
    needs_server!("a_payload_over_the_servers_maximum_is_given_back");
    let config = ServerConfig::default().without_jetstream().max_payload(2_000);
    let server = NatsServer::start(config).await.unwrap();
    let mut wire = Wire::open(&to(&server)).await;
    wire.subscribe(&spec("s", "topic=a")).await.unwrap();
    let large = event_core::Event::new("a", &"x".repeat(2_000)).unwrap();
    let not_sent = wire.tx.send(large.clone()).unwrap_err();
    assert_eq!((not_sent.error.kind(), not_sent.event), (ErrorKind::TooLarge, large));
    assert!(not_sent.error.message().contains("the server takes 2000"), "{}", not_sent.error);
    // The link goes on.
    wire.publish(event("a", 1)).await.unwrap();
    assert_eq!(number(&wire.delivery().await.event), 1);
}

#[tokio::test]
async fn a_message_that_is_no_event_is_told_and_counted_and_the_rest_goes_on() {
    needs_server!("a_message_that_is_no_event_is_told_and_counted_and_the_rest_goes_on");
    let server = server().await;
    let transport = to(&server);
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&spec("s", "topic=*")).await.unwrap();
    let foreign = async_nats::connect(server.url()).await.unwrap();
    for subject in ["events.a%zz", "events.not-json", "events.other"] {
        foreign.publish(subject, r#"{"topic":"a"#.into()).await.unwrap();
    }
    foreign.publish("events.b", r#"{"topic":"a"}"#.into()).await.unwrap();
    foreign.flush().await.unwrap();
    for _ in 0..4 {
        let problem = wire.problem().await;
        assert_eq!(problem.kind(), ErrorKind::Protocol);
        assert!(problem.message().contains("another prefix"), "{problem}");
    }
    assert_eq!(transport.stats().undecodable, 4);
    wire.publish(event("a", 7)).await.unwrap();
    assert_eq!(number(&wire.delivery().await.event), 7);
}

#[tokio::test]
async fn a_lost_connection_ends_the_link_once_and_leaves_nothing_behind() {
    needs_server!("a_lost_connection_ends_the_link_once_and_leaves_nothing_behind");
    let server = server().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut wire = Wire::open(&to(&server)).await;
    wire.subscribe(&spec("s", "topic=a")).await.unwrap();
    server.kill();
    wire.read_to_the_end().await;
    let end = wire.end.take().expect("an error");
    assert_eq!(end.kind(), ErrorKind::Disconnected);
    assert!(end.message().contains(&server.address()), "{end}");
    assert!(wire.tx.send(event("a", 1)).is_err());
    // The library gives up, too, although the link is still held.
    while tasks() > before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_noticed() {
    needs_server!("a_server_that_falls_silent_is_noticed");
    let server = server().await;
    let relay = Relay::start(server.address()).await.unwrap();
    let transport =
        NatsTransport::builder([relay.url()]).answer_timeout(Duration::from_millis(300)).build().unwrap();
    let mut wire = Wire::open(&transport).await;
    relay.hold(true);
    let confirmation = wire.tx.send(event("a", 1)).unwrap();
    assert!(matches!(wire.during(confirmation).await, Err(event_core::transport::PublishError::Unconfirmed)));
    wire.read_to_the_end().await;
    assert_eq!(wire.end.take().map(|error| error.kind()), Some(ErrorKind::Timeout));
}

#[tokio::test]
async fn a_reader_that_is_too_slow_hears_of_a_gap() {
    needs_server!("a_reader_that_is_too_slow_hears_of_a_gap");
    let server = server().await;
    let transport = NatsTransport::builder([server.url()]).buffer(8).build().unwrap();
    let mut slow = Wire::open(&transport).await;
    slow.subscribe(&spec("s", "topic=a")).await.unwrap();
    let mut publisher = Wire::open(&to(&server)).await;
    for n in 0..200 {
        publisher.publish(event("a", n)).await.unwrap();
    }
    let is_gap = |inbound: &Inbound| matches!(inbound, Inbound::Gap(gap) if *gap == Gap::new(Duration::ZERO));
    slow.news(|inbound| is_gap(inbound).then_some(())).await;
    let problem = slow.problem().await;
    assert_eq!(problem.kind(), ErrorKind::Full);
    assert!(transport.stats().overruns >= 1);
}

const USERS: &str = r#"authorization { users: [
    { user: ann, password: "right-4711", permissions: {
        publish: { allow: ["events.a", "_INBOX.>"] }, subscribe: { allow: ["events.a", "_INBOX.>"] } } }
] }"#;

#[tokio::test]
async fn credentials_are_used_and_a_wrong_one_is_told_without_showing_it() {
    needs_server!("credentials_are_used_and_a_wrong_one_is_told_without_showing_it");
    let config = ServerConfig::default().without_jetstream().with(USERS);
    let server = NatsServer::start(config).await.unwrap();
    let with = |password: &str| {
        let credentials = Credentials::user_password("ann", password);
        NatsTransport::builder([server.url()]).credentials(credentials).build().unwrap()
    };
    let error = with("wrong-0815").connect(Attempt::first()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert!(!error.is_transient() && !format!("{error:?}").contains("0815"));

    let mut wire = Wire::open(&with("right-4711")).await;
    wire.subscribe(&spec("s", "topic=a")).await.unwrap();
    wire.publish(event("a", 1)).await.unwrap();
    assert_eq!(number(&wire.delivery().await.event), 1);

    let in_address = format!("nats://ann:right-4711@{}", server.address());
    let transport = NatsTransport::builder([in_address]).build().unwrap();
    assert!(!format!("{transport:?}").contains("4711"));
    Wire::open(&transport).await;
}

#[tokio::test]
async fn what_the_server_does_not_permit_is_told_and_the_rest_goes_on() {
    needs_server!("what_the_server_does_not_permit_is_told_and_the_rest_goes_on");
    let config = ServerConfig::default().without_jetstream().with(USERS);
    let server = NatsServer::start(config).await.unwrap();
    let credentials = Credentials::user_password("ann", "right-4711");
    let transport = NatsTransport::builder([server.url()]).credentials(credentials).build().unwrap();
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&spec("s", "topic=a")).await.unwrap();
    // Before it is confirmed, or as a loss.
    let denied = match wire.subscribe(&spec("all", "data.n>0")).await {
        Err(error) => error,
        Ok(()) => {
            wire.news(|inbound| match inbound {
                Inbound::Subscription {
                    change: event_core::transport::SubscriptionChange::Lost(error),
                    ..
                } => Some(error.duplicate()),
                _ => None,
            })
            .await
        }
    };
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    // Its own confirmation fails, or a problem is told.
    if let Err(error) = wire.publish(event("b", 1)).await {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    } else {
        assert_eq!(wire.problem().await.kind(), ErrorKind::PermissionDenied);
    }
    wire.publish(event("a", 2)).await.unwrap();
    assert_eq!(number(&wire.delivery().await.event), 2);
}
