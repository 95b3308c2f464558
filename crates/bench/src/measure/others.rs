//! (b) Receiving beside many subscriptions that want something else. Each number of others has a server and a client
//! of its own, which stay for all rounds and take turns.

use interop::{Failure, Puppet};
use serde_json::json;

use super::receive::receive;
use crate::figures::{Measurement, Target};
use crate::payload::TOPIC;
use crate::stage::{Cores, Stage, figure};

const KINDS: [&str; 4] = ["exact topic", "prefix", "topic+field", "field only"];
const RESIDUAL: &str = "residual";
const RATE: &str = "events per second at 10,000 others, exact topic";
/// Subscriptions asked for with one command.
const CHUNK: u64 = 5_000;

struct Pair {
    others: u64,
    server: Puppet,
    client: Puppet,
}

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement = Measurement::new("b", "the same beside many other subscriptions");
    let sizes: &[u64] = if stage.quick { &[1, 10_000] } else { &[1, 100, 10_000, 100_000] };
    for kind in KINDS {
        let pairs = pairs(stage, kind, sizes).await?;
        rounds(stage, &mut measurement, kind, &pairs, stage.size(20_000, 4_000)).await?;
    }
    let residual = if stage.quick { &[1, 1_000][..] } else { &[1, 100, 10_000] };
    let pairs = pairs(stage, RESIDUAL, residual).await?;
    rounds(stage, &mut measurement, RESIDUAL, &pairs, stage.size(500, 300)).await?;
    theirs(stage, &mut measurement).await?;
    for kind in KINDS {
        for others in sizes.iter().filter(|others| **others > 1) {
            let target = if *others >= 10_000 { Target::AtMost(1.1) } else { Target::None };
            measurement.ratio((&party(*others), &what(kind)), (&party(1), &what(kind)), target);
        }
    }
    for others in residual.iter().filter(|others| **others > 1) {
        measurement.ratio((&party(*others), &what(RESIDUAL)), (&party(1), &what(RESIDUAL)), Target::None);
    }
    measurement.ratio(("ours", RATE), ("JavaScript", RATE), Target::AtLeast(500.0));
    Ok(measurement)
}

fn party(others: u64) -> String {
    format!("ours beside {others}")
}

fn what(kind: &str) -> String {
    format!("CPU per event, {kind}")
}

async fn pairs(stage: &Stage, kind: &str, sizes: &[u64]) -> Result<Vec<Pair>, Failure> {
    let mut pairs = Vec::new();
    for others in sizes.iter().copied() {
        let (server, urls) = stage.emulator(Cores::All).await?;
        let client = stage.role("ours", Cores::All)?;
        client.call("connect", json!({ "url": urls["ftrack"] })).await?;
        subscribe(&client, kind, others).await?;
        receive(&server, &client, stage.size(2_000, 500).min(500_000 / others + 100)).await?;
        pairs.push(Pair { others, server, client });
    }
    Ok(pairs)
}

async fn subscribe(client: &Puppet, kind: &str, others: u64) -> Result<(), Failure> {
    for from in (0..others).step_by(usize::try_from(CHUNK).unwrap_or(1)) {
        let count = CHUNK.min(others - from);
        // 1 and up: the recorded event has no such number.
        client.call("others", json!({ "kind": kind, "from": from + 1, "count": count })).await?;
    }
    client.call("subscribe", json!({ "expression": format!("topic={TOPIC}") })).await?;
    Ok(())
}

async fn rounds(
    stage: &Stage,
    measurement: &mut Measurement,
    kind: &str,
    pairs: &[Pair],
    count: u64,
) -> Result<(), Failure> {
    for _ in 0..stage.rounds {
        for pair in pairs {
            let got = receive(&pair.server, &pair.client, count).await?;
            let events = figure(&got, "events");
            measurement.add(&party(pair.others), &what(kind), "us", figure(&got, "cpu_us") / events);
            if kind == "exact topic" && pair.others == 10_000 {
                measurement.add("ours", RATE, "1/s", events / figure(&got, "seconds"));
            }
        }
    }
    Ok(())
}

async fn theirs(stage: &Stage, measurement: &mut Measurement) -> Result<(), Failure> {
    if let Some(why) = stage.lacks_node() {
        measurement.notes.push(format!("JavaScript: {why}"));
        return Ok(());
    }
    let (server, urls) = stage.emulator(Cores::All).await?;
    let client = stage.node("ftrack", "ftrack.cjs", Cores::All)?;
    client.call("connect", json!({ "url": urls["ftrack"] })).await?;
    subscribe(&client, "exact topic", 10_000).await?;
    for _ in 0..stage.rounds {
        let got = receive(&server, &client, stage.size(300, 100)).await?;
        let events = figure(&got, "events");
        measurement.add("JavaScript", RATE, "1/s", events / figure(&got, "seconds"));
        let cpu = figure(&got, "cpu_us") / events;
        measurement.add("JavaScript beside 10000", &what("exact topic"), "us", cpu);
    }
    Ok(())
}
