//! What stands under the hub's lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event_core::{Event, Expression, SubscriptionId};
use tokio::sync::Notify;
use transport_ws::packet::{Packet, PacketId};

use super::schedule::Job;
use crate::faults::{Defect, Defects};
use crate::ftrack::Witness;
use crate::ftrack::faults::{Dial, Sent};
use crate::ftrack::frame::Frame;
use crate::ftrack::link::Link;
use crate::ftrack::outlet::Outlet;
use crate::ftrack::router::{ConnectionId, Outcome, Router};
use crate::state::{ConnectionInfo, Stats, SubscriptionInfo};

/// `[{"success":true}]`, without the brackets.
const SUCCESS: &str = r#"{"success":true}"#;
/// The topic of replies.
const REPLY: &str = "ftrack.meta.reply";
/// With the defect, one in so many acknowledgements is not sent.
const DROPPED_ACK: u64 = 3;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) running: bool,
    pub(super) router: Router,
    pub(super) links: BTreeMap<ConnectionId, Link>,
    /// The outlets with something to send that nobody is about to send.
    pub(super) waiting: Vec<Arc<Outlet>>,
    pub(super) next: ConnectionId,
    pub(super) handshakes: HashMap<String, Handshake>,
    pub(super) stats: Stats,
    pub(super) dial: Dial,
    pub(super) defects: Defects,
    pub(super) jobs: BTreeMap<(Duration, u64), Job>,
    pub(super) next_job: u64,
    pub(super) rescheduled: Arc<Notify>,
    pub(super) acks_asked: u64,
    pub(super) events_numbered: u64,
    pub(super) witness: Option<Witness>,
    #[cfg(feature = "inspector")]
    pub(super) watchers: crate::ftrack::watch::Watchers,
}

/// A session id that was given out and not used yet.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) user: Arc<str>,
    pub(super) until: Duration,
}

impl Inner {
    /// A connection with its first subscriptions.
    pub(super) fn info(&self, id: ConnectionId, link: &Link, most: usize) -> ConnectionInfo {
        let subscription = |(id, expression): (&SubscriptionId, &Expression)| SubscriptionInfo {
            id: id.to_string(),
            expression: expression.to_string(),
        };
        ConnectionInfo {
            id,
            user: link.user().to_owned(),
            queued_bytes: link.queued_bytes(),
            subscriptions: self.router.subscriptions_of(id).take(most).map(subscription).collect(),
        }
    }

    pub(super) fn obey(&mut self, from: Option<ConnectionId>, event: &Event, now: Duration) -> Outcome {
        let mut outcome = self.router.handle(from, event, now);
        if let Outcome::Routed { to, packet } = &mut outcome {
            if self.defects.has(Defect::WrongReplyTarget) && event.topic().as_str() == REPLY {
                *to = from.into_iter().filter(|_| !packet.is_empty()).collect();
            }
            if self.defects.has(Defect::IdOnEvents) && !packet.is_empty() {
                self.events_numbered += 1;
                *packet = numbered(packet, self.events_numbered);
            }
        }
        if let (Some(Witness(witness)), Outcome::Routed { to, .. }) = (&self.witness, &outcome) {
            witness(event, to.len());
        }
        #[cfg(feature = "inspector")]
        if !self.watchers.is_empty() {
            self.watchers.show(&crate::ftrack::Seen {
                event,
                from,
                user: from.and_then(|from| self.links.get(&from)).map(Link::user),
                became: (&outcome).into(),
                at: now,
            });
        }
        let stats = &mut self.stats;
        stats.events_received += 1;
        match &outcome {
            Outcome::Subscribed => stats.subscribed += 1,
            Outcome::Unsubscribed => stats.unsubscribed += 1,
            Outcome::Refused(_) => stats.refused += 1,
            Outcome::Repeated => stats.events_repeated += 1,
            Outcome::UnreadableTarget => stats.targets_unreadable += 1,
            Outcome::Routed { to, .. } => stats.events_routed += u64::from(!to.is_empty()),
        }
        outcome
    }

    pub(super) fn acknowledge(
        &mut self,
        to: ConnectionId,
        id: PacketId,
        outcome: &Outcome,
        (limit, now): (usize, Duration),
    ) {
        let refusal;
        let args = match outcome {
            _ if !id.wants_data => vec![],
            Outcome::Refused(message) => {
                refusal = serde_json::json!({"success": false, "message": message}).to_string();
                vec![refusal.as_str()]
            }
            _ => vec![SUCCESS],
        };
        self.acknowledge_with(to, Packet::ack(id.number, args).encode().into(), limit, now);
    }

    /// Sends an acknowledgement, unless it is spoiled.
    pub(super) fn acknowledge_with(&mut self, to: ConnectionId, ack: Bytes, limit: usize, now: Duration) {
        self.acks_asked += 1;
        if self.defects.has(Defect::AckDropped) && self.acks_asked.is_multiple_of(DROPPED_ACK) {
            return;
        }
        let Some(link) = self.links.get_mut(&to) else { return };
        let sent = match link.rest.acks.pass(ack) {
            Sent::Now(ack) => vec![ack],
            Sent::Reordered(acks) => {
                self.dial.fired.count("reorder_acks");
                acks
            }
            Sent::Later(ack, by) => {
                self.dial.fired.count("delay_acks");
                return self.schedule(now.saturating_add(by), Job::Ack { to, ack, limit });
            }
            Sent::Withheld => return self.dial.fired.count("withhold_acks"),
            Sent::Held => return,
        };
        for ack in sent {
            self.stats.acks += 1;
            self.push(to, Frame::text(&ack), limit);
        }
    }

    /// Queues a packet for several connections; says for how many there was room.
    pub(super) fn deliver(&mut self, to: &[ConnectionId], packet: &Bytes, limit: usize) -> usize {
        if to.is_empty() {
            return 0;
        }
        let frame = Frame::text(packet);
        let queued = to.iter().filter(|connection| self.push(**connection, frame.clone(), limit)).count();
        self.stats.deliveries += queued as u64;
        queued
    }

    /// Queues something, or cuts the client that has not read what came before.
    pub(super) fn push(&mut self, to: ConnectionId, frame: Frame, limit: usize) -> bool {
        let Some(link) = self.links.get(&to) else { return false };
        let pushed = link.push(frame, limit, &mut self.waiting);
        if !pushed && let Some(link) = self.remove(to) {
            tracing::debug!(connection = to, "cutting a client that does not read");
            link.cut();
            self.stats.cut_slow += 1;
        }
        pushed
    }

    pub(super) fn remove(&mut self, connection: ConnectionId) -> Option<Link> {
        let link = self.links.remove(&connection)?;
        self.forget(connection, &link);
        Some(link)
    }

    pub(super) fn remove_links(&mut self, mut end: impl FnMut(&Link)) -> usize {
        let links = std::mem::take(&mut self.links);
        for (connection, link) in &links {
            self.forget(*connection, link);
            end(link);
        }
        links.len()
    }

    fn forget(&mut self, connection: ConnectionId, link: &Link) {
        self.router.disconnect(connection);
        self.stats.connections_closed += 1;
        for pending in &link.rest.gauge.pending {
            self.dial.give_back(pending);
        }
    }

    pub(super) fn expire(&mut self, now: Duration) -> bool {
        let before = self.handshakes.len();
        self.handshakes.retain(|_, handshake| handshake.until > now);
        let expired = before - self.handshakes.len();
        self.stats.handshakes_expired += expired as u64;
        expired > 0
    }
}

/// An event packet with a packet id.
fn numbered(packet: &Bytes, number: u64) -> Bytes {
    const PLAIN: &[u8] = b"5:::";
    packet
        .strip_prefix(PLAIN)
        .map_or_else(|| packet.clone(), |rest| [format!("5:{number}+::").as_bytes(), rest].concat().into())
}
