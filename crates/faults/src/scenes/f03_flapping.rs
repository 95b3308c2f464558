//! F3: the service comes up for half a second at a time.

use std::time::Duration;

use event_core::supervisor::{Jitter, ReconnectPolicy};
use ftrack_hub::Lifecycle;
use ftrack_hub::hub::Report;

use super::stage::{self, broken};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F3",
    what: "flapping: up 500 ms, down, for 10 min",
    holds: "backoff not reset before 60 s of good link; at most 40 attempts",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const UP: Duration = Duration::from_millis(500);
const DOWN: Duration = Duration::from_millis(500);
const FOR: Duration = Duration::from_secs(600);
const MOST: usize = 40;

async fn play(run: Run) -> Result<Figures, Broken> {
    let emulator = stage::emulator(hub_emulator::Builder::without_imodelhub).await?;
    let mut policy = ReconnectPolicy::default();
    policy.jitter = Jitter::Seeded(run.seed);
    let session = stage::session(&emulator, "ann", |builder| builder.reconnect(policy))?;
    let hub = session.event_hub();
    hub.connect().await.map_err(broken("connect"))?;
    let mut reports = hub.lifecycle();
    emulator.ftrack_faults().flap(UP, DOWN);

    let (mut attempts, mut connected, mut longest) = (0, 0, Duration::ZERO);
    let watch = async {
        while let Some(report) = reports.next().await {
            match report {
                Report::Happened(Lifecycle::Reconnecting { retry_in, .. }) => {
                    attempts += 1;
                    longest = longest.max(retry_in);
                }
                Report::Happened(Lifecycle::Connected { .. }) => connected += 1,
                _ => {}
            }
        }
    };
    let _ = tokio::time::timeout(FOR, watch).await;
    ensure(connected > 0, || "it never got through, so nothing was shown".to_owned())?;
    ensure(longest > Duration::from_secs(15), || format!("the pauses stayed below {longest:?}"))?;
    ensure(attempts <= MOST, || format!("{attempts} attempts in {FOR:?}, {connected} of them got through"))?;
    hub.close().await;
    Ok(Figures::new().with("attempts", attempts).with("connected", connected))
}
