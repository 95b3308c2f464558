//! What all connections of an emulator share, under one lock that is never held across a wait.

mod inner;
mod schedule;
mod trouble;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use event_core::Event;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use transport_ws::packet::{Packet, PacketId};

use self::inner::{Handshake, Inner};
use super::Config;
use super::faults::Dial;
use super::frame::Frame;
use super::link::{Attached, Link};
use super::outlet::Outlet;
use super::repeats::Repeats;
use super::router::{ConnectionId, Outcome, Router};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::faults::{Defect, Defects};
use crate::net::{Valve, WriteHalf};
use crate::state::{ConnectionInfo, Published, State, Stats};

/// What the connections of one emulator share. Outlives restarts.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) config: Config,
    inner: Mutex<Inner>,
    changed: Notify,
    /// There is something to send, for the task that makes rounds.
    pub(super) rounds: Notify,
    clock: Arc<Clock>,
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
    pub(crate) fn new(config: Config, clock: Arc<Clock>, defects: Defects) -> Arc<Self> {
        let inner = Inner {
            running: false,
            router: new_router(&config),
            links: BTreeMap::new(),
            waiting: Vec::new(),
            next: 1,
            handshakes: HashMap::new(),
            stats: Stats::default(),
            dial: Dial::default(),
            defects,
            jobs: BTreeMap::new(),
            next_job: 0,
            rescheduled: Arc::default(),
            acks_asked: 0,
            events_numbered: 0,
            witness: config.witness.clone(),
            #[cfg(feature = "inspector")]
            watchers: super::watch::Watchers::default(),
        };
        Arc::new(Self {
            config,
            inner: Mutex::new(inner),
            changed: Notify::new(),
            rounds: Notify::new(),
            clock,
        })
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
        inner.links.iter().map(|(id, link)| inner.info(*id, link, usize::MAX)).collect()
    }

    /// The oldest connections, each with its first subscriptions and how many more it has; and how many more
    /// connections there are.
    #[cfg(feature = "inspector")]
    pub(crate) fn view(&self, most: usize, subscriptions: usize) -> (Vec<(ConnectionInfo, usize)>, usize) {
        let inner = self.inner.lock();
        let shown = inner.links.iter().take(most).map(|(id, link)| {
            let more = inner.router.subscriptions_of(*id).count().saturating_sub(subscriptions);
            (inner.info(*id, link, subscriptions), more)
        });
        (shown.collect(), inner.links.len().saturating_sub(most))
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
            inner.waiting.clear();
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

    /// Shows every event to this one from now on, until it is gone.
    #[cfg(feature = "inspector")]
    pub(crate) fn watch(&self, watcher: std::sync::Weak<dyn super::Watch>) {
        self.inner.lock().watchers.add(watcher);
    }

    /// Puts every client out with `0::`.
    pub(crate) fn disconnect_all(&self) -> usize {
        let farewell = Frame::from(Packet::Disconnect { endpoint: "" });
        self.change(|inner| {
            let count = inner.remove_links(|link| link.put_out(farewell.clone()));
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

    /// The flaws, to be switched.
    pub(super) fn defects(&self) -> Defects {
        self.inner.lock().defects.clone()
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
    pub(super) fn attach(
        self: &Arc<Self>,
        user: Arc<str>,
        socket: WriteHalf,
        valve: Arc<Valve>,
        cut: CancellationToken,
    ) -> Attached {
        let (link, ends) = Link::new(user, (socket, self.config.queue_frames), valve, cut);
        let now = self.now();
        let id = self.change(|inner| {
            let id = inner.next;
            inner.next += 1;
            inner.stats.connections_opened += 1;
            if inner.running {
                inner.router.connect(id);
                inner.links.insert(id, link);
                inner.push(id, Packet::Connect { endpoint: "", query: "" }.into(), usize::MAX);
                inner.arm(id, now);
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
        self.change_and_send_later(|inner| {
            if !inner.links.contains_key(&from) {
                return;
            }
            let refused =
                id.is_some() && inner.links.get_mut(&from).is_some_and(|link| link.rest.acks.refuses());
            let outcome = match event {
                _ if refused => {
                    inner.dial.fired.count("refuse_acks");
                    inner.stats.refused += 1;
                    Outcome::Refused("refused on demand".to_owned())
                }
                Ok(event) => inner.obey(Some(from), event, now),
                Err(message) => {
                    inner.stats.events_malformed += 1;
                    Outcome::Refused(message.clone())
                }
            };
            let last = inner.defects.has(Defect::AckAfterConsequence);
            if let Some(id) = id.filter(|_| !last) {
                inner.acknowledge(from, id, &outcome, (limit, now));
            }
            if let Outcome::Routed { to, packet } = &outcome {
                inner.deliver(to, packet, limit);
            }
            if let Some(id) = id.filter(|_| last) {
                inner.acknowledge(from, id, &outcome, (limit, now));
            }
        });
    }

    /// A packet that the receiving library answers by itself: `6:::N`.
    pub(super) fn acknowledge_plainly(&self, to: ConnectionId, number: u64) {
        let (limit, now) = (self.config.queue_bytes, self.now());
        self.change_and_send_later(|inner| {
            inner.acknowledge_with(to, Packet::ack(number, vec![]).encode().into(), limit, now);
        });
    }

    /// The client asked to leave.
    pub(super) fn leave(&self, connection: ConnectionId) {
        self.change(|inner| {
            if let Some(link) = inner.remove(connection) {
                link.put_out(Packet::Disconnect { endpoint: "" }.into());
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

    /// The time was put forward.
    pub(crate) fn advanced(&self) {
        self.expire_handshakes();
        self.change(|inner| inner.rescheduled.notify_waiters());
    }

    /// What has to be sent, if that is for no more than `most` connections. Says whether it is.
    pub(super) fn take_few(&self, most: usize, into: &mut Vec<Arc<Outlet>>) -> bool {
        let mut inner = self.inner.lock();
        let few = inner.waiting.len() <= most;
        if few {
            into.append(&mut inner.waiting);
        }
        few
    }

    /// All that has to be sent. Says whether there was something.
    pub(super) fn take_all(&self, into: &mut Vec<Arc<Outlet>>) -> bool {
        std::mem::swap(&mut self.inner.lock().waiting, into);
        !into.is_empty()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let (result, waiting) = {
            let mut inner = self.inner.lock();
            (change(&mut inner), !inner.waiting.is_empty())
        };
        self.changed.notify_waiters();
        if waiting {
            self.rounds.notify_one();
        }
        result
    }

    /// For a reader, which sends what has to be sent when its client has no more to say.
    fn change_and_send_later<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.lock());
        self.changed.notify_waiters();
        result
    }

    fn now(&self) -> Duration {
        self.clock.now()
    }
}

fn new_router(config: &Config) -> Router {
    Router::new(Repeats::new(config.repeat_window, config.repeat_ids), config.max_subscriptions)
}
