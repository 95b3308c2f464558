//! RS: a reset of the TCP connection among publishes, over real sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ftrack_hub::{Event, Session};
use futures_util::future::join_all;
use hub_emulator::Emulator;
use hub_emulator::ftrack::Action;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use super::stage::{self, broken};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};
use crate::marks::marked;

pub(super) const FAULT: Fault = Fault {
    id: "RS",
    what: "a TCP reset among publishes, real sockets",
    holds: "acknowledged = received, each id once, in every run; no caller held beyond its timeout",
    clock: Clock::Real,
    play: |run| -> Playing { Box::pin(play(run)) },
};

/// Callers at a time.
const CALLERS: usize = 100;
/// What each of them would wait.
const TIMEOUT: Duration = Duration::from_secs(15);

async fn play(run: Run) -> Result<Figures, Broken> {
    let (runs, publishes) = run.pick((2, 200), (20, 1_000));
    let mut all = Around::default();
    for n in 0..runs {
        // Somewhere in the middle half, at another place each time.
        let cut = publishes / 4 + (usize::try_from(run.seed).unwrap_or(0) + n * 37) % (publishes / 2);
        let around = tokio::time::timeout(Duration::from_secs(120), around(publishes, cut))
            .await
            .map_err(|_| Broken::new(format!("run {n}: not done after 2 min")))??;
        all.resent += around.resent;
        all.longest = all.longest.max(around.longest);
    }
    ensure(all.resent > 0, || "no reset hit a publish in flight, so nothing was shown".to_owned())?;
    Ok(Figures::new()
        .with("runs", runs)
        .with("acknowledged = received = once", runs * publishes)
        .with("resent", all.resent)
        .with("longest held", format!("{:.0?} of {TIMEOUT:?}", all.longest)))
}

#[derive(Debug, Default)]
struct Around {
    resent: u64,
    /// The longest that a caller was held.
    longest: Duration,
}

async fn connected(emulator: &Emulator, user: &str) -> Result<Session, Broken> {
    let session = Session::builder(emulator.ftrack_url(), user, marked("key"))
        .build()
        .map_err(broken("build a session"))?;
    session.event_hub().connect().await.map_err(broken("connect"))?;
    Ok(session)
}

/// One run: the publisher is reset when `cut` of its publishes are acknowledged.
async fn around(publishes: usize, cut: usize) -> Result<Around, Broken> {
    let emulator =
        Emulator::builder().without_imodelhub().start().await.map_err(broken("start the emulator"))?;
    let ann = connected(&emulator, "ann").await?;
    let struck_one = emulator.connections()[0].id;
    let ben = connected(&emulator, "ben").await?;
    let seen = Arc::new(Mutex::new(BTreeMap::<u64, u64>::new()));
    let last = Arc::new(Notify::new());
    let (noting, ringing) = (Arc::clone(&seen), Arc::clone(&last));
    ben.event_hub()
        .subscribe("topic=t or topic=last")
        .handle(move |event: Event| {
            match event.data_value()["n"].as_u64() {
                Some(n) => *noting.lock().entry(n).or_insert(0) += 1,
                None => ringing.notify_one(),
            }
            async {}
        })
        .await
        .map_err(broken("subscribe"))?;

    let callers = Arc::new(Semaphore::new(CALLERS));
    let done = Arc::new(Semaphore::new(0));
    let publishing = (0..publishes).map(|n| {
        let (hub, callers, done) = (ann.event_hub().clone(), Arc::clone(&callers), Arc::clone(&done));
        async move {
            let _turn = callers.acquire_owned().await.map_err(broken("wait for a turn"))?;
            let event = Event::new("t", &json!({"n": n})).map_err(broken("make an event"))?;
            let since = stage::now();
            let receipt = hub.publish(event).timeout(TIMEOUT).await.map_err(broken("publish"))?;
            done.add_permits(1);
            Ok((since.elapsed(), receipt.attempts))
        }
    });
    let reset = async {
        let enough = u32::try_from(cut).unwrap_or(u32::MAX);
        let _enough = done.acquire_many(enough).await.map_err(broken("wait"))?;
        let struck = emulator.ftrack_faults().fire_at(struck_one, Action::Reset).map_err(broken("fire"))?;
        ensure(struck, || "the publisher was not there any more".to_owned())
    };
    let (outcomes, reset) = tokio::join!(join_all(publishing), reset);
    reset?;
    let mut around = Around::default();
    for outcome in outcomes {
        let (held, attempts) = outcome?;
        around.longest = around.longest.max(held);
        around.resent += u64::from(attempts > 1);
    }
    // Everything acknowledged is before this on ben's connection.
    let end = Event::new("last", &json!({})).map_err(broken("make an event"))?;
    ann.event_hub().publish(end).await.map_err(broken("publish"))?;
    last.notified().await;
    let seen = seen.lock().clone();
    let expected: BTreeMap<u64, u64> = (0..publishes as u64).map(|n| (n, 1)).collect();
    ensure(seen == expected, || {
        let missing: Vec<_> = expected.keys().filter(|n| !seen.contains_key(n)).collect();
        let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
        format!("cut after {cut}: missing {missing:?}, more than once {twice:?}")
    })?;
    ensure(around.longest <= TIMEOUT, || format!("a caller was held for {:?}", around.longest))?;
    ann.event_hub().close().await;
    ben.event_hub().close().await;
    Ok(around)
}
