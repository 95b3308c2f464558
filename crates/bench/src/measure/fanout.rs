//! (g) The emulator as a server: one publisher and an audience, beside socket.io 0.9.19; and connections that idle.

use interop::{Failure, Puppet};
use serde_json::{Value, json};

use crate::figures::{Measurement, Target};
use crate::payload::TOPIC;
use crate::stage::{Cores, Stage, figure};

const AUDIENCE: u64 = 1_000;
const PER_SECOND: u64 = 50;
const WINDOW: u64 = 64;

const EMULATOR: &str = "emulator";
const SOCKETIO: &str = "socket.io";
/// One `write` for each delivery and nothing else.
const WRITES: &str = "bare writes";

struct Hall {
    server: Puppet,
    audience: Puppet,
    /// None where the server publishes by itself.
    publisher: Option<Puppet>,
}

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement = Measurement::new("g", "fan-out of 1.5 kB to 1,000 websockets; idle connections");
    let servers: &[&str] = if stage.lacks_node().is_none() { &[EMULATOR, SOCKETIO] } else { &[EMULATOR] };
    measurement.notes.extend(stage.lacks_node().map(|why| format!("socket.io: {why}")));
    for _ in 0..stage.rounds {
        for name in servers {
            let hall = open(stage, name).await?;
            let paced = stage.size(200, 50);
            deliver(&mut measurement, &hall, name, "paced", paced).await?;
            // A round of the fast one must be long enough to be measured.
            let saturated = if *name == EMULATOR { stage.size(2_000, 400) } else { stage.size(150, 50) };
            deliver(&mut measurement, &hall, name, "saturated", saturated).await?;
        }
        let hall = open(stage, WRITES).await?;
        deliver(&mut measurement, &hall, WRITES, "paced", stage.size(200, 50)).await?;
    }
    for name in servers {
        idle(stage, &mut measurement, name).await?;
    }
    for (how, least) in [("paced", 3.0), ("saturated", 10.0)] {
        let what = format!("deliveries per second of CPU, {how}");
        measurement.ratio((EMULATOR, &what), (SOCKETIO, &what), Target::AtLeast(least));
    }
    let what = "deliveries per second of CPU, paced";
    measurement.ratio((WRITES, what), (EMULATOR, what), Target::None);
    Ok(measurement)
}

async fn serve(stage: &Stage, name: &str) -> Result<(Puppet, Value), Failure> {
    if name == EMULATOR {
        return stage.emulator(Cores::All).await;
    }
    if name == WRITES {
        let server = stage.role("writes", Cores::All)?;
        let urls = server.call("start", json!({})).await?;
        return Ok((server, urls));
    }
    let server = stage.node("socketio", "socketio.cjs", Cores::All)?;
    let urls = server.call("start", json!({ "broadcast": true })).await?;
    Ok((server, urls))
}

async fn open(stage: &Stage, name: &str) -> Result<Hall, Failure> {
    let (server, urls) = serve(stage, name).await?;
    let audience = stage.role("idle", Cores::All)?;
    audience.call("descriptors", json!({})).await?;
    let expression = format!("topic={TOPIC}");
    let seats = json!({ "url": urls["ftrack"], "connections": AUDIENCE, "expression": expression });
    audience.call("open", seats).await?;
    if name == WRITES {
        return Ok(Hall { server, audience, publisher: None });
    }
    let publisher = stage.role("ours", Cores::All)?;
    publisher.call("connect", json!({ "url": urls["ftrack"], "window": WINDOW })).await?;
    let publisher = Some(publisher);
    Ok(Hall { server, audience, publisher })
}

async fn deliver(
    measurement: &mut Measurement,
    hall: &Hall,
    name: &str,
    how: &str,
    count: u64,
) -> Result<(), Failure> {
    let publisher = hall.publisher.as_ref().unwrap_or(&hall.server);
    let publish = async |count: u64| {
        let command = if how == "paced" { "pace" } else { "publish" };
        let args = json!({ "count": count, "window": WINDOW, "per_second": PER_SECOND });
        let listening = hall.audience.call("receive", json!({ "count": count * AUDIENCE }));
        let (heard, _) = tokio::try_join!(listening, publisher.call(command, args))?;
        Ok::<_, Failure>(heard)
    };
    publish(5).await?;
    let before = figure(&hall.server.call("usage", json!({})).await?, "cpu_us");
    let heard = publish(count).await?;
    let cpu = figure(&hall.server.call("usage", json!({})).await?, "cpu_us") - before;
    let deliveries = figure(&heard, "events");
    measurement.add(name, &format!("deliveries per second of CPU, {how}"), "1/s", deliveries / cpu * 1e6);
    measurement.add(
        name,
        &format!("deliveries per second, {how}"),
        "1/s",
        deliveries / figure(&heard, "seconds"),
    );
    Ok(())
}

/// Once: what a connection takes does not vary.
async fn idle(stage: &Stage, measurement: &mut Measurement, name: &str) -> Result<(), Failure> {
    let connections = stage.size(10_000, 1_000);
    let (server, urls) = serve(stage, name).await?;
    let audience = stage.role("idle", Cores::All)?;
    let allowed = figure(&audience.call("descriptors", json!({})).await?, "descriptors");
    #[expect(clippy::cast_precision_loss, reason = "small")]
    if allowed < connections as f64 + 64.0 {
        measurement.notes.push(format!("idle connections: a process may have {allowed} descriptors"));
        return Ok(());
    }
    let resident = async || server.call("usage", json!({})).await.map(|got| figure(&got, "resident_kib"));
    let before = resident().await?;
    for _ in 0..10 {
        audience.call("open", json!({ "url": urls["ftrack"], "connections": connections / 10 })).await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let each = (resident().await? - before) / connections as f64;
    measurement.add(name, &format!("memory of one of {connections} idle connections"), "KiB", each);
    Ok(())
}
