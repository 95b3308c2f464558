//! What a recorder is told, and by which labels.
#![expect(clippy::cast_precision_loss, reason = "small numbers")]

use std::collections::BTreeMap;
use std::time::Duration;

use event_core::memory::MemoryHub;
use event_core::{Event, EventHub, Json};
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// Name and labels, and the value.
type Told = BTreeMap<String, f64>;

/// Everything told so far, added up over the snapshots, which take away what they show.
fn told(snapshotter: &Snapshotter, so_far: &mut Told) {
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels: Vec<String> =
            key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.key().name(), labels.join(","));
        match (key.kind(), value) {
            (MetricKind::Counter, DebugValue::Counter(count)) => {
                *so_far.entry(name).or_insert(0.0) += count as f64;
            }
            (MetricKind::Gauge, DebugValue::Gauge(value)) => {
                *so_far.entry(name).or_insert(0.0) += value.into_inner();
            }
            other => panic!("{other:?}"),
        }
    }
}

fn value(told: &Told, name: &str, hub: &str) -> Option<f64> {
    told.get(&format!("{name}{{transport=memory,hub={hub}}}")).copied()
}

#[tokio::test(start_paused = true)]
async fn counters_and_gauges_are_told_by_transport_and_hub_and_gauges_end_at_nothing() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let bus = MemoryHub::new();
    let studio = EventHub::builder(bus.transport()).name("studio").connect().await.unwrap();
    let farm = EventHub::builder(bus.transport()).name("farm").connect().await.unwrap();
    farm.subscribe("topic=render").handle(async |_: Event| Json("done")).await.unwrap();
    for n in 0..3 {
        studio.request(Event::new("render", &n).unwrap()).await.unwrap();
    }
    studio.publish(Event::new("nobody", &"secret").unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await; // paused

    let mut seen = Told::new();
    told(&snapshotter, &mut seen);
    for (name, hub, expected) in [
        ("event_hub_published_total", "studio", 4.0),
        ("event_hub_replies_total", "studio", 3.0),
        ("event_hub_connections_total", "studio", 1.0),
        ("event_hub_connected", "studio", 1.0),
        ("event_hub_open_requests", "studio", 0.0),
        ("event_hub_outstanding", "studio", 0.0),
        ("event_hub_connected", "farm", 1.0),
        ("event_hub_subscriptions", "farm", 1.0),
        ("event_hub_handler_failures_total", "farm", 0.0),
    ] {
        assert_eq!(value(&seen, name, hub), Some(expected), "{name} of {hub}: {seen:#?}");
    }
    let stats = farm.stats();
    assert_eq!(value(&seen, "event_hub_received_total", "farm"), Some(stats.received as f64));
    // 20 counters and 5 gauges for each of two hubs, and no other label.
    assert_eq!(seen.len(), 50, "{seen:#?}");

    studio.close().await;
    farm.close().await;
    told(&snapshotter, &mut seen);
    for name in ["event_hub_connected", "event_hub_subscriptions", "event_hub_window"] {
        assert_eq!(value(&seen, name, "farm"), Some(0.0), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_hubs_of_one_name_add_up() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let bus = MemoryHub::new();
    let first = EventHub::builder(bus.transport()).connect().await.unwrap();
    let second = EventHub::builder(bus.transport()).connect().await.unwrap();
    for hub in [&first, &second] {
        hub.publish(Event::new("t", &1).unwrap()).await.unwrap();
    }
    second.close().await;
    tokio::time::sleep(Duration::from_secs(3)).await; // paused
    let mut seen = Told::new();
    told(&snapshotter, &mut seen);
    assert_eq!(value(&seen, "event_hub_published_total", "hub"), Some(2.0));
    assert_eq!(value(&seen, "event_hub_connected", "hub"), Some(1.0));
    first.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_dropped_has_no_share_in_the_gauges() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let bus = MemoryHub::new();
    drop(EventHub::builder(bus.transport()).connect().await.unwrap());
    tokio::time::sleep(Duration::from_secs(3)).await; // paused
    let mut seen = Told::new();
    told(&snapshotter, &mut seen);
    assert_eq!(value(&seen, "event_hub_connections_total", "hub"), Some(1.0));
    assert_eq!(value(&seen, "event_hub_connected", "hub"), Some(0.0));
}
