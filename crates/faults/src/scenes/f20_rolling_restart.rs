//! F20: the servers of a cluster are restarted one after the other, under load.
#![expect(clippy::disallowed_methods, reason = "a scene in real time")]

use std::sync::Arc;
use std::time::Duration;

use event_core::hub::Report;
use event_core::supervisor::ReconnectPolicy;
use event_core::transport::Transport;
use event_core::{Event, EventHub, Lifecycle};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use nats_server::Cluster;
use parking_lot::Mutex;
use tokio::time::Instant;
use transport_nats::{JetStream, NatsTransport, NewStream};

use super::stage::{broken, without_nats_server};
use crate::dice::Dice;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};
use crate::ledger::Ledger;

pub(super) const FAULT: Fault = Fault {
    id: "F20",
    what: "rolling restart of a 3-node NATS cluster under load, orderly or killed",
    holds: "lost 0 over JetStream; over core NATS nothing is missing while all servers are well; no link is away for 1 s",
    clock: Clock::Real,
    play: |run| -> Playing { Box::pin(play(run)) },
};

/// The longest time without a link that is put up with.
const AWAY: Duration = Duration::from_secs(1);
/// The pause between two publishes.
const EVERY: Duration = Duration::from_millis(5);
/// How long anything may take at the end.
const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "load";

/// What one hub went through.
#[derive(Default)]
struct Watch {
    ledger: Mutex<Ledger>,
    /// Since when there is no link, and the longest time so far.
    away: Mutex<(Option<Instant>, Duration)>,
    links_lost: Mutex<u64>,
}

impl Watch {
    fn report(&self, report: &Lifecycle, start: Instant) {
        let now = Instant::now();
        match report {
            Lifecycle::Disconnected { reason: Some(_) } => {
                *self.links_lost.lock() += 1;
                self.away.lock().0.get_or_insert(now);
            }
            Lifecycle::Connected { .. } => {
                let mut away = self.away.lock();
                if let Some(since) = away.0.take() {
                    away.1 = away.1.max(now - since);
                }
            }
            Lifecycle::Gap(gap) => {
                let until = now - start;
                self.ledger.lock().gap(until.saturating_sub(gap.lasted), until);
            }
            _ => {}
        }
    }
}

/// A hub over a transport to the cluster, watched.
async fn hub(transport: impl Transport, start: Instant) -> Result<(EventHub, Arc<Watch>), Broken> {
    let mut policy = ReconnectPolicy::default();
    policy.first = Duration::from_millis(50);
    policy.max = Duration::from_millis(500);
    let hub = EventHub::builder(transport).reconnect(policy).connect().await.map_err(broken("connect"))?;
    let watch = Arc::new(Watch::default());
    let (mut lifecycle, watching) = (hub.lifecycle(), Arc::clone(&watch));
    tokio::spawn(async move {
        while let Some(report) = lifecycle.next().await {
            if let Report::Happened(report) = report {
                watching.report(&report, start);
            }
        }
    });
    Ok((hub, watch))
}

/// A subscription whose events are written down.
async fn seen(hub: &EventHub, durable: bool, watch: &Arc<Watch>) -> Result<(), Broken> {
    let mut subscribe = hub.subscribe(format!("topic={TOPIC}"));
    if durable {
        subscribe = subscribe.durable("worker").concurrency(16);
    }
    let handle = subscribe.handle_with(Arc::clone(watch), async |event: Event, watch: Arc<Watch>| {
        if let Some(id) = event.id() {
            watch.ledger.lock().seen(id.as_str());
        }
    });
    handle.await.map(drop).map_err(broken("subscribe"))
}

async fn play(run: Run) -> Result<Figures, Broken> {
    if let Some(skipped) = without_nats_server(FAULT.id)? {
        return Ok(skipped);
    }
    let cluster = Cluster::start().await.map_err(broken("start the cluster"))?;
    let start = Instant::now();
    let jetstream =
        || JetStream::new("EVENTS").create(NewStream::default().replicas(3)).ack_wait(Duration::from_secs(5));
    let transport = |jetstream: Option<JetStream>| {
        let builder = NatsTransport::builder(cluster.urls());
        let builder = if let Some(jetstream) = jetstream { builder.jetstream(jetstream) } else { builder };
        builder.build().map_err(broken("build transport"))
    };
    let (publisher, sending) = hub(transport(Some(jetstream()))?, start).await?;
    let (worker, kept) = hub(transport(Some(jetstream()))?, start).await?;
    let (watcher, live) = hub(transport(None)?, start).await?;
    seen(&worker, true, &kept).await?;
    seen(&watcher, false, &live).await?;

    let books = [Arc::clone(&kept), Arc::clone(&live)];
    let stop = tokio_util::sync::CancellationToken::new();
    let loading = load(&publisher, &books, start, stop.clone());
    let rolling = async {
        let outcome = roll(&cluster, run, start).await;
        stop.cancel();
        outcome
    };
    let (sent, restarts) = tokio::join!(loading, rolling);
    let restarts = restarts?;
    // What was stored is handled at last.
    let settled = async {
        while !kept.ledger.lock().verdict().lost.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, settled).await;
    for hub in [&publisher, &worker, &watcher] {
        hub.close().await;
    }
    judge(&restarts, sent?, [&sending, &kept, &live])
}

/// Publishes until it is stopped, and waits for every confirmation. Gives how many there were.
async fn load(
    hub: &EventHub,
    books: &[Arc<Watch>],
    start: Instant,
    stop: tokio_util::sync::CancellationToken,
) -> Result<u64, Broken> {
    let mut flying = FuturesUnordered::new();
    let mut ticks = tokio::time::interval(EVERY);
    let mut sent = 0_u64;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(outcome) = flying.next(), if !flying.is_empty() => acknowledged(outcome, books)?,
            _ = ticks.tick() => {
                let event = Event::new(TOPIC, &serde_json::json!({ "n": sent })).map_err(broken("build event"))?;
                let id = event.id().map(|id| id.as_str().to_owned()).unwrap_or_default();
                for book in books {
                    book.ledger.lock().sent(id.as_str(), start.elapsed());
                }
                sent += 1;
                let publish = hub.publish(event);
                flying.push(async move { (id, publish.await) });
            }
        }
    }
    while let Some(outcome) = flying.next().await {
        acknowledged(outcome, books)?;
    }
    Ok(sent)
}

fn acknowledged(
    (id, outcome): (String, event_core::Result<event_core::Receipt>),
    books: &[Arc<Watch>],
) -> Result<(), Broken> {
    outcome.map_err(broken("publish"))?;
    for book in books {
        book.ledger.lock().acknowledged(id.as_str());
    }
    Ok(())
}

/// Restarts one server after the other, each when all are well again. Gives when not all of them were.
async fn roll(cluster: &Cluster, run: Run, start: Instant) -> Result<Vec<(Duration, Duration)>, Broken> {
    let mut dice = Dice::new(run.seed);
    let mut restarts = Vec::new();
    for _ in 0..run.pick(1, 5) {
        for server in cluster.servers() {
            let from = start.elapsed();
            if dice.below(2) == 0 {
                server.kill();
            } else {
                server.stop().await.map_err(broken("stop a server"))?;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            server.restart().await.map_err(broken("restart a server"))?;
            cluster.healthy().await.map_err(broken("wait for the cluster"))?;
            restarts.push((from, start.elapsed()));
        }
    }
    Ok(restarts)
}

fn judge(
    restarts: &[(Duration, Duration)],
    sent: u64,
    [sending, kept, live]: [&Arc<Watch>; 3],
) -> Result<Figures, Broken> {
    let stored = kept.ledger.lock().verdict();
    let mut passed_on = live.ledger.lock().clone();
    let missing = passed_on.verdict();
    // A server that is just back does not know yet who listens at the others, and the listener cannot know of that.
    for (from, until) in restarts {
        passed_on.gap(*from, *until);
    }
    let unexplained = passed_on.verdict().unreported;
    let away = [sending, kept, live].map(|watch| watch.away.lock().1);
    let longest = away.iter().max().copied().unwrap_or_default();
    let links_lost: u64 = [sending, kept, live].iter().map(|watch| *watch.links_lost.lock()).sum();
    let figures = Figures::new()
        .with("restarts", restarts.len())
        .with("published and confirmed", sent)
        .with("links lost", links_lost)
        .with("longest without a link (publisher, worker, core)", format!("{away:.0?}"))
        .with("JetStream: lost", stored.lost.len())
        .with("duplicates", stored.duplicates)
        .with("core: missing", missing.lost.len())
        .with("of these outside of its own gaps", missing.unreported.len())
        .with("while all servers were well", unexplained.len());
    ensure(stored.lost.is_empty() && stored.unknown.is_empty(), || {
        format!("lost over JetStream: {figures}")
    })?;
    ensure(unexplained.is_empty(), || format!("missing without a reason: {figures}"))?;
    ensure(links_lost > 0, || format!("no link was ever lost: {figures}"))?;
    ensure(longest <= AWAY, || format!("a link was away for too long: {figures}"))?;
    Ok(figures)
}
