//! The process that is killed.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_core::supervisor::{ReconnectPolicy, Supervised};
use event_core::transport::{
    Acknowledgement, Attempt, Capabilities, Confirmation, Guarantee, Guarantees, Inbound, Link, LinkInfo,
    LinkSender, NotSent, RawDelivery, Transport,
};
use event_core::{Delivery, Event, EventHub, Result, SubscriptionSpec};
use event_journal::{Config, Journal, Journaled};
use futures_util::future::{FutureExt, join_all};
use futures_util::stream;

/// Events that are worked on, or published, at a time: so few that they are polled in order.
const BATCH: usize = 16;

fn say(what: &str, n: u64) {
    // One write for one line: it is said as a whole or not at all.
    let line = format!("{what} {n}\n");
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

fn event(topic: &str, n: u64) -> Event {
    Event::builder(topic)
        .id(format!("{topic}-{n}"))
        .data(&serde_json::json!({"n": n, "pad": "x".repeat(1_200)}))
        .build()
        .unwrap()
}

fn number(event: &Event) -> u64 {
    event.data_value()["n"].as_u64().unwrap()
}

/// A service that delivers numbered events, and says what it gets before it acknowledges.
struct Service {
    from: Option<u64>,
}

#[async_trait]
impl Transport for Service {
    fn name(&self) -> &'static str {
        "service"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.publish = true;
        capabilities.publish_receipt = true;
        capabilities.guarantees = Guarantees::only(Guarantee::AtMostOnce);
        capabilities
    }

    async fn connect(&self, _attempt: Attempt) -> Result<Link> {
        let rx = stream::unfold(self.from, |next| async move {
            let Some(next) = next else { return std::future::pending().await };
            // A burst, then a breath.
            if next % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let delivery = RawDelivery::matched(event("in", next));
            Some((Ok(Inbound::Delivery(delivery)), Some(next + 1)))
        });
        Ok(Link { info: LinkInfo::ready("service"), tx: Box::new(Wire), rx: Box::pin(rx) })
    }
}

struct Wire;

#[async_trait]
impl LinkSender for Wire {
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        let (confirmer, confirmation) = Confirmation::channel();
        say("S", number(&event));
        confirmer.confirm(Acknowledgement::default());
        Ok(confirmation)
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

/// `work` or `finish`, the first number, the file.
pub(crate) fn run(order: &str) {
    let mut parts = order.splitn(3, ' ');
    let (mode, start, path) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let start = start.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work(mode == "work", start, path));
}

async fn work(working: bool, start: u64, path: &str) {
    let journal = Journal::open(path, Config::default()).await.expect("the store opens");
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(b"O\n").and_then(|()| out.flush());
    drop(out);
    let service =
        Supervised::new(Arc::new(Service { from: working.then_some(start) }), ReconnectPolicy::default());
    let hub = EventHub::builder(Journaled::new(service, journal.clone())).connect().await.unwrap();
    let mut stream = hub.subscribe("topic=in").durable("worker").stream().await.unwrap();
    let handling = async {
        let idle = Duration::from_millis(if working { 60_000 } else { 1_000 });
        while let Ok(Some(first)) = tokio::time::timeout(idle, stream.next()).await {
            let mut several = vec![first.unwrap()];
            while several.len() < BATCH
                && let Some(Some(next)) = stream.next().now_or_never()
            {
                several.push(next.unwrap());
            }
            join_all(several.into_iter().map(|delivery| handle(delivery, working))).await;
        }
    };
    if working {
        let publishing = async {
            for first in (start..).step_by(BATCH) {
                join_all((first..first + BATCH as u64).map(|n| publish(&hub, n))).await;
            }
        };
        tokio::join!(handling, publishing);
        return;
    }
    handling.await;
    let mut look = tokio::time::interval(Duration::from_millis(5));
    while journal.stats().outbox > 0 {
        look.tick().await;
    }
    drop(stream);
    hub.close().await;
    drop(hub);
    journal.close().await;
}

async fn handle(delivery: Delivery, working: bool) {
    let n = number(delivery.event());
    say("D", n);
    if n % 7 == 3 && delivery.attempt() == 1 && working {
        // Given up without a word: it comes again.
        return;
    }
    say("T", n);
    delivery.ack().await.unwrap();
    say("A", n);
}

async fn publish(hub: &EventHub, n: u64) {
    hub.publish(event("out", n)).await.unwrap();
    say("P", n);
}
