//! (f) Expressions: parsing them, and asking them about the recorded event.

use interop::{Failure, Puppet};
use serde_json::{Value, json};

use crate::figures::{Measurement, Target};
use crate::payload;
use crate::stage::{Cores, Stage, figure};

/// Those that are parsed and asked.
const TEXTS: [&str; 5] = [
    "topic=ftrack.update",
    "topic=ftrack.*",
    "topic=ftrack.update and source.user.username=anna.lindqvist@example.com",
    "topic=ftrack.update and (data.user.name=\"Anna Lindqvist\" or data.user.name=nobody)",
    "not topic=ftrack.action.launch and source.applicationId=ftrack.client.web",
];

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let mut measurement = Measurement::new("f", "expressions: parsing and matching");
    let event: Value = serde_json::from_slice(&payload::update()?.to_json())
        .map_err(|error| Failure::new(error.to_string()))?;
    for _ in 0..stage.rounds {
        let ours = stage.role("ours", Cores::All)?;
        ask(&mut measurement, "ours", &ours, &event, stage.size(200_000, 50_000)).await?;
        if stage.lacks_python().is_none() {
            let python = stage.python("ftrack.py")?;
            ask(&mut measurement, "Python", &python, &event, stage.size(1_000, 300)).await?;
        }
    }
    measurement.notes.extend(stage.lacks_python().map(|why| format!("Python: {why}")));
    measurement.ratio(("Python", "parsing"), ("ours", "parsing"), Target::None);
    measurement.ratio(("Python", "matching"), ("ours", "matching"), Target::None);
    Ok(measurement)
}

async fn ask(
    measurement: &mut Measurement,
    name: &str,
    party: &Puppet,
    event: &Value,
    count: u64,
) -> Result<(), Failure> {
    let args = json!({ "texts": TEXTS, "event": event, "count": count });
    let got = party.call("expressions", args).await?;
    for (what, member) in [("parsing", "parse"), ("matching", "match")] {
        let part = &got[member];
        measurement.add(name, what, "us", figure(part, "cpu_us") / figure(part, "events"));
    }
    Ok(())
}
