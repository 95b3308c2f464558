//! Every event that was recorded is read, and written again byte for byte.

use std::collections::BTreeMap;

use event_core::{Event, EventId};
use serde_json::Value;
use transport_ws::packet::Packet;

use crate::support::{CLIENTS, PROBE, records};

#[derive(Default)]
struct Counts {
    records: usize,
    packets: usize,
    events: usize,
    /// By topic, up to its second dot.
    topics: BTreeMap<String, usize>,
}

/// What the event says must be what its text says.
fn check(text: &str) -> Event {
    let event =
        Event::from_json(text.as_bytes().to_vec()).unwrap_or_else(|error| panic!("{error}: {text:.200}"));
    assert!(event.to_json() == text.as_bytes(), "{text:.200}");
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(event.topic().as_str(), value["topic"]);
    assert_eq!(event.id().map(EventId::as_str), value["id"].as_str());
    assert_eq!(event.target(), value["target"].as_str().unwrap_or(""));
    assert_eq!(event.in_reply_to().map(EventId::as_str), value["inReplyToEvent"].as_str());
    assert_eq!(event.source_id(), value["source"]["id"].as_str());
    let missing = Value::Null;
    assert_eq!(event.data_value(), value.get("data").unwrap_or(&missing));
    // Edited, it is written anew: the members and their values stay, and so does their order.
    let edited = event.to_builder().target(event.target()).build().unwrap().to_json();
    let mut rewritten: Value = serde_json::from_slice(&edited).unwrap();
    if value.get("target").is_none() {
        rewritten.as_object_mut().unwrap().remove("target");
    }
    assert_eq!(rewritten, value);
    event
}

fn count(file: &str) -> Counts {
    let mut counts = Counts::default();
    for record in records(file) {
        counts.records += 1;
        if record.kind() != "ws-text" || record.is_truncated() {
            continue;
        }
        let Ok(packet) = Packet::decode(record.text()) else { continue };
        counts.packets += 1;
        let Packet::Event { name, args, .. } = packet else { continue };
        // The probe also sends events of other names, which are no events of the hub.
        for arg in args.iter().filter(|_| name == "ftrack.event") {
            let event = check(arg);
            counts.events += 1;
            let topic: Vec<&str> = event.topic().as_str().splitn(3, '.').take(2).collect();
            *counts.topics.entry(topic.join(".")).or_default() += 1;
        }
    }
    counts
}

#[test]
fn every_recorded_event_is_read_and_written_byte_for_byte() {
    let rows: Vec<String> = CLIENTS
        .iter()
        .chain([&PROBE])
        .map(|file| {
            let Counts { records, packets, events, topics } = count(file);
            println!("{file}: {topics:?}");
            format!("{file}: {records} records, {packets} packets, {events} events")
        })
        .collect();
    println!("{rows:#?}");
    assert_eq!(
        rows,
        [
            "ftrack-js-1.11.2-functional: 466 records, 452 packets, 442 events",
            "ftrack-js-1.11.2-story: 39 records, 21 packets, 11 events",
            "ftrack-js-head-story: 39 records, 21 packets, 11 events",
            "ftrack-python-3.1.0-functional: 786 records, 768 packets, 484 events",
            "ftrack-python-3.1.0-story: 48 records, 30 packets, 11 events",
            "ftrack-server-probe: 959 records, 74 packets, 12 events",
        ]
    );
}
