//! Between the requests and the hub: what is accepted goes through here, once, and is open until it is settled.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event_core::transport::{Inbound, RawDelivery, SettleToken, Settlement};
use event_core::{Event, EventId, Result, SubscriptionId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::receiver::Acknowledge;
use super::refusal::{ReceiverStats, Refusal};
use super::rules::Rules;
use super::window::{Sight, Window};

pub(super) type Arriving = mpsc::Receiver<Result<Inbound>>;
/// Whether a delivery is done with, and is not to be sent again; nothing until it is settled.
type Settled = watch::Receiver<Option<bool>>;

pub(super) struct Gate {
    pub(super) rules: Rules,
    pub(super) answer_within: Duration,
    pub(super) acknowledge: Acknowledge,
    pub(super) capacity: usize,
    pub(super) wall_clock: fn() -> SystemTime,
    state: Mutex<State>,
    /// Rung when a link has read everything.
    pub(super) emptied: Notify,
}

struct State {
    link: Option<Line>,
    links: u64,
    window: Window<Settled>,
    closing: bool,
    stats: ReceiverStats,
}

/// The way to the hub that takes the events.
struct Line {
    number: u64,
    to: mpsc::Sender<Result<Inbound>>,
    subscribed: HashSet<SubscriptionId>,
}

/// What became of an event at the gate.
pub(super) enum Passed {
    /// It is accepted: how it is settled.
    Accepted(Settled),
    /// It came before, and may still be under way.
    Repeat(Option<Settled>),
}

impl Gate {
    pub(super) fn new(
        rules: Rules,
        (answer_within, acknowledge): (Duration, Acknowledge),
        capacity: usize,
        repeats: (Duration, usize),
        wall_clock: fn() -> SystemTime,
    ) -> Arc<Self> {
        let state = State {
            link: None,
            links: 0,
            window: Window::new(repeats.0, repeats.1),
            closing: false,
            stats: ReceiverStats::default(),
        };
        let (state, emptied) = (Mutex::new(state), Notify::new());
        Arc::new(Self { rules, answer_within, acknowledge, capacity, wall_clock, state, emptied })
    }

    pub(super) fn stats(&self) -> ReceiverStats {
        self.state.lock().stats
    }

    pub(super) fn count(&self, refusal: Refusal) {
        self.state.lock().stats.count(refusal);
    }

    /// Accepts nothing from now on.
    pub(super) fn close(&self) {
        self.state.lock().closing = true;
    }

    /// Passes an event on, unless it came before or there is no room.
    pub(super) fn pass(self: &Arc<Self>, event: Event) -> Result<Passed, Refusal> {
        let now = Instant::now().into_std();
        let mut state = self.state.lock();
        let state = &mut *state;
        let id = event.id().cloned().unwrap_or_else(EventId::random);
        match state.window.look(&id, now) {
            Sight::New => {}
            Sight::UnderWay(settled) => {
                state.stats.repeats += 1;
                return Ok(Passed::Repeat(Some(settled)));
            }
            Sight::Handled => {
                state.stats.repeats += 1;
                return Ok(Passed::Repeat(None));
            }
        }
        let line = state.link.as_ref().filter(|line| !line.subscribed.is_empty() && !state.closing);
        let Some(line) = line else { return Err(Refusal::NobodyListens) };
        if state.stats.open >= self.capacity {
            return Err(Refusal::Full);
        }
        let Ok(room) = line.to.try_reserve() else { return Err(Refusal::NobodyListens) };
        let (settle, settled) = watch::channel(None);
        state.window.begin(id.clone(), settled.clone());
        state.stats.open += 1;
        state.stats.accepted += 1;
        let ticket = Ticket { gate: Arc::clone(self), id, settle: Some(settle) };
        room.send(Ok(Inbound::Delivery(
            RawDelivery::matched(event).settled_by(SettleToken::new(ticket), None),
        )));
        Ok(Passed::Accepted(settled))
    }

    /// Opens the way to a hub, unless there is one.
    pub(super) fn attach(&self) -> Option<(u64, Arriving)> {
        let mut state = self.state.lock();
        if state.link.as_ref().is_some_and(|line| !line.to.is_closed()) {
            return None;
        }
        let (to, arriving) = mpsc::channel(self.capacity);
        state.links += 1;
        let number = state.links;
        state.link = Some(Line { number, to, subscribed: HashSet::new() });
        Some((number, arriving))
    }

    /// Ends the way to a hub: what it has is to be settled still, nothing more comes.
    pub(super) fn detach(&self, number: u64) {
        let mut state = self.state.lock();
        if state.link.as_ref().is_some_and(|line| line.number == number) {
            state.link = None;
        }
        drop(state);
        self.emptied.notify_waiters();
    }

    /// Changes who is subscribed over a link; `None` when that is over.
    pub(super) fn subscriptions(
        &self,
        number: u64,
        change: impl FnOnce(&mut HashSet<SubscriptionId>),
    ) -> Option<()> {
        let mut state = self.state.lock();
        let line = state.link.as_mut().filter(|line| line.number == number)?;
        change(&mut line.subscribed);
        Some(())
    }
}

impl Gate {
    /// Whether a link has nothing to read, and nothing comes any more.
    fn is_read(&self, number: u64) -> bool {
        let state = self.state.lock();
        let line = state.link.as_ref().filter(|line| line.number == number);
        line.is_none_or(|line| !line.subscribed.is_empty() || line.to.capacity() == line.to.max_capacity())
    }

    /// Waits until the link whose last subscription ended has read what was accepted before that.
    pub(super) async fn read_out(&self, number: u64) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.is_read(number) {
                return;
            }
            emptied.await;
        }
    }
}

/// An open delivery: settled once, and badly if nobody does.
pub(super) struct Ticket {
    gate: Arc<Gate>,
    id: EventId,
    settle: Option<watch::Sender<Option<bool>>>,
}

impl Ticket {
    pub(super) fn settle(&mut self, outcome: Settlement) {
        let Some(settle) = self.settle.take() else { return };
        let handled = outcome == Settlement::Complete;
        // What is never handled is not to be sent again either.
        let done = handled || outcome == Settlement::Reject;
        let mut state = self.gate.state.lock();
        state.window.end(&self.id, done, Instant::now().into_std());
        state.stats.open -= 1;
        *(if handled { &mut state.stats.handled } else { &mut state.stats.failed }) += 1;
        drop(state);
        settle.send_replace(Some(done));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.settle(Settlement::Abandon { delay: None });
    }
}
