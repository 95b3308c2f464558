//! What a journal costs: events a second with a sync for each group, what it adds at a steady pace to the time from the
//! wire to the handler, bytes on the disk, and how long a large file takes to open. Prints one table.
//!
//! A floor stands beside what is added: a bare file that gets the same bytes at the same pace, each lot synced before the
//! next one is written. That is the disk's share; what is added without syncs is the journal's own. `EVENT_JOURNAL_BENCH`
//! names the folder, `EVENT_JOURNAL_BENCH_RUNS` how often the pace is run, `EVENT_JOURNAL_BENCH_ONLY=pace` leaves out the
//! rest.
#![expect(clippy::print_stdout, reason = "prints its figures")]
#![expect(clippy::disallowed_methods, reason = "measures time")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, reason = "a benchmark")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use event_core::supervisor::{ReconnectPolicy, Supervised};
use event_core::transport::{
    Attempt, Capabilities, Confirmation, Guarantee, Guarantees, Inbound, Inbounds, Link, LinkInfo,
    LinkSender, NotSent, RawDelivery, Settlement, Transport,
};
use event_core::{Error, ErrorKind, Event, Expression, Result, Subscriber, SubscriptionSpec};
use event_journal::{Config, Fsync, Journal, Journaled};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tokio::runtime::Runtime;

const PAYLOAD: usize = 1_500;
const EVENTS: u64 = 150_000;
/// Events a second, and for how many seconds.
const PACE: u64 = 15_000;
const SECONDS: u64 = 5;
const RUNS: usize = 5;
const MANY: u64 = 1_000_000;

/// Delivers so many events, all at once or so many a second.
struct Wire {
    events: u64,
    each_second: Option<u64>,
}

/// An event that came `at` so many microseconds.
fn event(n: u64, at: u128) -> Event {
    let head = format!("{{\"id\":\"{n:036}\",\"topic\":\"t\",\"data\":{{\"at\":{at},\"pad\":\"");
    let pad = "x".repeat(PAYLOAD - head.len() - 4);
    Event::from_json(format!("{head}{pad}\"}}}}")).unwrap()
}

static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

fn origin() -> Instant {
    *ORIGIN.get_or_init(Instant::now)
}

/// When an event is due at a pace: some each millisecond.
fn due(n: u64, pace: u64) -> Duration {
    Duration::from_millis(n / (pace / 1_000))
}

#[async_trait]
impl Transport for Wire {
    fn name(&self) -> &'static str {
        "wire"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.guarantees = Guarantees::only(Guarantee::AtMostOnce);
        capabilities
    }

    async fn connect(&self, _attempt: Attempt) -> Result<Link> {
        let (events, pace) = (self.events, self.each_second);
        let began = Instant::now();
        let rx: Inbounds = Box::pin(stream::unfold(0, move |n| async move {
            if n >= events {
                return std::future::pending().await;
            }
            let mut at = origin().elapsed();
            if let Some(pace) = pace {
                // An event counts from when it was due: one that nobody took in time has waited for that.
                let due = began + due(n, pace);
                if due > Instant::now() {
                    tokio::time::sleep_until(due.into()).await;
                }
                at = due - origin();
            }
            Some((Ok(Inbound::Delivery(RawDelivery::matched(event(n, at.as_micros())))), n + 1))
        }));
        Ok(Link { info: LinkInfo::ready("wire"), tx: Box::new(Deaf), rx })
    }
}

struct Deaf;

#[async_trait]
impl LinkSender for Deaf {
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        Err(NotSent::new(event, Error::new(ErrorKind::Unsupported, "send", "nothing is sent here")))
    }

    async fn ready(&self) {}

    async fn subscribe(&self, _spec: &SubscriptionSpec) -> Result<()> {
        Ok(())
    }

    async fn unsubscribe(&self, _spec: &SubscriptionSpec) -> Result<()> {
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {}
}

/// Reads a link until so many events came, settling each; the time from wire to reader of each, in microseconds.
async fn drain(transport: impl Transport, spec: &SubscriptionSpec, events: u64) -> (Duration, Vec<u64>) {
    let Link { tx, mut rx, .. } = transport.connect(Attempt::first()).await.unwrap();
    let began = Instant::now();
    let (mut took, mut settling) = (Vec::new(), FuturesUnordered::new());
    let tx: Arc<dyn LinkSender> = Arc::from(tx);
    {
        let subscribing = tx.subscribe(spec);
        tokio::pin!(subscribing);
        let mut subscribed = false;
        while (took.len() as u64) < events || !settling.is_empty() {
            tokio::select! {
                biased;
                outcome = &mut subscribing, if !subscribed => {
                    outcome.unwrap();
                    subscribed = true;
                }
                Some(()) = settling.next(), if !settling.is_empty() => {}
                item = rx.next() => {
                    let Some(Ok(Inbound::Delivery(delivery))) = item else { continue };
                    let at = delivery.event.data_value()["at"].as_u64().unwrap();
                    let now = u64::try_from(origin().elapsed().as_micros()).unwrap();
                    took.push(now.saturating_sub(at));
                    if let Some(token) = delivery.token {
                        let tx = Arc::clone(&tx);
                        settling.push(async move { tx.settle(token, Settlement::Complete).await.unwrap() });
                    }
                }
            }
        }
    }
    (began.elapsed(), took)
}

fn spec(durable: bool) -> SubscriptionSpec {
    let mut spec = SubscriptionSpec::new(Subscriber::new("s"), Some(Expression::parse("topic=t").unwrap()));
    if durable {
        spec.durable = Some("bench".to_owned());
        spec.require = Guarantee::AtLeastOnce;
        spec.in_flight = Some(1_024);
    }
    spec
}

fn supervised(events: u64, each_second: Option<u64>) -> impl Transport {
    Supervised::new(Arc::new(Wire { events, each_second }), ReconnectPolicy::default())
}

fn percentile(took: &mut [u64], of: f64) -> f64 {
    took.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (took.len() as f64 * of) as usize;
    took[at.min(took.len() - 1)] as f64 / 1_000.0
}

async fn open(path: &Path) -> Journal {
    open_with(path, Config::default()).await
}

async fn open_with(path: &Path, mut config: Config) -> Journal {
    config.retention.bytes = u64::MAX;
    Journal::open(path, config).await.unwrap()
}

#[cfg(unix)]
fn on_disk(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(path).unwrap()) * 512
}

#[cfg(not(unix))]
fn on_disk(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

fn main() {
    // As cargo runs it for tests: nothing is measured.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let given = std::env::var_os("EVENT_JOURNAL_BENCH");
    let folder = given.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(measure(folder.path()));
}

async fn measure(folder: &Path) {
    origin();
    let runs = std::env::var("EVENT_JOURNAL_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok());
    println!("| what | figure |\n|---|---|");
    println!("| load of the machine before | {} |", load());
    pace(folder, runs.unwrap_or(RUNS)).await;
    if std::env::var_os("EVENT_JOURNAL_BENCH_ONLY").is_none() {
        full_speed(folder).await;
        opening(folder).await;
    }
    println!("| load of the machine after | {} |", load());
}

/// Of the last minute, and how many processors there are for it.
fn load() -> String {
    let read = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} on {processors} processors", read.split(' ').next().unwrap_or("unknown"))
}

async fn full_speed(folder: &Path) {
    let (bare, _) = drain(supervised(EVENTS, None), &spec(false), EVENTS).await;
    let journal = open(&folder.join("fast")).await;
    let (kept, _) =
        drain(Journaled::new(supervised(EVENTS, None), journal.clone()), &spec(true), EVENTS).await;
    journal.close().await;
    let rate = |took: Duration, events: u64| events as f64 / took.as_secs_f64();
    println!("| at full speed, without a journal | {:.0} events/s |", rate(bare, EVENTS));
    println!("| with, each group synced, each event settled | {:.0} events/s |", rate(kept, EVENTS));
    println!("| ratio | {:.3} |", rate(kept, EVENTS) / rate(bare, EVENTS));
    let disk = on_disk(&folder.join("fast")) as f64 / (EVENTS * PAYLOAD as u64) as f64;
    println!("| bytes on disk for each byte of payload | {disk:.2} |");
}

/// What one run at a pace showed, in milliseconds.
struct Run {
    without: [f64; 2],
    with: [f64; 2],
    unsynced: [f64; 2],
    floor: [f64; 2],
    sync: [f64; 2],
}

/// One after the other, several times: the machine is not equally busy all the time.
async fn pace(folder: &Path, runs: usize) {
    let events = PACE * SECONDS;
    let of = |mut took: Vec<u64>| [percentile(&mut took, 0.5), percentile(&mut took, 0.99)];
    let mut seen = Vec::new();
    for run in 0..runs {
        let (_, without) = drain(supervised(events, Some(PACE)), &spec(false), events).await;
        let path = folder.join(format!("paced-{run}"));
        let journal = open(&path).await;
        let (_, with) =
            drain(Journaled::new(supervised(events, Some(PACE)), journal.clone()), &spec(true), events).await;
        journal.close().await;
        if run == 0 {
            let disk = on_disk(&path) as f64 / (events * PAYLOAD as u64) as f64;
            println!("| bytes on disk for each byte of payload, at {PACE} events/s | {disk:.2} |");
        }
        std::fs::remove_file(&path).unwrap();
        let mut config = Config::default();
        config.fsync = Fsync::Never;
        let journal = open_with(&path, config).await;
        let (_, unsynced) =
            drain(Journaled::new(supervised(events, Some(PACE)), journal.clone()), &spec(true), events).await;
        journal.close().await;
        std::fs::remove_file(&path).unwrap();
        let path = folder.join("floor");
        let (floor, sync) = tokio::task::spawn_blocking(move || floor(&path, events)).await.unwrap();
        seen.push(Run {
            without: of(without),
            with: of(with),
            unsynced: of(unsynced),
            floor: of(floor),
            sync: of(sync),
        });
    }
    for (at, name) in [(0, "p50"), (1, "p99")] {
        let row = |what: &str, figure: &dyn Fn(&Run) -> f64| {
            let mut figures: Vec<f64> = seen.iter().map(figure).collect();
            figures.sort_unstable_by(f64::total_cmp);
            let (least, most) = (figures[0], figures[runs - 1]);
            println!("| {name}, {what} | {:.2} ms ({least:.2} to {most:.2}) |", figures[runs / 2]);
        };
        println!("| at {PACE} events/s, middle of {runs} runs, least and most: | |");
        row("wire to reader without a journal", &|run| run.without[at]);
        row("with", &|run| run.with[at]);
        row("**added**", &|run| run.with[at] - run.without[at]);
        row("added, syncs left to the system", &|run| run.unsynced[at] - run.without[at]);
        row("the floor: a bare file, one sync for each lot", &|run| run.floor[at]);
        row("one sync of that file", &|run| run.sync[at]);
    }
}

/// The same bytes at the same pace into a bare file: how long each event waited until it was on the disk, and how long
/// each write and sync took, in microseconds.
fn floor(path: &Path, events: u64) -> (Vec<u64>, Vec<u64>) {
    let mut file = File::create(path).unwrap();
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap();
    let (mut waits, mut syncs) = (Vec::new(), Vec::new());
    let (began, mut written) = (Instant::now(), 0);
    let mut lot = Vec::new();
    while written < events {
        if let Some(rest) = due(written, PACE).checked_sub(began.elapsed()) {
            std::thread::sleep(rest);
        }
        let came = (written..events).take_while(|n| due(*n, PACE) <= began.elapsed()).count() as u64;
        lot.resize(usize::try_from(came).unwrap() * PAYLOAD, b'x');
        let writing = Instant::now();
        file.write_all(&lot).unwrap();
        file.sync_data().unwrap();
        syncs.push(micros(writing.elapsed()));
        let now = began.elapsed();
        waits.extend((written..written + came).map(|n| micros(now.saturating_sub(due(n, PACE)))));
        written += came;
    }
    std::fs::remove_file(path).unwrap();
    (waits, syncs)
}

async fn opening(folder: &Path) {
    let (path, busy, rested) = (folder.join("many"), folder.join("busy"), folder.join("rested"));
    // A copy of a file in use is what a crash leaves behind.
    let mut config = Config::default();
    config.checkpoint = Duration::MAX;
    let journal = open_with(&path, config).await;
    drain(Journaled::new(supervised(MANY, None), journal.clone()), &spec(true), MANY).await;
    std::fs::copy(&path, &busy).unwrap();
    journal.close().await;
    let journal = open(&path).await;
    std::fs::copy(&path, &rested).unwrap();
    journal.close().await;
    let after = ["a close", "a crash, nothing written for a while", "a crash while it was written"];
    for (path, after) in [&path, &rested, &busy].into_iter().zip(after) {
        let began = Instant::now();
        let journal = open(path).await;
        println!(
            "| open with {MANY} stored events, after {after} | {:.2} s |",
            began.elapsed().as_secs_f64()
        );
        journal.close().await;
    }
}
