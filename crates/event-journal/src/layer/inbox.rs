//! The receiving half of a link: polled, not a task. What comes is written before anybody gets it.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use event_core::transport::{Flow, Inbound, Inbounds, RawDelivery, Route, Settlement, SubscriptionChange};
use event_core::{Error, Event, Result, SubscriptionId};
use futures_core::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::LinkShared;
use super::feed::Feed;
use crate::config::millis;
use crate::error::StoreError;
use crate::journal::{count, gap_event};
use crate::record::Draft;
use crate::repeats;
use crate::store::{Appended, Op};

/// Deliveries of the link below that wait to be written.
const PENDING: usize = 1_024;
/// Things taken from the link below, and handed up, before others get their turn.
const BURST: usize = 64;
/// Why there is a gap where the disk failed.
const UNWRITTEN: &str = "the journal could not be written";
/// Deliveries that a queue below may send ahead, where it asks for credit.
const AHEAD: u32 = 8;

type Outcome = oneshot::Receiver<Result<Appended, StoreError>>;
type Asked = BoxFuture<'static, (SubscriptionId, Result<()>, oneshot::Sender<Result<()>>)>;

/// Something that came, in its order.
enum Pending {
    Event { delivery: Box<RawDelivery>, outcome: Outcome, generation: u64 },
    Gap { outcome: Outcome, news: Option<Box<Inbound>>, heals: bool },
    Pass(Box<Inbound>),
}

pub(super) struct Inbox {
    link: Arc<LinkShared>,
    below: Inbounds,
    below_is_over: bool,
    failure: Option<Error>,
    pending: VecDeque<Pending>,
    ready: VecDeque<Inbound>,
    asked: FuturesUnordered<Asked>,
    settling: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Confirmed below.
    confirmed: HashSet<SubscriptionId>,
    /// Counts connections below, so that credit of an old one is not given to a new one.
    generation: u64,
    /// Waits for room to be written.
    stalled: Option<Op>,
    /// Since when events came that could not be written.
    unwritten_since: Option<u64>,
    /// The gap of that is on its way.
    healing: bool,
    feed: Feed,
    timer: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

impl Inbox {
    pub(super) fn new(link: Arc<LinkShared>, below: Inbounds, ready: bool) -> Self {
        let mut inbox = Self {
            link,
            below,
            below_is_over: false,
            failure: None,
            pending: VecDeque::new(),
            ready: VecDeque::new(),
            asked: FuturesUnordered::new(),
            settling: FuturesUnordered::new(),
            confirmed: HashSet::new(),
            generation: 0,
            stalled: None,
            unwritten_since: None,
            healing: false,
            feed: Feed::default(),
            timer: None,
            is_over: false,
        };
        if ready {
            inbox.came(Inbound::Restored { resubscribed: 0 });
        }
        inbox
    }

    /// Whether something moved, so that everything is looked at again.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = self.ask(cx);
        moved |= self.receive(cx);
        moved |= self.written(cx);
        while let Poll::Ready(Some(())) = self.settling.poll_next_unpin(cx) {}
        let link = Arc::clone(&self.link);
        if !link.closing.load(Ordering::Acquire) {
            moved |= self.serve(cx);
        }
        self.feed.poll(&link, cx);
        moved
    }

    /// Subscribes below.
    fn ask(&mut self, cx: &mut Context<'_>) -> bool {
        let new = std::mem::take(&mut self.link.state.lock().asking);
        for asking in new {
            self.asked.push(Box::pin(asking.outcome.map(|outcome| (asking.id, outcome, asking.done))));
        }
        let mut moved = false;
        while let Poll::Ready(Some((id, outcome, done))) = self.asked.poll_next_unpin(cx) {
            moved = true;
            if outcome.is_ok() {
                self.confirmed.insert(id.clone());
                if *self.link.up.borrow() {
                    self.grant(&id, AHEAD);
                }
            }
            // Nobody waits for it any more: a refusal is then a loss.
            if let Err(Err(error)) = done.send(outcome)
                && !self.link.is_over()
            {
                self.lost(&id);
                self.ready.push_back(Inbound::Subscription { id, change: SubscriptionChange::Lost(error) });
            }
        }
        moved
    }

    fn grant(&self, id: &SubscriptionId, credit: u32) {
        if self.link.below.flow == Flow::Credit {
            self.link.inner.grant(id, credit);
        }
    }

    fn lost(&mut self, id: &SubscriptionId) {
        self.confirmed.remove(id);
        let mut state = self.link.state.lock();
        state.live.remove(id);
        state.serving.iter_mut().filter(|serving| serving.is_of(id)).for_each(super::Serving::part);
        state.serving.retain(|serving| !serving.is_done());
    }

    /// Takes what came below.
    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(op) = self.stalled.take()
            && let Err((op, _)) = self.link.journal.0.writes.try_submit(op)
        {
            // Woken by the next group that is written.
            self.stalled = Some(op);
            return false;
        }
        for taken in 0..BURST {
            if self.below_is_over || self.stalled.is_some() || self.pending.len() >= PENDING {
                return taken > 0;
            }
            match self.below.poll_next_unpin(cx) {
                Poll::Pending => return taken > 0,
                Poll::Ready(Some(Ok(inbound))) => self.came(inbound),
                Poll::Ready(Some(Err(error))) => {
                    self.below_is_over = true;
                    self.failure = Some(error);
                }
                Poll::Ready(None) => self.below_is_over = true,
            }
        }
        true
    }

    fn came(&mut self, inbound: Inbound) {
        let now = self.link.journal.0.config.now();
        match inbound {
            Inbound::Delivery(delivery) => self.keep(delivery, now),
            Inbound::Gap(gap) => {
                let from = now.saturating_sub(millis(gap.lasted));
                self.gap(from, now, "the connection was interrupted", None, Some(Inbound::Gap(gap)));
            }
            Inbound::Interrupted(error) => {
                self.generation += 1;
                self.link.up.send_replace(false);
                self.link.stop_feeding();
                self.pending.push_back(Pending::Pass(Box::new(Inbound::Interrupted(error))));
            }
            Inbound::Restored { resubscribed } => {
                self.link.up.send_replace(true);
                for id in &self.confirmed {
                    self.grant(id, AHEAD);
                }
                let restarted = self.link.journal.0.shared.state.lock().restarted.take();
                if let Some(since) = restarted {
                    self.gap(since, now, "the process was not running or not connected", None, None);
                }
                self.pending.push_back(Pending::Pass(Box::new(Inbound::Restored { resubscribed })));
            }
            Inbound::Subscription { id, change } => {
                let reason = match &change {
                    SubscriptionChange::Lost(_) => Some("the service dropped the subscription"),
                    SubscriptionChange::Recreated => Some("the subscription was made anew"),
                    _ => None,
                };
                let key = self.link.state.lock().keys.get(&id).cloned();
                let lost = matches!(change, SubscriptionChange::Lost(_));
                let news = Inbound::Subscription { id: id.clone(), change };
                match reason {
                    Some(reason) => self.gap(now, now, reason, key.or_else(|| Some(id.clone())), Some(news)),
                    None => self.pending.push_back(Pending::Pass(Box::new(news))),
                }
                if lost {
                    self.lost(&id);
                }
            }
            other => self.pending.push_back(Pending::Pass(Box::new(other))),
        }
    }

    fn keep(&mut self, delivery: RawDelivery, now: u64) {
        if let Some(since) = self.unwritten_since
            && !std::mem::replace(&mut self.healing, true)
        {
            self.gap(since, now, UNWRITTEN, None, None);
        }
        let to = match &delivery.route {
            Route::Direct(id) => {
                Some(self.link.state.lock().keys.get(id).cloned().unwrap_or_else(|| id.clone()))
            }
            _ => None,
        };
        let event = delivery.event.clone();
        let id = event.id().map(|id| repeats::key(id.as_str(), to.as_ref().map(SubscriptionId::as_str)));
        let draft = Draft {
            received: now,
            event: event.to_json(),
            is_gap: false,
            to,
            exact: delivery.filter_is_exact,
        };
        let outcome = self.append(draft, event, id);
        let generation = self.generation;
        self.pending.push_back(Pending::Event { delivery: Box::new(delivery), outcome, generation });
    }

    fn gap(&mut self, from: u64, to: u64, reason: &str, key: Option<SubscriptionId>, news: Option<Inbound>) {
        let news = news.map(Box::new);
        match gap_event(from, to, reason) {
            Ok(event) => {
                let draft =
                    Draft { received: to, event: event.to_json(), is_gap: true, to: key, exact: false };
                let outcome = self.append(draft, event, None);
                let heals = reason == UNWRITTEN;
                self.pending.push_back(Pending::Gap { outcome, news, heals });
            }
            Err(error) => {
                tracing::error!(%error, "a gap has no written form");
                self.pending.extend(news.map(Pending::Pass));
            }
        }
    }

    fn append(&mut self, draft: Draft, event: Event, id: Option<Vec<u8>>) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let op = Op::Append { draft, event, id, reply };
        // One at a time can wait; what comes after it waits below.
        if self.stalled.is_none() {
            self.stalled = self.link.journal.0.writes.try_submit(op).err().map(|(op, _)| op);
        }
        outcome
    }

    /// Hands up what is on the disk.
    fn written(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some(first) = self.pending.front_mut() {
            let outcome = match first {
                Pending::Pass(_) => Ok(Appended::Repeat),
                Pending::Event { outcome, .. } | Pending::Gap { outcome, .. } => match outcome.poll_unpin(cx)
                {
                    Poll::Pending => return moved,
                    Poll::Ready(outcome) => outcome.unwrap_or(Err(StoreError::Closed)),
                },
            };
            moved = true;
            match self.pending.pop_front() {
                Some(Pending::Event { delivery, generation, .. }) => {
                    self.kept(*delivery, outcome, generation);
                }
                Some(Pending::Gap { news, heals, .. }) => {
                    match outcome {
                        Ok(_) if heals => self.unwritten_since = None,
                        Ok(_) => {}
                        Err(error) => self.not_written(error),
                    }
                    self.healing &= !heals;
                    self.ready.extend(news.map(|news| *news));
                }
                Some(Pending::Pass(news)) => self.ready.push_back(*news),
                None => {}
            }
        }
        moved
    }

    fn kept(&mut self, delivery: RawDelivery, outcome: Result<Appended, StoreError>, generation: u64) {
        let RawDelivery { event, route, filter_is_exact, token, attempt, .. } = delivery;
        let link = Arc::clone(&self.link);
        let settlement = match outcome {
            Ok(appended) => {
                if appended == Appended::Repeat {
                    count(&link.journal.0.shared.counters.repeats);
                }
                Settlement::Complete
            }
            Err(error) => {
                count(&link.journal.0.shared.counters.not_stored);
                self.not_written(error);
                Settlement::Abandon { delay: None }
            }
        };
        let credit = match &route {
            Route::Direct(id) if generation == self.generation && *link.up.borrow() => Some(id.clone()),
            _ => None,
        };
        if let Some(token) = token {
            let settling = Arc::clone(&link);
            self.settling.push(Box::pin(async move {
                if let Err(failed) = settling.inner.settle(token, settlement).await {
                    tracing::warn!(error = %failed.error, "a delivery below was not settled; it comes again");
                }
                if let Some(id) = credit {
                    settling.inner.grant(&id, 1);
                }
            }));
        } else if let Some(id) = credit {
            self.grant(&id, 1);
        }
        let wanted = {
            let state = link.state.lock();
            match &route {
                Route::Direct(id) => state.live.contains(id),
                _ => !state.live.is_empty(),
            }
        };
        if wanted {
            let mut live = match route {
                Route::Direct(id) => RawDelivery::direct(event, id),
                _ => RawDelivery::matched(event),
            };
            live.filter_is_exact = filter_is_exact;
            live.attempt = attempt;
            self.ready.push_back(Inbound::Delivery(live));
        }
    }

    /// Something could not be written: told once, until it can.
    fn not_written(&mut self, error: StoreError) {
        if self.unwritten_since.is_none() {
            self.unwritten_since = Some(self.link.journal.0.config.now());
            self.ready.push_back(Inbound::Problem(error.into()));
        }
    }

    /// Deliveries of the consumers.
    fn serve(&mut self, cx: &mut Context<'_>) -> bool {
        let link = Arc::clone(&self.link);
        let mut moved = false;
        let mut state = link.state.lock();
        for serving in &mut state.serving {
            for _ in 0..BURST {
                let Poll::Ready(delivery) = serving.poll(&link, cx) else { break };
                moved = true;
                self.ready.push_back(Inbound::Delivery(delivery));
            }
        }
        moved
    }

    /// Sets the clock for what is due without anybody asking; whether something is due now.
    fn due(&mut self, cx: &mut Context<'_>) -> bool {
        let link = &self.link;
        let (now, wall) = (link.now(), link.journal.0.config.now());
        let consumers = {
            let state = link.state.lock();
            state.serving.iter().filter_map(super::Serving::wake_at).min()
        };
        let consumers = consumers.map(|at| at.saturating_sub(now));
        let outbox = Feed::wake_at(link).map(|at| at.saturating_sub(wall));
        let Some(wait) = consumers.into_iter().chain(outbox).min() else {
            self.timer = None;
            return false;
        };
        let mut timer = Box::pin(tokio::time::sleep(Duration::from_millis(wait.max(1))));
        let due = timer.as_mut().poll(cx).is_ready();
        self.timer = Some(timer);
        due
    }

    /// What the stream ends with, when it does.
    fn end(&mut self) -> Option<Result<Inbound>> {
        self.is_over = true;
        self.link.end();
        self.failure.take().map(Err)
    }
}

impl Stream for Inbox {
    type Item = Result<Inbound>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(ready) = this.ready.pop_front() {
            return Poll::Ready(Some(Ok(ready)));
        }
        if this.is_over {
            return Poll::Ready(None);
        }
        this.link.waker.register(cx.waker());
        loop {
            let moved = this.turn(cx);
            if let Some(ready) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(ready)));
            }
            if this.below_is_over && this.pending.is_empty() {
                return Poll::Ready(this.end());
            }
            if !moved && !this.due(cx) {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // What was under way goes back into the outbox.
        self.feed.abandon(&self.link);
        self.link.end();
    }
}
