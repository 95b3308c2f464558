//! F4: the peer stops reading and writing, and says no end.

use std::time::Duration;

use ftrack_hub::Lifecycle;
use ftrack_hub::hub::Report;
use hub_emulator::{Builder, ftrack, imodelhub};
use imodelhub_events::ListenerState;

use super::queues;
use super::stage::{self, broken};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F4",
    what: "half-open peer: stops reading and writing, no FIN",
    holds: "detected within 1.5 x heartbeat timeout (ws), server timeout + 5 s (longpoll)",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

/// What the handshake of the emulator says.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// How long a listener's poll is held.
const POLL: Duration = Duration::from_secs(60);
const MARGIN: Duration = Duration::from_secs(5);

async fn play(run: Run) -> Result<Figures, Broken> {
    let mut figures = Figures::new();
    for action in [ftrack::Action::HalfOpen, ftrack::Action::Silent] {
        let mut longest = Duration::ZERO;
        for at in 0..run.pick(5, 60) {
            longest = longest.max(websocket(&action, Duration::from_secs(at)).await?);
        }
        ensure(longest * 2 <= HEARTBEAT * 3, || format!("{}: noticed after {longest:?}", action.name()))?;
        figures = figures.with(format!("ws {} s", action.name()), longest.as_secs_f64());
    }
    let longest = poll().await?;
    ensure(longest <= POLL + MARGIN, || format!("a poll without an answer was noticed after {longest:?}"))?;
    Ok(figures.with("longpoll s", longest.as_secs_f64()))
}

/// How long it takes to notice, when the link is that old.
async fn websocket(action: &ftrack::Action, at: Duration) -> Result<Duration, Broken> {
    let emulator = stage::emulator(Builder::without_imodelhub).await?;
    let session = stage::session(&emulator, "ann", |builder| builder)?;
    let hub = session.event_hub();
    hub.connect().await.map_err(broken("connect"))?;
    let mut reports = hub.lifecycle();
    stage::pause(at).await;
    let since = stage::now();
    emulator.ftrack_faults().fire(action.clone()).map_err(broken("fire"))?;
    let noticed = async {
        loop {
            match reports.next().await {
                Some(Report::Happened(Lifecycle::Disconnected { .. })) => return Ok(since.elapsed()),
                Some(_) => {}
                None => return Err(Broken::new("the hub ended")),
            }
        }
    };
    let noticed = tokio::time::timeout(HEARTBEAT * 10, noticed).await;
    let noticed = noticed.map_err(|_| Broken::new("a dead link was never noticed"))?;
    hub.close().await;
    noticed
}

async fn poll() -> Result<Duration, Broken> {
    let emulator = std::sync::Arc::new(stage::emulator(Builder::without_ftrack).await?);
    let client = queues::client(&emulator, 1, |builder| builder.long_poll(POLL))?;
    emulator
        .add_fault(imodelhub::Fault::new(imodelhub::Action::Hang).path("/messages/head"))
        .map_err(broken("add a fault"))?;
    let since = stage::now();
    let queue = queues::locked(&client, 0).await?;
    let noticed = queue.listener.wait_for_state(|state| matches!(state, ListenerState::Retrying { .. }));
    let state = tokio::time::timeout(POLL * 10, noticed).await;
    let state = state.map_err(|_| Broken::new("a poll without an answer was never given up"))?;
    ensure(matches!(state, ListenerState::Retrying { .. }), || format!("the listener is {state:?}"))?;
    Ok(since.elapsed())
}
