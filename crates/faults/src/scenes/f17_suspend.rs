//! F17: the machine sleeps for an hour: both services and every client find all their timers due at once.

use std::sync::Arc;
use std::time::Duration;

use event_core::supervisor::{Jitter, ReconnectPolicy};
use ftrack_hub::hub::Report;
use ftrack_hub::{ConnectionState, Lifecycle};

use super::queues;
use super::stage::{self, broken};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};
use crate::mixed::clock;

pub(super) const FAULT: Fault = Fault {
    id: "F17",
    what: "clock jump / suspend 1 h",
    holds: "recovers like F2, no timer storm",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const HOUR: Duration = Duration::from_secs(3_600);
/// What one client may do in the time in which it recovers: handshakes, polls, heartbeats.
const CALM: u64 = 20;

async fn play(run: Run) -> Result<Figures, Broken> {
    clock::start();
    let long = HOUR * 24 * 365;
    let emulator =
        stage::emulator(|builder| builder.subscription_idle(long).starts_at(clock::started_at())).await?;
    let emulator = Arc::new(emulator);
    let limit = ReconnectPolicy::default().max + Duration::from_secs(1);
    let mut policy = ReconnectPolicy::default();
    policy.jitter = Jitter::Seeded(run.seed);
    let session = stage::session(&emulator, "ann", |builder| builder.reconnect(policy))?;
    let hub = session.event_hub();
    hub.connect().await.map_err(broken("connect"))?;
    let client = queues::client(&emulator, run.seed, |builder| builder)?;
    let queue = queues::locked(&client, 0).await?;
    queue.publish(&emulator);
    queues::all_taken(&emulator).await?;

    let (mut slowest, mut attempts, mut most) = (Duration::ZERO, 0, 0);
    let mut reports = hub.lifecycle();
    for sleep in 0..run.pick(5, 100) {
        // Not always at the same point of everybody's timers.
        stage::pause(Duration::from_millis(sleep * 1_777)).await;
        let before = (emulator.stats(), emulator.imodelhub_stats());
        tokio::time::advance(HOUR).await;
        let awake = stage::now();
        stage::pause(Duration::from_millis(100)).await;
        tokio::time::timeout(limit, hub.wait_for_state(ConnectionState::is_connected))
            .await
            .map_err(|_| Broken::new(format!("not connected {limit:?} after waking up")))?;
        slowest = slowest.max(awake.elapsed());
        queue.publish(&emulator);
        queues::all_taken(&emulator).await?;
        stage::pause(limit.saturating_sub(awake.elapsed())).await;
        let after = (emulator.stats(), emulator.imodelhub_stats());
        for (what, before, after) in [
            ("handshakes", before.0.handshakes, after.0.handshakes),
            ("heartbeats of the service", before.0.heartbeats_sent, after.0.heartbeats_sent),
            ("heartbeats of the client", before.0.heartbeats_received, after.0.heartbeats_received),
            ("requests", before.1.requests, after.1.requests),
        ] {
            most = most.max(after - before);
            ensure(after - before <= CALM, || format!("{} {what} within {limit:?}", after - before))?;
        }
        while let Ok(Some(report)) = tokio::time::timeout(Duration::ZERO, reports.next()).await {
            attempts += u32::from(matches!(report, Report::Happened(Lifecycle::Reconnecting { .. })));
        }
        let state = hub.state();
        ensure(state.is_connected(), || format!("the hub is {state}"))?;
    }
    let [published, again, lost, _] = queue.audit()?;
    hub.close().await;
    Ok(Figures::new()
        .with("slowest s", slowest.as_secs_f64())
        .with("attempts", attempts)
        .with("most of anything in 61 s", most)
        .with("queue events", published)
        .with("lost", lost)
        .with("again", again))
}
