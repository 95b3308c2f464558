//! Recorded clients against the emulator.

use std::collections::BTreeSet;

use event_core::Event;
use hub_emulator::Emulator;
use serde_json::{Value, json};

use super::{Recording, event_of, within};
use crate::bare::{Bare, Heard};
use crate::{Failure, Stage, ensure};

/// The number of a packet that closes a conversation: what came before its acknowledgement was the answer.
const CLOSING: u64 = 999;

async fn connect(emulator: &Emulator) -> Result<Bare, Failure> {
    Bare::connect(emulator.ftrack_addr(), "a@example.com", "key-a").await
}

fn closing() -> String {
    packet(
        CLOSING,
        &json!({"topic": "closing", "id": format!("closing-{CLOSING}"), "data": null, "source": {"id": "x"}, "target": ""}),
    )
}

/// Every client frame of a recording in its order, with what the server said to it before the next; and nothing more.
pub(super) async fn replay(stage: Stage, recording: &Recording) -> Result<(), Failure> {
    let emulator = stage.emulator(|builder| builder).await?;
    let mut links = [connect(&emulator).await?, connect(&emulator).await?];
    let packets = recording.packets();
    let connections: BTreeSet<u64> = packets.iter().map(|(connection, ..)| *connection).collect();
    ensure(connections.len() == 2, || format!("{connections:?} instead of two connections"))?;
    let mut compared = 0;
    for (connection, from_client, text) in &packets {
        let at = connections.iter().position(|known| known == connection).unwrap_or_default();
        let link = &mut links[at];
        if *from_client {
            let before = emulator.stats().events_received;
            link.send(text).await?;
            // What nobody acknowledges may not be overtaken by the other connection.
            within(emulator.wait_for(|state| state.stats.events_received > before)).await?;
            continue;
        }
        let got = link.next().await?;
        let same = match (event_of(text), event_of(&got)) {
            (Some(recorded), Some(ours)) => {
                recorded == ours && got.starts_with("5:::{") == text.starts_with("5:::{")
            }
            _ => got == *text,
        };
        ensure(same, || format!("recorded {text}\n  emulator {got}"))?;
        compared += 1;
    }
    let recorded = packets.iter().filter(|(_, from_client, _)| !from_client).count();
    ensure(compared == recorded && compared > 0, || {
        format!("{compared} of {recorded} frames were compared")
    })?;
    for link in &mut links {
        link.send(&closing()).await?;
        let got = link.next().await?;
        ensure(got == format!("6:::{CLOSING}+[{{\"success\":true}}]"), || {
            format!("{got}, which was not recorded")
        })?;
    }
    Ok(())
}

const DONE_AGAIN: &str =
    "the JavaScript client subscribes to replies twice, so doing a thing again is a success";
const NAMED: &str = "a hub says nothing to an event by another name; the emulator says what is wrong";

/// Where the emulator differs from the recorded server and its hub on purpose: a part of the last packet, the
/// emulator's last answer, and why.
const OTHERWISE: [(&str, &str, &str); 4] = [
    (
        "5:2+::{\"name\":\"ftrack.event\",\"args\":[{\"id\":\"probe\",\"topic\":\"ftrack.meta.subscribe\"",
        "6:::2+[{\"success\":true}]",
        DONE_AGAIN,
    ),
    ("{\"subscriber\":{\"id\":\"nope\"}}", "6:::1+[{\"success\":true}]", DONE_AGAIN),
    ("{\"name\":\"disconnect\"", "\"success\":false}]", NAMED),
    ("{\"name\":\"other\"", "\"success\":false}]", NAMED),
];

/// Packets of every form, one connection each.
pub(super) async fn probe(stage: Stage, recording: &Recording) -> Result<(), Failure> {
    let frames = recording.frames();
    let connections: BTreeSet<u64> = frames.iter().map(|frame| frame.connection).collect();
    let (mut compared, mut differences) = (0, Vec::new());
    for connection in connections {
        // A hub for each: the recording uses one id for every event.
        let emulator = stage.emulator(|builder| builder).await?;
        let mut link = connect(&emulator).await?;
        let of = |from_client: bool| {
            let wanted = move |frame: &&super::Frame| {
                frame.connection == connection && frame.from_client == from_client
            };
            frames.iter().filter(wanted).filter(|frame| frame.text.as_deref() != Some("1::"))
        };
        let said: Vec<&str> = of(true).filter_map(|frame| frame.text.as_deref()).collect();
        if said.is_empty() {
            continue;
        }
        for text in &said {
            link.send(text).await?;
        }
        let ended = link.send(&closing()).await.is_err();
        let mut answers = Vec::new();
        while !ended || answers.is_empty() {
            match link.hear().await? {
                Heard::Packet(text) if text.starts_with(&format!("6:::{CLOSING}")) => break,
                Heard::Packet(text) => answers.push(text),
                Heard::End(_) => {
                    answers.push("the end".to_owned());
                    break;
                }
            }
        }
        let recorded: Vec<&str> = of(false).map(|frame| frame.text.as_deref().unwrap_or("the end")).collect();
        let last = said.last().copied().unwrap_or_default();
        let agreed = match OTHERWISE.iter().find(|(packet, ..)| last.contains(packet)) {
            Some((_, wanted, _)) => {
                answers != recorded && answers.last().is_some_and(|got| got.ends_with(wanted))
            }
            None => answers == recorded,
        };
        if agreed {
            compared += 1;
        } else {
            differences.push(format!("to {said:?} recorded {recorded:?}, emulator {answers:?}"));
        }
    }
    ensure(compared + differences.len() >= 20, || format!("only {compared} conversations were compared"))?;
    ensure(differences.is_empty(), || differences.join("\n  "))
}

fn packet(number: u64, event: &Value) -> String {
    format!(r#"5:{number}+::{{"name":"ftrack.event","args":[{event}]}}"#)
}

async fn subscribed(link: &mut Bare, topic: &str) -> Result<(), Failure> {
    let subscribe = json!({"topic": "ftrack.meta.subscribe", "id": "s1", "source": {"id": "x"}, "target": "",
        "data": {"subscriber": {"id": "s"}, "subscription": format!("topic={topic}")}});
    link.send(&packet(1, &subscribe)).await?;
    let acknowledged = link.next().await?;
    ensure(acknowledged == r#"6:::1+[{"success":true}]"#, || acknowledged.clone())
}

pub(super) async fn ack_first(stage: Stage) -> Result<(), Failure> {
    let emulator = stage.emulator(|builder| builder).await?;
    let mut link = connect(&emulator).await?;
    subscribed(&mut link, "t").await?;
    let event = json!({"topic": "t", "id": "e1", "data": 1, "source": {"id": "x"}, "target": ""});
    link.send(&packet(2, &event)).await?;
    let (first, second) = (link.next().await?, link.next().await?);
    ensure(first.starts_with("6:::2") && event_of(&second).is_some(), || format!("{first} before {second}"))
}

pub(super) async fn no_ids(stage: Stage) -> Result<(), Failure> {
    let emulator = stage.emulator(|builder| builder).await?;
    let mut link = connect(&emulator).await?;
    subscribed(&mut link, "t").await?;
    emulator.publish(Event::builder("t").id("e1").build()?)?;
    let got = link.next().await?;
    ensure(got.starts_with("5:::{"), || format!("{got} has a packet id"))
}
