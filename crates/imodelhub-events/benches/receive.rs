//! What an event costs its receiver: ours in both modes, beside the official client.
//!
//! ```sh
//! OFFICIAL_CLIENT_DIR=/some/folder cargo bench -p imodelhub-events --bench receive
//! ```
//!
//! 2,000 ChangeSetPostPushEvents wait in a queue of an emulator in another process, and are taken one at a time with a
//! timeout of 60 s. Each round of each client is a process of its own, and they take turns; the medians count. CPU is
//! the user and system time of the client's process while it drains, and memory its peak since it was started, both
//! from `/proc`, so on Linux only; elsewhere the columns say `n/a`.
//!
//! On a virtual machine most of our CPU time can be the kernel's, for waking the idle processor on which the emulator
//! runs. `taskset -c 0 cargo bench ...` leaves that out, for all clients alike.
//!
//! The folder is one in which the official client was installed, as `official_client.mjs` says. Without it, or without
//! Node.js, only ours is measured. `ROUNDS` says how many rounds, 5 if it is not set.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use imodelhub_events::{AccessToken, Environment, EventType, IModelHubClient, IModelId};
use serde_json::{Value, json};

const EVENTS: u32 = 2_000;
const TIMEOUT: Option<Duration> = Some(Duration::from_secs(60));
/// As the kernel shows them in `/proc`, whatever it counts inside.
const TICKS_PER_SECOND: f64 = 100.0;
const CLIENTS: [&str; 3] = ["ReceiveAndDelete", "PeekLock", "official client"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--drain", mode, url] => println!("{}", drain(mode, url)),
        // `cargo bench` gives it; `cargo test --benches` does not.
        ref other if other.contains(&"--bench") => compare(),
        _ => println!("a benchmark: run it with `cargo bench -p imodelhub-events --bench receive`"),
    }
}

/// One round of one of our modes, in a process of its own.
fn drain(mode: &str, url: &str) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let environment = Environment::Url(url.to_owned());
        let client = IModelHubClient::builder(environment, AccessToken::bearer("jwt")).build().unwrap();
        let imodel = uuid::Uuid::new_v4().to_string();
        let id = IModelId::new(&imodel).unwrap();
        let subscription = client.create_subscription(&id, &[EventType::ChangeSetPostPush]).await.unwrap();
        publish(url, &imodel);
        let (cpu, started) = (cpu_ms(), Instant::now());
        for n in 0..EVENTS {
            let event = if mode == "PeekLock" {
                let locked = client.peek_event(&subscription, TIMEOUT).await.unwrap().expect("an event");
                locked.delete().await.unwrap();
                locked.event().clone()
            } else {
                client.get_event(&subscription, TIMEOUT).await.unwrap().expect("an event")
            };
            assert_eq!(event.sequence_number(), Some(u64::from(n) + 1));
            event.imodel().unwrap();
        }
        let seconds = started.elapsed().as_secs_f64();
        let cpu = cpu_ms().zip(cpu).map(|(after, before)| after - before);
        let left = client.peek_event(&subscription, None).await.unwrap();
        assert!(left.is_none(), "the queue is empty");
        json!({"seconds": seconds, "cpuMs": cpu, "peakKib": peak_kib()})
    })
}

/// Queues the events by the emulator's admin route.
fn publish(url: &str, imodel: &str) {
    // The fields of a recorded event, 280 bytes of JSON.
    let mut event = json!({
        "EventTopic": imodel,
        "FromEventSubscriptionId": "b7b2f3c8-5d2e-4a57-9e1b-0c7d9a4f1e62",
        "ToEventSubscriptionId": "",
        "BriefcaseId": 2,
        "ChangeSetId": "0123456789abcdef0123456789abcdef01234567",
        "ChangeSetIndex": "1",
        "Filler": "",
    });
    let short = 280_usize.saturating_sub(event.to_string().len());
    event["Filler"] = json!("x".repeat(short));
    let body = json!({"type": "ChangeSetPostPushEvent", "count": EVENTS, "body": event}).to_string();
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /admin/imodels/{imodel}/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""recipients":1"#), "{answer}");
}

/// User and system time of this process so far.
fn cpu_ms() -> Option<f64> {
    threads_ms().or_else(ticks_ms)
}

/// In nanoseconds, thread by thread, where the kernel keeps these statistics.
fn threads_ms() -> Option<f64> {
    let mut nanoseconds = 0_u64;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let statistics = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += statistics.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    (nanoseconds > 0).then(|| nanoseconds as f64 / 1_000_000.0)
}

/// In ticks, which are coarse: one is 0.005 ms per event.
fn ticks_ms() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may have spaces; the fields after it are numbered from 3.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(14 - 3)?.parse::<u32>().ok()? + fields.get(15 - 3)?.parse::<u32>().ok()?;
    Some(f64::from(ticks) * 1_000.0 / TICKS_PER_SECOND)
}

/// The most memory that this process has had.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The emulator, in a process of its own, ended with this.
struct Emulator {
    process: Child,
    url: String,
}

impl Emulator {
    fn start() -> Self {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "-p", "hub-emulator"])
            .status()
            .expect("cargo");
        assert!(built.success(), "the emulator could not be built");
        // The program itself and not `cargo run`, which would leave it behind when it is ended. This benchmark is in
        // target/release/deps.
        let here = std::env::current_exe().unwrap();
        let folder = here.ancestors().nth(2).unwrap();
        let program = folder.join(format!("hub-emulator{}", std::env::consts::EXE_SUFFIX));
        let mut process = Command::new(&program)
            .args(["--imodelhub", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).expect("the ready line");
        let url = ready["imodelhub"].as_str().expect("an URL").to_owned();
        Self { process, url }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What was measured of one client.
#[derive(Default)]
struct Samples {
    per_second: Vec<f64>,
    cpu_ms: Vec<f64>,
    peak_mib: Vec<f64>,
}

impl Samples {
    fn add(&mut self, round: &Value) {
        let events = f64::from(EVENTS);
        self.per_second.push(events / round["seconds"].as_f64().unwrap());
        self.cpu_ms.extend(round["cpuMs"].as_f64().map(|cpu| cpu / events));
        self.peak_mib.extend(round["peakKib"].as_f64().map(|kib| kib / 1_024.0));
    }
}

/// A median and its range, when there is one.
struct Spread(Option<(f64, f64, f64)>, usize);

impl Spread {
    fn of(samples: &[f64], digits: usize) -> Self {
        let mut samples = samples.to_vec();
        samples.sort_by(f64::total_cmp);
        let middle = samples.get(samples.len() / 2).copied();
        Self(middle.map(|middle| (middle, samples[0], samples[samples.len() - 1])), digits)
    }

    fn median(&self) -> Option<f64> {
        self.0.map(|(middle, ..)| middle)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.1;
        match self.0 {
            Some((middle, low, high)) => {
                f.pad(&format!("{middle:.digits$} ({low:.digits$}-{high:.digits$})"))
            }
            None => f.pad("n/a"),
        }
    }
}

/// How to start the official client, when it is there.
fn official() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("OFFICIAL_CLIENT_DIR").map(PathBuf::from) else {
        println!("official client: skipped, OFFICIAL_CLIENT_DIR is not set");
        return None;
    };
    if !folder.join("node_modules/@bentley/imodelhub-client").is_dir() {
        println!("official client: skipped, it is not installed in {}", folder.display());
        return None;
    }
    let node = Command::new("node").arg("--version").output();
    let Ok(node) = node else {
        println!("official client: skipped, there is no Node.js");
        return None;
    };
    println!("official client: Node.js {}", String::from_utf8_lossy(&node.stdout).trim());
    Some(folder)
}

fn one_round(client: &str, official: Option<&Path>, url: &str) -> Option<Value> {
    let mut command = if client == CLIENTS[2] {
        let mut command = Command::new("node");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/official_client.mjs"));
        command.args([url, &EVENTS.to_string()]).current_dir(official?);
        command
    } else {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--drain", client, url]);
        command
    };
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{client}: {}", output.status);
    Some(serde_json::from_slice(&output.stdout).expect("a line of JSON"))
}

fn compare() {
    let rounds = std::env::var("ROUNDS").map_or(5, |rounds| rounds.parse().expect("ROUNDS is a number"));
    let official = official();
    let emulator = Emulator::start();
    let mut samples: [Samples; 3] = Default::default();
    for _ in 0..rounds {
        for (client, samples) in CLIENTS.iter().zip(&mut samples) {
            if let Some(round) = one_round(client, official.as_deref(), &emulator.url) {
                samples.add(&round);
            }
        }
    }
    if samples[0].cpu_ms.is_empty() {
        println!("CPU and memory are read from /proc, which this system does not have");
    }
    println!("{EVENTS} events of 280 bytes, one at a time; median of {rounds} rounds (lowest-highest)\n");
    println!("{:<18}{:>26}{:>26}{:>26}", "", "events/s", "CPU ms per event", "peak RSS MiB");
    let spreads: Vec<[Spread; 3]> = samples
        .iter()
        .map(|of| [Spread::of(&of.per_second, 0), Spread::of(&of.cpu_ms, 3), Spread::of(&of.peak_mib, 1)])
        .collect();
    for (client, [rate, cpu, peak]) in CLIENTS.iter().zip(&spreads) {
        println!("{client:<18}{rate:>26}{cpu:>26}{peak:>26}");
    }
    println!();
    let [ours, locked, theirs] = &spreads[..] else { return };
    ratio("ours / official, CPU", ours[1].median(), theirs[1].median(), 0.1);
    ratio("ours / official, memory", ours[2].median(), theirs[2].median(), 0.2);
    ratio("PeekLock / ReceiveAndDelete, CPU", locked[1].median(), ours[1].median(), 2.2);
    // Time is the inverse of the rate.
    ratio("PeekLock / ReceiveAndDelete, time", ours[0].median(), locked[0].median(), 2.2);
}

fn ratio(what: &str, left: Option<f64>, right: Option<f64>, most: f64) {
    let Some((left, right)) = left.zip(right) else {
        println!("{what:<36}   n/a");
        return;
    };
    let ratio = left / right;
    let verdict = if ratio <= most { "met" } else { "MISSED" };
    println!("{what:<36}{ratio:>6.3}   target: at most {most:<4} {verdict}");
}
