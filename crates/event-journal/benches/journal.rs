//! What a journal costs: events a second with a sync for each group, what it adds to the time from the wire to the
//! handler, bytes on the disk, and how long a large file takes to open. Prints one table; the folder can be given.
#![expect(clippy::print_stdout, reason = "prints its figures")]
#![expect(clippy::disallowed_methods, reason = "measures time")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, reason = "a benchmark")]

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
use event_journal::{Config, Journal, Journaled};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tokio::runtime::Runtime;

const PAYLOAD: usize = 1_500;
const EVENTS: u64 = 150_000;
const PACED: u64 = 15_000;
const MANY: u64 = 1_000_000;

/// Delivers so many events, all at once or so many a second.
struct Wire {
    events: u64,
    each_second: Option<u64>,
}

fn event(n: u64, origin: Instant) -> Event {
    let head = format!(
        "{{\"id\":\"{n:036}\",\"topic\":\"t\",\"data\":{{\"at\":{},\"pad\":\"",
        origin.elapsed().as_micros()
    );
    let pad = "x".repeat(PAYLOAD - head.len() - 4);
    Event::from_json(format!("{head}{pad}\"}}}}")).unwrap()
}

static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

fn origin() -> Instant {
    *ORIGIN.get_or_init(Instant::now)
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
        let began = tokio::time::Instant::now();
        let rx: Inbounds = Box::pin(stream::unfold(0, move |n| async move {
            if n >= events {
                return std::future::pending().await;
            }
            if let Some(pace) = pace
                && n % (pace / 1_000) == 0
            {
                tokio::time::sleep_until(began + Duration::from_millis(n / (pace / 1_000))).await;
            }
            Some((Ok(Inbound::Delivery(RawDelivery::matched(event(n, origin())))), n + 1))
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
    let mut config = Config::default();
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
    println!("| what | figure |\n|---|---|");
    let (bare, _) = drain(supervised(EVENTS, None), &spec(false), EVENTS).await;
    let journal = open(&folder.join("fast")).await;
    let (kept, _) =
        drain(Journaled::new(supervised(EVENTS, None), journal.clone()), &spec(true), EVENTS).await;
    journal.close().await;
    let rate = |took: Duration, events: u64| events as f64 / took.as_secs_f64();
    println!("| without a journal | {:.0} events/s |", rate(bare, EVENTS));
    println!("| with, each group synced, each event settled | {:.0} events/s |", rate(kept, EVENTS));
    println!("| ratio | {:.3} |", rate(kept, EVENTS) / rate(bare, EVENTS));
    let disk = on_disk(&folder.join("fast")) as f64 / (EVENTS * PAYLOAD as u64) as f64;
    println!("| bytes on disk for each byte of payload, at full speed | {disk:.2} |");

    let paced = PACED * 5;
    let (_, mut bare) = drain(supervised(paced, Some(PACED)), &spec(false), paced).await;
    let journal = open(&folder.join("paced")).await;
    let (_, mut kept) =
        drain(Journaled::new(supervised(paced, Some(PACED)), journal.clone()), &spec(true), paced).await;
    journal.close().await;
    for of in [0.5, 0.99] {
        let (without, with) = (percentile(&mut bare, of), percentile(&mut kept, of));
        println!(
            "| at {PACED} events/s, p{:.0}: without, with, added | {without:.2} ms, {with:.2} ms, {:.2} ms |",
            of * 100.0,
            with - without
        );
    }
    let disk = on_disk(&folder.join("paced")) as f64 / (paced * PAYLOAD as u64) as f64;
    println!("| bytes on disk for each byte of payload, at that pace | {disk:.2} |");

    let path = folder.join("many");
    let journal = open(&path).await;
    drain(Journaled::new(supervised(MANY, None), journal.clone()), &spec(true), MANY).await;
    journal.close().await;
    let began = Instant::now();
    let journal = open(&path).await;
    let clean = began.elapsed();
    // A copy of a file in use is what a crash leaves behind.
    let copy = folder.join("copy");
    std::fs::copy(&path, &copy).unwrap();
    journal.close().await;
    let began = Instant::now();
    let journal = open(&copy).await;
    println!("| open with {MANY} stored events, after a close | {clean:?} |");
    println!("| the same after a crash | {:?} |", began.elapsed());
    journal.close().await;
}
