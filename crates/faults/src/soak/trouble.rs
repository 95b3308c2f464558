//! What goes wrong, a fault at a time, chosen by the seed: every kind once before any comes again.

use std::time::Duration;

use hub_emulator::ftrack::{Action, Fault, Malformed};
use hub_emulator::imodelhub;

use super::chance::Chance;
use super::load::{HUBS, user};
use super::server::Ask;

/// The next faults, in the order in which they come.
#[derive(Debug)]
pub(super) struct Troubles {
    chance: Chance,
    next: Vec<Trouble>,
}

/// One fault: its name and the orders that bring it about.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) name: String,
    pub(super) asks: Vec<Ask>,
}

impl Troubles {
    pub(super) fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed), next: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Trouble {
        if self.next.is_empty() {
            self.next = all(&mut self.chance);
            for last in (1..self.next.len()).rev() {
                let other = usize::try_from(self.chance.below(last as u64 + 1)).unwrap_or(last);
                self.next.swap(last, other);
            }
        }
        // There is always one: the list above is not empty.
        self.next.pop().unwrap_or(Trouble { name: "nothing".to_owned(), asks: Vec::new() })
    }
}

fn all(chance: &mut Chance) -> Vec<Trouble> {
    let mut all: Vec<Trouble> = links().into_iter().map(|action| strike(chance, action)).collect();
    all.extend(requests().into_iter().map(|(name, fault)| Trouble {
        name: format!("imodelhub {name}"),
        asks: vec![Ask::Request { fault }],
    }));
    all.push(Trouble { name: "SAS tokens end".to_owned(), asks: vec![Ask::ExpireSas] });
    all.push(Trouble { name: "restart".to_owned(), asks: vec![Ask::Restart { down_ms: 3_000 }] });
    let busy = Action::Status { status: 503, body: String::new() };
    all.push(Trouble {
        name: "reset of all, then 503 and refusals".to_owned(),
        asks: std::iter::once(Ask::Next { fault: Fault::new(busy).times(6) })
            .chain([Ask::Next { fault: Fault::new(Action::Refuse).times(6) }])
            .chain((0..HUBS).map(|hub| Ask::Strike { user: user(hub), action: Action::Reset }))
            .collect(),
    });
    all
}

/// Towards the links of one hub.
fn strike(chance: &mut Chance, action: Action) -> Trouble {
    let user = user(usize::try_from(chance.below(HUBS as u64)).unwrap_or(0));
    Trouble { name: format!("{} of {user}", action.name()), asks: vec![Ask::Strike { user, action }] }
}

fn links() -> Vec<Action> {
    vec![
        Action::Fin,
        Action::Reset,
        Action::Silent,
        Action::HalfOpen,
        Action::Disconnect,
        Action::ErrorPacket { packet: "7:::1+0".to_owned(), stays: false },
        Action::Close { code: 1001 },
        Action::Malformed { kind: Malformed::Garbage },
        Action::WithholdAcks { count: 20 },
        Action::DelayAcks { count: 50, ms: 1_500 },
        Action::ReorderAcks { window: 4 },
        Action::RefuseAcks { count: 10, every: 2 },
        Action::SlowReads { bytes: 512, pause_ms: 1 },
        Action::Trickle { bytes: 512, pause_ms: 1 },
        Action::DestroyBuffer { bytes: 20_000 },
    ]
}

/// Towards requests of listeners and of those who subscribe.
fn requests() -> Vec<(&'static str, imodelhub::Fault)> {
    use imodelhub::{Action, Fault};
    let poll = |action| Fault::new(action).path("messages/head");
    let busy = Action::Status {
        status: 503,
        headers: [("Retry-After".to_owned(), "1".to_owned())].into(),
        body: String::new(),
    };
    vec![
        ("503", Fault::new(busy).times(4)),
        ("reset", poll(Action::Reset).times(3)),
        ("refuse", Fault::new(Action::Refuse).times(4)),
        ("reset_waiting", poll(Action::ResetWaiting { after_ms: 500 }).times(2)),
        ("unauthorized_waiting", poll(Action::UnauthorizedWaiting { after_ms: 500 }).times(2)),
        ("reset_after_dequeue", poll(Action::ResetAfterDequeue).times(2)),
        ("hang", poll(Action::Hang)),
        ("delay", poll(Action::Delay { ms: 1_500 }).times(2)),
        ("truncate_body", poll(Action::TruncateBody).times(2)),
        ("cut_body", poll(Action::CutBody).times(2)),
        ("reset_body", poll(Action::ResetBody).times(2)),
        ("garbage_body", poll(Action::GarbageBody).times(2)),
        ("braceless_body", poll(Action::BracelessBody).times(2)),
        ("empty_body", poll(Action::EmptyBody).times(2)),
        ("content_type", poll(Action::ContentType { value: None }).times(2)),
        ("trickle", poll(Action::Trickle { bytes: 16, pause_ms: 1 }).times(2)),
        ("revoke_token", poll(Action::RevokeToken)),
        ("expire_subscription", poll(Action::ExpireSubscription)),
    ]
}

/// The pause between two faults.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn names(seed: u64, count: usize) -> Vec<String> {
        let mut troubles = Troubles::new(seed);
        (0..count).map(|_| troubles.next().name).collect()
    }

    #[test]
    fn a_seed_gives_the_same_faults_every_time_and_another_seed_others() {
        assert_eq!(names(1, 80), names(1, 80));
        assert_ne!(names(1, 80), names(2, 80));
    }

    #[test]
    fn every_kind_comes_once_before_any_comes_again() {
        let kinds = links().len() + requests().len() + 3;
        let mut first = names(3, kinds);
        first.sort();
        first.dedup();
        assert_eq!(first.len(), kinds);
    }
}
