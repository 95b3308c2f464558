//! Sessions over NATS: the same dialect, and what the servers of NATS add.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ftrack_hub::nats::{JetStream, NatsTransport, NatsTransportBuilder, NewStream};
use ftrack_hub::{ConnectionState, Event, Json, Lifecycle, Session};
use nats_server::{NatsServer, ServerConfig, skipped};
use serde_json::json;
use tokio::sync::mpsc;

use crate::support::{connect, quick, within};

async fn server() -> NatsServer {
    NatsServer::start(ServerConfig::default()).await.unwrap()
}

fn nats(server: &NatsServer) -> NatsTransportBuilder {
    NatsTransport::builder([server.url()])
}

async fn session(transport: NatsTransportBuilder, user: &str) -> Session {
    let builder = Session::builder("https://studio.example.com", user, "").reconnect(quick());
    connect(builder.nats(transport.build().unwrap())).await
}

fn event(topic: &str, n: u64) -> Event {
    Event::new(topic, &json!({ "n": n })).unwrap()
}

#[tokio::test]
async fn sessions_ask_and_answer_and_aim_over_nats() {
    if skipped("sessions_ask_and_answer_and_aim_over_nats") {
        return;
    }
    let server = server().await;
    let (ann, ben) = (session(nats(&server), "ann").await, session(nats(&server), "ben").await);
    for application in ["maya", "nuke"] {
        ben.event_hub()
            .subscribe("topic=launch and data.n>0")
            .metadata("applicationId", application)
            .handle_with(application, async |event: Event, application| {
                Json(json!({"by": application, "n": event.data_value()["n"]}))
            })
            .await
            .unwrap();
    }
    let asked = event("launch", 3).to_builder().target("applicationId=nuke").build().unwrap();
    let reply = within(ann.event_hub().publish_and_wait_for_reply(asked)).await.unwrap();
    assert_eq!(reply.data_value(), &json!({"by": "nuke", "n": 3}));
    assert_eq!(reply.topic(), "ftrack.meta.reply");
    assert_eq!(reply.target(), format!("id={}", ann.event_hub().id()));
    // Nothing but the events themselves was ever published: subscribing is a verb of the transport.
    assert_eq!(ben.event_hub().stats().unmatched, 0);
}

#[tokio::test]
async fn smaller_priorities_come_first_and_stop_events_over_nats() {
    if skipped("smaller_priorities_come_first_and_stop_events_over_nats") {
        return;
    }
    let server = server().await;
    let (ann, ben) = (session(nats(&server), "ann").await, session(nats(&server), "ben").await);
    let (came, mut coming) = mpsc::channel(16);
    for (priority, expression) in [(10, "topic=a.*"), (20, "topic=a.b"), (30, "data.n>0")] {
        let came = came.clone();
        ben.event_hub()
            .subscribe(expression)
            .priority(priority)
            .handle_ctx(move |event: Event, context| {
                let came = came.clone();
                async move {
                    let n = event.data_value()["n"].as_u64().unwrap();
                    came.send((n, priority)).await.unwrap();
                    if n == 2 && priority == 20 {
                        context.stop();
                    }
                }
            })
            .await
            .unwrap();
    }
    for n in 1..=3 {
        ann.event_hub().publish(event("a.b", n)).await.unwrap();
    }
    let mut order = Vec::new();
    while order.len() < 8 {
        order.push(within(coming.recv()).await.unwrap());
    }
    order.sort_by_key(|(n, _)| *n);
    assert_eq!(order, [(1, 10), (1, 20), (1, 30), (2, 10), (2, 20), (3, 10), (3, 20), (3, 30)]);
}

#[tokio::test]
async fn a_reconnect_is_told_as_a_gap_and_keeps_the_subscriptions() {
    if skipped("a_reconnect_is_told_as_a_gap_and_keeps_the_subscriptions") {
        return;
    }
    let server = server().await;
    let ann = session(nats(&server), "ann").await;
    let mut stream = ann.event_hub().subscribe("topic=a").stream().await.unwrap();
    let mut lifecycle = ann.event_hub().lifecycle();
    server.kill();
    within(ann.event_hub().wait_for_state(|state| matches!(state, ConnectionState::Reconnecting { .. })))
        .await;
    server.restart().await.unwrap();
    within(async {
        loop {
            let Some(report) = lifecycle.next().await else { panic!("no gap is told") };
            if let ftrack_hub::hub::Report::Happened(Lifecycle::Gap(_)) = report {
                return;
            }
        }
    })
    .await;
    ann.event_hub().publish(event("a", 1)).await.unwrap();
    assert_eq!(within(stream.next()).await.unwrap().unwrap().event().data_value()["n"], 1);
}

#[tokio::test]
async fn durable_workers_share_retry_and_answer_over_jetstream() {
    if skipped("durable_workers_share_retry_and_answer_over_jetstream") {
        return;
    }
    let server = server().await;
    let streaming = || {
        let jetstream =
            JetStream::new("EVENTS").create(NewStream::default()).ack_wait(Duration::from_secs(5));
        nats(&server).jetstream(jetstream)
    };
    let ann = session(streaming(), "ann").await;
    let failed = Arc::new(AtomicUsize::new(0));
    let mut workers = Vec::new();
    for worker in 0..2 {
        let session = session(streaming(), "farm").await;
        let failed = Arc::clone(&failed);
        session
            .event_hub()
            .subscribe("topic=render")
            .durable("farm")
            .buffer(2, ftrack_hub::Overflow::DropOldest)
            .handle(move |event: Event| {
                let failed = Arc::clone(&failed);
                async move {
                    let n = event.data_value()["n"].as_u64().unwrap();
                    // One of them fails at its first attempt.
                    if n == 5 && failed.fetch_add(1, Ordering::SeqCst) == 0 {
                        return Err("the disk is full");
                    }
                    Ok(Json(json!({ "n": n, "worker": worker })))
                }
            })
            .await
            .unwrap();
        workers.push(session);
    }
    for n in 0..10 {
        let reply = within(ann.event_hub().publish_and_wait_for_reply(event("render", n))).await.unwrap();
        assert_eq!(reply.data_value()["n"], n);
    }
    assert_eq!(failed.load(Ordering::SeqCst), 2);
}
