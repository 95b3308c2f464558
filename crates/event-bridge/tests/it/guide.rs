//! The configuration in `docs/guides/scale.md`, as it stands there.

use std::time::Duration;

use event_bridge::{Bridge, Report};
use event_core::memory::MemoryHub;
use event_core::{ErrorKind, EventHub};
use nats_server::{NatsServer, ServerConfig, skipped};
use transport_nats::{Credentials, JetStream, NatsTransport, NewBucket, NewStream};

use crate::support::{event, started, until, within};

const GUIDE: &str = include_str!("../../../../docs/guides/scale.md");

#[tokio::test]
async fn with_the_permissions_of_the_guide_workers_work_and_leave_the_lease_alone() {
    if skipped("with_the_permissions_of_the_guide_workers_work_and_leave_the_lease_alone") {
        return;
    }
    let block = GUIDE.split_once("\nauthorization {").unwrap().1.split_once("\n```").unwrap().0;
    let block = block.replace("$BRIDGE_PASSWORD", "b-secret").replace("$WORKER_PASSWORD", "w-secret");
    let server = ServerConfig::default().with(format!("authorization {{{block}"));
    let server = NatsServer::start(server).await.unwrap();
    let nats = |user: &str, password: &str, jetstream| {
        NatsTransport::builder([server.url()])
            .credentials(Credentials::user_password(user, password.to_owned()))
            // What is denied is not answered.
            .answer_timeout(Duration::from_secs(3))
            .jetstream(jetstream)
    };

    let create = JetStream::new("EVENTS").create(NewStream::default()).dead_letters("dead");
    let bus = MemoryHub::new();
    let service = bus.clone();
    let make = move || EventHub::builder(service.transport()).build();
    let (_bridge, mut reports) =
        started(Bridge::builder("ftrack", make, nats("bridge", "b-secret", create))).await;

    let uses = JetStream::new("EVENTS").delivery_limit(5).dead_letters("dead");
    let worker = nats("worker", "w-secret", uses).build().unwrap();
    let denied = worker.bucket(&NewBucket::new("ftrack")).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::Unreachable, "{denied}");
    let hub = EventHub::builder(worker).connect().await.unwrap();
    let mut events = within(hub.subscribe("topic=asked").durable("farm").stream()).await.unwrap();
    bus.inject(&event("asked", 1));
    let asked = within(events.next()).await.unwrap().unwrap();
    assert_eq!(asked.event().data_value()["n"], 1);
    hub.publish(event("answered", 2)).await.unwrap();
    asked.ack().await.unwrap();
    let returned = until(&mut reports, |report| match report {
        Report::Returned(event) => Some(event.topic().clone()),
        _ => None,
    });
    assert_eq!(returned.await, "answered");
}
