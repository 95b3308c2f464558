//! (e) Long polling: events of 280 bytes that wait in a queue, taken one at a time.

use interop::{Failure, Puppet};
use serde_json::json;

use crate::figures::{Measurement, Target};
use crate::stage::{Stage, figure};

/// Name, and the command that takes the events.
const PARTIES: [(&str, &str); 5] = [
    (BARE, "bare"),
    (OURS, "receive"),
    ("bare reqwest, PeekLock", "bare_peek"),
    ("ours, PeekLock", "peek"),
    (OFFICIAL, "receive"),
];
const BARE: &str = "bare reqwest";
const OURS: &str = "ours, ReceiveAndDelete";
const OFFICIAL: &str = "official client";

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement = Measurement::new("e", "long polling, one event of 280 bytes at a time");
    let places = stage.places();
    if places.len() == 1 {
        measurement.notes.push("on one core: taskset is not installed".to_owned());
    }
    let servers = {
        let mut servers = Vec::new();
        for (cores, _) in places {
            servers.push(stage.emulator(*cores).await?);
        }
        servers
    };
    for _ in 0..stage.rounds {
        for ((cores, place), (_server, urls)) in places.iter().zip(&servers) {
            for (name, command) in PARTIES {
                let party: Puppet = if name != OFFICIAL {
                    stage.role("http", *cores)?
                } else if stage.lacks_node().is_none() {
                    stage.node("imodelhub", "imodelhub.cjs", *cores)?
                } else {
                    continue;
                };
                party.call("connect", json!({ "url": urls["imodelhub"] })).await?;
                take(stage, &mut measurement, &party, (name, command), place).await?;
            }
        }
    }
    measurement.notes.extend(stage.lacks_node().map(|why| format!("official client: {why}")));
    for (cores, place) in places {
        // Between two cores, most of it is the kernel's: it wakes the other one up for every event.
        let target = |target| if *cores == places[0].0 { target } else { Target::None };
        let cpu = cpu(place);
        measurement.ratio((OURS, &cpu), (BARE, &cpu), target(Target::AtMost(1.3)));
        measurement.ratio(("ours, PeekLock", &cpu), ("bare reqwest, PeekLock", &cpu), Target::None);
        measurement.ratio((OFFICIAL, &cpu), (OURS, &cpu), target(Target::AtLeast(10.0)));
    }
    Ok(measurement)
}

fn cpu(place: &str) -> String {
    format!("CPU per event, {place}")
}

/// A few events to get going, and then those that count.
async fn take(
    stage: &Stage,
    measurement: &mut Measurement,
    party: &Puppet,
    (name, command): (&str, &str),
    place: &str,
) -> Result<(), Failure> {
    let count = stage.size(2_000, 500);
    for (count, counts) in [(count / 5, false), (count, true)] {
        party.call("queue", json!({ "count": count })).await?;
        let got = party.call(command, json!({ "count": count })).await?;
        if counts {
            let events = figure(&got, "events");
            measurement.add(name, &cpu(place), "us", figure(&got, "cpu_us") / events);
            let rate = format!("events per second, {place}");
            measurement.add(name, &rate, "1/s", events / figure(&got, "seconds"));
            measurement.add(name, &format!("peak memory, {place}"), "MiB", figure(&got, "peak_kib") / 1024.0);
        }
    }
    Ok(())
}
