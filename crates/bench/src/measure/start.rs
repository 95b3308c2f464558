//! (i) From the start of a process to its first event.

use std::time::Instant;

use interop::{Failure, Puppet};
use serde_json::json;

use super::receive::receive;
use crate::figures::{Measurement, Target};
use crate::payload::TOPIC;
use crate::stage::{Cores, Stage};

const WHAT: &str = "start to first event";

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement = Measurement::new("i", "from the start of the process to its first event");
    let (server, urls) = stage.emulator(Cores::All).await?;
    for _ in 0..stage.rounds {
        for name in ["ours", "JavaScript", "Python"] {
            #[expect(clippy::disallowed_methods, reason = "measures")]
            let began = Instant::now();
            let party: Puppet = match name {
                "ours" => stage.role("ours", Cores::All)?,
                "JavaScript" if stage.lacks_node().is_none() => {
                    stage.node("ftrack", "ftrack.cjs", Cores::All)?
                }
                "Python" if stage.lacks_python().is_none() => stage.python("ftrack.py")?,
                _ => continue,
            };
            party.call("connect", json!({ "url": urls["ftrack"] })).await?;
            party.call("subscribe", json!({ "expression": format!("topic={TOPIC}") })).await?;
            receive(&server, &party, 1).await?;
            measurement.add(name, WHAT, "ms", began.elapsed().as_secs_f64() * 1e3);
            drop(party);
            server.call("wait", json!({ "open": 0 })).await?;
        }
    }
    measurement.notes.extend(stage.lacks_node().map(|why| format!("JavaScript: {why}")));
    measurement.notes.extend(stage.lacks_python().map(|why| format!("Python: {why}")));
    measurement.ratio(("JavaScript", WHAT), ("ours", WHAT), Target::None);
    measurement.ratio(("Python", WHAT), ("ours", WHAT), Target::None);
    Ok(measurement)
}
