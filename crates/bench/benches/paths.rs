//! The hot paths one by one, by criterion: `cargo bench -p bench`, or `cargo bench -p bench -- decode`.
//!
//! No check: figures depend on the machine. The same paths by their instructions, which do not, are the step
//! `instructions` of `cargo xtask test-all`; whole clients side by side are `cargo xtask bench`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

use std::future::IntoFuture;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use event_core::dispatch::Index;
use event_core::memory::MemoryHub;
use event_core::{Event, EventHub, EventId, Expression, Json};
use tokio::runtime::{Builder, Runtime};
use transport_ws::packet::Packet;

const UPDATE: &str = include_str!("../../event-core/tests/data/ftrack-payload-update.json");

fn update() -> Bytes {
    Bytes::from_static(UPDATE.trim_ascii_end().as_bytes())
}

fn events(c: &mut Criterion) {
    let mut group = c.benchmark_group("event");
    group.throughput(Throughput::Bytes(update().len() as u64));
    group.bench_function("decode", |b| {
        b.iter_batched(update, |text| Event::from_json(text).unwrap(), BatchSize::SmallInput);
    });
    let event = Event::from_json(update()).unwrap();
    let decoded = || Event::from_json(update()).unwrap();
    group.bench_function("data as a tree", |b| {
        b.iter_batched_ref(decoded, |event| black_box(event.data_value()).is_object(), BatchSize::SmallInput);
    });
    group.bench_function("encode an edited copy", |b| {
        b.iter(|| event.to_builder().topic("another.topic").build().unwrap().to_json());
    });
    group.finish();
}

fn packets(c: &mut Criterion) {
    let mut group = c.benchmark_group("packet");
    let packet = format!("5:::{{\"name\":\"ftrack.event\",\"args\":[{}]}}", UPDATE.trim_ascii_end());
    group.throughput(Throughput::Bytes(packet.len() as u64));
    group.bench_function("decode", |b| b.iter(|| Packet::decode(black_box(&packet)).unwrap()));
    let decoded = Packet::decode(&packet).unwrap();
    group.bench_function("encode", |b| b.iter(|| black_box(&decoded).encode()));
    group.finish();
}

fn expressions(c: &mut Criterion) {
    let mut group = c.benchmark_group("expression");
    let texts = [
        ("topic", "topic=ftrack.update"),
        ("topic and field", "topic=ftrack.update and source.applicationId=ftrack.client.web"),
        (
            "five conditions",
            "topic=ftrack.* and (source.user.username=anna* or data.x>3) and not data.y=1 and id!=0",
        ),
    ];
    let event = Event::from_json(update()).unwrap();
    let _ = (event.data_value(), event.source());
    for (name, text) in texts {
        group.bench_function(format!("parse {name}"), |b| {
            b.iter(|| Expression::parse(black_box(text)).unwrap());
        });
        let expression = Expression::parse(text).unwrap();
        group.bench_function(format!("match {name}"), |b| b.iter(|| black_box(&expression).matches(&event)));
    }
    for count in [10, 10_000] {
        let mut index = Index::new();
        for n in 0..count {
            index.insert(n, &Expression::parse(&format!("topic=show.task{n}.update")).unwrap());
        }
        index.insert(count, &Expression::parse("topic=ftrack.update").unwrap());
        let mut found = Vec::new();
        group.bench_function(format!("find among {count}"), |b| {
            b.iter(|| {
                index.candidates(black_box(&event), &mut found);
                found.len()
            });
        });
    }
    group.finish();
}

/// The engine with its tasks, over a bus in memory: dispatch, acknowledgement, correlation.
fn hub(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut group = c.benchmark_group("hub in memory");
    let hub = connected(&runtime);
    let template = Event::builder("bench.nobody").data(&1).build().unwrap();
    group.bench_function("publish to its acknowledgement", |b| {
        b.to_async(&runtime).iter(|| {
            let event = template.to_builder().id(EventId::random()).build().unwrap();
            hub.publish(event).into_future()
        });
    });
    group.bench_function("request to its reply", |b| {
        b.to_async(&runtime).iter(|| hub.request(Event::new("bench.ask", &1).unwrap()).into_future());
    });
    group.finish();
}

fn connected(runtime: &Runtime) -> EventHub {
    runtime.block_on(async {
        let hub = EventHub::builder(MemoryHub::new().transport()).build().unwrap();
        hub.connect().await.unwrap();
        let answer = async |event: Event| Json(event.data_value().clone());
        hub.subscribe("topic=bench.ask").handle(answer).await.unwrap();
        hub
    })
}

criterion_group! {
    name = paths;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = events, packets, expressions, hub
}
criterion_main!(paths);
