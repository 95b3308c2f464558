//! F1: the link is killed every 1 to 20 s.

use std::sync::Arc;
use std::time::Duration;

use hub_emulator::imodelhub;
use imodelhub_events::ReceiveMode;

use super::killed_links::{self, Measure};
use super::queues;
use super::stage::{self, broken};
use crate::dice::Dice;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};
use crate::mixed::clock;

pub(super) const FAULT: Fault = Fault {
    id: "F1",
    what: "kill the link every 1-20 s, 1,000 times, 100 subscriptions, 100 events/s",
    holds: "subscriptions back before the first publish; longpoll by PeekLock: lost 0; by ReceiveAndDelete: every missing \
            id reported as a possible loss; ws: every missing id inside a reported gap",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const SMALL: Measure = Measure { kills: 4, subscriptions: 5, events: 10 };
const FULL: Measure = Measure { kills: 1_000, subscriptions: 100, events: 100 };

async fn play(run: Run) -> Result<Figures, Broken> {
    let measure = run.pick(SMALL, FULL);
    let websocket = killed_links::play(run.seed, measure, |dialer| dialer, |_| Ok(())).await?;
    let mut figures = Figures::new().and("ws", websocket);
    for (name, mode) in
        [("PeekLock", ReceiveMode::PeekLock), ("ReceiveAndDelete", ReceiveMode::ReceiveAndDelete)]
    {
        figures = figures.and(name, longpoll(run.seed, measure, mode).await?);
    }
    Ok(figures)
}

/// Every poll is broken off by a restart, and some answers are lost after their message was taken.
async fn longpoll(seed: u64, measure: Measure, mode: ReceiveMode) -> Result<Figures, Broken> {
    clock::start();
    let emulator = stage::emulator(|builder| {
        let builder = builder.without_ftrack().seed(seed).starts_at(clock::started_at()).captures(0);
        builder.lock_duration(Duration::from_secs(10)).max_delivery_count(1_000_000)
    });
    let emulator = Arc::new(emulator.await?);
    let client = queues::client(&emulator, seed, |builder| builder)?;
    let mut dice = Dice::new(seed);
    let mut all = Vec::new();
    for number in 0..measure.subscriptions {
        all.push(queues::listen(&client, number, mode).await?);
    }
    let killing = async {
        for _ in 0..measure.kills {
            stage::pause(dice.millis(1_000, 20_000)).await;
            emulator.restart().await.map_err(broken("restart"))?;
            let after_dequeue = imodelhub::Fault::new(imodelhub::Action::ResetAfterDequeue);
            emulator
                .add_fault(after_dequeue.path("/messages/head").times(3))
                .map_err(broken("add a fault"))?;
        }
        Ok(())
    };
    let publishing = async {
        let pause = Duration::from_secs(1) / u32::try_from(measure.events).unwrap_or(1);
        for queue in all.iter().cycle() {
            queue.publish(&emulator);
            stage::pause(pause).await;
        }
    };
    tokio::select! {
        biased;
        killed = killing => killed?,
        () = publishing => {}
    }
    emulator.clear_faults();
    queues::all_taken(&emulator).await?;
    let mut sums = [0; 4];
    for queue in &all {
        sums.iter_mut().zip(queue.audit()?).for_each(|(sum, figure)| *sum += figure);
    }
    let [events, again, lost, reports] = sums;
    match mode {
        ReceiveMode::PeekLock => ensure(lost == 0 && reports == 0, || format!("lost {lost} under a lock"))?,
        ReceiveMode::ReceiveAndDelete => {
            ensure(lost > 0, || "no read was broken off after its message, so nothing was shown".to_owned())?;
            ensure(again == 0, || format!("{again} came twice"))?;
        }
    }
    let figures = Figures::new().with("events", events).with("lost", lost);
    Ok(figures.with("possible losses reported", reports).with("again", again))
}
