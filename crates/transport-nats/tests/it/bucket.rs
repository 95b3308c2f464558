//! Buckets, and events that are marked with who passed them on.

use std::time::Duration;

use event_core::ErrorKind;
use event_core::transport::Transport as _;
use event_core::{Event, EventHub};
use nats_server::{NatsServer, ServerConfig, skipped};
use transport_nats::{JetStream, NatsTransport, NewBucket, NewStream};

use crate::support::PATIENCE;

#[tokio::test]
async fn a_value_is_created_once_replaced_by_revision_and_lapses() {
    if skipped("a_value_is_created_once_replaced_by_revision_and_lapses") {
        return;
    }
    let server = NatsServer::start(ServerConfig::default()).await.unwrap();
    let transport = NatsTransport::builder([server.url()]).build().unwrap();
    let wanted = NewBucket::new("leases").lapse(Duration::from_secs(1));
    let (one, other) = (transport.bucket(&wanted).await.unwrap(), transport.bucket(&wanted).await.unwrap());
    let first = one.create("active", "a").await.unwrap().unwrap();
    assert_eq!(other.create("active", "b").await.unwrap(), None);
    assert_eq!(other.replace("active", "b", first + 1).await.unwrap(), None);
    let second = one.replace("active", "c", first).await.unwrap().unwrap();
    let there = other.get("active").await.unwrap().unwrap();
    assert_eq!((&there.value[..], there.revision), (&b"c"[..], second));
    // Nobody renews it.
    let lapsed = async {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while other.create("active", "d").await.unwrap().is_none() {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, lapsed).await.unwrap();
    assert_eq!(one.replace("active", "e", second).await.unwrap(), None);
    let third = other.get("active").await.unwrap().unwrap().revision;
    one.delete("active", third).await.unwrap();
    assert_eq!(one.get("active").await.unwrap(), None);
    assert!(one.create("active", "f").await.unwrap().is_some());
    assert!(one.put("other", "g").await.unwrap() > third);

    server.kill();
    let error = tokio::time::timeout(PATIENCE, one.put("other", "h")).await.unwrap().unwrap_err();
    assert!(error.is_transient() && error.message().contains("leases"), "{error}");
}

#[tokio::test]
async fn a_bucket_needs_a_name_and_jetstream() {
    if skipped("a_bucket_needs_a_name_and_jetstream") {
        return;
    }
    let server = NatsServer::start(ServerConfig::default().without_jetstream()).await.unwrap();
    let transport = NatsTransport::builder([server.url()]).build().unwrap();
    let error = transport.bucket(&NewBucket::new("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let error = transport.bucket(&NewBucket::new("no name")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn what_one_origin_passed_on_does_not_come_to_it() {
    if skipped("what_one_origin_passed_on_does_not_come_to_it") {
        return;
    }
    let server = NatsServer::start(ServerConfig::default()).await.unwrap();
    let transport = |origin: Option<&str>| {
        let builder = NatsTransport::builder([server.url()])
            .jetstream(JetStream::new("EVENTS").create(NewStream::default()));
        match origin {
            Some(origin) => builder.origin(origin).build().unwrap(),
            None => builder.build().unwrap(),
        }
    };
    let marked = std::sync::Arc::new(transport(Some("a bridge")));
    assert!(marked.capabilities().durable);
    let one = EventHub::builder_over(std::sync::Arc::clone(&marked) as _).connect().await.unwrap();
    let other = EventHub::builder(transport(None)).connect().await.unwrap();
    let mut stored = one.subscribe("topic=t").durable("one").stream().await.unwrap();
    let mut live = one.subscribe("topic=t").stream().await.unwrap();
    let mut all = other.subscribe("topic=t").durable("other").stream().await.unwrap();
    one.publish(Event::new("t", &1).unwrap()).await.unwrap();
    other.publish(Event::new("t", &2).unwrap()).await.unwrap();
    for expected in [1, 2] {
        let came = tokio::time::timeout(PATIENCE, all.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(came.event().data_value(), expected);
    }
    for stream in [&mut stored, &mut live] {
        let came = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(came.event().data_value(), 2);
        came.ack().await.unwrap();
    }
    assert_eq!(marked.stats().own, 2);
}
