//! (d) A question and its answer by way of the hub: how long it takes, and the processor time of everybody in it.

use interop::{Failure, Puppet};
use serde_json::{Value, json};

use crate::figures::{Measurement, Target};
use crate::stage::{Cores, Stage, cpu_of, figure};

const IN_FLIGHT: u64 = 1_000;

/// Those who take part in a round trip.
struct Trio {
    asker: Puppet,
    answerer: Puppet,
    /// None between two bare websockets.
    server: Option<Puppet>,
}

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement = Measurement::new("d", "a request and its reply, 250 bytes each");
    let places = stage.places();
    if places.len() == 1 {
        measurement.notes.push("on one core: taskset is not installed".to_owned());
    }
    for _ in 0..stage.rounds {
        for (cores, place) in places {
            let floor = floor(stage, *cores).await?;
            ask(&mut measurement, &floor, "two bare round trips", place, (stage.size(5_000, 1_500), 1))
                .await?;
            let trio = ours(stage, *cores).await?;
            ask(&mut measurement, &trio, "ours", place, (stage.size(5_000, 1_500), 1)).await?;
            ask(&mut measurement, &trio, "ours", place, (stage.size(20_000, 5_000), IN_FLIGHT)).await?;
            if stage.lacks_node().is_none() {
                let trio = javascript(stage, *cores).await?;
                ask(&mut measurement, &trio, "JavaScript", place, (stage.size(2_000, 700), 1)).await?;
                ask(&mut measurement, &trio, "JavaScript", place, (stage.size(4_000, 1_000), IN_FLIGHT))
                    .await?;
            }
        }
    }
    measurement.notes.extend(stage.lacks_node().map(|why| format!("JavaScript: {why}")));
    for (_, place) in places {
        let pinned = *place == "on one core";
        let (most, least) =
            if pinned { (Target::AtMost(2.0), Target::AtLeast(6.0)) } else { (Target::None, Target::None) };
        for what in [format!("p50, one at a time, {place}"), format!("CPU, one at a time, {place}")] {
            measurement.ratio(("ours", &what), ("two bare round trips", &what), most);
            measurement.ratio(("JavaScript", &what), ("ours", &what), least);
        }
        let what = format!("CPU, 1000 in flight, {place}");
        measurement.ratio(("JavaScript", &what), ("ours", &what), Target::None);
    }
    Ok(measurement)
}

async fn floor(stage: &Stage, cores: Cores) -> Result<Trio, Failure> {
    let (asker, answerer) = (stage.role("envelope", cores)?, stage.role("envelope", cores)?);
    let serving = answerer.call("serve", json!({})).await?;
    asker.call("dial", json!({ "url": serving["url"] })).await?;
    Ok(Trio { asker, answerer, server: None })
}

async fn ours(stage: &Stage, cores: Cores) -> Result<Trio, Failure> {
    let (server, urls) = stage.emulator(cores).await?;
    let (asker, answerer) = (stage.role("ours", cores)?, stage.role("ours", cores)?);
    meet(asker, answerer, server, &urls).await
}

async fn javascript(stage: &Stage, cores: Cores) -> Result<Trio, Failure> {
    let (server, urls) = stage.emulator(cores).await?;
    let client = || stage.node("ftrack", "ftrack.cjs", cores);
    meet(client()?, client()?, server, &urls).await
}

async fn meet(asker: Puppet, answerer: Puppet, server: Puppet, urls: &Value) -> Result<Trio, Failure> {
    for party in [&asker, &answerer] {
        party.call("connect", json!({ "url": urls["ftrack"] })).await?;
    }
    answerer.call("serve", json!({})).await?;
    // The first one shows that all is well.
    asker.call("ask", json!({ "count": 1, "in_flight": 1 })).await?;
    Ok(Trio { asker, answerer, server: Some(server) })
}

async fn ask(
    measurement: &mut Measurement,
    trio: &Trio,
    party: &str,
    place: &str,
    (count, in_flight): (u64, u64),
) -> Result<(), Failure> {
    let how = if in_flight == 1 { "one at a time".to_owned() } else { format!("{in_flight} in flight") };
    let ask = async |count| trio.asker.call("ask", json!({ "count": count, "in_flight": in_flight })).await;
    ask(count / 5).await?;
    let all: Vec<&Puppet> = [&trio.asker, &trio.answerer].into_iter().chain(&trio.server).collect();
    let before = cpu_of(&all).await?;
    let got = ask(count).await?;
    let cpu = cpu_of(&all).await? - before;
    let events = figure(&got, "events");
    measurement.add(party, &format!("CPU, {how}, {place}"), "us", cpu / events);
    for (name, member) in [("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us")] {
        measurement.add(party, &format!("{name}, {how}, {place}"), "us", figure(&got, member));
    }
    measurement.add(
        party,
        &format!("round trips per second, {how}, {place}"),
        "1/s",
        events / figure(&got, "seconds"),
    );
    Ok(())
}
