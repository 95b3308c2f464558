//! (k) `hubctl tail` into `wc -l`, beside the library alone.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use interop::{Failure, Puppet};
use serde_json::json;

use super::receive::receive;
use crate::figures::{Measurement, Target};
use crate::party::failed;
use crate::payload::TOPIC;
use crate::stage::{Cores, Stage, figure};
use crate::usage;

const CPU: &str = "CPU per event";
const RATE: &str = "events per second";
const LINES: &str = "lines of 100 events";
/// How often an ending process is looked at.
const GLANCE: Duration = Duration::from_millis(1);

/// The forms of output: name, option.
const FORMS: [(&str, &str); 2] = [("hubctl tail -o json", "json"), ("hubctl tail", "line")];

pub(super) async fn run(stage: &Stage) -> Result<Measurement, Failure> {
    let count = stage.size(100_000, 20_000);
    let title =
        format!("hubctl tail of {count} ftrack.update of 1.5 kB into wc -l; its start and end included");
    let mut measurement = Measurement::new("k", &title);
    let hubctl = stage.beside("hubctl");
    if !hubctl.exists() {
        measurement.notes.push("hubctl: it is not built; cargo xtask bench builds it".to_owned());
        return Ok(measurement);
    }
    let (server, urls) = stage.emulator(Cores::All).await?;
    for _ in 0..stage.rounds {
        let party = stage.role("ours", Cores::All)?;
        party.call("connect", json!({ "url": urls["ftrack"] })).await?;
        party.call("subscribe", json!({ "expression": format!("topic={TOPIC}") })).await?;
        let got = receive(&server, &party, count).await?;
        measurement.add("ours", CPU, "us", figure(&got, "cpu_us") / figure(&got, "events"));
        measurement.add("ours", RATE, "1/s", figure(&got, "events") / figure(&got, "seconds"));
        drop(party);
        server.call("wait", json!({ "open": 0 })).await?;
        for (name, form) in FORMS {
            let url = urls["ftrack"].as_str().unwrap_or_default();
            tailed(&mut measurement, name, Pipe::start(&hubctl, url, form, count)?, &server, count).await?;
        }
    }
    for (name, _) in FORMS {
        measurement.ratio((name, CPU), ("ours", CPU), Target::None);
    }
    Ok(measurement)
}

async fn tailed(
    measurement: &mut Measurement,
    name: &str,
    pipe: Pipe,
    server: &Puppet,
    count: u64,
) -> Result<(), Failure> {
    // Its own, and the one for replies.
    server.call("wait", json!({ "subscriptions": 2 })).await?;
    #[expect(clippy::disallowed_methods, reason = "measures")]
    let began = Instant::now();
    server.call("blast", json!({ "count": count })).await?;
    let (lines, cpu_us) = tokio::task::spawn_blocking(move || pipe.end()).await.map_err(failed)??;
    let seconds = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "few enough")]
    let (events, lines) = (count as f64, lines as f64);
    measurement.add(name, CPU, "us", cpu_us / events);
    measurement.add(name, RATE, "1/s", events / seconds);
    measurement.add(name, LINES, "", lines / events * 100.0);
    server.call("wait", json!({ "open": 0 })).await?;
    Ok(())
}

/// `hubctl tail ... | wc -l`.
struct Pipe {
    tail: Child,
    wc: Child,
}

impl Pipe {
    fn start(hubctl: &Path, url: &str, form: &str, count: u64) -> Result<Self, Failure> {
        let mut tail = Command::new(hubctl)
            .args([
                "tail",
                &format!("topic={TOPIC}"),
                "-o",
                form,
                "-n",
                &count.to_string(),
                "--timeout",
                "120",
            ])
            .env("FTRACK_SERVER", url)
            .env("FTRACK_API_USER", "ann")
            .env("FTRACK_API_KEY", "her-key")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let out = tail.stdout.take().ok_or_else(|| Failure::new("hubctl has no output"))?;
        let wc = Command::new("wc").arg("-l").stdin(out).stdout(Stdio::piped()).spawn().map_err(failed)?;
        Ok(Self { tail, wc })
    }

    /// Waits for both: how many lines there were, and the processor time of `hubctl`.
    fn end(mut self) -> Result<(u64, f64), Failure> {
        let counted = self.wc.wait_with_output().map_err(failed)?;
        let lines = String::from_utf8_lossy(&counted.stdout).trim().parse().map_err(failed)?;
        // It has ended and is not taken away yet: its whole time is known.
        while usage::has_ended(self.tail.id()) == Some(false) {
            #[expect(clippy::disallowed_methods, reason = "a thread of its own, which waits for a process")]
            std::thread::sleep(GLANCE);
        }
        let cpu_us = usage::cpu_us_of(self.tail.id()).unwrap_or(f64::NAN);
        let status = self.tail.wait().map_err(failed)?;
        if status.success() { Ok((lines, cpu_us)) } else { Err(Failure::new(format!("hubctl: {status}"))) }
    }
}
