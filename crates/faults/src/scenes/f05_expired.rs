//! F5: credentials that are refused: at connect, in the middle, while a poll is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ftrack_hub::{ConnectionState, CredentialProvider, Credentials, ErrorKind};
use hub_emulator::imodelhub::{Action, Fault as Struck};
use hub_emulator::{Emulator, ftrack};
use imodelhub_events::ListenerState;

use super::queues;
use super::stage::{self, broken};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};
use crate::mixed::clock;

pub(super) const FAULT: Fault = Fault {
    id: "F5",
    what: "401 at connect; 401 mid-stream; token expiry during a poll",
    holds: "one refresh per expiry, 0 deliveries lost; a permanent 401 stops after one refresh with Unauthenticated",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const LIMIT: Duration = Duration::from_secs(300);

async fn play(run: Run) -> Result<Figures, Broken> {
    let expiries = run.pick(5, 100);
    websocket(expiries).await?;
    permanent_websocket().await?;
    let (events, again) = polls(run, expiries).await?;
    permanent_poll(run).await?;
    Ok(Figures::new()
        .with("expiries of each kind", expiries)
        .with("refreshes per expiry", 1)
        .with("queue events", events)
        .with("lost", 0)
        .with("again", again)
        .with("refreshes before a permanent 401", 1))
}

/// Counts how often it is asked for other credentials.
#[derive(Clone, Default)]
struct Keys {
    refused: Arc<AtomicU64>,
}

#[async_trait]
impl CredentialProvider for Keys {
    async fn credentials(&self, refused: bool) -> ftrack_hub::Result<Credentials> {
        self.refused.fetch_add(u64::from(refused), Ordering::Relaxed);
        Ok(Credentials::new("ann", "any-key"))
    }
}

fn handshake_401(emulator: &Emulator, times: u64) -> Result<(), Broken> {
    let refusal = ftrack::Action::Status { status: 401, body: String::new() };
    emulator.ftrack_faults().add(ftrack::Fault::new(refusal).times(times)).map_err(broken("add a fault"))
}

/// At connect, then at the reconnects after links that ended in the middle.
async fn websocket(expiries: u64) -> Result<(), Broken> {
    let emulator = stage::emulator(hub_emulator::Builder::without_imodelhub).await?;
    let keys = Keys::default();
    let provider = keys.clone();
    let session = stage::session(&emulator, "ann", |builder| builder.credentials(provider))?;
    let hub = session.event_hub();
    handshake_401(&emulator, 1)?;
    hub.connect().await.map_err(broken("connect after one refusal"))?;
    for expiry in 1..=expiries {
        let refreshes = keys.refused.load(Ordering::Relaxed);
        ensure(refreshes == expiry, || format!("ws: {refreshes} refreshes after {expiry} expiries"))?;
        handshake_401(&emulator, 1)?;
        emulator.ftrack_faults().fire(ftrack::Action::Disconnect).map_err(broken("fire"))?;
        hub.wait_for_state(|state| !state.is_connected()).await;
        tokio::time::timeout(LIMIT, hub.wait_for_state(ConnectionState::is_connected))
            .await
            .map_err(|_| Broken::new(format!("ws: not back {LIMIT:?} after expiry {expiry}")))?;
    }
    hub.close().await;
    Ok(())
}

async fn permanent_websocket() -> Result<(), Broken> {
    let emulator = stage::emulator(hub_emulator::Builder::without_imodelhub).await?;
    let keys = Keys::default();
    let provider = keys.clone();
    let session = stage::session(&emulator, "ann", |builder| builder.credentials(provider))?;
    let hub = session.event_hub();
    hub.connect().await.map_err(broken("connect"))?;
    handshake_401(&emulator, 0)?;
    emulator.ftrack_faults().fire(ftrack::Action::Disconnect).map_err(broken("fire"))?;
    let failed = hub.wait_for_state(|state| matches!(state, ConnectionState::Failed { .. }));
    let state = tokio::time::timeout(LIMIT, failed).await;
    let state = state.map_err(|_| Broken::new("ws: a permanent 401 does not stop the attempts"))?;
    let unauthenticated = matches!(
        &state,
        ConnectionState::Failed { reason } if reason.kind() == ErrorKind::Unauthenticated
    );
    ensure(unauthenticated, || format!("ws: after a permanent 401 the hub is {state}"))?;
    stage::pause(LIMIT).await;
    let refreshes = keys.refused.load(Ordering::Relaxed);
    ensure(refreshes == 1, || format!("ws: {refreshes} refreshes before a permanent 401 counted"))?;
    hub.close().await;
    Ok(())
}

async fn queue_emulator(run: Run) -> Result<Arc<Emulator>, Broken> {
    clock::start();
    let emulator = stage::emulator(|builder| {
        builder
            .without_ftrack()
            .seed(run.seed)
            .starts_at(clock::started_at())
            .lock_duration(Duration::from_secs(10))
    });
    Ok(Arc::new(emulator.await?))
}

/// While a poll is held: it is refused in the middle, or its token ends and the next request is refused.
async fn polls(run: Run, expiries: u64) -> Result<(u64, u64), Broken> {
    let emulator = queue_emulator(run).await?;
    let client = queues::client(&emulator, run.seed, |builder| builder)?;
    let queue = queues::locked(&client, 0).await?;
    queue.publish(&emulator);
    queues::all_taken(&emulator).await?;
    for expiry in 0..expiries {
        let issued = emulator.imodelhub_stats().sas_issued;
        if expiry % 2 == 0 {
            let refused = Struck::new(Action::UnauthorizedWaiting { after_ms: 3_000 });
            emulator.add_fault(refused.path("/messages/head")).map_err(broken("add a fault"))?;
        } else {
            let ended = emulator.expire_sas();
            ensure(ended > 0, || "there was no token to end".to_owned())?;
        }
        for _ in 0..3 {
            queue.publish(&emulator);
            stage::pause(Duration::from_secs(2)).await;
        }
        queues::all_taken(&emulator).await?;
        let refreshes = emulator.imodelhub_stats().sas_issued - issued;
        ensure(refreshes == 1, || format!("longpoll: {refreshes} refreshes at expiry {expiry}"))?;
    }
    let [events, again, lost, _] = queue.audit()?;
    ensure(lost == 0, || format!("longpoll: {lost} deliveries were lost"))?;
    Ok((events, again))
}

async fn permanent_poll(run: Run) -> Result<(), Broken> {
    let emulator = queue_emulator(run).await?;
    let client = queues::client(&emulator, run.seed, |builder| builder)?;
    let queue = queues::locked(&client, 0).await?;
    queue.publish(&emulator);
    queues::all_taken(&emulator).await?;
    let issued = emulator.imodelhub_stats().sas_issued;
    let refused = Struck::new(Action::UnauthorizedWaiting { after_ms: 1_000 });
    emulator.add_fault(refused.path("/messages/head").times(0)).map_err(broken("add a fault"))?;
    queue.publish(&emulator);
    let ended = queue.listener.wait_for_state(|state| matches!(state, ListenerState::Ended(_)));
    let ended = tokio::time::timeout(LIMIT, ended).await;
    let ended = ended.map_err(|_| Broken::new("longpoll: a permanent 401 does not end the listener"))?;
    let unauthenticated = matches!(
        &ended,
        ListenerState::Ended(Some(reason)) if reason.kind() == ErrorKind::Unauthenticated
    );
    ensure(unauthenticated, || format!("longpoll: after a permanent 401 the listener is {ended:?}"))?;
    let refreshes = emulator.imodelhub_stats().sas_issued - issued;
    ensure(refreshes == 1, || format!("longpoll: {refreshes} refreshes before a permanent 401 counted"))
}
