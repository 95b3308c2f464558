//! F14: a drain with much in flight and little time.

use std::time::Duration;

use event_core::hub::DrainReport;
use event_core::transport::Guarantee;
use event_core::{ErrorKind, Event, EventHub, Overflow};

use super::services::{Pushing, Queues, event};
use super::stage::{self, broken};
use super::watch::{tasks, until};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F14",
    what: "a drain with 500 in flight and a limit of 2 s",
    holds: "it returns within 2.1 s, the report adds up, a second drain is idempotent",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const IN_FLIGHT: usize = 500;
const LIMIT: Duration = Duration::from_secs(2);
const AT_MOST: Duration = Duration::from_millis(2_100);
const WORK: Duration = Duration::from_millis(50);
const SOON: Duration = Duration::from_secs(60);

async fn play(run: Run) -> Result<Figures, Broken> {
    let mut figures = Figures::new();
    for answered in [0, IN_FLIGHT / 2, IN_FLIGHT] {
        for service in Pushing::each(IN_FLIGHT).await? {
            let report = pushing(&service, answered).await?;
            figures = figures.with(format!("{} {answered} answered", service.name()), report);
        }
    }
    Ok(figures.with("longpoll", queues(run.seed).await?))
}

/// The promises of a report, whatever happened.
fn adds_up(report: &DrainReport) -> Result<(), Broken> {
    let DrainReport { deliveries, handled, failed, skipped, dropped, abandoned, unread, .. } = *report;
    let fates = handled + failed + skipped + dropped + abandoned + unread;
    ensure(deliveries == fates, || format!("{deliveries} deliveries have {fates} fates: {report}"))?;
    let sent = report.published + report.refused + report.unsent;
    ensure(report.publishes == sent, || format!("{} publishes, {sent} told: {report}", report.publishes))
}

/// Drains, in time, twice.
async fn drained(hub: &EventHub) -> Result<DrainReport, Broken> {
    let start = stage::now();
    let (first, meanwhile) = tokio::join!(hub.drain(LIMIT), hub.drain(Duration::ZERO));
    let took = start.elapsed();
    ensure(took <= AT_MOST, || format!("the drain took {took:?}"))?;
    adds_up(&first)?;
    let start = stage::now();
    let second = hub.drain(LIMIT).await;
    ensure(start.elapsed().is_zero(), || format!("a second drain took {:?}", start.elapsed()))?;
    ensure(first == second && first == meanwhile, || format!("{first}; then {second}; then {meanwhile}"))?;
    Ok(first)
}

/// 500 publishes in flight, of which some are acknowledged, and 500 events for a handler that has time for 40.
async fn pushing(service: &Pushing, answered: usize) -> Result<DrainReport, Broken> {
    let before = tasks();
    let hub = service.connected("ann").await?;
    let subscription = hub
        .subscribe("topic=t")
        .buffer(IN_FLIGHT, Overflow::DropNewest)
        .handle(async |_event: Event| stage::pause(WORK).await)
        .await
        .map_err(broken("subscribe"))?;
    let stream = hub.subscribe("topic=t").stream().await.map_err(broken("subscribe"))?;
    let mut publishing = Vec::new();
    for n in 0..IN_FLIGHT {
        if n == answered {
            until("those before are answered", SOON, || hub.stats().published == answered as u64).await?;
            service.withhold()?;
        }
        publishing.push(tokio::spawn(hub.publish(event(n as u64)?).into_future()));
    }
    until("every event has come back", SOON, || subscription.stats().delivered == IN_FLIGHT as u64).await?;
    let report = drained(&hub).await?;
    let timed_out = report.timed_out;
    ensure(timed_out, || "it was not cut off, so nothing was shown".to_owned())?;
    let in_flight = (IN_FLIGHT - answered) as u64;
    ensure(report.unsent == in_flight, || format!("{in_flight} were in flight: {report}"))?;
    ensure(report.unread == IN_FLIGHT as u64, || format!("the stream was not read: {report}"))?;
    ensure(report.handled > 20 && report.abandoned > 0, || format!("{report}"))?;
    let mut told = [0, 0];
    for publish in publishing {
        match publish.await.map_err(broken("join"))? {
            Ok(_) => told[0] += 1,
            Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Unconfirmed) => told[1] += 1,
            Err(error) => return Err(Broken::new(format!("a publish failed by {error:?}"))),
        }
    }
    ensure(told == [answered, IN_FLIGHT - answered], || format!("publishes were told {told:?}"))?;
    drop((stream, subscription, hub));
    until("nothing is left", SOON, || service.connections() == 0 && tasks() <= before).await?;
    Ok(report)
}

/// Five queues, whose handlers are at work when the time is up: their events come again.
async fn queues(seed: u64) -> Result<DrainReport, Broken> {
    let queues = Queues::start(seed).await?;
    let hub = queues.hub().await?;
    let mut subscriptions = Vec::new();
    for _ in 0..5 {
        let subscription = queues.subscription().await?;
        let address = queues.address(&subscription).await?;
        let handling = hub
            .subscribe("topic=*")
            .address(address)
            .require(Guarantee::AtLeastOnce)
            .handle(async |_event: Event| stage::pause(LIMIT * 10).await)
            .await
            .map_err(broken("subscribe"))?;
        subscriptions.push(handling);
    }
    (0..100).for_each(|n| queues.publish(n));
    until("every handler is at work", SOON, || subscriptions.iter().all(|s| s.stats().running == 1)).await?;
    let report = drained(&hub).await?;
    ensure(report.abandoned == 5 && report.deliveries == 5, || format!("{report}"))?;
    let state = queues.emulator.imodelhub_state();
    ensure(state.queued() + state.locked() == 500, || "events were lost".to_owned())?;
    Ok(report)
}
