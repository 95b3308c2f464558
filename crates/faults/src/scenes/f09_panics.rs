//! F9: handlers, and other functions of the caller, panic.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_core::hub::Report;
use event_core::transport::Guarantee;
use event_core::{Event, EventHub, Lifecycle};
use hub_emulator::imodelhub::{Action, Fault as Trouble};
use imodelhub_events::{HubEvent, ListenerState};
use parking_lot::Mutex;

use super::services::{Pushing, Queues, event, number};
use super::stage::{self, broken};
use super::watch::until;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F9",
    what: "every third handler panics",
    holds: "hub lives, counted, abandoned where possible, the subscription goes on",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const SOON: Duration = Duration::from_secs(600);
const EVERY: u64 = 3;

/// A panic that prints nothing, as one under a quiet hook.
fn panics() -> ! {
    resume_unwind(Box::new("on purpose"))
}

async fn play(run: Run) -> Result<Figures, Broken> {
    let events = run.pick(300, 30_000);
    let mut figures = Figures::new().with("events", events);
    for service in Pushing::each(64).await? {
        let panicked = pushing(&service, events).await?;
        figures = figures.with(format!("{}: panics counted", service.name()), panicked);
    }
    let abandoned = locked(run.seed, events / 10).await?;
    figures = figures.with("longpoll: panics abandoned", abandoned);
    callbacks(run.seed).await?;
    Ok(figures.with("callbacks that panicked", 2))
}

fn expected(events: u64) -> u64 {
    (0..events).filter(|n| n % EVERY == 0).count() as u64
}

/// Counts the reports of handlers that failed, until the hub ends.
fn count_reports(hub: &EventHub) -> Arc<AtomicUsize> {
    let counted = Arc::new(AtomicUsize::new(0));
    let (counting, mut reports) = (Arc::clone(&counted), hub.lifecycle());
    tokio::spawn(async move {
        while let Some(report) = reports.next().await {
            let news = match report {
                Report::Happened(Lifecycle::HandlerFailed { .. }) => 1,
                Report::Missed(missed) => usize::try_from(missed).unwrap_or(usize::MAX),
                _ => 0,
            };
            counting.fetch_add(news, Ordering::Relaxed);
        }
    });
    counted
}

/// One at a time, several at a time by keys whose function panics too, and before a neighbour that does not.
async fn pushing(service: &Pushing, events: u64) -> Result<u64, Broken> {
    let hub = service.connected("ann").await?;
    let told = count_reports(&hub);
    let handler = |event: Event| async move {
        if number(&event).is_multiple_of(EVERY) {
            panics()
        }
    };
    let buffer = usize::try_from(events).unwrap_or(usize::MAX);
    let room = || hub.subscribe("topic=t").buffer(buffer, event_core::Overflow::DropNewest);
    let serial = room().priority(1).handle(handler).await.map_err(broken("subscribe"))?;
    let keyed = room()
        .concurrency(4)
        .keyed(|event| if number(event).is_multiple_of(7) { panics() } else { number(event) % 4 })
        .handle(handler)
        .await
        .map_err(broken("subscribe"))?;
    let calm = room().handle(async |_event: Event| {}).await.map_err(broken("subscribe"))?;
    for n in 0..events {
        service.inject(&event(n)?)?;
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let failed = expected(events);
    until("every event is dealt with", SOON, || {
        [&serial, &keyed, &calm].iter().all(|s| s.stats().handled + s.stats().failed == events)
    })
    .await?;
    for subscription in [&serial, &keyed] {
        let stats = subscription.stats();
        ensure(stats.failed == failed && stats.running == 0, || format!("{}: {stats:?}", service.name()))?;
    }
    ensure(calm.stats().handled == events, || format!("the neighbour: {:?}", calm.stats()))?;
    ensure(hub.stats().handler_failures == 2 * failed, || format!("{:?}", hub.stats()))?;
    until("every panic is told", SOON, || told.load(Ordering::Relaxed) as u64 == 2 * failed).await?;
    ensure(hub.state().is_connected(), || format!("the hub is {}", hub.state()))?;
    hub.close().await;
    Ok(2 * failed)
}

/// Under a lock an event whose handler panicked is given back, comes again, and is handled.
async fn locked(seed: u64, events: u64) -> Result<u64, Broken> {
    let queues = Queues::start(seed).await?;
    let subscription = queues.subscription().await?;
    let address = queues.address(&subscription).await?;
    let hub = queues.hub().await?;
    hub.subscribe("topic=*")
        .address(address)
        .require(Guarantee::AtLeastOnce)
        .handle_ctx(|event: Event, context| async move {
            if number(&event).is_multiple_of(EVERY) && context.attempt() == 1 {
                panics()
            }
        })
        .await
        .map_err(broken("subscribe"))?;
    (0..events).for_each(|n| queues.publish(n));
    until("every event is completed", SOON, || hub.stats().completed == events).await?;
    let (stats, served) = (hub.stats(), queues.emulator.imodelhub_stats());
    let failed = expected(events);
    ensure(stats.abandoned == failed && stats.handler_failures == failed, || format!("{stats:?}"))?;
    ensure(served.unlocked == failed && served.locks_lapsed == 0, || format!("{served:?}"))?;
    hub.close().await;
    Ok(failed)
}

/// What a listener is told by a function of the caller: when it panics, the listener goes on.
async fn callbacks(seed: u64) -> Result<(), Broken> {
    let queues = Queues::start(seed).await?;
    let refusal =
        Action::Status { status: 403, headers: std::collections::BTreeMap::new(), body: String::new() };
    let trouble = Trouble::new(refusal).method("POST").path("messages/head");
    queues.emulator.add_fault(trouble).map_err(broken("fault"))?;
    let subscription = queues.subscription().await?;
    let noted = Arc::new(Mutex::new(Vec::new()));
    let noting = Arc::clone(&noted);
    let listener = queues
        .client
        .create_listener(&subscription)
        .fallback(true)
        .recreate_expired(true)
        .on_fallback(|_| panics())
        .on_gap(|_| panics())
        .handle(move |event: HubEvent| {
            noting.lock().push(number(event.raw()));
            async {}
        })
        .await
        .map_err(broken("listen"))?;
    let listening = |state: &ListenerState| matches!(state, ListenerState::Listening);
    queues.publish(1);
    until("an event comes by the fall-back", SOON, || *noted.lock() == [1]).await?;
    queues
        .emulator
        .add_fault(Trouble::new(Action::ExpireSubscription).path("messages/head"))
        .map_err(broken("fault"))?;
    queues.publish(2);
    let created = queues.emulator.imodelhub_stats().subscriptions_created;
    until("the subscription is made anew", SOON, || {
        queues.emulator.imodelhub_stats().subscriptions_created > created
    })
    .await?;
    until("it is listened to", SOON, || listening(&listener.state())).await?;
    stage::pause(Duration::from_secs(1)).await;
    queues.publish(3);
    until("an event comes by the new one", SOON, || noted.lock().last() == Some(&3)).await
}
