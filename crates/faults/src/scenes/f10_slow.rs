//! F10: a producer that is ten times as fast as the consumer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use event_core::hub::Report;
use event_core::{ErrorKind, Event, EventHub, Lifecycle, Overflow, Subscription};
use parking_lot::Mutex;
use serde_json::json;

use super::services::{Pushing, Service, number};
use super::stage::{self, broken};
use super::watch::until;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F10",
    what: "a producer 10 times as fast as the consumer, for 5 min",
    holds: "memory at most buffer x event size + 10 %; dropped = missing; at most one report a second",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const FAST: Duration = Duration::from_millis(10);
const SLOW: Duration = Duration::from_millis(100);
const BUFFER: usize = 100;
const SOON: Duration = Duration::from_secs(600);
const SIZE: usize = 1_500;

async fn play(run: Run) -> Result<Figures, Broken> {
    let events: u64 = run.pick(400, 30_000);
    let mut figures = Figures::new().with("events", events).with("buffer", BUFFER);
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Disconnect] {
        for service in Pushing::each(64).await? {
            let found = one(&service, overflow, events).await?;
            figures = figures.and(&format!("{} {overflow:?}:", service.name()), found);
        }
    }
    Ok(figures)
}

/// The bytes of one event: counted while anybody holds them.
struct Counted {
    bytes: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// Event `n` of about [`SIZE`] bytes, which count as held as long as it lives.
fn counted(n: u64, held: &Arc<AtomicUsize>) -> Result<Event, Broken> {
    let data = json!({"id": format!("e{n}"), "topic": "t", "data": {"n": n, "fill": "x".repeat(SIZE - 60)}});
    let bytes = data.to_string().into_bytes();
    held.fetch_add(bytes.len(), Ordering::Relaxed);
    let owner = Counted { bytes, held: Arc::clone(held) };
    Event::from_json(Bytes::from_owner(owner)).map_err(broken("make an event"))
}

/// When slow consumers were reported.
fn reports(hub: &EventHub) -> Arc<Mutex<Vec<(Duration, u64)>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (noting, mut reports, start) = (Arc::clone(&told), hub.lifecycle(), stage::now());
    tokio::spawn(async move {
        while let Some(report) = reports.next().await {
            if let Report::Happened(Lifecycle::SlowConsumer { dropped, .. }) = report {
                noting.lock().push((start.elapsed(), dropped));
            }
        }
    });
    told
}

async fn slow(
    hub: &EventHub,
    overflow: Overflow,
) -> Result<(Subscription, Arc<Mutex<BTreeSet<u64>>>), Broken> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let noting = Arc::clone(&seen);
    let subscription = hub
        .subscribe("topic=t")
        .buffer(BUFFER, overflow)
        .handle(move |event: Event| {
            noting.lock().insert(number(&event));
            async move {
                stage::pause(SLOW).await;
                drop(event);
            }
        })
        .await
        .map_err(broken("subscribe"))?;
    Ok((subscription, seen))
}

async fn one(service: &Pushing, overflow: Overflow, events: u64) -> Result<Figures, Broken> {
    let hub = service.connected("ann").await?;
    let told = reports(&hub);
    let (subscription, seen) = slow(&hub, overflow).await?;
    let held = Arc::new(AtomicUsize::new(0));
    let (mut most_held, mut most_waiting, mut stops) = (0, 0, 0);
    let mut reached = BTreeSet::new();
    for n in 0..events {
        let before = hub.stats().received;
        service.inject(&counted(n, &held)?)?;
        until("the event arrives, or the hub has left", SOON, || {
            hub.stats().received > before || !hub.state().is_connected()
        })
        .await?;
        if hub.stats().received > before {
            reached.insert(n);
        }
        stage::pause(FAST).await;
        most_held = most_held.max(held.load(Ordering::Relaxed));
        let stats = subscription.stats();
        most_waiting = most_waiting.max(stats.waiting + stats.running);
        if let event_core::ConnectionState::Failed { reason } = hub.state() {
            ensure(overflow == Overflow::Disconnect, || format!("the hub left: {reason}"))?;
            ensure(reason.kind() == ErrorKind::Full, || format!("it left by {:?}", reason.kind()))?;
            stops += 1;
            hub.connect().await.map_err(broken("connect again"))?;
        }
    }
    until("the buffer is empty", SOON, || subscription.stats().waiting + subscription.stats().running == 0)
        .await?;
    let missing = reached.difference(&seen.lock()).count() as u64;
    let stats = subscription.stats();
    ensure(missing > 0, || "nothing was dropped, so nothing was shown".to_owned())?;
    ensure(stats.dropped == missing && hub.stats().dropped == missing, || {
        format!("{missing} events are missing, {} counted as dropped", stats.dropped)
    })?;
    ensure(stats.delivered == reached.len() as u64, || format!("{stats:?}"))?;
    if overflow == Overflow::Disconnect {
        ensure(stops > 0, || "an overflow did not disconnect".to_owned())?;
    }
    // One event at work, and a tenth of the buffer for those on their way.
    let limit = BUFFER * 11 / 10;
    ensure(most_waiting <= limit, || format!("{most_waiting} events were held"))?;
    if let Service::Bus(_) = service.service {
        ensure(most_held <= limit * SIZE, || format!("{most_held} bytes were held"))?;
        ensure(held.load(Ordering::Relaxed) <= SIZE, || "bytes are still held in the end".to_owned())?;
    }
    let told = told.lock().clone();
    let gaps = told.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0));
    let closest = gaps.min().unwrap_or(Duration::MAX);
    ensure(!told.is_empty(), || "no report".to_owned())?;
    ensure(closest >= Duration::from_secs(1), || format!("two reports within {closest:?}"))?;
    hub.close().await;
    let figures = Figures::new().with("dropped", missing).with("most held", most_waiting);
    let figures = if matches!(service.service, Service::Bus(_)) {
        figures.with("bytes", most_held).with("bytes allowed", limit * SIZE)
    } else {
        figures
    };
    Ok(figures.with("reports", told.len()).with("stops", stops))
}
