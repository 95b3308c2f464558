//! (a) Receiving: one subscriber that wants everything.

use std::time::Duration;

use interop::{Failure, Puppet};
use nats_server::{NatsServer, ServerConfig};
use serde_json::{Value, json};

use crate::figures::{Measurement, Target};
use crate::party::failed;
use crate::payload::TOPIC;
use crate::stage::{Cores, Stage, figure};

const CPU: &str = "CPU per event";
const RATE: &str = "events per second";
const NATS: &str = "async-nats, from NATS";
const OVER_NATS: &str = "ours, from NATS";
/// From a command to the moment at which its party waits for what it was told to wait for.
const SETTLING: Duration = Duration::from_millis(20);

/// The parties: name, events of a whole round, of a short one.
const PARTIES: [(&str, u64, u64); 6] = [
    ("bare websocket", 40_000, 10_000),
    ("envelope floor", 40_000, 10_000),
    ("full value floor", 40_000, 10_000),
    ("ours", 40_000, 10_000),
    ("JavaScript", 10_000, 4_000),
    ("Python", 1_500, 500),
];

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement = Measurement::new("a", "receiving ftrack.update of 1.5 kB, one matching subscriber");
    let (server, urls) = stage.emulator(Cores::All).await?;
    for _ in 0..stage.rounds {
        for (name, whole, short) in PARTIES {
            let Some(party) = start(stage, name)? else { continue };
            party.call("connect", json!({ "url": urls["ftrack"] })).await?;
            party.call("subscribe", json!({ "expression": format!("topic={TOPIC}") })).await?;
            let count = stage.size(whole, short);
            receive(&server, &party, count / 5).await?;
            let got = receive(&server, &party, count).await?;
            let events = figure(&got, "events");
            measurement.add(name, CPU, "us", figure(&got, "cpu_us") / events);
            measurement.add(name, RATE, "1/s", events / figure(&got, "seconds"));
            measurement.add(name, "peak memory", "MiB", figure(&got, "peak_kib") / 1024.0);
            drop(party);
            server.call("wait", json!({ "open": 0 })).await?;
        }
    }
    over_nats(stage, &mut measurement).await?;
    measurement.notes.extend(stage.lacks_node().map(|why| format!("JavaScript: {why}")));
    measurement.notes.extend(stage.lacks_python().map(|why| format!("Python: {why}")));
    measurement.ratio(("ours", CPU), ("envelope floor", CPU), Target::AtMost(1.35));
    measurement.ratio(("ours", CPU), ("bare websocket", CPU), Target::None);
    measurement.ratio(("ours", CPU), ("full value floor", CPU), Target::None);
    measurement.ratio(("JavaScript", CPU), ("ours", CPU), Target::AtLeast(4.5));
    measurement.ratio(("Python", CPU), ("ours", CPU), Target::AtLeast(120.0));
    measurement.ratio((OVER_NATS, CPU), (NATS, CPU), Target::None);
    Ok(measurement)
}

/// The same event from a NATS server: to `async-nats` alone, and to ours, which is built on it.
async fn over_nats(stage: &Stage, measurement: &mut Measurement) -> Result<(), Failure> {
    if NatsServer::find().is_none() {
        measurement.notes.push(format!("{NATS}: no nats-server is installed ({})", nats_server::HOW));
        return Ok(());
    }
    let server = NatsServer::start(ServerConfig::default()).await.map_err(failed)?;
    let address = json!({ "url": "http://127.0.0.1:1", "nats": server.url() });
    for _ in 0..stage.rounds {
        for (name, role) in [(NATS, "nats"), (OVER_NATS, "ours")] {
            let (publisher, party) = (stage.role("nats", Cores::All)?, stage.role(role, Cores::All)?);
            for each in [&publisher, &party] {
                each.call("connect", address.clone()).await?;
            }
            party.call("subscribe", json!({ "expression": format!("topic={TOPIC}") })).await?;
            let count = stage.size(40_000, 10_000);
            receive(&publisher, &party, count / 5).await?;
            let got = receive(&publisher, &party, count).await?;
            let events = figure(&got, "events");
            measurement.add(name, CPU, "us", figure(&got, "cpu_us") / events);
            measurement.add(name, RATE, "1/s", events / figure(&got, "seconds"));
        }
    }
    Ok(())
}

fn start(stage: &Stage, name: &str) -> Result<Option<Puppet>, Failure> {
    Ok(match name {
        "bare websocket" => Some(stage.role("bare", Cores::All)?),
        "envelope floor" => Some(stage.role("envelope", Cores::All)?),
        "full value floor" => Some(stage.role("value", Cores::All)?),
        "ours" => Some(stage.role("ours", Cores::All)?),
        "JavaScript" if stage.lacks_node().is_none() => {
            Some(stage.node("ftrack", "ftrack.cjs", Cores::All)?)
        }
        "Python" if stage.lacks_python().is_none() => Some(stage.python("ftrack.py")?),
        _ => None,
    })
}

/// Has the server publish while a party waits for it.
pub(super) async fn receive(server: &Puppet, party: &Puppet, count: u64) -> Result<Value, Failure> {
    let publishing = async {
        tokio::time::sleep(SETTLING).await;
        server.call("blast", json!({ "count": count })).await
    };
    let (got, _) = tokio::try_join!(party.call("receive", json!({ "count": count })), publishing)?;
    Ok(got)
}
