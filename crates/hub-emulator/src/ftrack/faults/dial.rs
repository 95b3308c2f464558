//! The faults that wait, what strikes when, and what did. Pure.

use std::time::Duration;

use super::action::{Action, Stage};
use super::fault::{After, Fault};
use super::malformed::Malformed;
use crate::faults::{Bugginess, Buggy, Fired};

/// The most faults that wait.
const MAX_FAULTS: usize = 1_000;

/// Everything that is to go wrong.
#[derive(Debug, Default)]
pub(in crate::ftrack) struct Dial {
    armed: Vec<Armed>,
    next: u64,
    pub(in crate::ftrack) fired: Fired,
    buggy: Option<Buggy>,
    pub(in crate::ftrack) flap: Option<Flap>,
}

/// Up and down in turn.
#[derive(Clone, Copy, Debug)]
pub(in crate::ftrack) struct Flap {
    pub(in crate::ftrack) up: Duration,
    pub(in crate::ftrack) down: Duration,
    pub(in crate::ftrack) is_down: bool,
}

#[derive(Debug)]
struct Armed {
    number: u64,
    fault: Fault,
    skip: u64,
    /// `None`: without end.
    left: Option<u64>,
}

/// A fault that strikes one connection at a certain point of its life.
#[derive(Clone, Debug)]
pub(in crate::ftrack) struct Pending {
    number: u64,
    pub(in crate::ftrack) after: After,
    pub(in crate::ftrack) action: Action,
}

impl Pending {
    /// Whether the packet that brings it about is not looked at.
    pub(in crate::ftrack) fn strikes_first(&self) -> bool {
        matches!(self.action, Action::DestroyBuffer { .. })
    }
}

impl Dial {
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn add(&mut self, fault: Fault) -> Result<(), String> {
        fault.check()?;
        self.armed.retain(|armed| armed.left != Some(0));
        if self.armed.len() >= MAX_FAULTS {
            return Err(format!("{MAX_FAULTS} faults wait already"));
        }
        self.next += 1;
        let left = Some(fault.times).filter(|times| *times > 0);
        self.armed.push(Armed { number: self.next, skip: fault.skip, left, fault });
        Ok(())
    }

    /// Forgets all, chance and flapping included; says how many faults there were.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.waiting().count();
        self.armed.clear();
        self.buggy = None;
        self.flap = None;
        count
    }

    /// The faults that would still hit something, as they were given, but with what is left of their times.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Fault> {
        self.armed.iter().filter(|armed| armed.left != Some(0)).map(|armed| Fault {
            skip: armed.skip,
            times: armed.left.unwrap_or(0),
            ..armed.fault.clone()
        })
    }

    /// These instead of those that wait.
    ///
    /// # Errors
    ///
    /// What is wrong with one of them; nothing has changed then.
    pub(super) fn set(&mut self, faults: Vec<Fault>) -> Result<(), String> {
        let mut fresh = Self { next: self.next, ..Self::default() };
        faults.into_iter().try_for_each(|fault| fresh.add(fault))?;
        (self.armed, self.next) = (fresh.armed, fresh.next);
        Ok(())
    }

    pub(super) fn bugginess(&self) -> Option<Bugginess> {
        self.buggy.as_ref().map(|buggy| buggy.asked.clone())
    }

    pub(super) fn set_bugginess(&mut self, bugginess: &Bugginess) {
        self.buggy = Buggy::new(bugginess);
    }

    /// Whether every packet is a point where something may strike.
    pub(in crate::ftrack) fn is_buggy(&self) -> bool {
        self.buggy.is_some()
    }

    /// What strikes before there is an event connection. It is counted here.
    pub(in crate::ftrack) fn strike(&mut self, stage: Stage, user: Option<&str>) -> Vec<Action> {
        if self.flap.is_some_and(|flap| flap.is_down) {
            return vec![if stage == Stage::Connect { Action::Refuse } else { Action::Reset }];
        }
        let mut actions: Vec<Action> = self.take(stage, user).map(|(_, fault)| fault.action).collect();
        actions.extend(self.by_chance(stage));
        for action in &actions {
            self.fired.count(action.name());
        }
        actions
    }

    /// What is to strike a new event connection.
    pub(in crate::ftrack) fn arm(&mut self, user: &str) -> Vec<Pending> {
        let pending = |(number, fault): (u64, Fault)| {
            let after = match fault.action {
                Action::DestroyBuffer { bytes } => After::Bytes(bytes),
                _ => fault.after,
            };
            Pending { number, after, action: fault.action }
        };
        self.take(Stage::Link, Some(user)).map(pending).collect()
    }

    /// The connection ended before this struck: it waits for another.
    pub(in crate::ftrack) fn give_back(&mut self, pending: &Pending) {
        if let Some(armed) = self.armed.iter_mut().find(|armed| armed.number == pending.number)
            && let Some(left) = &mut armed.left
        {
            *left += 1;
        }
    }

    /// What chance brings at a point.
    pub(in crate::ftrack) fn by_chance(&mut self, stage: Stage) -> Option<Action> {
        let buggy = self.buggy.as_mut()?;
        let action = buggy.decide(candidates(stage), Action::name)?;
        Some(match action {
            Action::Malformed { .. } => {
                // One that only a program could take for 16 MiB of rubbish is enough in a test of its own.
                let kinds = &Malformed::ALL[..Malformed::ALL.len() - 1];
                Action::Malformed { kind: *buggy.chance().pick(kinds).unwrap_or(&Malformed::Garbage) }
            }
            Action::Status { .. } => {
                let status = *buggy.chance().pick(&[429_u16, 500, 502, 503]).unwrap_or(&503);
                Action::Status { status, body: String::new() }
            }
            other => other,
        })
    }

    fn take(&mut self, stage: Stage, user: Option<&str>) -> impl Iterator<Item = (u64, Fault)> {
        self.armed.iter_mut().filter_map(move |armed| {
            let fits = armed.left != Some(0)
                && armed.fault.stage() == stage
                && armed.fault.filter.user.as_deref().is_none_or(|wanted| user == Some(wanted));
            if !fits {
                return None;
            }
            if armed.skip > 0 {
                armed.skip -= 1;
                return None;
            }
            if let Some(left) = &mut armed.left {
                *left -= 1;
            }
            Some((armed.number, armed.fault.clone()))
        })
    }
}

/// What chance chooses from.
fn candidates(stage: Stage) -> Vec<Action> {
    match stage {
        Stage::Connect => vec![Action::Refuse, Action::Delay { ms: 500 }],
        Stage::Handshake | Stage::Upgrade => vec![
            Action::Status { status: 503, body: String::new() },
            Action::Delay { ms: 2_000 },
            Action::Fin,
            Action::Reset,
        ],
        Stage::Link => vec![
            Action::Fin,
            Action::Reset,
            Action::Silent,
            Action::HalfOpen,
            Action::Disconnect,
            Action::ErrorPacket { packet: "7:::1+0".to_owned(), stays: false },
            Action::Close { code: 1001 },
            Action::Malformed { kind: Malformed::Garbage },
            Action::RefuseAcks { count: 1, every: 1 },
            Action::WithholdAcks { count: 1 },
            Action::DelayAcks { count: 1, ms: 1_500 },
            Action::ReorderAcks { window: 2 },
            Action::SlowReads { bytes: 64, pause_ms: 1 },
            Action::Trickle { bytes: 1, pause_ms: 0 },
        ],
    }
}
