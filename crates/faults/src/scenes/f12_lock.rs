//! F12: a handler that works for longer than its event is locked.

use std::sync::Arc;
use std::time::Duration;

use event_core::hub::{LifecycleStream, Report};
use event_core::transport::Guarantee;
use event_core::{ErrorKind, Event, EventHub, EventId, Lifecycle};
use hub_emulator::imodelhub::{Action, Fault as Trouble};
use parking_lot::Mutex;

use super::services::{Queues, number};
use super::stage::{self, broken};
use super::watch::until;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F12",
    what: "a handler works for longer than the lock",
    holds: "the lock is extended in time and the event delivered once; extension refused: LockLost is told",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

/// Two and a half locks.
const WORK: Duration = Duration::from_secs(150);
const SOON: Duration = Duration::from_secs(3_600);
/// The address of a lock, and not of the head of a queue.
const LOCKS: &str = r"/messages/[0-9]+/";

type Seen = Arc<Mutex<Vec<(u64, u32)>>>;

async fn play(run: Run) -> Result<Figures, Broken> {
    let events = run.pick(3, 100);
    let renewed = extended(run.seed, events).await?;
    Ok(Figures::new()
        .with("events", events)
        .with("renewals", renewed)
        .with("delivered twice", 0)
        .and("refused:", refused(run.seed).await?)
        .and("failing once:", failing_once(run.seed).await?))
}

/// Handles every event for longer than its lock; notes number and attempt.
async fn working(queues: &Queues) -> Result<(EventHub, Seen), Broken> {
    let subscription = queues.subscription().await?;
    let address = queues.address(&subscription).await?;
    let hub = queues.hub().await?;
    let noted = Seen::default();
    let noting = Arc::clone(&noted);
    hub.subscribe("topic=*")
        .address(address)
        .require(Guarantee::AtLeastOnce)
        .handle_ctx(move |event: Event, context| {
            noting.lock().push((number(&event), context.attempt()));
            stage::pause(WORK)
        })
        .await
        .map_err(broken("subscribe"))?;
    Ok((hub, noted))
}

async fn extended(seed: u64, events: u64) -> Result<u64, Broken> {
    let queues = Queues::start(seed).await?;
    let (hub, noted) = working(&queues).await?;
    (0..events).for_each(|n| queues.publish(n));
    let limit = WORK * u32::try_from(events * 2).unwrap_or(u32::MAX);
    until("every event is completed", limit, || hub.stats().completed == events).await?;
    let once: Vec<(u64, u32)> = (0..events).map(|n| (n, 1)).collect();
    ensure(*noted.lock() == once, || format!("delivered: {:?}", noted.lock()))?;
    let stats = queues.emulator.imodelhub_stats();
    ensure(stats.locks_lapsed == 0, || format!("{} locks lapsed", stats.locks_lapsed))?;
    // One event at a time is locked, and each needs four or five renewals.
    let renewals = 4 * events..=5 * events;
    ensure(renewals.contains(&stats.renewed), || format!("{} renewals", stats.renewed))?;
    hub.close().await;
    Ok(stats.renewed)
}

/// The next report that a lock was lost: whose, and why.
async fn lost(reports: &mut LifecycleStream) -> Result<(Option<EventId>, ErrorKind), Broken> {
    let looking = async {
        while let Some(report) = reports.next().await {
            if let Report::Happened(Lifecycle::LockLost { id, error }) = report {
                return Ok((id, error.kind()));
            }
        }
        Err(Broken::new("the hub ended without a word on the lock"))
    };
    tokio::time::timeout(SOON, looking).await.map_err(|_| Broken::new("LockLost is not told"))?
}

/// The service refuses to extend.
async fn refused(seed: u64) -> Result<Figures, Broken> {
    let queues = Queues::start(seed).await?;
    let (hub, noted) = working(&queues).await?;
    let mut reports = hub.lifecycle();
    let action =
        Action::Status { status: 404, headers: std::collections::BTreeMap::new(), body: String::new() };
    queues.emulator.add_fault(Trouble::new(action).method("POST").path(LOCKS)).map_err(broken("fault"))?;
    let start = stage::now();
    queues.publish(7);
    let (id, kind) = lost(&mut reports).await?;
    let told = start.elapsed();
    ensure(id.is_some(), || "LockLost does not say whose".to_owned())?;
    ensure(kind == ErrorKind::LockLost, || format!("the lock was lost by {kind:?}"))?;
    ensure(told < Duration::from_secs(60), || format!("told after {told:?}, when the lock had lapsed"))?;
    until("the event comes again and is completed", SOON, || hub.stats().completed == 1).await?;
    ensure(*noted.lock() == [(7, 1), (7, 2)], || format!("delivered: {:?}", noted.lock()))?;
    ensure(hub.stats().settle_failures == 1, || format!("{:?}", hub.stats()))?;
    hub.close().await;
    Ok(Figures::new().with("LockLost told after s", told.as_secs()).with("deliveries", 2))
}

/// One renewal fails with all its repeats; half of the lock is left for another.
async fn failing_once(seed: u64) -> Result<Figures, Broken> {
    let queues = Queues::start(seed).await?;
    let (hub, noted) = working(&queues).await?;
    let action =
        Action::Status { status: 500, headers: std::collections::BTreeMap::new(), body: String::new() };
    let trouble = Trouble::new(action).method("POST").path(LOCKS).times(3);
    queues.emulator.add_fault(trouble).map_err(broken("fault"))?;
    queues.publish(8);
    until("the event is completed", SOON, || hub.stats().completed == 1).await?;
    ensure(*noted.lock() == [(8, 1)], || format!("delivered: {:?}", noted.lock()))?;
    let fired = queues.emulator.imodelhub_faults().fired().get("status").copied().unwrap_or(0);
    ensure(fired == 3, || format!("{fired} renewals failed, so nothing was shown"))?;
    hub.close().await;
    Ok(Figures::new().with("deliveries", 1))
}
