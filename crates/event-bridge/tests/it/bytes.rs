//! Byte for byte, and settled only when the other side has it.

use std::time::Duration;

use event_bridge::{Bridge, Report};
use event_core::memory::MemoryHub;
use event_core::{Event, EventHub};
use nats_server::skipped;

use crate::support::{Stage, event, next, reached, started, stored, streaming, until};

/// Blanks, unknown members, numbers that would not survive, a key that comes twice.
const ODD: &str = r#"{"topic" : "odd.one", "id":"e-1","data":{"n":1.0,"big":12345678901234567890123},
    "target":"applicationId=nobody","extra":[1, 2],"source":{"id":"somebody","x":null},"extra":[3]}"#;
const NAMELESS: &str = r#"{"topic":"odd.two","data":{"e\u00e9":1e2}}"#;

fn make(bus: &MemoryHub) -> impl Fn() -> event_core::Result<EventHub> + Send + Sync + 'static {
    let bus = bus.clone();
    move || EventHub::builder(bus.transport()).build()
}

#[tokio::test]
async fn events_keep_their_bytes_in_both_directions() {
    if skipped("events_keep_their_bytes_in_both_directions") {
        return;
    }
    let stage = Stage::set().await;
    let (bus, worker) = (MemoryHub::new(), stage.worker().await);
    let mut kept = stored(&worker, "topic=odd.*").await;
    let (_bridge, _reports) =
        started(Bridge::builder("odd", make(&bus), streaming(&stage.server.url()))).await;
    for text in [ODD, NAMELESS] {
        bus.inject(&Event::from_json(text).unwrap());
        assert_eq!(next(&mut kept).await.to_json(), text);
    }

    let listener = EventHub::builder(bus.transport()).connect().await.unwrap();
    let mut came = listener.subscribe("topic=odd.*").any_target().stream().await.unwrap();
    for text in [ODD.replace("e-1", "e-2"), NAMELESS.replace("odd.two", "odd.three")] {
        let sent = Event::from_json(text.clone()).unwrap();
        worker.event_hub().engine().publish(sent).verbatim().await.unwrap();
        assert_eq!(next(&mut came).await.to_json(), text);
    }
}

#[tokio::test]
async fn what_the_service_did_not_acknowledge_is_brought_again() {
    if skipped("what_the_service_did_not_acknowledge_is_brought_again") {
        return;
    }
    let stage = Stage::set().await;
    let (bus, worker) = (MemoryHub::new(), stage.worker().await);
    let builder = || Bridge::builder("back", make(&bus), streaming(&stage.server.url()));
    let (bridge, _reports) = started(builder().lease(Duration::from_secs(2))).await;
    bus.hold_acknowledgements(true);
    worker.event_hub().publish(event("asked", 1)).await.unwrap();
    reached(|| bus.published() >= 1).await;
    assert_eq!(bridge.stats().returned, 0);
    // Without a word: its lease lapses, and so does the lock of the event.
    drop(bridge);
    bus.hold_acknowledgements(false);
    let (bridge, mut reports) = started(builder().lease(Duration::from_secs(2))).await;
    let returned = until(&mut reports, |report| match report {
        Report::Returned(event) => Some(event.clone()),
        _ => None,
    });
    assert_eq!(returned.await.data_value()["n"], 1);
    assert_eq!((bus.published(), bridge.stats().returned), (2, 1));
}
