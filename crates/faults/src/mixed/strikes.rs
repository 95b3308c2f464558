//! What goes wrong in a run, drawn from its seed, on both sides.

use std::collections::BTreeMap;

use hub_emulator::{Emulator, ftrack, imodelhub};

use super::world::World;
use crate::dice::Dice;
use crate::figures::Broken;
use crate::scenes::stage::{self, broken};

/// Something that can go wrong.
#[derive(Clone, Copy, Debug)]
enum Strike {
    /// To an open connection of the ftrack side, chosen by chance.
    Link(fn(&mut Dice) -> ftrack::Action),
    /// To connections to come.
    Connecting(fn(&mut Dice) -> ftrack::Fault),
    /// To requests of the iModelHub side to come.
    Request(fn(&mut Dice) -> imodelhub::Action),
    /// To one request to a queue.
    Refusal(fn() -> imodelhub::Action),
    /// Up and down for some seconds.
    Flap,
    /// Every connection is put out in turn.
    Roll,
    /// Both services are down for a moment.
    Restart,
    /// Every token for the queues becomes useless.
    ExpireSas,
    /// Every access token becomes useless.
    RevokeTokens,
}

impl Strike {
    /// Whether a token is refused.
    fn refuses(self) -> bool {
        matches!(self, Self::Refusal(_) | Self::ExpireSas | Self::RevokeTokens)
    }
}

/// Everything that can go wrong, by name.
const STRIKES: &[(&str, Strike)] = &[
    ("fin", Strike::Link(|_| ftrack::Action::Fin)),
    ("reset", Strike::Link(|_| ftrack::Action::Reset)),
    ("silent", Strike::Link(|_| ftrack::Action::Silent)),
    ("half open", Strike::Link(|_| ftrack::Action::HalfOpen)),
    ("0::", Strike::Link(|_| ftrack::Action::Disconnect)),
    ("7:::", Strike::Link(|_| ftrack::Action::ErrorPacket { packet: "7:::1+0".to_owned(), stays: false })),
    ("close", Strike::Link(|_| ftrack::Action::Close { code: 1001 })),
    ("withheld acks", Strike::Link(|dice| ftrack::Action::WithholdAcks { count: dice.between(1, 5) })),
    (
        "late acks",
        Strike::Link(|dice| ftrack::Action::DelayAcks {
            count: dice.between(1, 5),
            ms: dice.between(100, 3_000),
        }),
    ),
    ("reordered acks", Strike::Link(|dice| ftrack::Action::ReorderAcks { window: 2 + dice.index(3) })),
    (
        "refused acks",
        Strike::Link(|dice| ftrack::Action::RefuseAcks {
            count: dice.between(1, 3),
            every: dice.between(1, 3),
        }),
    ),
    ("malformed", Strike::Link(|dice| ftrack::Action::Malformed { kind: malformed(dice) })),
    ("slow reads", Strike::Link(|_| ftrack::Action::SlowReads { bytes: 512, pause_ms: 20 })),
    ("trickle", Strike::Link(|_| ftrack::Action::Trickle { bytes: 256, pause_ms: 20 })),
    (
        "refuse",
        Strike::Connecting(|dice| ftrack::Fault::new(ftrack::Action::Refuse).times(dice.between(1, 3))),
    ),
    (
        "handshake status",
        Strike::Connecting(|dice| {
            let status = [429, 500, 502, 503][dice.index(4)];
            ftrack::Fault::new(ftrack::Action::Status { status, body: String::new() })
                .times(dice.between(1, 2))
        }),
    ),
    ("late handshake", Strike::Connecting(|_| ftrack::Fault::new(ftrack::Action::Delay { ms: 2_000 }))),
    (
        "upgrade reset",
        Strike::Connecting(|_| ftrack::Fault::new(ftrack::Action::Reset).at(ftrack::Stage::Upgrade)),
    ),
    (
        "destroy buffer",
        Strike::Connecting(|dice| {
            ftrack::Fault::new(ftrack::Action::DestroyBuffer { bytes: dice.between(500, 4_000) })
        }),
    ),
    ("flap", Strike::Flap),
    ("rolling restart", Strike::Roll),
    ("restart", Strike::Restart),
    ("queue 503", Strike::Request(|dice| status(503, dice.between(1, 3)))),
    ("queue 500", Strike::Request(|_| status(500, 1))),
    ("queue refuse", Strike::Request(|_| imodelhub::Action::Refuse)),
    ("queue reset", Strike::Request(|_| imodelhub::Action::Reset)),
    ("reset waiting", Strike::Request(|_| imodelhub::Action::ResetWaiting { after_ms: 2_000 })),
    ("401 waiting", Strike::Refusal(|| imodelhub::Action::UnauthorizedWaiting { after_ms: 2_000 })),
    ("reset after dequeue", Strike::Request(|_| imodelhub::Action::ResetAfterDequeue)),
    ("hang", Strike::Request(|_| imodelhub::Action::Hang)),
    ("delay", Strike::Request(|_| imodelhub::Action::Delay { ms: 1_500 })),
    ("cut body", Strike::Request(|_| imodelhub::Action::CutBody)),
    ("reset body", Strike::Request(|_| imodelhub::Action::ResetBody)),
    ("garbage body", Strike::Request(|_| imodelhub::Action::GarbageBody)),
    ("empty body", Strike::Request(|_| imodelhub::Action::EmptyBody)),
    ("no type", Strike::Request(|_| imodelhub::Action::ContentType { value: None })),
    ("queue trickle", Strike::Request(|_| imodelhub::Action::Trickle { bytes: 16, pause_ms: 20 })),
    ("revoked token", Strike::Refusal(|| imodelhub::Action::RevokeToken)),
    ("expired SAS", Strike::ExpireSas),
    ("revoked tokens", Strike::RevokeTokens),
];

/// So many of them in one run, each once.
const IN_A_RUN: usize = 16;
/// So many must have struck, or the run showed nothing.
pub(super) const LEAST: usize = 5;

/// Strikes for so long, and then no more.
pub(super) async fn strike(world: &World, emulator: &Emulator, dice: &mut Dice) -> Result<(), Broken> {
    let mut kinds: Vec<_> = STRIKES.iter().collect();
    dice.shuffle(&mut kinds);
    // Two refusals in a row are for good, by design: a run has one kind of them, once.
    let mut refusals = 0;
    kinds.retain(|(_, strike)| {
        refusals += u64::from(strike.refuses());
        !strike.refuses() || refusals == 1
    });
    kinds.truncate(IN_A_RUN);
    let only_queues = kinds.iter().any(|(_, strike)| strike.refuses());
    for (name, strike) in kinds {
        stage::pause(dice.millis(1_000, 6_000)).await;
        world.note(format_args!("strike {name}"));
        perform(*strike, only_queues, world, emulator, dice).await?;
    }
    emulator.ftrack_faults().clear();
    emulator.imodelhub_faults().clear();
    world.note(format_args!("no more strikes"));
    Ok(())
}

async fn perform(
    strike: Strike,
    only_queues: bool,
    world: &World,
    emulator: &Emulator,
    dice: &mut Dice,
) -> Result<(), Broken> {
    let faults = emulator.ftrack_faults();
    match strike {
        Strike::Link(action) => {
            let action = action(dice);
            let open = emulator.connections();
            if let Some(connection) = open.get(dice.index(open.len())) {
                world.note(format_args!("  at {}: {action:?}", connection.user));
                faults.fire_at(connection.id, action).map_err(broken("fire"))?;
            }
        }
        Strike::Connecting(fault) => {
            faults.add(fault(dice)).map_err(broken("add a fault"))?;
            // They strike whoever comes next: somebody must.
            cut_one(emulator, dice)?;
        }
        Strike::Request(action) => {
            let fault = imodelhub::Fault::new(action(dice)).skip(dice.below(3)).times(dice.between(1, 2));
            // Requests to the queues only, or also those for tokens. Not these, if a token is refused in this run: the
            // fresh one could be revoked on its way.
            let fault = if dice.percent(70) || only_queues { fault.path("/messages/") } else { fault };
            emulator.add_fault(fault).map_err(broken("add a fault"))?;
        }
        Strike::Refusal(action) => {
            let fault = imodelhub::Fault::new(action()).skip(dice.below(3)).path("/messages/head");
            emulator.add_fault(fault).map_err(broken("add a fault"))?;
        }
        Strike::Flap => {
            faults.flap(dice.millis(200, 2_000), dice.millis(200, 2_000));
            stage::pause(dice.millis(2_000, 8_000)).await;
            // It may be down now: the others of this side go with it.
            faults.clear();
        }
        Strike::Roll => {
            faults.rolling_restart(dice.millis(0, 1_000));
        }
        Strike::Restart => {
            emulator.stop().await;
            stage::pause(dice.millis(0, 5_000)).await;
            emulator.restart().await.map_err(broken("restart"))?;
            world.struck("restart");
        }
        Strike::ExpireSas => {
            emulator.expire_sas();
            world.struck("expire_sas");
        }
        Strike::RevokeTokens => {
            emulator.revoke_tokens();
            world.struck("revoke_tokens");
        }
    }
    Ok(())
}

fn cut_one(emulator: &Emulator, dice: &mut Dice) -> Result<(), Broken> {
    let open = emulator.connections();
    if let Some(connection) = open.get(dice.index(open.len())) {
        emulator.ftrack_faults().fire_at(connection.id, ftrack::Action::Fin).map_err(broken("fire"))?;
    }
    Ok(())
}

/// Any kind but the one of 16 MiB, which has a scene of its own.
fn malformed(dice: &mut Dice) -> ftrack::Malformed {
    let small = &ftrack::Malformed::ALL[..ftrack::Malformed::ALL.len() - 1];
    small[dice.index(small.len())]
}

fn status(status: u16, retry_after: u64) -> imodelhub::Action {
    let headers = BTreeMap::from([("Retry-After".to_owned(), retry_after.to_string())]);
    imodelhub::Action::Status { status, headers, body: String::new() }
}
