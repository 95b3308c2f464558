//! F22: acknowledgements out of order, some of them refusals.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event_core::{ErrorKind, Event};
use futures_util::future::join_all;
use hub_emulator::ftrack::Action;
use parking_lot::Mutex;

use super::services::{Pushing, Service, event, number};
use super::stage::{self, broken};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F22",
    what: "10 k publishes, acknowledgements reordered, 1 % refused",
    holds: "each future gets its own result",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

/// Acknowledgements come last first, so many at a time; divides the publishes, so that none is held for ever.
const TOGETHER: usize = 50;
/// One of so many is refused.
const EVERY: u64 = 100;

async fn play(run: Run) -> Result<Figures, Broken> {
    let publishes: u64 = run.pick(1_000, 10_000);
    let service = Pushing::ftrack(64).await?;
    let Service::Ftrack(emulator) = &service.service else { return Err(Broken::new("no emulator")) };
    let ann = service.connected("ann").await?;
    let link = emulator.connections()[0].id;
    let ben = service.connected("ben").await?;
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let noting = Arc::clone(&seen);
    let room = usize::try_from(publishes).unwrap_or(usize::MAX);
    ben.subscribe("topic=t")
        .buffer(room, event_core::Overflow::DropNewest)
        .handle(move |event: Event| {
            noting.lock().insert(number(&event));
            async {}
        })
        .await
        .map_err(broken("subscribe"))?;
    let faults = emulator.ftrack_faults();
    for action in [Action::ReorderAcks { window: TOGETHER }, Action::RefuseAcks { count: 0, every: EVERY }] {
        faults.fire_at(link, action).map_err(broken("fire"))?;
    }
    let publishing = (0..publishes)
        .map(|n| Ok(ann.publish(event(n)?).into_future()))
        .collect::<Result<Vec<_>, Broken>>()?;
    let start = stage::now();
    let results = join_all(publishing).await;
    let took = start.elapsed();
    stage::pause(Duration::from_secs(1)).await;
    let (mut acknowledged, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for (n, result) in (0..).zip(results) {
        match result {
            Ok(receipt) => {
                ensure(receipt.attempts == 1, || format!("publish {n} was sent {} times", receipt.attempts))?;
                acknowledged.insert(n);
            }
            Err(error) if error.kind() == ErrorKind::Refused => drop(refused.insert(n)),
            Err(error) => return Err(Broken::new(format!("publish {n}: {error}"))),
        }
    }
    // The emulator did what it acknowledged, and nothing of what it refused.
    ensure(*seen.lock() == acknowledged, || {
        let wrong: Vec<_> = seen.lock().symmetric_difference(&acknowledged).copied().take(10).collect();
        format!("publishes with the result of another: {wrong:?}")
    })?;
    ensure(refused.len() as u64 == publishes / EVERY, || format!("{} were refused", refused.len()))?;
    let reordered = faults.fired().get("reorder_acks").copied().unwrap_or(0);
    ensure(reordered > 0, || "no acknowledgement was reordered, so nothing was shown".to_owned())?;
    ann.close().await;
    ben.close().await;
    Ok(Figures::new()
        .with("publishes", publishes)
        .with("acknowledged", acknowledged.len())
        .with("refused", refused.len())
        .with("reordered", reordered)
        .with("with the result of another", 0)
        .with("virtual ms", took.as_millis()))
}
