//! (e) Long polling: events of 280 bytes that wait in a queue, taken one at a time.

use interop::{Failure, Puppet};
use serde_json::json;

use crate::figures::{Measurement, Target};
use crate::stage::{Cores, Stage, figure};

const CPU: &str = "CPU per event";

/// Name, and the command that takes the events.
const PARTIES: [(&str, &str); 5] = [
    ("bare reqwest", "bare"),
    ("ours, ReceiveAndDelete", "receive"),
    ("bare reqwest, PeekLock", "bare_peek"),
    ("ours, PeekLock", "peek"),
    ("official client", "receive"),
];

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement = Measurement::new("e", "long polling, one event of 280 bytes at a time");
    let (_server, urls) = stage.emulator(Cores::All).await?;
    let url = &urls["imodelhub"];
    let count = stage.size(2_000, 500);
    for _ in 0..stage.rounds {
        for (name, command) in PARTIES {
            let party: Puppet = if name != "official client" {
                stage.role("http", Cores::All)?
            } else if stage.lacks_node().is_none() {
                stage.node("imodelhub", "imodelhub.cjs", Cores::All)?
            } else {
                continue;
            };
            party.call("connect", json!({ "url": url })).await?;
            for (count, counts) in [(count / 5, false), (count, true)] {
                party.call("queue", json!({ "count": count })).await?;
                let got = party.call(command, json!({ "count": count })).await?;
                if counts {
                    let events = figure(&got, "events");
                    measurement.add(name, CPU, "us", figure(&got, "cpu_us") / events);
                    measurement.add(name, "events per second", "1/s", events / figure(&got, "seconds"));
                    measurement.add(name, "peak memory", "MiB", figure(&got, "peak_kib") / 1024.0);
                }
            }
        }
    }
    measurement.notes.extend(stage.lacks_node().map(|why| format!("official client: {why}")));
    measurement.ratio(("ours, ReceiveAndDelete", CPU), ("bare reqwest", CPU), Target::AtMost(1.3));
    measurement.ratio(("ours, PeekLock", CPU), ("bare reqwest, PeekLock", CPU), Target::None);
    measurement.ratio(("official client", CPU), ("ours, ReceiveAndDelete", CPU), Target::AtLeast(10.0));
    Ok(measurement)
}
