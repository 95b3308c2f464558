//! R: the publisher's link is reset in the middle of its publishing, with acknowledgements in doubt.

use std::sync::Arc;
use std::time::Duration;

use ftrack_hub::{Event, Session};
use futures_util::future::join_all;
use hub_emulator::Emulator;
use hub_emulator::ftrack::Action;
use parking_lot::Mutex;
use serde_json::json;

use super::stage::{self, broken};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};
use crate::{Ledger, Verdict};

pub(super) const FAULT: Fault = Fault {
    id: "R",
    what: "a reset among 200 publishes, at every place",
    holds: "every acknowledged publish arrives once",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const PUBLISHES: usize = 200;
/// How many publishes before the reset the acknowledgements begin to be withheld, so that some are in doubt.
const AHEAD: usize = 12;

async fn play(run: Run) -> Result<Figures, Broken> {
    let (mut resent, mut resets) = (0, 0);
    for cut in (0..PUBLISHES - AHEAD).step_by(run.pick(10, 1)) {
        let (ledger, again) = tokio::time::timeout(Duration::from_secs(600), around(cut))
            .await
            .map_err(|_| Broken::new(format!("the reset after {cut} publishes: not done after 10 min")))??;
        resent += again;
        resets += 1;
        let verdict = ledger.verdict();
        ensure(verdict == Verdict::default(), || format!("the reset after {cut} publishes: {verdict:?}"))?;
    }
    ensure(resent > 0, || "no reset hit a publish in flight, so nothing was shown".to_owned())?;
    Ok(Figures::new().with("resets", resets).with("lost", 0).with("duplicates", 0).with("resent", resent))
}

async fn connected(emulator: &Emulator, user: &str) -> Result<Session, Broken> {
    let session = stage::session(emulator, user, |builder| builder)?;
    session.event_hub().connect().await.map_err(broken("connect"))?;
    Ok(session)
}

/// One publisher whose link is reset after `cut` publishes: the ledger, and how many were sent again.
async fn around(cut: usize) -> Result<(Ledger, u64), Broken> {
    let emulator = stage::emulator(hub_emulator::Builder::without_imodelhub).await?;
    let ann = connected(&emulator, "ann").await?;
    let publisher = emulator.connections()[0].id;
    let ben = connected(&emulator, "ben").await?;
    let ledger = Arc::new(Mutex::new(Ledger::new()));
    let seen = Arc::clone(&ledger);
    ben.event_hub()
        .subscribe("topic=t")
        .handle(move |event: Event| {
            let seen = Arc::clone(&seen);
            async move { seen.lock().seen(event.data_value()["n"].to_string()) }
        })
        .await
        .map_err(broken("subscribe"))?;

    let start = stage::now();
    let faults = emulator.ftrack_faults();
    let mut resent = 0;
    let mut publishing = Vec::new();
    for n in 0..PUBLISHES {
        ledger.lock().sent(n.to_string(), start.elapsed());
        let event = Event::new("t", &json!({"n": n})).map_err(broken("make an event"))?;
        publishing.push(tokio::spawn(ann.event_hub().publish(event).into_future()));
        tokio::task::yield_now().await;
        if n == cut {
            faults.fire_at(publisher, Action::WithholdAcks { count: 5 }).map_err(broken("fire"))?;
        }
        if n == cut + AHEAD {
            faults.fire_at(publisher, Action::Reset).map_err(broken("fire"))?;
        }
    }
    for (n, published) in join_all(publishing).await.into_iter().enumerate() {
        let receipt = published.map_err(broken("publish"))?.map_err(broken("publish"))?;
        resent += u64::from(receipt.attempts > 1);
        ledger.lock().acknowledged(n.to_string());
    }
    stage::pause(Duration::from_secs(5)).await;
    ann.event_hub().close().await;
    ben.event_hub().close().await;
    let ledger = ledger.lock().clone();
    Ok((ledger, resent))
}
