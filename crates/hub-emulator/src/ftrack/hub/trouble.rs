//! Faults at work on connections.

use std::time::Duration;

use transport_ws::packet::Packet;

use super::Hub;
use super::inner::Inner;
use super::schedule::Job;
use crate::error::{Error, ErrorKind};
use crate::ftrack::faults::{Action, After, Dial, Flap, Stage};
use crate::ftrack::frame::Frame;
use crate::ftrack::router::ConnectionId;
use crate::net::Fate;

impl Hub {
    /// What goes wrong before there is an event connection.
    pub(in crate::ftrack) fn strike(&self, stage: Stage, user: Option<&str>) -> Vec<Action> {
        self.change(|inner| inner.dial.strike(stage, user))
    }

    /// A packet is there; says whether to look at it.
    pub(in crate::ftrack) fn arrives(&self, from: ConnectionId, bytes: usize) -> bool {
        self.change_and_send_later(|inner| {
            let Some(link) = inner.links.get_mut(&from) else { return true };
            let Some(pending) = link.rest.gauge.arrives(bytes) else { return true };
            inner.perform(from, &pending.action);
            false
        })
    }

    /// A packet was dealt with.
    pub(in crate::ftrack) fn dealt_with(&self, from: ConnectionId) {
        self.change_and_send_later(|inner| {
            while let Some(pending) = inner.links.get_mut(&from).and_then(|link| link.rest.gauge.dealt_with())
            {
                inner.perform(from, &pending.action);
            }
            if inner.links.contains_key(&from)
                && let Some(action) = inner.dial.by_chance(Stage::Link)
            {
                inner.perform(from, &action);
            }
        });
    }

    /// Does something to one open connection, or to all; says to how many.
    pub(in crate::ftrack) fn fire(
        &self,
        action: &Action,
        only: Option<ConnectionId>,
    ) -> Result<usize, Error> {
        let refused = |message: &str| Error::new(ErrorKind::InvalidFault, message);
        action.check().map_err(refused)?;
        if !action.fits(Stage::Link) || matches!(action, Action::DestroyBuffer { .. }) {
            return Err(refused("this strikes connections to come only; add it as a fault"));
        }
        Ok(self.change(|inner| {
            let hit: Vec<ConnectionId> =
                inner.links.keys().copied().filter(|id| only.is_none_or(|only| only == *id)).collect();
            for connection in &hit {
                inner.perform(*connection, action);
            }
            hit.len()
        }))
    }

    /// Up for so long from now on, then down for so long, and so on.
    pub(in crate::ftrack) fn flap(&self, up: Duration, down: Duration) {
        let now = self.clock.now();
        self.change(|inner| {
            inner.jobs.retain(|_, job| !matches!(job, Job::Flap));
            inner.dial.flap = Some(Flap { up, down, is_down: false });
            inner.schedule(now.saturating_add(up), Job::Flap);
        });
    }

    /// Puts out the open connections, oldest first, with a pause between.
    pub(in crate::ftrack) fn rolling_restart(&self, pause: Duration) -> usize {
        let now = self.clock.now();
        self.change(|inner| {
            let connections: Vec<ConnectionId> = inner.links.keys().copied().collect();
            let mut due = now;
            for connection in &connections {
                inner.schedule(due, Job::PutOut { connection: *connection });
                due = due.saturating_add(pause);
            }
            connections.len()
        })
    }

    /// Looks at the faults: no news to those who wait for something to change.
    pub(in crate::ftrack) fn see_dial<T>(&self, see: impl FnOnce(&Dial) -> T) -> T {
        see(&self.inner.lock().dial)
    }

    /// Changes the faults.
    pub(in crate::ftrack) fn with_dial<T>(&self, change: impl FnOnce(&mut Dial) -> T) -> T {
        self.change(|inner| {
            let result = change(&mut inner.dial);
            let buggy = inner.dial.is_buggy();
            for link in inner.links.values() {
                link.set_gauged(buggy || !link.rest.gauge.pending.is_empty());
            }
            if inner.dial.flap.is_none() {
                inner.jobs.retain(|_, job| !matches!(job, Job::Flap));
            }
            result
        })
    }
}

impl Inner {
    /// Arms what is to strike a new connection.
    pub(super) fn arm(&mut self, connection: ConnectionId, now: Duration) {
        let Some(link) = self.links.get(&connection) else { return };
        let user = link.user().to_owned();
        let mut at_once = Vec::new();
        for pending in self.dial.arm(&user) {
            match pending.after {
                After::Start => at_once.push(pending.action),
                After::Ms(ms) => {
                    let due = now.saturating_add(Duration::from_millis(ms));
                    self.schedule(due, Job::Strike { connection, pending });
                }
                After::Packets(_) | After::Bytes(_) => {
                    if let Some(link) = self.links.get_mut(&connection) {
                        link.rest.gauge.pending.push(pending);
                    }
                }
            }
        }
        if let Some(link) = self.links.get(&connection) {
            link.set_gauged(self.dial.is_buggy() || !link.rest.gauge.pending.is_empty());
        }
        for action in at_once {
            self.perform(connection, &action);
        }
    }

    /// Something goes wrong with a connection. What is about acknowledgements is counted when it has an effect.
    pub(super) fn perform(&mut self, connection: ConnectionId, action: &Action) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        if !link.rest.acks.spoil(action) {
            tracing::debug!(connection, action = action.name(), "a fault strikes");
            self.dial.fired.count(action.name());
            self.perform_quietly(connection, action);
        }
    }

    pub(super) fn perform_quietly(&mut self, connection: ConnectionId, action: &Action) {
        let Some(link) = self.links.get(&connection) else { return };
        let (reads, writes) = action.rates();
        if let Some(rate) = reads {
            link.limit_reads(rate);
        }
        if let Some(rate) = writes {
            link.limit_writes(rate);
        }
        let goodbye = || Frame::from(Packet::Disconnect { endpoint: "" });
        let (last_word, ends) = match action {
            Action::Silent | Action::HalfOpen | Action::Reset | Action::Fin => {
                let fate = action.fate().unwrap_or_default();
                // A FIN comes by cutting.
                if fate != Fate::Fin {
                    link.turn(fate);
                }
                if matches!(fate, Fate::Fin | Fate::Reset)
                    && let Some(link) = self.remove(connection)
                {
                    link.cut();
                }
                return;
            }
            Action::Disconnect | Action::DestroyBuffer { .. } => (goodbye(), true),
            Action::ErrorPacket { packet, stays } => (Frame::text(packet.as_bytes()), !stays),
            Action::Close { code } => (Frame::close(*code), true),
            Action::Malformed { kind } => (kind.frame(link.rest.acks.last()), kind.ends()),
            _ => return,
        };
        if !ends {
            self.push(connection, last_word, usize::MAX);
        } else if let Some(link) = self.remove(connection) {
            link.put_out(last_word);
        }
    }
}
