//! A pool of workers behind NATS: a bridge brings ftrack's events into a stream, the workers share them, and one of them
//! answers the artist.
//!
//! It needs NATS: the servers that `NATS_URL` names, or an installed `nats-server`, which it starts for itself.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_bridge::{Bridge, Report, Told};
use examples::{Nats, Server};
use ftrack_hub::nats::{JetStream, NatsTransport, NatsTransportBuilder, NewStream};
use ftrack_hub::{Event, Json, Overflow, Session};
use serde_json::json;

const WORKERS: usize = 4;
const SHOTS: u64 = 40;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some(nats) = Nats::find().await? else {
        println!("this example needs NATS: set NATS_URL, or install nats-server ({})", examples::NATS_HOW);
        return Ok(());
    };
    let server = Arc::new(Server::start().await?);
    // Named after this run, so that a server that is used for other things, too, is no trouble.
    let run = format!("worker-pool-{}", std::process::id());

    // The bridge. Start it on two machines, and one of them waits.
    let service = Arc::clone(&server);
    let make = move || Ok(service.session()?.build()?.event_hub().engine().clone());
    let bridge = Bridge::builder(run.clone(), make, stream(&nats, &run))
        .forward("topic=render.submitted or topic=ftrack.action.*")
        .back("topic=ftrack.meta.reply")
        .start()?;
    let mut reports = bridge.reports();
    while let Some(told) = reports.next().await {
        if let Told::Happened(Report::Active) = told {
            break;
        }
    }
    println!("the bridge is active");

    // The workers: each could be a process on a machine of its own.
    let done = Arc::new([const { AtomicU64::new(0) }; WORKERS]);
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let worker = Worker { number, done: Arc::clone(&done) };
        workers.push(worker.start(stream(&nats, &run)).await?);
    }

    let artist = server.session()?.build()?;
    let hub = artist.event_hub();
    hub.connect().await?;
    for shot in 0..SHOTS {
        hub.publish(Event::new("render.submitted", &json!({ "shot": shot }))?).await?;
    }
    while shares(&done).iter().sum::<u64>() < SHOTS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{SHOTS} shots rendered, by worker: {:?}", shares(&done));

    // An action of the service, answered from behind NATS.
    let launch = Event::new("ftrack.action.launch", &json!({"actionIdentifier": "farm.status"}))?;
    let reply = hub.publish_and_wait_for_reply(launch).await?;
    println!("the farm says: {}", reply.data_value()["message"]);

    for worker in &workers {
        worker.event_hub().close().await;
    }
    let stats = bridge.stats();
    println!("{} events forwarded, {} brought back", stats.forwarded, stats.returned);
    bridge.drain(Duration::from_secs(5)).await;
    hub.close().await;
    Ok(())
}

/// Where the events are kept.
fn stream(nats: &Nats, run: &str) -> NatsTransportBuilder {
    let kept = NewStream::default().max_age(Duration::from_secs(3_600));
    NatsTransport::builder(nats.urls()).prefix(run).jetstream(JetStream::new(run).create(kept))
}

/// What a worker knows.
#[derive(Clone)]
struct Worker {
    number: usize,
    done: Arc<[AtomicU64; WORKERS]>,
}

impl Worker {
    /// Takes part of the shots, and answers actions if its turn comes.
    async fn start(self, nats: NatsTransportBuilder) -> Result<Session, ftrack_hub::Error> {
        let session =
            Session::builder("https://studio.ftrackapp.com", "farm", "").nats(nats.build()?).build()?;
        let hub = session.event_hub();
        hub.connect().await?;
        // What one holds another does not get: a small buffer shares evenly.
        hub.subscribe("topic=render.submitted")
            .durable("render")
            .buffer(1, Overflow::DropNewest)
            .handle_with(self.clone(), async |_event: Event, me: Self| {
                tokio::time::sleep(Duration::from_millis(10)).await;
                me.done[me.number].fetch_add(1, Ordering::Relaxed);
            })
            .await?;
        hub.subscribe("topic=ftrack.action.launch and data.actionIdentifier=farm.status")
            .durable("status")
            .handle_with(self, async |_asked: Event, me: Self| {
                let rendered = shares(&me.done).iter().sum::<u64>();
                Json(json!({"success": true, "message": format!("{rendered} shots, says worker {}", me.number)}))
            })
            .await?;
        Ok(session)
    }
}

fn shares(done: &[AtomicU64; WORKERS]) -> [u64; WORKERS] {
    std::array::from_fn(|number| done[number].load(Ordering::Relaxed))
}
