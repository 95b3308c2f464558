//! JetStream: at least once, shared, and what goes wrong with it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use event_core::transport::{
    Attempt, Guarantee, Inbound, RawDelivery, SettleToken, Settlement, SubscriptionChange, Transport,
};
use event_core::{Error, ErrorKind, SubscriptionSpec};
use futures_util::StreamExt;
use nats_server::{NatsServer, RawClient, ServerConfig};
use transport_nats::{JetStream, NatsTransport, NewStream};

use crate::support::{Wire, at_least_once, event, needs_server, number, spec};

const LOCK: Duration = Duration::from_secs(2);

async fn server() -> NatsServer {
    NatsServer::start(ServerConfig::default()).await.unwrap()
}

fn stream() -> JetStream {
    JetStream::new("EVENTS").create(NewStream::default().in_memory()).ack_wait(LOCK)
}

fn to(server: &NatsServer, jetstream: JetStream) -> NatsTransport {
    let builder = NatsTransport::builder([server.url()]).answer_timeout(Duration::from_secs(3));
    builder.jetstream(jetstream).build().unwrap()
}

fn durable(id: &str, name: &str, expression: &str) -> SubscriptionSpec {
    let mut spec = at_least_once(id, expression);
    spec.durable = Some(name.to_owned());
    spec
}

async fn settle(wire: &mut Wire, token: SettleToken, outcome: Settlement) -> Result<(), Error> {
    let tx = Arc::clone(&wire.tx);
    wire.during(tx.settle(token, outcome)).await.map_err(|failed| failed.error)
}

async fn complete(wire: &mut Wire, mut delivery: RawDelivery) -> u64 {
    settle(wire, delivery.token.take().expect("a token"), Settlement::Complete).await.unwrap();
    number(&delivery.event)
}

async fn lost(wire: &mut Wire, wanted: &str) -> Error {
    wire.news(|inbound| match inbound {
        Inbound::Subscription { id, change: SubscriptionChange::Lost(error) } if *id == wanted => {
            Some(error.duplicate())
        }
        _ => None,
    })
    .await
}

/// The only message of the stream of dead letters, as the server tells it.
async fn dead_letter(server: &NatsServer) -> serde_json::Value {
    let mut raw = RawClient::connect(&server.address()).await.unwrap();
    let asked = r#"{"last_by_subj":"dead.events.job"}"#;
    let answer = raw.request("$JS.API.STREAM.MSG.GET.EVENTS-dead-letters", asked.as_bytes()).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// The headers of a dead letter, as text.
fn headers(letter: &serde_json::Value) -> String {
    let base64 = letter["message"]["hdrs"].as_str().expect("headers");
    let decoded = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
    String::from_utf8(decoded).unwrap()
}

#[tokio::test]
async fn subscriptions_of_one_name_share_and_what_one_leaves_another_gets() {
    needs_server!("subscriptions_of_one_name_share_and_what_one_leaves_another_gets");
    let server = server().await;
    let (one, two) = (to(&server, stream().in_flight(10)), to(&server, stream().in_flight(10)));
    let mut leaving = Wire::open(&one).await;
    leaving.subscribe(&durable("a", "farm", "topic=job")).await.unwrap();
    for n in 0..30 {
        leaving.publish(event("job", n)).await.unwrap();
    }
    // Ten are given out, no more, and the process dies with them.
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(leaving.delivery().await);
    }
    let tx = Arc::clone(&leaving.tx);
    leaving.during(tx.flush()).await.unwrap();
    assert!(!leaving.has_delivery(), "more than the window");
    drop((leaving, tx));
    let mut staying = Wire::open(&two).await;
    staying.subscribe(&durable("b", "farm", "topic=job")).await.unwrap();
    let mut came = Vec::new();
    while came.len() < 30 {
        let delivery = staying.delivery().await;
        came.push(complete(&mut staying, delivery).await);
    }
    came.sort_unstable();
    assert_eq!(came, (0..30).collect::<Vec<_>>());
    assert_eq!(two.stats().redelivered, 10);
}

#[tokio::test]
async fn an_event_with_an_id_that_the_stream_has_is_confirmed_and_not_stored_again() {
    needs_server!("an_event_with_an_id_that_the_stream_has_is_confirmed_and_not_stored_again");
    let server = server().await;
    let transport = to(&server, stream());
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&at_least_once("s", "topic=job")).await.unwrap();
    let same = event("job", 1);
    wire.publish(same.clone()).await.unwrap();
    wire.publish(same).await.unwrap();
    wire.publish(event("job", 2)).await.unwrap();
    for n in 1..=2 {
        let delivery = wire.delivery().await;
        assert_eq!(complete(&mut wire, delivery).await, n);
    }
    assert_eq!(transport.stats().duplicates, 1);
}

#[tokio::test]
async fn an_unnamed_subscription_goes_on_with_the_next_connection() {
    needs_server!("an_unnamed_subscription_goes_on_with_the_next_connection");
    let server = server().await;
    let transport = to(&server, stream());
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&at_least_once("s", "topic=job")).await.unwrap();
    wire.publish(event("job", 1)).await.unwrap();
    let unsettled = wire.delivery().await;
    drop((wire, unsettled));
    let mut other = Wire::open(&to(&server, stream())).await;
    other.publish(event("job", 2)).await.unwrap();
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&at_least_once("s", "topic=job")).await.unwrap();
    let mut came = Vec::new();
    for _ in 0..2 {
        let delivery = wire.delivery().await;
        came.push(complete(&mut wire, delivery).await);
    }
    came.sort_unstable();
    assert_eq!(came, [1, 2]);
}

#[tokio::test]
async fn an_event_that_fails_too_often_becomes_a_dead_letter_with_its_reason() {
    needs_server!("an_event_that_fails_too_often_becomes_a_dead_letter_with_its_reason");
    let server = server().await;
    let transport = to(&server, stream().delivery_limit(2).dead_letters("dead"));
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&durable("s", "farm", "topic=job")).await.unwrap();
    let sent = event("job", 1);
    wire.publish(sent.clone()).await.unwrap();
    for attempt in 1..=2 {
        let mut delivery = wire.delivery().await;
        assert_eq!(delivery.attempt, attempt);
        let token = delivery.token.take().unwrap().because("the disk\nis full");
        settle(&mut wire, token, Settlement::Abandon { delay: None }).await.unwrap();
    }
    let letter = dead_letter(&server).await;
    let headers = headers(&letter);
    for line in [
        "Dead-Letter-Reason: delivered 2 times; the last time: the disk is full",
        "Dead-Letter-Consumer: farm",
        "Dead-Letter-Sequence: 1",
        "Dead-Letter-Deliveries: 2",
    ] {
        assert!(headers.contains(line), "{headers}");
    }
    let data = letter["message"]["data"].as_str().unwrap();
    assert_eq!(data_encoding::BASE64.decode(data.as_bytes()).unwrap(), sent.to_json());
    let stats = transport.stats();
    assert_eq!((stats.given_up, stats.dead_letters), (1, 1));
    // It does not come again, and the next one does.
    wire.publish(event("job", 2)).await.unwrap();
    let delivery = wire.delivery().await;
    assert_eq!(complete(&mut wire, delivery).await, 2);
}

#[tokio::test]
async fn an_event_whose_workers_die_is_given_up_at_the_limit_too() {
    needs_server!("an_event_whose_workers_die_is_given_up_at_the_limit_too");
    let server = server().await;
    let settings = stream().ack_wait(Duration::from_secs(1)).delivery_limit(1).dead_letters("dead");
    let transport = to(&server, settings);
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&durable("s", "farm", "topic=job")).await.unwrap();
    wire.publish(event("job", 1)).await.unwrap();
    // Never settled: the server delivers it again, which nobody sees.
    let unsettled = wire.delivery().await;
    wire.publish(event("job", 2)).await.unwrap();
    let delivery = wire.delivery().await;
    complete(&mut wire, delivery).await;
    let tx = Arc::clone(&wire.tx);
    let given_up = async {
        while transport.stats().dead_letters == 0 {
            tx.flush().await.unwrap();
        }
    };
    wire.during(given_up).await;
    assert!(!wire.has_delivery());
    assert!(
        headers(&dead_letter(&server).await)
            .contains("Dead-Letter-Reason: delivered 1 times and never completed")
    );
    drop(unsettled);
}

#[tokio::test]
async fn a_rejected_event_is_a_dead_letter_at_once_and_without_a_stream_for_those_it_is_not_given_up() {
    needs_server!(
        "a_rejected_event_is_a_dead_letter_at_once_and_without_a_stream_for_those_it_is_not_given_up"
    );
    let server = server().await;
    let mut wire = Wire::open(&to(&server, stream().dead_letters("dead"))).await;
    wire.subscribe(&durable("s", "farm", "topic=job")).await.unwrap();
    wire.publish(event("job", 1)).await.unwrap();
    let token = wire.delivery().await.token.unwrap().because("no such shot");
    settle(&mut wire, token, Settlement::Reject).await.unwrap();
    assert!(headers(&dead_letter(&server).await).contains("Dead-Letter-Reason: no such shot"));

    let mut raw = RawClient::connect(&server.address()).await.unwrap();
    raw.request("$JS.API.STREAM.DELETE.EVENTS-dead-letters", b"").await.unwrap();
    wire.publish(event("job", 2)).await.unwrap();
    let token = wire.delivery().await.token.unwrap();
    let tx = Arc::clone(&wire.tx);
    let failed = wire.during(tx.settle(token, Settlement::Reject)).await.unwrap_err();
    assert!(failed.error.is_transient(), "{}", failed.error);
    // The token is good for another decision.
    settle(&mut wire, failed.token, Settlement::Complete).await.unwrap();
}

#[tokio::test]
async fn a_message_of_the_stream_that_is_no_event_is_told_and_given_up() {
    needs_server!("a_message_of_the_stream_that_is_no_event_is_told_and_given_up");
    let server = server().await;
    let transport = to(&server, stream());
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&durable("s", "farm", "topic=*")).await.unwrap();
    let mut raw = RawClient::connect(&server.address()).await.unwrap();
    raw.publish("events.a%zz", b"{}").await.unwrap();
    raw.publish("events.job", b"not json").await.unwrap();
    wire.publish(event("job", 3)).await.unwrap();
    let delivery = wire.delivery().await;
    assert_eq!(complete(&mut wire, delivery).await, 3);
    for kind in [ErrorKind::Protocol, ErrorKind::Handler, ErrorKind::Protocol, ErrorKind::Handler] {
        assert_eq!(wire.problem().await.kind(), kind);
    }
    let stats = transport.stats();
    assert_eq!((stats.undecodable, stats.given_up, stats.dead_letters), (2, 2, 0));
}

#[tokio::test]
async fn a_stream_deleted_under_its_consumers_is_told_and_the_rest_goes_on() {
    needs_server!("a_stream_deleted_under_its_consumers_is_told_and_the_rest_goes_on");
    let server = server().await;
    let transport = to(&server, stream());
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&durable("kept", "farm", "topic=job")).await.unwrap();
    wire.subscribe(&spec("live", "topic=job")).await.unwrap();
    wire.publish(event("job", 1)).await.unwrap();
    let mut raw = RawClient::connect(&server.address()).await.unwrap();
    raw.request("$JS.API.STREAM.DELETE.EVENTS", b"").await.unwrap();
    let error = lost(&mut wire, "kept").await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.message().contains("create"), "{error}");
    assert_eq!(transport.stats().lost_consumers, 1);
    // What is published is stored nowhere, and says so.
    let refused = wire.publish(event("job", 2)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    assert!(refused.message().contains("EVENTS"), "{refused}");
    // With the next link it is there again.
    let mut next = Wire::open(&transport).await;
    next.subscribe(&durable("kept", "farm", "topic=job")).await.unwrap();
    next.publish(event("job", 3)).await.unwrap();
    let delivery = next.delivery().await;
    assert_eq!(complete(&mut next, delivery).await, 3);
}

#[tokio::test]
async fn what_a_server_without_a_disk_forgot_is_created_anew_and_told() {
    needs_server!("what_a_server_without_a_disk_forgot_is_created_anew_and_told");
    let server = server().await;
    let transport = to(&server, stream());
    let wanted = durable("kept", "farm", "topic=job");
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&wanted).await.unwrap();
    server.restart().await.unwrap();
    drop(wire);
    // The next link takes for granted what the last one found.
    let mut wire = Wire::open(&transport).await;
    wire.subscribe(&wanted).await.unwrap();
    let recreated = |inbound: &Inbound| {
        matches!(inbound, Inbound::Subscription { change: SubscriptionChange::Recreated, .. }).then_some(())
    };
    wire.news(recreated).await;
    wire.publish(event("job", 1)).await.unwrap();
    let delivery = wire.delivery().await;
    assert_eq!(complete(&mut wire, delivery).await, 1);
}

#[tokio::test]
async fn a_consumer_that_is_deleted_is_told_alone() {
    needs_server!("a_consumer_that_is_deleted_is_told_alone");
    let server = server().await;
    let mut wire = Wire::open(&to(&server, stream())).await;
    wire.subscribe(&durable("a", "first", "topic=job")).await.unwrap();
    wire.subscribe(&durable("b", "second", "topic=job")).await.unwrap();
    let mut raw = RawClient::connect(&server.address()).await.unwrap();
    raw.request("$JS.API.CONSUMER.DELETE.EVENTS.first", b"").await.unwrap();
    let error = lost(&mut wire, "a").await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.message().contains("subscribe again"), "{error}");
    wire.publish(event("job", 1)).await.unwrap();
    let delivery = wire.delivery().await;
    assert_eq!(complete(&mut wire, delivery).await, 1);
}

#[tokio::test]
async fn a_stream_that_has_its_consumers_says_what_to_raise() {
    needs_server!("a_stream_that_has_its_consumers_says_what_to_raise");
    let server = server().await;
    let mut raw = RawClient::connect(&server.address()).await.unwrap();
    let few =
        r#"{"name":"EVENTS","subjects":["events.>"],"max_consumers":1,"num_replicas":1,"storage":"memory"}"#;
    raw.request("$JS.API.STREAM.CREATE.EVENTS", few.as_bytes()).await.unwrap();
    let mut wire = Wire::open(&to(&server, JetStream::new("EVENTS"))).await;
    wire.subscribe(&durable("a", "first", "topic=job")).await.unwrap();
    let refused = wire.subscribe(&durable("b", "second", "topic=job")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full, "{refused}");
    assert!(refused.message().contains("max_consumers"), "{refused}");
    wire.publish(event("job", 1)).await.unwrap();
    let delivery = wire.delivery().await;
    assert_eq!(complete(&mut wire, delivery).await, 1);
}

#[tokio::test]
async fn without_jetstream_or_the_stream_the_attempt_says_what_to_do() {
    needs_server!("without_jetstream_or_the_stream_the_attempt_says_what_to_do");
    let plain = NatsServer::start(ServerConfig::default().without_jetstream()).await.unwrap();
    let error = to(&plain, stream()).connect(Attempt::first()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unsupported, false), "{error}");
    assert!(error.message().contains("-js"), "{error}");

    let server = server().await;
    let error = to(&server, JetStream::new("EVENTS")).connect(Attempt::first()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.message().contains("JetStream::create"), "{error}");
}

#[tokio::test]
async fn a_name_that_no_consumer_can_have_is_refused() {
    needs_server!("a_name_that_no_consumer_can_have_is_refused");
    let server = server().await;
    let mut wire = Wire::open(&to(&server, stream())).await;
    let refused = wire.subscribe(&durable("a", "render farm", "topic=job")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    let mut grouped = at_least_once("a", "topic=job");
    grouped.address = Some("workers".to_owned());
    assert_eq!(wire.subscribe(&grouped).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(grouped.require, Guarantee::AtLeastOnce);
}

#[tokio::test]
async fn what_comes_for_a_subscription_that_ended_is_given_back_at_once() {
    needs_server!("what_comes_for_a_subscription_that_ended_is_given_back_at_once");
    let server = server().await;
    let settings = || stream().ack_wait(Duration::from_secs(60));
    let mut leaving = Wire::open(&to(&server, settings())).await;
    let spec = durable("a", "farm", "topic=job");
    leaving.subscribe(&spec).await.unwrap();
    let mut publisher = Wire::open(&to(&server, settings())).await;
    for n in 0..50 {
        publisher.publish(event("job", n)).await.unwrap();
    }
    // They are on their way, and were not read.
    let tx = Arc::clone(&leaving.tx);
    leaving.during(tx.unsubscribe(&spec)).await.unwrap();
    let mut came = Vec::new();
    while leaving.has_delivery() {
        let delivery = leaving.delivery().await;
        came.push(complete(&mut leaving, delivery).await);
    }
    publisher.subscribe(&durable("b", "farm", "topic=job")).await.unwrap();
    while came.len() < 50 {
        let delivery = publisher.delivery().await;
        came.push(complete(&mut publisher, delivery).await);
    }
    came.sort_unstable();
    assert_eq!(came, (0..50).collect::<Vec<_>>());
}

/// What the window relies on: an idle request is told alive, and at its end how much of it is left.
#[tokio::test]
async fn the_server_keeps_idle_requests_alive_and_says_what_is_left_of_them() {
    needs_server!("the_server_keeps_idle_requests_alive_and_says_what_is_left_of_them");
    let server = server().await;
    let mut wire = Wire::open(&to(&server, stream())).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client.clone());
    let config = pull::Config { durable_name: Some("raw".to_owned()), ..pull::Config::default() };
    let consumer = context.create_consumer_on_stream(config, "EVENTS").await.unwrap();
    wire.publish(event("job", 1)).await.unwrap();
    let mut answers = client.subscribe("_INBOX.raw").await.unwrap();
    let batch = pull::BatchConfig {
        batch: 5,
        expires: Some(Duration::from_millis(1_500)),
        idle_heartbeat: Duration::from_millis(500),
        ..pull::BatchConfig::default()
    };
    consumer.request_batch(batch, "_INBOX.raw".into()).await.unwrap();
    let mut statuses = Vec::new();
    while statuses.last() != Some(&408) {
        let message = tokio::time::timeout(crate::support::PATIENCE, answers.next()).await.unwrap().unwrap();
        let status = message.status.map_or(0, |status| status.as_u16());
        if status == 408 {
            let left =
                message.headers.unwrap().get("Nats-Pending-Messages").map(|left| left.as_str().to_owned());
            assert_eq!(left.as_deref(), Some("4"));
        }
        statuses.push(status);
    }
    assert_eq!(statuses.first(), Some(&0));
    assert!(statuses.contains(&100), "{statuses:?}");
}
