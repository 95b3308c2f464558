//! F21: a network that carries one byte at a time, five seconds late.

use std::time::Duration;

use hub_emulator::ftrack::{Action, Fault as Struck};

use super::killed_links::{self, Measure};
use super::latency::Latent;
use super::stage::broken;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures};

pub(super) const FAULT: Fault = Fault {
    id: "F21",
    what: "partial writes, 1-byte reads, 5 s latency",
    holds: "same results as F1",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const LATENCY: Duration = Duration::from_secs(5);

async fn play(run: Run) -> Result<Figures, Broken> {
    let pieces =
        Measure { kills: run.pick(2, 100), subscriptions: run.pick(3, 100), events: run.pick(3, 20) };
    // Both ways byte by byte, from the first byte of each connection on.
    let one_byte = killed_links::play(
        run.seed,
        pieces,
        |dialer| dialer,
        |emulator| {
            for action in
                [Action::Trickle { bytes: 1, pause_ms: 0 }, Action::SlowReads { bytes: 1, pause_ms: 0 }]
            {
                let fault = Struck::new(action).at(hub_emulator::ftrack::Stage::Connect).times(0);
                emulator.ftrack_faults().add(fault).map_err(broken("add a fault"))?;
            }
            Ok(())
        },
    );
    let one_byte = one_byte.await?;
    // A publish takes ten seconds there, and a window of them no less: what comes faster than that waits for ever.
    let slowly = Measure { events: 5, ..pieces };
    let late =
        killed_links::play(run.seed, slowly, |dialer| Latent::new(dialer, LATENCY), |_| Ok(())).await?;
    Ok(Figures::new().and("1 byte", one_byte).and("5 s late", late))
}
