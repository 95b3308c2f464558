//! What all connections of an emulator share, under one lock that is never held across a wait.

// The age of handshakes and of event ids is measured here; the router only sees the time passed.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell reads the clock; the router gets the time as an argument"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event_core::Event;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use transport_ws::packet::{Packet, PacketId};

use super::Config;
use super::link::{Attached, Link};
use super::repeats::Repeats;
use super::router::{ConnectionId, Outcome, Router};
use crate::error::{Error, ErrorKind};
use crate::state::{ConnectionInfo, Published, State, Stats, SubscriptionInfo};

/// `[{"success":true}]`, without the brackets.
const SUCCESS: &str = r#"{"success":true}"#;

/// What the connections of one emulator share. Outlives restarts.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) config: Config,
    inner: Mutex<Inner>,
    changed: Notify,
    started: Instant,
}

#[derive(Debug)]
struct Inner {
    running: bool,
    router: Router,
    links: BTreeMap<ConnectionId, Link>,
    next: ConnectionId,
    handshakes: HashMap<String, Handshake>,
    stats: Stats,
}

/// A session id that was given out and not used yet.
#[derive(Debug)]
struct Handshake {
    user: Arc<str>,
    until: Duration,
}

/// Why a handshake is refused.
pub(super) enum HandshakeRefused {
    Unauthorized,
    OverLimit,
}

/// Why the hub ends a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    Silent,
    Oversize,
}

impl Hub {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        let inner = Inner {
            running: false,
            router: new_router(&config),
            links: BTreeMap::new(),
            next: 1,
            handshakes: HashMap::new(),
            stats: Stats::default(),
        };
        Arc::new(Self { config, inner: Mutex::new(inner), changed: Notify::new(), started: Instant::now() })
    }

    pub(crate) fn state(&self) -> State {
        let inner = self.inner.lock();
        State {
            running: inner.running,
            connections: inner.links.len(),
            subscriptions: inner.router.subscriptions(),
            pending_handshakes: inner.handshakes.len(),
            stats: inner.stats,
        }
    }

    pub(crate) fn connections(&self) -> Vec<ConnectionInfo> {
        let inner = self.inner.lock();
        let info = |(id, link): (&ConnectionId, &Link)| ConnectionInfo {
            id: *id,
            user: link.user().to_owned(),
            queued_bytes: link.queued_bytes(),
            subscriptions: inner
                .router
                .subscriptions_of(*id)
                .map(|(id, expression)| SubscriptionInfo {
                    id: id.to_string(),
                    expression: expression.to_string(),
                })
                .collect(),
        };
        inner.links.iter().map(info).collect()
    }

    /// Resolves when the predicate holds.
    pub(crate) async fn wait_for(&self, mut predicate: impl FnMut(&State) -> bool) -> State {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let state = self.state();
            if predicate(&state) {
                return state;
            }
            changed.await;
        }
    }

    /// Begins with an empty memory, or stops being there.
    pub(crate) fn set_running(&self, running: bool) {
        self.change(|inner| {
            inner.running = running;
            inner.handshakes.clear();
            inner.remove_links(Link::cut);
            inner.router = new_router(&self.config);
        });
    }

    /// Routes an event as if a client had published it.
    pub(crate) fn publish(&self, event: &Event) -> Result<Published, Error> {
        let now = self.now();
        self.change(|inner| {
            let outcome = inner.obey(None, event, now);
            let mut published = Published { recipients: 0, repeated: outcome == Outcome::Repeated };
            match outcome {
                Outcome::Refused(message) => return Err(Error::new(ErrorKind::InvalidEvent, message)),
                Outcome::Routed { to, packet } => {
                    published.recipients = inner.deliver(&to, &packet, self.config.queue_bytes);
                }
                _ => {}
            }
            Ok(published)
        })
    }

    /// Puts every client out with `0::`.
    pub(crate) fn disconnect_all(&self) -> usize {
        let farewell = Bytes::from(Packet::Disconnect { endpoint: "" }.encode());
        self.change(|inner| {
            let count = inner.remove_links(|link| link.put_out(&farewell));
            inner.stats.disconnected_by_request += count as u64;
            count
        })
    }

    /// Ends every connection without a word.
    pub(crate) fn cut_all(&self) -> usize {
        self.change(|inner| {
            let count = inner.remove_links(Link::cut);
            inner.stats.cut_by_request += count as u64;
            count
        })
    }

    /// A new session id.
    pub(super) fn open_handshake(
        &self,
        user: &str,
        key: &event_core::Secret,
    ) -> Result<String, HandshakeRefused> {
        let admitted = self.config.users.admit(user, key);
        let until = self.now() + self.config.handshake_timeout;
        self.change(|inner| {
            if !admitted {
                inner.stats.handshakes_unauthorized += 1;
                return Err(HandshakeRefused::Unauthorized);
            }
            if inner.links.len() + inner.handshakes.len() >= self.config.max_connections {
                inner.stats.handshakes_over_limit += 1;
                return Err(HandshakeRefused::OverLimit);
            }
            inner.stats.handshakes += 1;
            let session = uuid::Uuid::new_v4().simple().to_string();
            inner.handshakes.insert(session.clone(), Handshake { user: user.into(), until });
            Ok(session)
        })
    }

    /// The user of a session id, once.
    pub(super) fn use_handshake(&self, session: &str) -> Option<Arc<str>> {
        let now = self.now();
        self.change(|inner| {
            let used = inner.handshakes.remove(session).filter(|handshake| handshake.until > now);
            inner.stats.unknown_sessions += u64::from(used.is_none());
            used.map(|handshake| handshake.user)
        })
    }

    /// Forgets handshakes that nobody used in time.
    pub(super) fn expire_handshakes(&self) {
        let now = self.now();
        if self.inner.lock().expire(now) {
            self.changed.notify_waiters();
        }
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        self.change(|inner| count(&mut inner.stats));
    }

    /// Opens a connection and says `1::`.
    pub(super) fn attach(self: &Arc<Self>, user: Arc<str>, cut: CancellationToken) -> Attached {
        let (link, ends) = Link::new(user, self.config.queue_frames, cut);
        let id = self.change(|inner| {
            let id = inner.next;
            inner.next += 1;
            inner.stats.connections_opened += 1;
            if inner.running {
                inner.router.connect(id);
                inner.links.insert(id, link);
            } else {
                link.cut();
                inner.stats.connections_closed += 1;
            }
            id
        });
        Attached { hub: Arc::clone(self), id, ends }
    }

    /// The connection ended, if the hub did not end it already.
    pub(super) fn detach(&self, connection: ConnectionId) {
        self.change(|inner| inner.remove(connection));
    }

    /// An event packet from a client: acknowledged first, obeyed or routed next.
    pub(super) fn receive(&self, from: ConnectionId, id: Option<PacketId>, event: &Result<Event, String>) {
        let now = self.now();
        let limit = self.config.queue_bytes;
        self.change(|inner| {
            if !inner.links.contains_key(&from) {
                return;
            }
            let outcome = match event {
                Ok(event) => inner.obey(Some(from), event, now),
                Err(message) => {
                    inner.stats.events_malformed += 1;
                    Outcome::Refused(message.clone())
                }
            };
            if let Some(id) = id {
                inner.acknowledge(from, id, &outcome, limit);
            }
            if let Outcome::Routed { to, packet } = outcome {
                inner.deliver(&to, &packet, limit);
            }
        });
    }

    /// A packet that the receiving library answers by itself: `6:::N`.
    pub(super) fn acknowledge_plainly(&self, to: ConnectionId, number: u64) {
        self.change(|inner| {
            inner.stats.acks += 1;
            inner.deliver(&[to], &Packet::ack(number, vec![]).encode().into(), self.config.queue_bytes);
        });
    }

    /// The client asked to leave.
    pub(super) fn leave(&self, connection: ConnectionId) {
        self.change(|inner| {
            if let Some(link) = inner.remove(connection) {
                link.put_out(&Packet::Disconnect { endpoint: "" }.encode().into());
            }
        });
    }

    pub(super) fn cut(&self, connection: ConnectionId, why: Cut) {
        self.change(|inner| {
            if let Some(link) = inner.remove(connection) {
                tracing::debug!(connection, ?why, "cutting a client");
                link.cut();
                match why {
                    Cut::Silent => inner.stats.cut_silent += 1,
                    Cut::Oversize => inner.stats.cut_oversize += 1,
                }
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.lock());
        self.changed.notify_waiters();
        result
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Inner {
    fn obey(&mut self, from: Option<ConnectionId>, event: &Event, now: Duration) -> Outcome {
        let outcome = self.router.handle(from, event, now);
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

    fn acknowledge(&mut self, to: ConnectionId, id: PacketId, outcome: &Outcome, limit: usize) {
        let refusal;
        let args = match outcome {
            _ if !id.wants_data => vec![],
            Outcome::Refused(message) => {
                refusal = serde_json::json!({"success": false, "message": message}).to_string();
                vec![refusal.as_str()]
            }
            _ => vec![SUCCESS],
        };
        self.stats.acks += 1;
        self.push(to, &Packet::ack(id.number, args).encode().into(), limit);
    }

    /// Queues a packet for several connections; says for how many there was room.
    fn deliver(&mut self, to: &[ConnectionId], packet: &Bytes, limit: usize) -> usize {
        let queued = to.iter().filter(|connection| self.push(**connection, packet, limit)).count();
        self.stats.deliveries += queued as u64;
        queued
    }

    /// Queues a packet, or cuts the client that has not read the earlier ones.
    fn push(&mut self, to: ConnectionId, packet: &Bytes, limit: usize) -> bool {
        let Some(link) = self.links.get(&to) else { return false };
        let pushed = link.push(packet.clone(), limit);
        if !pushed && let Some(link) = self.remove(to) {
            tracing::debug!(connection = to, "cutting a client that does not read");
            link.cut();
            self.stats.cut_slow += 1;
        }
        pushed
    }

    fn remove(&mut self, connection: ConnectionId) -> Option<Link> {
        let link = self.links.remove(&connection)?;
        self.router.disconnect(connection);
        self.stats.connections_closed += 1;
        Some(link)
    }

    fn remove_links(&mut self, mut end: impl FnMut(&Link)) -> usize {
        let links = std::mem::take(&mut self.links);
        for (connection, link) in &links {
            self.router.disconnect(*connection);
            end(link);
        }
        self.stats.connections_closed += links.len() as u64;
        links.len()
    }

    fn expire(&mut self, now: Duration) -> bool {
        let before = self.handshakes.len();
        self.handshakes.retain(|_, handshake| handshake.until > now);
        let expired = before - self.handshakes.len();
        self.stats.handshakes_expired += expired as u64;
        expired > 0
    }
}

fn new_router(config: &Config) -> Router {
    Router::new(Repeats::new(config.repeat_window, config.repeat_ids), config.max_subscriptions)
}
