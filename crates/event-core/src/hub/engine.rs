//! The one task of a hub: it owns the link, feeds it from the outbox and hands what arrives to dispatch.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::lifecycle::{ConnectionState, Lifecycle, count};
use super::link::{Answer, Happened, LinkState, Linked};
use super::run;
use super::shared::{Command, Orphan, Shared, closed};
use crate::dispatch::Entry;
use crate::outbox::{Entry as Outgoing, Flight};
use crate::transport::{
    Acknowledgement, Attempt, Flow, Gap, Inbound, Link, PublishError, SubscriptionChange,
};
use crate::{Error, ErrorKind, Result, SubscriptionId};

/// Arrivals taken in a row before commands and acknowledgements get their turn.
const BURST: usize = 64;

pub(crate) struct Engine {
    pub(super) shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    pub(super) link: LinkState,
    /// Events sent and not yet acknowledged.
    flights: FuturesUnordered<Flight>,
    /// Those who wait for the present attempt to connect.
    connecting: Vec<oneshot::Sender<Result<()>>>,
    /// Those who wait for their subscription to be confirmed.
    subscribing: HashMap<SubscriptionId, (Arc<Entry>, SubscribeDone)>,
    /// Whether the transport delivers only what it has credit for.
    pub(super) credited: bool,
    /// Counts connections, so that credit of an old one is not given to a new one.
    pub(super) generation: u64,
    /// When events began to be missed, if the next connection must say so.
    missing_since: Option<Instant>,
}

/// Tells whoever subscribes.
type SubscribeDone = oneshot::Sender<Result<Arc<Entry>>>;

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>, commands: mpsc::Receiver<Command>) -> Self {
        let credited = shared.transport.capabilities().flow == Flow::Credit;
        Self {
            shared,
            commands,
            link: LinkState::None,
            flights: FuturesUnordered::new(),
            connecting: Vec::new(),
            subscribing: HashMap::new(),
            credited,
            generation: 0,
            missing_since: None,
        }
    }

    /// Runs until the last handle is dropped or the hub is closed.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            self.reap_orphans();
            self.return_credit();
            self.pump();
            let expiry = shared.outbox.expire(Instant::now());
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => break,
                Some(command) = self.commands.recv() => {
                    if let Command::Close { done } = command {
                        self.close().await;
                        let _ = done.send(());
                        break;
                    }
                    self.command(command).await;
                }
                Some(landed) = self.flights.next(), if !self.flights.is_empty() => self.landed(landed),
                happened = self.link.next() => self.happened(happened),
                () = shared.outbox.wake.notified() => {}
                () = sleep_until(expiry) => {}
            }
        }
        self.end();
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
            Command::Close { done } => {
                let _ = done.send(());
            }
        }
    }

    fn connect(&mut self, persist: bool, done: oneshot::Sender<Result<()>>) {
        if let LinkState::Linked(Linked { up: true, .. }) = self.link {
            let _ = done.send(Ok(()));
            return;
        }
        self.connecting.push(done);
        if matches!(self.link, LinkState::None) {
            self.shared.state.send_replace(ConnectionState::Connecting { attempt: 1 });
            let transport = Arc::clone(&self.shared.transport);
            let attempt = if persist { Attempt::first().persistent() } else { Attempt::first() };
            self.link = LinkState::Connecting(Box::pin(async move { transport.connect(attempt).await }));
        }
    }

    async fn disconnect(&mut self) {
        if let LinkState::Linked(linked) = &mut self.link {
            linked.say_goodbye(self.shared.settings.close_timeout).await;
        }
        if !matches!(self.link, LinkState::None) {
            self.drop_link();
            self.shared.state.send_replace(ConnectionState::Idle);
            self.shared.report(Lifecycle::Disconnected { reason: None });
            let error = Error::new(ErrorKind::NotConnected, "connect", "the hub was disconnected meanwhile");
            self.tell_connecting(&error);
        }
    }

    fn subscribe(&mut self, build: Box<dyn FnOnce(u64) -> Entry + Send>, done: SubscribeDone) {
        if done.is_closed() {
            // Whoever asked has given up.
            return;
        }
        let inserted = self.shared.registry.lock().insert(build);
        let entry = match inserted {
            Ok(entry) => entry,
            Err(id) => {
                let _ = done.send(Err(duplicate(&id)));
                return;
            }
        };
        if entry.handler.is_some() {
            self.shared.tasks.spawn(run::lane(Arc::clone(&self.shared), Arc::clone(&entry)));
        }
        match &mut self.link {
            // Kept, and made with the connection.
            LinkState::None => {
                let _ = done.send(Ok(entry));
                return;
            }
            // Asked for with all others when the link stands.
            LinkState::Connecting(_) => {}
            LinkState::Linked(linked) => {
                linked.ask_subscribe(entry.spec.clone(), Some(Arc::clone(&entry)), false);
            }
        }
        self.subscribing.insert(entry.id().clone(), (entry, done));
    }

    fn unsubscribe(&mut self, id: &SubscriptionId, done: Option<oneshot::Sender<Result<()>>>) {
        let Some(entry) = self.shared.registry.lock().remove(id) else {
            if let Some(done) = done {
                let error =
                    Error::new(ErrorKind::NotFound, "unsubscribe", format!("no subscription \"{id}\" here"));
                let _ = done.send(Err(error));
            }
            return;
        };
        entry.lane.abandon();
        self.subscribing.remove(id);
        match &mut self.link {
            LinkState::Linked(linked) => linked.ask_unsubscribe(entry.spec.clone(), done),
            LinkState::None | LinkState::Connecting(_) => {
                if let Some(done) = done {
                    let _ = done.send(Ok(()));
                }
            }
        }
    }

    /// Unsubscribes what nobody holds any more.
    fn reap_orphans(&mut self) {
        let orphans = std::mem::take(&mut *self.shared.orphans.lock());
        for orphan in orphans {
            let gone = match &orphan {
                Orphan::Stream(_) => true,
                Orphan::Ended(entry) => self.holds(entry),
                // It may have been confirmed, or refused, at the last moment.
                Orphan::Subscribing(id) => self.subscribing.get(id).is_some_and(|(_, done)| done.is_closed()),
            };
            if gone {
                self.unsubscribe(orphan.id(), None);
            }
        }
    }

    // ---- the link -------------------------------------------------------------------------------------------

    fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Connected(Ok(link)) => self.linked(link),
            Happened::Connected(Err(error)) => self.failed(error),
            Happened::Arrived(item) => {
                self.arrived(item);
                // A busy link: take what else is there before the next round.
                for _ in 0..BURST {
                    let LinkState::Linked(linked) = &mut self.link else { break };
                    match linked.rx.next().now_or_never() {
                        Some(item) => self.arrived(item),
                        None => break,
                    }
                }
            }
            Happened::Answered(answer) => self.answered(answer),
            Happened::Roomy => {
                if let LinkState::Linked(linked) = &mut self.link {
                    linked.blocked = false;
                }
            }
        }
    }

    fn linked(&mut self, link: Link) {
        tracing::debug!(peer = %link.info.peer, "linked");
        let mut linked = Linked::new(link);
        // The hub's own inbox first: replies to whatever the others cause must find it.
        if let Some(inbox) = &self.shared.inbox {
            linked.ask_subscribe(inbox.clone(), None, true);
        }
        for entry in self.shared.registry.lock().all() {
            linked.ask_subscribe(entry.spec.clone(), Some(entry), true);
        }
        self.link = LinkState::Linked(linked);
        self.announce_if_up();
    }

    fn announce_if_up(&mut self) {
        let LinkState::Linked(linked) = &mut self.link else { return };
        if linked.up || !linked.ready || linked.starting > 0 {
            return;
        }
        linked.up = true;
        count(&self.shared.counters.connections);
        self.shared.state.send_replace(ConnectionState::Connected);
        if let Some(since) = self.missing_since.take() {
            self.shared.report(Lifecycle::Gap(Gap::new(since.elapsed())));
        }
        let entries = self.shared.registry.lock().all();
        for entry in &entries {
            self.first_credit(entry);
        }
        self.shared.report(Lifecycle::Connected { subscriptions: entries.len() });
        for waiter in self.connecting.drain(..) {
            let _ = waiter.send(Ok(()));
        }
    }

    fn arrived(&mut self, item: Option<Result<Inbound>>) {
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
            Inbound::Subscription { id, change } => tracing::info!(%id, ?change, "subscription changed"),
            Inbound::Gap(gap) => {
                self.missing_since = None;
                self.shared.report(Lifecycle::Gap(gap));
            }
            Inbound::Interrupted(error) => {
                self.down();
                self.shared.report(Lifecycle::Disconnected { reason: Some(Arc::new(error)) });
            }
            Inbound::Reconnecting { attempt, retry_in } => {
                self.shared.state.send_replace(ConnectionState::Reconnecting { attempt, retry_in });
                self.shared.report(Lifecycle::Reconnecting { attempt, retry_in });
            }
            Inbound::Restored { resubscribed } => {
                tracing::debug!(resubscribed, "restored");
                if let LinkState::Linked(linked) = &mut self.link {
                    linked.ready = true;
                }
                self.announce_if_up();
            }
            Inbound::GoAway { after } => tracing::info!(?after, "the server will end the connection"),
            Inbound::Problem(error) => {
                count(&self.shared.counters.problems);
                self.shared.report(Lifecycle::Problem(Arc::new(error)));
            }
        }
    }

    fn lost(&mut self, id: &SubscriptionId, error: Error) {
        if self.shared.inbox.as_ref().is_some_and(|inbox| inbox.id == *id) {
            // As on the first connection: better no link than a deaf one.
            return self.failed(error);
        }
        let error = Arc::new(error);
        if let Some(entry) = self.shared.registry.lock().remove(id) {
            entry.lane.fail(Arc::clone(&error));
        }
        self.shared.report(Lifecycle::SubscriptionLost { id: id.clone(), error });
    }

    fn down(&mut self) {
        if let LinkState::Linked(linked) = &mut self.link {
            if linked.up {
                self.missing_since = Some(Instant::now());
            }
            linked.up = false;
            linked.ready = false;
            self.generation += 1;
        }
    }

    /// The link is gone and will not come back by itself.
    fn failed(&mut self, error: Error) {
        self.drop_link();
        let reason = Arc::new(error);
        self.shared.state.send_replace(ConnectionState::Failed { reason: Arc::clone(&reason) });
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

    fn tell_connecting(&mut self, error: &Error) {
        for waiter in self.connecting.drain(..) {
            let _ = waiter.send(Err(error.duplicate()));
        }
    }

    fn drop_link(&mut self) {
        self.down();
        self.link = LinkState::None;
        self.generation += 1;
        // Kept, and made with the next connection.
        for (_, (entry, done)) in self.subscribing.drain() {
            let _ = done.send(Ok(entry));
        }
        // With the link gone every flight lands, unconfirmed, at once.
        while let Some(Some(landed)) = self.flights.next().now_or_never() {
            self.landed(landed);
        }
    }

    fn answered(&mut self, answer: Answer) {
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
                self.settling_failed(id, error);
            }
            Answer::Unsubscribed { outcome, done } => {
                if let Some(done) = done {
                    let _ = done.send(outcome);
                }
            }
        }
    }

    fn subscribed(&mut self, entry: &Arc<Entry>, outcome: Result<()>) {
        let waiting = match self.subscribing.get(entry.id()) {
            Some((waiting, _)) if Arc::ptr_eq(waiting, entry) => self.subscribing.remove(entry.id()),
            _ => None,
        };
        match (outcome, waiting) {
            (Ok(()), Some((entry, done))) => {
                // Whoever asked may have given up: then nobody would ever unsubscribe.
                if let Err(Ok(entry)) = done.send(Ok(entry)) {
                    self.unsubscribe(&entry.id().clone(), None);
                }
            }
            (Err(error), Some((entry, done))) => {
                if self.holds(&entry) {
                    self.shared.registry.lock().remove(entry.id());
                }
                entry.lane.abandon();
                let _ = done.send(Err(error));
            }
            // Another subscription may have the id by now.
            (Err(error), None) if self.holds(entry) => self.lost(&entry.id().clone(), error),
            (_, None) => {}
        }
    }

    /// Whether this very subscription is registered, and not another one of its id.
    fn holds(&self, entry: &Arc<Entry>) -> bool {
        self.shared.registry.lock().get(entry.id()).is_some_and(|held| Arc::ptr_eq(held, entry))
    }

    // ---- publishing -----------------------------------------------------------------------------------------

    /// Feeds the link from the outbox while it takes events.
    fn pump(&mut self) {
        let LinkState::Linked(linked) = &mut self.link else { return };
        if !linked.up || linked.blocked {
            return;
        }
        while let Some(outgoing) = self.shared.outbox.take() {
            match linked.tx.send(outgoing.event.clone()) {
                Ok(confirmation) => self.flights.push(Flight::new(outgoing, confirmation)),
                Err(refused) => match refused.error.kind() {
                    ErrorKind::Full | ErrorKind::NotConnected => {
                        self.shared.outbox.put_back(outgoing);
                        linked.blocked = true;
                        break;
                    }
                    _ => self.shared.outbox.settle(outgoing, Some(refused.error)),
                },
            }
        }
    }

    fn landed(&mut self, landed: Option<(Outgoing, Result<Acknowledgement, PublishError>)>) {
        let Some((outgoing, outcome)) = landed else { return };
        let outcome =
            outcome.and_then(|acknowledgement| match self.shared.dialect.acknowledged(&acknowledgement) {
                Ok(()) => Ok(acknowledgement),
                Err(error) => Err(PublishError::Refused(error)),
            });
        let counters = &self.shared.counters;
        count(match &outcome {
            Ok(_) => &counters.published,
            Err(PublishError::Refused(_)) => &counters.refused,
            Err(PublishError::Unconfirmed) => &counters.unconfirmed,
        });
        self.shared.outbox.landed(outgoing, outcome, Instant::now());
    }

    // ---- the end --------------------------------------------------------------------------------------------

    /// Lets handlers finish and what they publish go out, then says good-bye; all within the close timeout.
    async fn close(&mut self) {
        let limit = self.shared.settings.close_timeout;
        let deadline = Instant::now() + limit;
        for entry in self.shared.registry.lock().all() {
            entry.lane.close();
        }
        self.shared.tasks.close();
        let shared = Arc::clone(&self.shared);
        while !(shared.tasks.is_empty() && shared.outbox.outstanding() == 0 && self.settling() == 0) {
            self.pump();
            let can_send = matches!(&self.link, LinkState::Linked(linked) if linked.up);
            if shared.tasks.is_empty() && !can_send {
                break;
            }
            tokio::select! {
                () = shared.stop.cancelled() => break,
                () = tokio::time::sleep_until(deadline) => break,
                Some(landed) = self.flights.next(), if !self.flights.is_empty() => self.landed(landed),
                happened = self.link.next() => self.happened(happened),
                () = shared.outbox.wake.notified() => {}
                () = shared.tasks.wait(), if !shared.tasks.is_empty() => {}
            }
        }
        if let LinkState::Linked(linked) = &mut self.link {
            linked.say_goodbye(deadline.saturating_duration_since(Instant::now())).await;
        }
    }

    /// Deliveries that are not settled yet.
    fn settling(&self) -> usize {
        if let LinkState::Linked(linked) = &self.link { linked.settling } else { 0 }
    }

    fn end(&mut self) {
        self.drop_link();
        self.shared.stop.cancel();
        self.shared.state.send_replace(ConnectionState::Closed);
        let gone = closed("publish");
        self.shared.outbox.fail_all(&gone);
        self.tell_connecting(&closed("connect"));
        for entry in self.shared.registry.lock().all() {
            entry.lane.abandon();
        }
        self.shared.report(Lifecycle::Closed);
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => pending().await,
    }
}

fn duplicate(id: &SubscriptionId) -> Error {
    Error::new(
        ErrorKind::Duplicate,
        "subscribe",
        format!("a subscription with the id \"{id}\" exists on this hub; choose another id or leave it out"),
    )
}
