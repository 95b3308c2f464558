//! F11: a subscriber on a transport with credit stops taking.

use std::time::Duration;

use event_core::EventStream;
use event_core::transport::Guarantee;
use imodelhub_events::ReceiveMode;

use super::services::{Queues, number};
use super::stage::{self, broken};
use super::watch::until;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F11",
    what: "a subscriber with credit stops taking for half an hour",
    holds: "0 polls beyond the buffer; no lock lapses while an event waits in it",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

/// Far longer than a lock, and than the limit for handlers.
const AWAY: Duration = Duration::from_secs(30 * 60);
const SOON: Duration = Duration::from_secs(600);

async fn play(run: Run) -> Result<Figures, Broken> {
    let events = run.pick(20, 1_000);
    let mut figures = Figures::new().with("events", events);
    for credit in [1, 4] {
        for guarantee in [Guarantee::AtLeastOnce, Guarantee::AtMostOnce] {
            let polls = engine(run.seed, events, credit, guarantee).await?;
            figures = figures.with(format!("{guarantee:?}, credit {credit}: polls"), polls);
        }
    }
    let polls = listener(run.seed, events).await?;
    Ok(figures.with("listener: polls", polls).with("beyond the buffer", 0).with("locks lapsed", 0))
}

async fn subscribed(
    queues: &Queues,
    credit: usize,
    guarantee: Guarantee,
) -> Result<(event_core::EventHub, EventStream), Broken> {
    let subscription = queues.subscription().await?;
    let address = queues.address(&subscription).await?;
    let hub = queues.hub().await?;
    let stream = hub
        .subscribe("topic=*")
        .address(address)
        .concurrency(credit)
        .require(guarantee)
        .stream()
        .await
        .map_err(broken("subscribe"))?;
    Ok((hub, stream))
}

/// A stream of the engine that nobody reads: how often it polled meanwhile.
async fn engine(seed: u64, events: u64, credit: usize, guarantee: Guarantee) -> Result<u64, Broken> {
    let queues = Queues::start(seed).await?;
    let (hub, mut stream) = subscribed(&queues, credit, guarantee).await?;
    (0..events).for_each(|n| queues.publish(n));
    until("the buffer is full", SOON, || stream.stats().waiting == credit).await?;
    stage::pause(AWAY).await;
    let stats = queues.emulator.imodelhub_stats();
    ensure(stats.receives == credit as u64, || format!("{} polls for a credit of {credit}", stats.receives))?;
    ensure(stats.locks_lapsed == 0, || format!("{} locks lapsed in our buffer", stats.locks_lapsed))?;
    for wanted in 0..events {
        let delivery = tokio::time::timeout(SOON, stream.next())
            .await
            .map_err(|_| Broken::new(format!("event {wanted} does not come")))?
            .ok_or_else(|| Broken::new("the stream ended"))?
            .map_err(broken("read"))?;
        let came = number(delivery.event());
        ensure(came == wanted && delivery.attempt() == 1, || {
            format!("event {came} came for the {}. time where event {wanted} was due", delivery.attempt())
        })?;
        delivery.ack().await.map_err(broken("acknowledge"))?;
    }
    let stats = queues.emulator.imodelhub_stats();
    ensure(stats.redeliveries == 0 && stats.locks_lapsed == 0, || format!("{stats:?}"))?;
    hub.close().await;
    Ok(credit as u64)
}

/// The same with a listener's stream, which holds one event for its reader.
async fn listener(seed: u64, events: u64) -> Result<u64, Broken> {
    let queues = Queues::start(seed).await?;
    let subscription = queues.subscription().await?;
    let mut stream = queues
        .client
        .create_listener(&subscription)
        .mode(ReceiveMode::PeekLock)
        .stream()
        .await
        .map_err(broken("listen"))?;
    (0..events).for_each(|n| queues.publish(n));
    until("an event waits", SOON, || queues.emulator.imodelhub_state().locked() == 1).await?;
    stage::pause(AWAY).await;
    let stats = queues.emulator.imodelhub_stats();
    ensure(stats.receives == 1, || format!("a listener nobody reads polled {} times", stats.receives))?;
    ensure(stats.locks_lapsed == 0, || format!("{} locks lapsed in a listener", stats.locks_lapsed))?;
    for wanted in 0..events {
        let listened = tokio::time::timeout(SOON, stream.next())
            .await
            .map_err(|_| Broken::new(format!("event {wanted} does not come")))?
            .ok_or_else(|| Broken::new("the listener ended"))?
            .map_err(broken("read"))?;
        let n = listened.event().body()["n"].as_u64();
        ensure(n == Some(wanted), || format!("event {n:?} came where event {wanted} was due"))?;
        let _ = listened.ack();
    }
    until("every event is completed", SOON, || queues.emulator.imodelhub_stats().completed == events).await?;
    ensure(queues.emulator.imodelhub_stats().redeliveries == 0, || "events came again".to_owned())?;
    Ok(1)
}
