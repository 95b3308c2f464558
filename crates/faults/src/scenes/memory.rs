//! M: a process that embeds a hub with many subscriptions handles events for ever, and its memory stays what it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_core::memory::MemoryHub;
use event_core::{Dialect, Event, EventHub, SubscriptionSpec};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use tokio::sync::Semaphore;

use super::stage::{self, broken};
use crate::fault::{Clock, Fault, Playing, Run, Size};
use crate::figures::{Broken, Figures, ensure};
use crate::process::resident;
use crate::slope::slope;

pub(super) const FAULT: Fault = Fault {
    id: "M",
    what: "1 million events handled by 10,000 subscriptions",
    holds: "resident memory grows by less than 1 MiB per million, from the 100,000th on",
    clock: Clock::Real,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const MIB: f64 = 1_048_576.0;
/// Publishes at a time.
const AT_A_TIME: u64 = 200;

/// How a bus without filters is spoken to: every event comes, and whose it is is found out by the hub.
struct Unfiltered;

impl Dialect for Unfiltered {
    fn subscribe(&self, spec: &SubscriptionSpec) -> Option<Event> {
        Event::new("subscribe", &json!({"id": spec.id.as_str()})).ok()
    }

    fn unsubscribe(&self, spec: &SubscriptionSpec) -> Option<Event> {
        Event::new("unsubscribe", &json!({"id": spec.id.as_str()})).ok()
    }
}

async fn play(run: Run) -> Result<Figures, Broken> {
    let subscriptions = run.pick(2_000, 10_000);
    let (events, from) = run.pick((50_000, 20_000), (1_000_000, 100_000));
    // A small run is over before the memory of a hub for repeats is full: it has a smaller one.
    let repeats = run.pick(from / 2, 100_000);
    // Few events show much noise, and other tests may share the process.
    let limit = if run.size == Size::Small { 32.0 } else { 1.0 };
    let bus = MemoryHub::new();
    let hub = |ids| {
        let describing = EventHub::builder(bus.transport()).dialect(Unfiltered);
        // On a starved machine a publish may take long; memory is what matters here.
        let describing = describing.publish_timeout(Duration::from_secs(300));
        describing.repeats(Duration::from_secs(3_600), ids).connect()
    };
    let studio = hub(0).await.map_err(broken("connect"))?;
    let farm = hub(usize::try_from(repeats).unwrap_or(0)).await.map_err(broken("connect"))?;
    let handled = Arc::new((AtomicU64::new(0), Semaphore::new(0)));
    for n in 0..subscriptions {
        let handled = Arc::clone(&handled);
        farm.subscribe(format!("topic=render and data.shot={n}"))
            .handle(move |_: Event| {
                handled.0.fetch_add(1, Ordering::Relaxed);
                handled.1.add_permits(1);
                async {}
            })
            .await
            .map_err(broken("subscribe"))?;
    }
    let (before, start) = (resident()?, stage::now());
    let mut samples = Vec::new();
    let mut published = 0;
    while published < events {
        let batch = published..published + AT_A_TIME;
        stream::iter(batch)
            .map(|n| publish(&studio, n, n % subscriptions))
            .buffer_unordered(usize::try_from(AT_A_TIME).unwrap_or(1))
            .try_collect::<()>()
            .await?;
        published += AT_A_TIME;
        // All of them are handled: nothing waits anywhere when memory is looked at.
        let all = u32::try_from(AT_A_TIME).unwrap_or(u32::MAX);
        handled.1.acquire_many(all).await.map_err(broken("wait"))?.forget();
        if published >= from && published.is_multiple_of(events / 100) {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            samples.push((published as f64 / 1e6, resident()? as f64 / MIB));
        }
    }
    let (count, took) = (handled.0.load(Ordering::Relaxed), start.elapsed());
    ensure(count == events, || format!("{count} of {events} events were handled"))?;
    let growth = slope(&samples);
    ensure(growth < limit, || format!("it grows by {growth:.2} MiB per million: {samples:?}"))?;
    let last = samples.last().map_or(0.0, |sample| sample.1);
    studio.close().await;
    farm.close().await;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let before = before as f64 / MIB;
    Ok(Figures::new()
        .with("events", count)
        .with("subscriptions", subscriptions)
        .with("memory before", format!("{before:.1} MiB"))
        .with("at the end", format!("{last:.1} MiB"))
        .with("slope", format!("{growth:+.3} MiB per million"))
        .with("took", format!("{took:.1?}")))
}

async fn publish(hub: &EventHub, n: u64, shot: u64) -> Result<(), Broken> {
    let data = json!({"shot": shot, "frames": [n, n + 1], "comment": "a few more bytes"});
    let event = Event::new("render", &data).map_err(broken("make an event"))?;
    hub.publish(event).await.map(drop).map_err(broken("publish"))
}
