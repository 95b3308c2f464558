//! F8: one handler sleeps for a minute; its neighbours get the same events.

use std::sync::Arc;
use std::time::Duration;

use event_core::transport::Guarantee;
use event_core::{Event, EventHub, Subscription};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::services::{Pushing, Queues, Service, event};
use super::stage::{self, broken};
use super::watch::until;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F8",
    what: "one handler sleeps 60 s",
    holds: "p99 of the others changes less than 10 %, in time and in turns; heartbeats on time",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const SLEEP: Duration = Duration::from_secs(60);
/// What the neighbour works for each event, so that its latency is not zero.
const WORK: Duration = Duration::from_millis(5);
const SOON: Duration = Duration::from_secs(10);

/// The 99th percentile of the time from an event's coming to its handler's end, and of the turns that the
/// scheduler gave to others before its handler began.
#[derive(Clone, Copy)]
struct P99 {
    time: Duration,
    turns: usize,
}

async fn play(run: Run) -> Result<Figures, Broken> {
    let every = run.pick(Duration::from_millis(200), Duration::from_millis(20));
    let mut figures = Figures::new();
    for service in Pushing::each(64).await? {
        let alone = pushing(&service, every, false).await?;
        let beside = pushing(&service, every, true).await?;
        figures = figures.and(&format!("{}:", service.name()), compare(alone, beside)?);
        if let Service::Ftrack(emulator) = &service.service {
            let stats = emulator.stats();
            ensure(stats.cut_silent == 0, || format!("{} clients were cut as silent", stats.cut_silent))?;
            ensure(stats.heartbeats_sent >= 10, || format!("{} heartbeats only", stats.heartbeats_sent))?;
            figures = figures.with("heartbeats answered at once", stats.heartbeats_received);
        }
    }
    let alone = queues(run.seed, every, false).await?;
    let beside = queues(run.seed, every, true).await?;
    Ok(figures.and("longpoll:", compare(alone, beside)?))
}

fn compare(alone: P99, beside: P99) -> Result<Figures, Broken> {
    ensure(beside.time <= alone.time.mul_f64(1.1), || {
        format!("beside a sleeper an event takes {:?}, alone {:?}", beside.time, alone.time)
    })?;
    ensure(beside.turns * 10 <= alone.turns * 11, || {
        format!("beside a sleeper an event waits {} turns, alone {}", beside.turns, alone.turns)
    })?;
    Ok(Figures::new()
        .with("p99 ms", beside.time.as_millis())
        .with("alone", alone.time.as_millis())
        .with("p99 turns", beside.turns)
        .with("alone", alone.turns))
}

/// When handlers began and ended, one for each event, in order.
type Times = Arc<Mutex<(Vec<Instant>, Vec<Instant>)>>;

/// Feeds events for as long as the sleeper sleeps.
async fn feed(
    times: &Times,
    every: Duration,
    mut put: impl FnMut(u64) -> Result<(), Broken>,
    mut look: impl FnMut() -> Result<(), Broken>,
) -> Result<P99, Broken> {
    let (mut came, mut turns) = (Vec::new(), Vec::new());
    let start = stage::now();
    while start.elapsed() + every < SLEEP {
        let n = came.len();
        came.push(stage::now());
        put(n as u64)?;
        let mut waited = 0;
        while times.lock().0.len() <= n && waited < 10_000 {
            tokio::task::yield_now().await;
            waited += 1;
        }
        turns.push(waited);
        stage::pause(every).await;
        look()?;
    }
    until("every event is handled", SOON, || times.lock().1.len() == came.len()).await?;
    let ended = times.lock().1.clone();
    let took = came.iter().zip(ended).map(|(came, ended)| ended - *came).collect();
    Ok(P99 { time: p99(took)?, turns: p99(turns)? })
}

fn p99<T: Ord + Copy>(mut values: Vec<T>) -> Result<T, Broken> {
    values.sort_unstable();
    let at = (values.len() * 99).div_ceil(100).saturating_sub(1);
    values.get(at).copied().ok_or_else(|| Broken::new("nothing was measured"))
}

fn working(
    times: &Times,
) -> impl Fn(Event) -> futures_util::future::BoxFuture<'static, ()> + Send + Sync + 'static {
    let times = Arc::clone(times);
    move |_event| {
        let times = Arc::clone(&times);
        Box::pin(async move {
            times.lock().0.push(stage::now());
            stage::pause(WORK).await;
            times.lock().1.push(stage::now());
        })
    }
}

async fn sleeping(hub: &EventHub, address: Option<String>) -> Result<Subscription, Broken> {
    let mut subscribe = hub.subscribe("topic=*");
    if let Some(address) = address {
        subscribe = subscribe.address(address).require(Guarantee::AtLeastOnce);
    }
    subscribe.handle(async |_event: Event| stage::pause(SLEEP).await).await.map_err(broken("subscribe"))
}

async fn pushing(service: &Pushing, every: Duration, sleeper: bool) -> Result<P99, Broken> {
    let hub = service.connected("ann").await?;
    let asleep = if sleeper { Some(sleeping(&hub, None).await?) } else { None };
    let times = Times::default();
    hub.subscribe("topic=t").handle(working(&times)).await.map_err(broken("subscribe"))?;
    let look = || match &service.service {
        Service::Ftrack(emulator) => {
            let stats = emulator.stats();
            ensure(stats.heartbeats_sent == stats.heartbeats_received, || "a heartbeat is late".to_owned())
        }
        Service::Bus(_) => Ok(()),
    };
    // The ids differ from run to run, for repeats are dropped.
    let base = if sleeper { 1_000_000 } else { 0 };
    let found = feed(&times, every, |n| service.inject(&event(base + n)?), look).await?;
    if let Some(asleep) = asleep {
        let stats = asleep.stats();
        ensure(stats.running == 1 && stats.handled == 0, || format!("it did not sleep: {stats:?}"))?;
    }
    drop(hub);
    Ok(found)
}

/// Two queues of one client.
async fn queues(seed: u64, every: Duration, sleeper: bool) -> Result<P99, Broken> {
    let queues = Queues::start(seed).await?;
    let hub = queues.hub().await?;
    let other = queues.subscription().await?;
    let asleep = if sleeper {
        let address = queues.address(&other).await?;
        Some(sleeping(&hub, Some(address)).await?)
    } else {
        None
    };
    let subscription = queues.subscription().await?;
    let address = queues.address(&subscription).await?;
    let times = Times::default();
    hub.subscribe("topic=*")
        .address(address)
        .require(Guarantee::AtLeastOnce)
        .handle(working(&times))
        .await
        .map_err(broken("subscribe"))?;
    stage::pause(Duration::from_millis(1)).await;
    let put = |n| {
        queues.publish(n);
        Ok(())
    };
    let found = feed(&times, every, put, || Ok(())).await?;
    if let Some(asleep) = asleep {
        ensure(asleep.stats().running == 1, || format!("it did not sleep: {:?}", asleep.stats()))?;
    }
    Ok(found)
}
