//! What passing an event on costs: a bus in memory, a bridge, a stream on the disk of one server, and a worker who reads it.
//!
//! `cargo bench -p event-bridge --bench passing`. `EVENTS` says how many, 200,000 unless set.
#![expect(clippy::print_stdout, reason = "shows its figures")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a measurement")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event_bridge::{Bridge, Report, Told};
use event_core::memory::MemoryHub;
use event_core::{Event, EventHub};
use nats_server::{NatsServer, ServerConfig};
use transport_nats::{JetStream, NatsTransport, NatsTransportBuilder, NewStream};

/// As the kernel counts processor time.
const TICKS_PER_SECOND: f64 = 100.0;
/// Fewer than what a link of the bus holds.
const BURST: u64 = 2_000;
const PAUSE: Duration = Duration::from_micros(200);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if NatsServer::find().is_none() {
        println!("skipped: this needs nats-server ({})", nats_server::HOW);
        return;
    }
    let events: u64 = std::env::var("EVENTS").map_or(200_000, |events| events.parse().unwrap());
    let server = NatsServer::start(ServerConfig::default()).await.unwrap();
    let bus = MemoryHub::new();
    let service = bus.clone();
    let make = move || EventHub::builder(service.transport()).build();
    let bridge = Bridge::builder("bench", make, stream(&server)).forward_only().start().unwrap();
    let mut reports = bridge.reports();
    while !matches!(reports.next().await, Some(Told::Happened(Report::Active))) {}
    drop(reports);

    let (start, before) = (Instant::now(), times());
    let mut bytes = 0;
    for n in 0..events {
        let event = Event::new("load", &serde_json::json!({"n": n, "text": "x".repeat(1_300)})).unwrap();
        bytes += event.to_json().len() as u64;
        bus.inject(&event);
        while n + 1 - bridge.stats().forwarded >= BURST {
            tokio::time::sleep(PAUSE).await;
        }
    }
    while bridge.stats().forwarded < events {
        tokio::time::sleep(PAUSE).await;
    }
    told("stored", events, start, before);
    let disk = size(&server.folder().join("store"));
    println!(
        "{:.3} bytes on disk for each byte of JSON; {} bytes an event",
        ratio(disk, bytes),
        bytes / events
    );

    let hub = EventHub::builder(stream(&server).build().unwrap()).connect().await.unwrap();
    let handled = Arc::new(AtomicU64::new(0));
    let (start, before) = (Instant::now(), times());
    hub.subscribe("topic=load")
        .durable("worker")
        .concurrency(64)
        .handle_with(Arc::clone(&handled), async |_event: Event, handled: Arc<AtomicU64>| {
            handled.fetch_add(1, Ordering::Relaxed);
        })
        .await
        .unwrap();
    while hub.stats().completed < events {
        tokio::time::sleep(PAUSE).await;
    }
    told("handled and completed", handled.load(Ordering::Relaxed), start, before);
}

fn stream(server: &NatsServer) -> NatsTransportBuilder {
    let jetstream = JetStream::new("EVENTS").create(NewStream::default()).from_the_beginning();
    NatsTransport::builder([server.url()]).jetstream(jetstream)
}

/// Processor time of this process and of its child, the server.
fn times() -> [f64; 2] {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let child = children.collect::<String>().split_whitespace().next().map(str::to_owned).unwrap();
    ["self", &child].map(|process| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // utime and stime are the 14th and 15th field; two stand before the bracket.
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS_PER_SECOND
    })
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be shown")]
fn told(what: &str, events: u64, start: Instant, before: [f64; 2]) {
    let (took, after) = (start.elapsed().as_secs_f64(), times());
    let each = |n: usize| (after[n] - before[n]) * 1e6 / events as f64;
    println!(
        "{events} {what} in {took:.2} s: {:.0} a second; processor time an event: here {:.1} us, the server {:.1} us",
        events as f64 / took,
        each(0),
        each(1)
    );
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be shown")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0, |file| file.len());
    };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}
