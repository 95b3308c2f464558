//! What the handles, the engine and the lanes of one hub share.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::drain::DrainReport;
use super::lifecycle::{ConnectionState, Counters, Lifecycle, Stats, count};
use crate::correlator::{Correlator, Outcome};
use crate::dialect::Dialect;
use crate::dispatch::{self, Entry, Matched, Overflow, Registry, Terms};
use crate::outbox::{Outbox, Resend};
use crate::subscription::{Subscriber, SubscriptionSpec, Target};
use crate::transport::{Guarantee, Transport};
use crate::{Error, ErrorKind, Event, Result, SubscriptionId};

/// Settings of a hub.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What the hub is called in metrics.
    pub(crate) name: String,
    pub(crate) publish_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) subscribe_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) outbox_capacity: usize,
    pub(crate) max_processing: Duration,
    pub(crate) repeats_window: Duration,
    pub(crate) repeats_ids: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "hub".to_owned(),
            publish_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            subscribe_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            outbox_capacity: 4096,
            max_processing: Duration::from_secs(300),
            repeats_window: Duration::from_secs(600),
            repeats_ids: 100_000,
        }
    }
}

/// What a handle asks of the engine.
pub(crate) enum Command {
    Connect { persist: bool, done: oneshot::Sender<Result<()>> },
    Disconnect { done: oneshot::Sender<()> },
    Subscribe { build: Box<dyn FnOnce(u64) -> Entry + Send>, done: oneshot::Sender<Result<Arc<Entry>>> },
    Unsubscribe { id: SubscriptionId, done: oneshot::Sender<Result<()>> },
    Reconnect { done: oneshot::Sender<Result<()>> },
    Drain { limit: Duration },
}

/// A subscription whose owner is gone.
pub(crate) enum Orphan {
    /// Its stream was dropped, or it was ended without waiting.
    Ended(Arc<Entry>),
    /// Whoever subscribed stopped waiting for the confirmation.
    Subscribing(SubscriptionId),
}

impl Orphan {
    pub(crate) fn id(&self) -> &SubscriptionId {
        match self {
            Self::Subscribing(id) => id,
            Self::Ended(entry) => entry.id(),
        }
    }
}

/// See the module.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) inbox: Option<SubscriptionSpec>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) registry: Mutex<Registry>,
    pub(crate) correlator: Arc<Correlator>,
    pub(crate) outbox: Outbox,
    pub(crate) commands: mpsc::Sender<Command>,
    /// Subscriptions whose owner is gone, to be unsubscribed by the engine.
    pub(crate) orphans: Mutex<Vec<Orphan>>,
    /// Credit that came back, with the generation of the link that it belongs to.
    pub(crate) credits: Mutex<Vec<(u64, SubscriptionId)>>,
    /// A subscription whose overflow is to disconnect the hub.
    pub(crate) overrun: Mutex<Option<SubscriptionId>>,
    /// How many events may be in flight, for readers of the counters.
    pub(crate) window: AtomicUsize,
    pub(crate) state: watch::Sender<ConnectionState>,
    /// Since when it has been in that state.
    pub(crate) since: Mutex<Instant>,
    /// What went wrong with the connection last.
    pub(crate) last_failure: Mutex<Option<(Arc<Error>, Instant)>>,
    pub(crate) drained: OnceLock<DrainReport>,
    pub(crate) lifecycle: broadcast::Sender<Lifecycle>,
    pub(crate) counters: Counters,
    /// The last handle is gone: stop everything.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// The handle side, for contexts that give handlers their hub.
    pub(crate) handle: std::sync::Weak<super::Handle>,
}

impl Shared {
    /// Changes the state; from draining on, only to closed.
    pub(crate) fn enter(&self, state: ConnectionState) {
        self.state.send_modify(|now| {
            let final_ = matches!(state, ConnectionState::Closed);
            if final_ || !matches!(now, ConnectionState::Draining) {
                *self.since.lock() = Instant::now();
                *now = state;
            }
        });
    }

    /// Whether nothing new may come in.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(&*self.state.borrow(), ConnectionState::Draining)
    }

    /// Tells readers of the lifecycle, the log, and local subscribers where the dialect has an event for it.
    pub(crate) fn report(&self, change: Lifecycle) {
        if let Lifecycle::Disconnected { reason: Some(error) } | Lifecycle::Problem(error) = &change {
            *self.last_failure.lock() = Some((Arc::clone(error), Instant::now()));
        }
        match &change {
            Lifecycle::Connected { subscriptions } => {
                tracing::info!(transport = self.transport.name(), subscriptions, "connected");
            }
            Lifecycle::Disconnected { reason: Some(reason) } => tracing::warn!(%reason, "disconnected"),
            Lifecycle::Disconnected { reason: None } => tracing::info!("disconnected"),
            Lifecycle::Reconnecting { attempt, retry_in } => {
                tracing::info!(attempt, ?retry_in, "reconnecting");
            }
            Lifecycle::Resubscribed { subscriptions } => tracing::info!(subscriptions, "resubscribed"),
            Lifecycle::Reauthenticated { id } => tracing::info!(?id, "credentials renewed"),
            Lifecycle::SubscriptionRecreated { id } => tracing::warn!(%id, "subscription made anew"),
            Lifecycle::GoAway { after } => tracing::info!(?after, "the server will end the connection"),
            Lifecycle::Gap(gap) => tracing::warn!(lasted = ?gap.lasted, "events may have been missed"),
            Lifecycle::SubscriptionLost { id, error } => tracing::warn!(%id, %error, "subscription lost"),
            Lifecycle::SlowConsumer { id, dropped } => tracing::warn!(%id, dropped, "slow consumer"),
            Lifecycle::HandlerFailed { id, error } => tracing::error!(%id, %error, "handler failed"),
            Lifecycle::ReplyFailed { id, error } => tracing::warn!(%id, %error, "reply failed"),
            Lifecycle::LockLost { id, error } => tracing::warn!(?id, %error, "lock lost"),
            Lifecycle::SettleFailed { id, error } => tracing::warn!(?id, %error, "settling failed"),
            Lifecycle::Problem(error) => tracing::warn!(%error, "problem"),
            Lifecycle::Draining => tracing::info!("draining"),
            Lifecycle::PossibleLoss { id, reason } => {
                tracing::warn!(%id, %reason, "an event may be lost");
            }
            Lifecycle::Closed => tracing::debug!("closed"),
        }
        if let Some(event) = self.dialect.local(&change) {
            self.dispatch(&event, |_| Terms::local());
        }
        // Nobody listening is no failure.
        let _ = self.lifecycle.send(change);
        // What was counted may have been counted outside of the engine, which tells it.
        #[cfg(feature = "metrics")]
        self.outbox.wake.notify_one();
    }

    /// Gives an event to everybody here who wants it; `false` when nobody does.
    pub(crate) fn dispatch(&self, event: &Event, terms: impl FnOnce(usize) -> Terms) -> bool {
        let matched = self.matching(event);
        self.enqueue(&matched, event, terms(matched.len()));
        !matched.is_empty()
    }

    /// The same for an event from the link: one that nobody must settle is not for those who asked for more than
    /// once or not at all. To them it comes by itself.
    pub(crate) fn dispatch_matching(
        &self,
        event: &Event,
        terms: impl FnOnce(usize) -> Terms,
        settled: bool,
    ) -> bool {
        let mut matched = self.matching(event);
        let wanted = !matched.is_empty();
        if !settled {
            matched.retain(|entry| entry.spec.require == Guarantee::AtMostOnce);
        }
        self.enqueue(&matched, event, terms(matched.len()));
        wanted
    }

    /// Gives an event to one subscription, if it wants it.
    pub(crate) fn dispatch_to(
        &self,
        event: &Event,
        terms: impl FnOnce(usize) -> Terms,
        id: &SubscriptionId,
        filter_is_exact: bool,
    ) -> bool {
        let entry = self.registry.lock().get(id).cloned();
        let wanted = entry.filter(|entry| {
            filter_is_exact || (entry.expression.matches(event) && Target::of(event).allows(&entry.spec))
        });
        let matched = wanted.as_slice();
        self.enqueue(matched, event, terms(matched.len()));
        !matched.is_empty()
    }

    /// Those who want an event, smallest priority number first.
    pub(crate) fn matching(&self, event: &Event) -> Matched {
        let target = Target::of(event);
        let matched = self.registry.lock().matching(event, &target);
        if matches!(target, Target::Unreadable) && matched.is_empty() {
            count(&self.counters.unreadable_targets);
            tracing::warn!(topic = %event.topic(), "the event's target is not an expression; it reaches nobody");
        }
        matched
    }

    /// Gives a reply to whoever asked, if it is one and it is for this hub; `false` when it is no reply.
    pub(crate) fn correlate(&self, event: &Event) -> bool {
        let Some(asked) = self.dialect.in_reply_to(event) else { return false };
        let for_us = self.inbox.as_ref().is_none_or(|inbox| is_for(event, &inbox.subscriber));
        let counter = if for_us {
            match self.correlator.resolve(asked, event.clone()) {
                // The correlator counts those that are read, and those that are left.
                Outcome::Delivered => return true,
                Outcome::Late => &self.counters.late_replies,
                Outcome::Duplicate => &self.counters.duplicate_replies,
                Outcome::Overflow => &self.counters.overflowed_replies,
                Outcome::Foreign => &self.counters.foreign_replies,
            }
        } else {
            &self.counters.foreign_replies
        };
        count(counter);
        true
    }

    pub(crate) fn enqueue(&self, matched: &[Arc<Entry>], event: &Event, terms: Terms) {
        dispatch::enqueue(matched, event, terms, |entry| self.overflowed(entry));
    }

    fn overflowed(&self, entry: &Arc<Entry>) {
        count(&self.counters.dropped);
        if entry.lane.overflow == Overflow::Disconnect {
            self.overrun.lock().get_or_insert_with(|| entry.id().clone());
            self.outbox.wake.notify_one();
        }
        if entry.lane.may_report() {
            self.report(Lifecycle::SlowConsumer { id: entry.id().clone(), dropped: entry.lane.dropped() });
        }
    }

    /// Fails publishes whose time is up before they were sent; returns when the next one's will be.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        self.outbox.expire(now, |resend, in_flight| {
            let state = &*self.state.borrow();
            let kept = || resend == Resend::UntilAcked && self.transport.capabilities().offline;
            let linked = matches!(state, ConnectionState::Connected | ConnectionState::Draining) || kept();
            match in_flight {
                _ if !linked => format!("there is no connection, the hub is {state}"),
                0 => format!("the transport takes no more events for now, the hub is {state}"),
                sent => format!(
                    "{sent} events that were sent before are not acknowledged yet, and no more may be on their way"
                ),
            }
        })
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats {
            expired: self.outbox.expired(),
            open_requests: self.correlator.len(),
            subscriptions: self.registry.lock().len(),
            outstanding: self.outbox.outstanding(),
            window: self.window.load(Ordering::Relaxed),
            ..Stats::default()
        };
        self.counters.fill(&mut stats);
        let tally = self.correlator.tally();
        stats.replies = tally.read;
        stats.late_replies += tally.unread;
        stats
    }

    /// The error of a call that the hub cannot serve in its present state, if it cannot.
    pub(crate) fn refusal(&self, op: &'static str) -> Option<Error> {
        match &*self.state.borrow() {
            ConnectionState::Closed => Some(closed(op)),
            ConnectionState::Failed { reason } => Some(
                Error::new(
                    ErrorKind::NotConnected,
                    op,
                    format!("not connected, and not trying any more ({reason}); mend that and connect again"),
                )
                .with_source(reason.duplicate()),
            ),
            _ => None,
        }
    }

    pub(crate) fn handler_failed(&self, entry: &Entry, error: Error) {
        count(&self.counters.handler_failures);
        if error.kind() == ErrorKind::Decode {
            count(&self.counters.undecodable);
        }
        self.report(Lifecycle::HandlerFailed { id: entry.id().clone(), error: Arc::new(error) });
    }
}

pub(crate) fn closed(op: &'static str) -> Error {
    Error::new(ErrorKind::Closed, op, "the hub was closed; build a new one")
}

fn is_for(event: &Event, subscriber: &Subscriber) -> bool {
    // The usual spelling needs no parser.
    let usual = event.target().strip_prefix("id=").is_some_and(|id| id == subscriber.id().as_str());
    usual || Target::of(event).includes(subscriber)
}
