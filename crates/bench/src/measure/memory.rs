//! (h) Memory: the heap of an idle subscription, by an allocator that counts, and an idle connected hub.

use interop::{Failure, Puppet};
use serde_json::json;
use tokio::process::Command;

use crate::figures::{Measurement, Target};
use crate::stage::{Cores, Stage, figure};

const EACH: &str = "heap of an idle subscription";
const PROCESS: &str = "resident memory of an idle connected hub";

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement = Measurement::new(
        "h",
        "memory: 10,000 streams of topic=.. and data.x=.., buffer 1,024; an idle process",
    );
    let count = 10_000;
    for _ in 0..stage.rounds {
        let (_server, urls) = stage.emulator(Cores::All).await?;
        let heap = Puppet::start("bench-heap", Command::new(stage.beside("bench-heap")))?;
        heap.call("connect", json!({ "url": urls["ftrack"] })).await?;
        let got = heap.call("subscribe", json!({ "count": count })).await?;
        measurement.add("ours", EACH, "KiB", figure(&got, "bytes") / f64::from(count) / 1024.0);
        let idle = stage.role("ours", Cores::All)?;
        idle.call("connect", json!({ "url": urls["ftrack"] })).await?;
        let got = idle.call("usage", json!({})).await?;
        measurement.add("ours", PROCESS, "MiB", figure(&got, "resident_kib") / 1024.0);
    }
    measurement.bound("ours", EACH, "KiB", Target::AtMost(1.0));
    measurement.bound("ours", PROCESS, "MiB", Target::AtMost(10.0));
    Ok(measurement)
}
