//! The one task of a hub: it owns the link, feeds it from the outbox and hands what arrives to dispatch.
//!
//! Its parts: `subscriptions` (made, lost, given up), `sending` (the outbox and its window), `deliver` (what arrives,
//! credit, settlement), `drain` (the orderly end).
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::collections::HashMap;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use super::drain::Drained;
use super::lifecycle::{ConnectionState, Lifecycle, count};
use super::link::{Answer, Happened, LinkState, Linked};
use super::meter::Meter;
use super::repeats::Repeats;
use super::shared::{Command, Shared, closed};
use crate::dispatch::Entry;
use crate::outbox::{Flights, Window};
use crate::transport::{Attempt, Flow, Gap, Inbound, Link, Outcome, SubscriptionChange};
use crate::{Error, ErrorKind, Result, Retry, SubscriptionId};

/// Arrivals taken in a row before commands and acknowledgements get their turn.
const BURST: usize = 64;

pub(crate) struct Engine {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) link: LinkState,
    /// Events sent and not yet acknowledged.
    pub(super) flights: Flights,
    /// What was said to those that have landed; empty but for its memory.
    pub(super) words: Vec<(usize, Outcome)>,
    /// How many those may be.
    pub(super) window: Window,
    /// Events that this connection took and nobody acknowledged before it ended.
    pub(super) unconfirmed: usize,
    /// Those who wait for the present attempt to connect.
    connecting: Vec<oneshot::Sender<Result<()>>>,
    /// Those who wait for their subscription to be confirmed.
    pub(super) subscribing: HashMap<SubscriptionId, (Arc<Entry>, SubscribeDone)>,
    /// Subscriptions that ended while a handler was at work for them.
    pub(super) retired: Vec<Arc<Entry>>,
    /// Whether the transport delivers only what it has credit for.
    pub(super) credited: bool,
    /// Whether its link is of use without a connection.
    pub(super) offline: bool,
    /// Counts connections, so that credit of an old one is not given to a new one.
    pub(super) generation: u64,
    /// Events that came already.
    pub(super) repeats: Repeats,
    /// When the last burst began to arrive.
    pub(super) arrival: Instant,
    /// Tells what was counted.
    meter: Meter,
    /// When events began to be missed, if the next connection must say so.
    missing_since: Option<Instant>,
}

/// Tells whoever subscribes.
pub(super) type SubscribeDone = oneshot::Sender<Result<Arc<Entry>>>;

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>, commands: mpsc::Receiver<Command>) -> Self {
        let capabilities = shared.transport.capabilities();
        let credited = capabilities.flow == Flow::Credit;
        let window = Window::new(capabilities.window.unwrap_or(shared.settings.outbox_capacity));
        let repeats = Repeats::new(shared.settings.repeats_window, shared.settings.repeats_ids);
        Self {
            meter: Meter::new(&shared),
            shared,
            commands,
            link: LinkState::None,
            flights: Flights::default(),
            words: Vec::new(),
            window,
            unconfirmed: 0,
            connecting: Vec::new(),
            subscribing: HashMap::new(),
            retired: Vec::new(),
            credited,
            offline: capabilities.offline,
            generation: 0,
            repeats,
            arrival: Instant::now(),
            missing_since: None,
        }
    }

    /// Runs until the last handle is dropped or the hub is closed.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _last_word = LastWord(Arc::clone(&shared));
        self.show_window();
        let mut drained = None;
        let mut alarm = Alarm::default();
        // Kept from turn to turn, as the alarm is: they rarely come.
        let (stopped, woken) = (shared.stop.cancelled(), shared.outbox.wake.notified());
        tokio::pin!(stopped, woken);
        loop {
            self.turn();
            let now = Instant::now();
            let expiry = self.expire(now);
            self.meter.turn(&shared, now);
            let due = self.meter.due();
            tokio::select! {
                biased;
                () = &mut stopped => break,
                Some(command) = self.commands.recv() => {
                    // A command may wait for the same; whoever waits first is woken.
                    woken.set(shared.outbox.wake.notified());
                    if let Command::Drain { limit } = command {
                        drained = Some(self.drain(limit).await);
                        break;
                    }
                    self.command(command).await;
                }
                happened = self.link.next() => {
                    if self.happened(happened) {
                        // Handlers work on what is still in the processor's cache, and more does not pile up before them.
                        tokio::task::yield_now().await;
                    }
                }
                // After the link, whose polling brings acknowledgements; the next turn sees to them.
                () = self.flights.landed(), if !self.flights.is_empty() => {}
                () = &mut woken => woken.set(shared.outbox.wake.notified()),
                () = alarm.at(expiry) => {}
                () = sleep_until(due) => {}
            }
        }
        self.end(drained).await;
    }

    /// What is due before the engine waits again.
    pub(super) fn turn(&mut self) {
        self.reap_orphans();
        let overrun = self.shared.overrun.lock().take();
        if let Some(id) = overrun {
            self.overrun(&id);
        }
        self.return_credit();
        self.land();
        self.pump();
    }

    /// Tells those whose time is up, and returns when the next one's will be.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        let (waiting, sent) = (self.shared.expire(now), self.flights.expire(now));
        waiting.into_iter().chain(sent).min()
    }

    // ---- commands -------------------------------------------------------------------------------------------

    async fn command(&mut self, command: Command) {
        // Whatever was dropped before this was asked goes first.
        self.reap_orphans();
        match command {
            Command::Connect { persist, done } => self.connect(persist, done),
            Command::Disconnect { done } => {
                self.disconnect().await;
                let _ = done.send(());
            }
            Command::Subscribe { build, done } => self.subscribe(build, done),
            Command::Unsubscribe { id, done } => self.unsubscribe(&id, Some(done)),
            Command::Reconnect { done } => self.reconnect(done),
            // Seen to where commands are taken.
            Command::Drain { .. } => {}
        }
    }

    fn connect(&mut self, persist: bool, done: oneshot::Sender<Result<()>>) {
        if let LinkState::Linked(Linked { open: true, .. }) = self.link {
            let _ = done.send(Ok(()));
            return;
        }
        self.connecting.push(done);
        if matches!(self.link, LinkState::None) {
            self.shared.enter(ConnectionState::Connecting { attempt: 1 });
            self.start_connecting(persist);
        }
    }

    fn start_connecting(&mut self, persist: bool) {
        let transport = Arc::clone(&self.shared.transport);
        let attempt = if persist { Attempt::first().persistent() } else { Attempt::first() };
        self.link = LinkState::Connecting(Box::pin(async move { transport.connect(attempt).await }));
    }

    /// Leaves the connection there is, without a good-bye that a dead one would not hear, and makes another.
    fn reconnect(&mut self, done: oneshot::Sender<Result<()>>) {
        self.connecting.push(done);
        if !matches!(self.link, LinkState::None) {
            self.drop_link();
            self.shared.report(Lifecycle::Disconnected { reason: None });
        }
        self.shared.enter(ConnectionState::Reconnecting { attempt: 1, retry_in: Duration::ZERO });
        self.start_connecting(true);
    }

    async fn disconnect(&mut self) {
        self.say_goodbye(self.shared.settings.close_timeout).await;
        if !matches!(self.link, LinkState::None) {
            self.drop_link();
            self.shared.enter(ConnectionState::Idle);
            self.shared.report(Lifecycle::Disconnected { reason: None });
            let error = Error::new(ErrorKind::NotConnected, "connect", "the hub was disconnected meanwhile");
            self.tell_connecting(&error);
        }
    }

    /// Ends the connection in an orderly way; whose time is up meanwhile is told.
    pub(super) async fn say_goodbye(&mut self, limit: Duration) {
        let Self { link: LinkState::Linked(linked), shared, flights, .. } = self else { return };
        let goodbye = linked.say_goodbye(limit);
        tokio::pin!(goodbye);
        loop {
            let now = Instant::now();
            let expiry = shared.expire(now).into_iter().chain(flights.expire(now)).min();
            tokio::select! {
                biased;
                () = &mut goodbye => return,
                () = shared.outbox.wake.notified() => {}
                () = sleep_until(expiry) => {}
            }
        }
    }

    // ---- the link -------------------------------------------------------------------------------------------

    /// Whether a burst was taken, and there may be more.
    pub(super) fn happened(&mut self, happened: Happened) -> bool {
        match happened {
            Happened::Connected(Ok(link)) => self.linked(link),
            Happened::Connected(Err(error)) => self.failed(error),
            Happened::Arrived(item) => {
                self.arrival = Instant::now();
                self.arrived(item);
                // A busy link: take what else is there before the next round.
                for _ in 0..BURST {
                    let LinkState::Linked(linked) = &mut self.link else { return false };
                    match linked.rx.next().now_or_never() {
                        Some(item) => self.arrived(item),
                        None => return false,
                    }
                }
                return true;
            }
            Happened::Answered(answer) => self.answered(answer),
            Happened::Roomy => {
                if let LinkState::Linked(linked) = &mut self.link {
                    linked.blocked = false;
                }
            }
        }
        false
    }

    fn linked(&mut self, link: Link) {
        tracing::debug!(peer = %link.info.peer, "linked");
        let mut linked = Linked::new(link);
        // The hub's own inbox first: replies to whatever the others cause must find it.
        if let Some(inbox) = &self.shared.inbox {
            linked.ask_subscribe(inbox.clone(), None, true, false);
        }
        for entry in self.shared.registry.lock().all() {
            let waited = self.subscribing.contains_key(entry.id());
            linked.ask_subscribe(entry.spec.clone(), Some(entry), true, !waited);
        }
        self.link = LinkState::Linked(linked);
        self.announce_if_up();
    }

    fn announce_if_up(&mut self) {
        let LinkState::Linked(linked) = &mut self.link else { return };
        if linked.up || linked.starting > 0 {
            return;
        }
        if self.offline && !linked.open {
            linked.open = true;
            for waiter in self.connecting.drain(..) {
                let _ = waiter.send(Ok(()));
            }
        }
        if !linked.ready {
            return;
        }
        linked.open = true;
        linked.up = true;
        self.unconfirmed = 0;
        let again = self.shared.counters.connections.fetch_add(1, Ordering::Relaxed) > 0;
        self.shared.enter(ConnectionState::Connected);
        if let Some(since) = self.missing_since.take() {
            self.shared.report(Lifecycle::Gap(Gap::new(since.elapsed())));
        }
        let entries = self.shared.registry.lock().all();
        for entry in &entries {
            self.first_credit(entry);
        }
        if again {
            self.shared.report(Lifecycle::Resubscribed { subscriptions: entries.len() });
        }
        self.shared.report(Lifecycle::Connected { subscriptions: entries.len() });
        for waiter in self.connecting.drain(..) {
            let _ = waiter.send(Ok(()));
        }
    }

    pub(super) fn arrived(&mut self, item: Option<Result<Inbound>>) {
        match item {
            Some(Ok(inbound)) => self.inbound(inbound),
            Some(Err(error)) => self.failed(error),
            None => self.failed(Error::new(ErrorKind::Disconnected, "receive", "the link ended")),
        }
    }

    fn inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Delivery(delivery) => self.deliver(delivery),
            Inbound::Subscription { id, change: SubscriptionChange::Lost(error) } => self.lost(&id, error),
            Inbound::Subscription { id, change: SubscriptionChange::Reauthenticated } => {
                self.shared.report(Lifecycle::Reauthenticated { id: Some(id) });
            }
            Inbound::Subscription { id, change: SubscriptionChange::Recreated } => {
                self.shared.report(Lifecycle::SubscriptionRecreated { id });
            }
            Inbound::Subscription { id, change: SubscriptionChange::PossibleLoss(error) } => {
                self.shared.report(Lifecycle::PossibleLoss { id, reason: Arc::new(error) });
            }
            Inbound::Reauthenticated => self.shared.report(Lifecycle::Reauthenticated { id: None }),
            Inbound::Gap(gap) => {
                self.missing_since = None;
                self.shared.report(Lifecycle::Gap(gap));
            }
            Inbound::Interrupted(error) => {
                self.cut();
                self.down();
                self.shared.report(Lifecycle::Disconnected { reason: Some(Arc::new(error)) });
            }
            Inbound::Reconnecting { attempt, retry_in } => {
                self.shared.enter(ConnectionState::Reconnecting { attempt, retry_in });
                self.shared.report(Lifecycle::Reconnecting { attempt, retry_in });
            }
            Inbound::Restored { resubscribed } => {
                tracing::debug!(resubscribed, "restored");
                if let LinkState::Linked(linked) = &mut self.link {
                    linked.ready = true;
                }
                self.announce_if_up();
            }
            Inbound::GoAway { after } => self.shared.report(Lifecycle::GoAway { after }),
            Inbound::Problem(error) => {
                count(&self.shared.counters.problems);
                self.shared.report(Lifecycle::Problem(Arc::new(error)));
            }
        }
    }

    fn down(&mut self) {
        if let LinkState::Linked(linked) = &mut self.link {
            if linked.up {
                self.missing_since = Some(Instant::now());
            }
            linked.up = false;
            linked.open = self.offline;
            linked.ready = false;
            self.generation += 1;
        }
    }

    /// The link is gone and will not come back by itself.
    pub(super) fn failed(&mut self, error: Error) {
        self.cut();
        self.drop_link();
        let reason = Arc::new(error);
        self.shared.enter(ConnectionState::Failed { reason: Arc::clone(&reason) });
        // Whoever waits is told now, not at its deadline.
        if let Some(refusal) = self.shared.refusal("publish") {
            self.shared.outbox.fail_all(&refusal);
        }
        self.tell_connecting(&reason);
        for entry in self.shared.registry.lock().all() {
            if entry.handler.is_none() {
                entry.lane.notice(Arc::clone(&reason));
            }
        }
        self.shared.report(Lifecycle::Disconnected { reason: Some(reason) });
    }

    /// A subscription that must not miss anything did.
    fn overrun(&mut self, id: &SubscriptionId) {
        if matches!(self.link, LinkState::None) {
            return;
        }
        let message = format!(
            "the buffer of subscription \"{id}\" overflowed, and then it wants the hub to disconnect; make its \
             handlers faster or more, or its buffer larger, and connect again"
        );
        self.failed(Error::new(ErrorKind::Full, "receive", message).with_retry(Retry::Never));
    }

    fn tell_connecting(&mut self, error: &Error) {
        for waiter in self.connecting.drain(..) {
            let _ = waiter.send(Err(error.duplicate()));
        }
    }

    pub(super) fn drop_link(&mut self) {
        self.down();
        self.link = LinkState::None;
        self.generation += 1;
        // Kept, and made with the next connection.
        for (_, (entry, done)) in self.subscribing.drain() {
            let _ = done.send(Ok(entry));
        }
        // With the link gone every flight lands, unconfirmed, at once.
        while self.land() {}
    }

    pub(super) fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Subscribed { entry, starting, outcome } => {
                if starting && let LinkState::Linked(linked) = &mut self.link {
                    linked.starting = linked.starting.saturating_sub(1);
                }
                if let (Some(entry), Ok(()), false) = (&entry, &outcome, starting) {
                    self.first_credit(entry);
                }
                match (entry, outcome) {
                    (Some(entry), outcome) => self.subscribed(&entry, outcome),
                    // Without its inbox the hub gets no replies: better no link than a deaf one.
                    (None, Err(error)) => self.failed(error),
                    (None, Ok(())) => {}
                }
                self.announce_if_up();
            }
            Answer::Settled { id, outcome, result } => {
                self.settle_done();
                self.settled(id, outcome, result);
            }
            Answer::LockLost { id, error } => {
                self.settle_done();
                self.lock_lost(id, error);
            }
            Answer::Unsubscribed { outcome, done } => {
                if let LinkState::Linked(linked) = &mut self.link {
                    linked.parting = linked.parting.saturating_sub(1);
                }
                if let Some(done) = done {
                    let _ = done.send(outcome);
                }
            }
        }
    }

    // ---- the end --------------------------------------------------------------------------------------------

    async fn end(&mut self, drained: Option<Drained>) {
        let unsent = self.shared.outbox.outstanding();
        self.drop_link();
        self.shared.stop.cancel();
        self.shared.outbox.fail_all(&closed("publish"));
        self.tell_connecting(&closed("connect"));
        for entry in self.shared.registry.lock().all() {
            // After a drain, what streams hold may still be read.
            if drained.is_none() || entry.handler.is_some() {
                entry.abandon();
            }
        }
        if let Some(drained) = drained {
            let report = drained.report(&self.shared, unsent).await;
            tracing::info!(?report, "drained");
            let _ = self.shared.drained.set(report);
        }
        self.meter.end(&self.shared);
        self.shared.enter(ConnectionState::Closed);
        self.shared.report(Lifecycle::Closed);
    }
}

/// Says that the hub is closed if its engine is cut off: by a panic in a part that the caller gave, such as a source of
/// credentials, or by the end of its runtime. Nobody waits for a hub that is no more.
struct LastWord(Arc<Shared>);

impl Drop for LastWord {
    fn drop(&mut self) {
        let shared = &self.0;
        if matches!(&*shared.state.borrow(), ConnectionState::Closed) {
            return;
        }
        shared.stop.cancel();
        shared.outbox.fail_all(&closed("publish"));
        shared.registry.lock().all().iter().for_each(|entry| entry.abandon());
        shared.enter(ConnectionState::Closed);
        if std::thread::panicking() {
            let message = "something that the caller gave to the hub panicked, such as a transport or a source of \
                           credentials; the hub is closed, build a new one";
            shared.report(Lifecycle::Problem(Arc::new(Error::new(ErrorKind::Handler, "run hub", message))));
        }
        shared.report(Lifecycle::Closed);
    }
}

/// A timer that is kept while its time stays the same.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Waits until then. Cancel-safe.
    async fn at(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return pending().await };
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().await;
    }
}

pub(super) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => pending().await,
    }
}
