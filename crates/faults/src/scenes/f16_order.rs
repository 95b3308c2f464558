//! F16: the order of events, while connections break.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_core::transport::Guarantee;
use event_core::{Event, EventHub, Overflow, Subscription};
use hub_emulator::imodelhub::{Action, Fault as Trouble};
use parking_lot::Mutex;

use super::services::{Pushing, Queues, event, number};
use super::stage::{self, broken};
use super::watch::{Dice, until};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F16",
    what: "connections break during 100 k events",
    holds: "each subscription gets its events in order; with keys, those of each key",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const KEYS: u64 = 16;
const SOON: Duration = Duration::from_secs(600);

type Seen = Arc<Mutex<Vec<u64>>>;

async fn play(run: Run) -> Result<Figures, Broken> {
    let events = run.pick(3_000, 100_000);
    let mut figures = Figures::new().with("events", events);
    for service in Pushing::each(64).await? {
        let found = pushing(&service, run.seed, events).await?;
        figures = figures.and(&format!("{}:", service.name()), found);
    }
    for guarantee in [Guarantee::AtMostOnce, Guarantee::AtLeastOnce] {
        let found = queues(run.seed, events, guarantee).await?;
        figures = figures.and(&format!("longpoll {guarantee:?}:"), found);
    }
    Ok(figures.with("out of order", 0))
}

/// Rising, and no number twice.
fn in_order(what: &str, noted: &[u64]) -> Result<(), Broken> {
    match noted.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(Broken::new(format!("{what}: event {} came after {}", pair[1], pair[0]))),
        None => Ok(()),
    }
}

/// Notes each event when its handler is done; `keyed`: eight at a time, in order for each key.
async fn noting(hub: &EventHub, events: u64, keyed: bool) -> Result<(Subscription, Seen), Broken> {
    let noted = Seen::default();
    let noting = Arc::clone(&noted);
    let room = usize::try_from(events).unwrap_or(usize::MAX);
    let mut subscribe = hub.subscribe("topic=t").buffer(room, Overflow::DropNewest);
    if keyed {
        subscribe = subscribe.concurrency(8).keyed(|event| number(event) % KEYS);
    }
    let subscription = subscribe
        .handle(move |event: Event| {
            let noting = Arc::clone(&noting);
            async move {
                // Of different length, so that others overtake.
                for _ in 0..number(&event) % 5 {
                    tokio::task::yield_now().await;
                }
                noting.lock().push(number(&event));
            }
        })
        .await
        .map_err(broken("subscribe"))?;
    Ok((subscription, noted))
}

async fn pushing(service: &Pushing, seed: u64, events: u64) -> Result<Figures, Broken> {
    let hub = service.connected("ann").await?;
    let (serial, in_line) = noting(&hub, events, false).await?;
    let (keyed, by_key) = noting(&hub, events, true).await?;
    let mut dice = Dice::new(seed);
    let (mut next_cut, mut cuts) = (dice.below(500), 0);
    for n in 0..events {
        service.inject(&event(n)?)?;
        if n == next_cut {
            service.cut();
            cuts += 1;
            next_cut = n + 1 + dice.below(1_000);
            // Events go on while it is away; now and then the next cut hits it amid its return.
            if dice.below(16) > 0 {
                until("it is back", SOON, || hub.state().is_connected()).await?;
            }
        }
        if n % 16 == 0 {
            stage::pause(Duration::from_millis(1)).await;
        }
    }
    until("every event that came is handled", SOON, || {
        [&serial, &keyed].iter().all(|s| s.stats().waiting + s.stats().running == 0)
    })
    .await?;
    let (in_line, by_key) = (in_line.lock().clone(), by_key.lock().clone());
    in_order("one at a time", &in_line)?;
    let mut keys: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for n in &by_key {
        keys.entry(n % KEYS).or_default().push(*n);
    }
    for (key, noted) in &keys {
        in_order(&format!("key {key}"), noted)?;
    }
    let overtook = by_key.windows(2).filter(|pair| pair[0] > pair[1]).count();
    ensure(overtook > 0, || "with keys nothing overtook anything, so nothing was shown".to_owned())?;
    ensure(in_line.len() == by_key.len(), || "one subscription got more than the other".to_owned())?;
    ensure(in_line.len() as u64 > events / 4, || format!("{} events came", in_line.len()))?;
    let connections = hub.stats().connections;
    ensure(connections > 2, || format!("{connections} connections only"))?;
    hub.close().await;
    Ok(Figures::new()
        .with("came", in_line.len())
        .with("cuts", cuts)
        .with("connections", connections)
        .with("overtook by key", overtook))
}

/// Polls that break before the service has taken a message out, and, destructively, after.
async fn queues(seed: u64, events: u64, guarantee: Guarantee) -> Result<Figures, Broken> {
    let queues = Queues::start(seed).await?;
    let subscription = queues.subscription().await?;
    let address = queues.address(&subscription).await?;
    let hub = queues.hub().await?;
    let noted = Seen::default();
    let noting = Arc::clone(&noted);
    hub.subscribe("topic=*")
        .address(address)
        .require(guarantee)
        .handle(move |event: Event| {
            noting.lock().push(number(&event));
            async {}
        })
        .await
        .map_err(broken("subscribe"))?;
    let mut dice = Dice::new(seed);
    let lossy = guarantee == Guarantee::AtMostOnce;
    let mut lost = 0;
    for n in 0..events {
        if n % 200 == 0 {
            let action = match dice.below(if lossy { 4 } else { 3 }) {
                0 => Action::Reset,
                1 => Action::Refuse,
                2 => Action::ResetWaiting { after_ms: 50 },
                _ => {
                    lost += 1;
                    Action::ResetAfterDequeue
                }
            };
            let trouble = Trouble::new(action).path("messages/head");
            queues.emulator.add_fault(trouble).map_err(broken("fault"))?;
        }
        queues.publish(n);
        if n % 50 == 0 {
            stage::pause(Duration::from_millis(dice.below(1_000))).await;
        }
    }
    let taken = || {
        let state = queues.emulator.imodelhub_state();
        state.queued() + state.locked() == 0
    };
    until("the queue is empty", SOON, taken).await?;
    stage::pause(Duration::from_secs(1)).await;
    let noted = noted.lock().clone();
    in_order("a queue", &noted)?;
    let broke = queues.emulator.imodelhub_stats().faults_applied;
    ensure(broke > 0, || "no poll broke, so nothing was shown".to_owned())?;
    let missing = events - noted.len() as u64;
    ensure(missing <= lost, || format!("{missing} events are missing, {lost} were lost on the way"))?;
    hub.close().await;
    Ok(Figures::new().with("came", noted.len()).with("polls broken", broke))
}
