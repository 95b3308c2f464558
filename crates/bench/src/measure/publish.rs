//! (c) Publishing 1.5 kB, confirmed: counted when it is acknowledged.

use interop::{Failure, Puppet};
use serde_json::{Value, json};

use crate::figures::{Measurement, Target};
use crate::stage::{Cores, Stage, cpu_of, figure};

const CPU: &str = "CPU per publish";
const RATE: &str = "publishes per second";
const WINDOW: u64 = 64;
/// Those of which the best counts for socket.io.
const WINDOWS: [u64; 3] = [16, 64, 256];

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement = Measurement::new("c", "publishing 1.5 kB, confirmed, 64 in flight");
    for _ in 0..stage.rounds {
        let (server, urls) = stage.emulator(Cores::All).await?;
        let ours = ours(stage, &urls, WINDOW).await?;
        add(&mut measurement, "ours", &publish(&ours, stage.size(30_000, 6_000), WINDOW).await?);
        drop(ours);
        if stage.lacks_node().is_none() {
            javascript(stage, &mut measurement, &server, &urls).await?;
            socketio(stage, &mut measurement).await?;
        }
        if stage.lacks_python().is_none() {
            let party = stage.python("ftrack.py")?;
            party.call("connect", json!({ "url": urls["ftrack"] })).await?;
            publish(&party, 100, WINDOW).await?;
            add(&mut measurement, "Python", &publish(&party, stage.size(1_500, 500), WINDOW).await?);
        }
    }
    measurement.notes.extend(stage.lacks_node().map(|why| format!("JavaScript, socket.io: {why}")));
    measurement.notes.extend(stage.lacks_python().map(|why| format!("Python: {why}")));
    measurement.ratio(("Python", CPU), ("ours", CPU), Target::AtLeast(80.0));
    measurement.ratio(("JavaScript, unconfirmed", CPU), ("ours", CPU), Target::AtLeast(6.0));
    let best = WINDOWS.map(|window| format!("ours to socket.io, {window} in flight"));
    let rate = |measurement: &Measurement, name: &str| measurement.median(name, RATE).unwrap_or(0.0);
    let best = best.iter().max_by(|a, b| rate(&measurement, a).total_cmp(&rate(&measurement, b)));
    if let Some(best) = best.cloned() {
        measurement.ratio(("ours", RATE), (&best, RATE), Target::None);
    }
    Ok(measurement)
}

fn add(measurement: &mut Measurement, party: &str, got: &Value) {
    let events = figure(got, "events");
    measurement.add(party, CPU, "us", figure(got, "cpu_us") / events);
    measurement.add(party, RATE, "1/s", events / figure(got, "seconds"));
    measurement.add(party, "peak memory", "MiB", figure(got, "peak_kib") / 1024.0);
}

async fn ours(stage: &Stage, urls: &Value, window: u64) -> Result<Puppet, Failure> {
    let party = stage.role("ours", Cores::All)?;
    party.call("connect", json!({ "url": urls["ftrack"], "window": window })).await?;
    publish(&party, 1_000, window).await?;
    Ok(party)
}

async fn publish(party: &Puppet, count: u64, window: u64) -> Result<Value, Failure> {
    party.call("publish", json!({ "count": count, "window": window })).await
}

/// Its publishes are not confirmed: it has done its work when the server has them all.
async fn javascript(
    stage: &Stage,
    measurement: &mut Measurement,
    server: &Puppet,
    urls: &Value,
) -> Result<(), Failure> {
    let party = stage.node("ftrack", "ftrack.cjs", Cores::All)?;
    party.call("connect", json!({ "url": urls["ftrack"] })).await?;
    let mut received = figure(&server.call("state", json!({})).await?, "received");
    let count = stage.size(20_000, 5_000);
    for (count, counts) in [(count / 5, false), (count, true)] {
        let before = cpu_of(&[&party]).await?;
        let got = publish(&party, count, WINDOW).await?;
        received += figure(&got, "events");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        server.call("wait", json!({ "received": received as u64 })).await?;
        let cpu = cpu_of(&[&party]).await? - before;
        if counts {
            let got = json!({ "events": got["events"], "seconds": got["seconds"], "peak_kib": got["peak_kib"], "cpu_us": cpu });
            add(measurement, "JavaScript, unconfirmed", &got);
        }
    }
    Ok(())
}

async fn socketio(stage: &Stage, measurement: &mut Measurement) -> Result<(), Failure> {
    for window in WINDOWS {
        let server = stage.node("socketio", "socketio.cjs", Cores::All)?;
        let urls = server.call("start", json!({ "broadcast": false })).await?;
        let party = ours(stage, &urls, window).await?;
        let got = publish(&party, stage.size(10_000, 2_000), window).await?;
        add(measurement, &format!("ours to socket.io, {window} in flight"), &got);
    }
    Ok(())
}
