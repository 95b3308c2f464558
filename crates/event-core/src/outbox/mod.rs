//! Ordered publishes that outlive links: bounded, each with a deadline and a resend policy.

mod flights;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use crate::transport::{Outcome, PublishError, SendTerms};
use crate::{Error, ErrorKind, Event, Result, Topic};
pub(crate) use flights::Flights;
pub(crate) use window::Window;

/// What to do with an event whose link ended before the service acknowledged it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resend {
    /// Send it again, with the same id, until it is acknowledged or expires. The default of publishing. The
    /// service may see it twice, and the receipt then says so.
    #[default]
    UntilAcked,
    /// Fail with [`ErrorKind::Unconfirmed`]. The default of requests and automatic replies: no official client
    /// removes duplicates, so an action must not be launched twice.
    Never,
}

/// What is known of an event that the service acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// How often the event was sent.
    pub attempts: u32,
    /// Whether the service may have got it more than once.
    pub possible_duplicate: bool,
}

/// Who hears what became of an event.
pub(crate) enum Done {
    /// Is told at the deadline at the latest, wherever the event is then.
    Caller(oneshot::Sender<Told>),
    /// Is told what became of the event, whenever that is.
    Report(Box<dyn FnOnce(Result<Receipt>) + Send + Sync>),
    /// The caller was told already.
    Nobody,
}

/// What a caller is told.
pub(crate) enum Told {
    Outcome(Result<Receipt>),
    /// The event on this topic was sent, and had no last word before its deadline.
    TimeIsUp(Topic),
}

impl Done {
    fn tell(self, outcome: Result<Receipt>) {
        match self {
            Self::Caller(caller) => drop(caller.send(Told::Outcome(outcome))),
            Self::Report(report) => report(outcome),
            Self::Nobody => {}
        }
    }

    fn time_is_up(self, event: &Event) {
        if let Self::Caller(caller) = self {
            drop(caller.send(Told::TimeIsUp(event.topic().clone())));
        }
    }
}

/// Until when an event may be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// Whether the publisher chose it for this event: then it holds wherever the event is kept, too.
    pub(crate) chosen: bool,
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self { at, chosen: false }
    }
}

/// An event that is to be sent.
pub(crate) struct Entry {
    sequence: u64,
    pub(crate) event: Event,
    deadline: Instant,
    /// Whether the publisher chose the deadline for this event.
    chosen: bool,
    resend: Resend,
    attempts: u32,
    done: Done,
    _room: OwnedSemaphorePermit,
}

impl Entry {
    fn has_caller(&self) -> bool {
        matches!(self.done, Done::Caller(_))
    }
}

/// The queue.
pub(crate) struct Outbox {
    state: Mutex<State>,
    room: Arc<Semaphore>,
    capacity: usize,
    /// Told whenever there is something new for the engine to do.
    pub(crate) wake: Notify,
    /// Told whenever an event is done with.
    settled: Notify,
    expired: AtomicU64,
}

/// What an outbox has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Events that were put in.
    pub(crate) queued: u64,
    /// Of these, acknowledged.
    pub(crate) acknowledged: u64,
    /// Of these, failed in whatever way.
    pub(crate) failed: u64,
}

impl Totals {
    pub(crate) fn done(&self) -> u64 {
        self.acknowledged + self.failed
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// Those taken out to be sent: their sequences, rising. They are taken and done with nearly in order.
    sent: VecDeque<u64>,
    next: u64,
    acknowledged: u64,
    failed: u64,
    /// No entry of the queue expires before this.
    earliest: Option<Instant>,
}

impl State {
    /// The first event that is not done with.
    fn oldest(&self) -> Option<u64> {
        let waiting = self.queue.front().map(|entry| entry.sequence);
        match (waiting, self.sent.front().copied()) {
            (Some(waiting), Some(sent)) => Some(waiting.min(sent)),
            (waiting, sent) => waiting.or(sent),
        }
    }

    fn is_sent(&mut self, sequence: u64) {
        let at = match self.sent.back() {
            Some(last) if sequence < *last => self.sent.partition_point(|other| *other < sequence),
            _ => self.sent.len(),
        };
        self.sent.insert(at, sequence);
    }

    fn is_back(&mut self, sequence: u64) {
        if self.sent.front() == Some(&sequence) {
            self.sent.pop_front();
        } else if let Ok(at) = self.sent.binary_search(&sequence) {
            self.sent.remove(at);
        }
    }

    fn insert(&mut self, at: usize, entry: Entry) {
        self.earliest = Some(self.earliest.map_or(entry.deadline, |earliest| earliest.min(entry.deadline)));
        self.queue.insert(at, entry);
    }
}

impl Outbox {
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            state: Mutex::default(),
            room: Arc::new(Semaphore::new(capacity)),
            capacity,
            wake: Notify::new(),
            settled: Notify::new(),
            expired: AtomicU64::new(0),
        }
    }

    /// Queues an event, waiting for room until the deadline.
    ///
    /// Cancel-safe: dropped before it returns, nothing is queued.
    pub(crate) async fn push(
        &self,
        event: Event,
        deadline: impl Into<Deadline>,
        resend: Resend,
        done: Done,
    ) -> Result<()> {
        let deadline = deadline.into();
        let room = match Arc::clone(&self.room).try_acquire_owned() {
            Ok(room) => room,
            Err(_) => self.wait_for_room(deadline.at).await?,
        };
        self.queue(event, deadline, resend, done, room);
        Ok(())
    }

    /// Queues an event if there is room.
    ///
    /// # Errors
    ///
    /// Gives back what it was given.
    pub(crate) fn try_push(
        &self,
        event: Event,
        deadline: Deadline,
        resend: Resend,
        done: Done,
    ) -> std::result::Result<(), (Event, Done)> {
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(room) => {
                self.queue(event, deadline, resend, done, room);
                Ok(())
            }
            Err(_) => Err((event, done)),
        }
    }

    async fn wait_for_room(&self, deadline: Instant) -> Result<OwnedSemaphorePermit> {
        // The deadline first: room that comes with it is of no use any more.
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(deadline) => Err(self.full()),
            room = Arc::clone(&self.room).acquire_owned() => room.map_err(|_| self.full()),
        }
    }

    fn queue(
        &self,
        event: Event,
        Deadline { at: deadline, chosen }: Deadline,
        resend: Resend,
        done: Done,
        room: OwnedSemaphorePermit,
    ) {
        {
            let mut state = self.state.lock();
            let sequence = state.next;
            state.next += 1;
            let entry = Entry { sequence, event, deadline, chosen, resend, attempts: 0, done, _room: room };
            let end = state.queue.len();
            state.insert(end, entry);
        }
        self.wake.notify_one();
    }

    /// The next event to send; while there is no connection, the next that may be sent again.
    pub(crate) fn take(&self, connected: bool) -> Option<Entry> {
        let mut state = self.state.lock();
        let fits = |entry: &Entry| connected || entry.resend == Resend::UntilAcked;
        let at = state.queue.iter().position(fits)?;
        let entry = state.queue.remove(at)?;
        state.is_sent(entry.sequence);
        Some(entry)
    }

    /// Puts an event back that could not be sent now.
    pub(crate) fn put_back(&self, entry: Entry) {
        let mut state = self.state.lock();
        state.is_back(entry.sequence);
        let at = state.queue.partition_point(|other| other.sequence < entry.sequence);
        state.insert(at, entry);
    }

    /// What a link is told about an event. `now` is the time of the call.
    pub(crate) fn terms(entry: &Entry, now: impl FnOnce() -> Instant) -> SendTerms {
        let terms = if entry.chosen {
            SendTerms::within(entry.deadline.saturating_duration_since(now()))
        } else {
            SendTerms::default()
        };
        if entry.resend == Resend::Never { terms.once() } else { terms }
    }

    /// Deals with what became of an event that was sent. `now` is the time of the call.
    pub(crate) fn landed(&self, entry: Entry, outcome: Outcome, now: impl FnOnce() -> Instant) {
        match outcome {
            Ok(_) => self.settle(entry, None),
            Err(PublishError::Refused(error)) => self.settle(entry, Some(error)),
            Err(PublishError::Unconfirmed)
                if entry.resend == Resend::UntilAcked && now() < entry.deadline =>
            {
                self.put_back(entry);
            }
            Err(PublishError::Unconfirmed) => {
                let error = Error::new(
                    ErrorKind::Unconfirmed,
                    "publish",
                    format!(
                        "the server did not acknowledge the event on \"{}\" before the connection ended or its time \
                         was up; it may or may not have arrived",
                        entry.event.topic()
                    ),
                );
                self.settle(entry, Some(error));
            }
        }
    }

    /// Tells whoever waits for this event.
    pub(crate) fn settle(&self, entry: Entry, failure: Option<Error>) {
        {
            let mut state = self.state.lock();
            state.is_back(entry.sequence);
            *(if failure.is_none() { &mut state.acknowledged } else { &mut state.failed }) += 1;
        }
        self.settled.notify_waiters();
        let outcome = match failure {
            None => Ok(Receipt { attempts: entry.attempts, possible_duplicate: entry.attempts > 1 }),
            Some(error) => Err(error),
        };
        entry.done.tell(outcome);
    }

    /// Fails what has waited past its deadline; returns when the next one will have. `held_up` says what an event with
    /// this policy waited for while so many others were on their way.
    pub(crate) fn expire(&self, now: Instant, held_up: impl Fn(Resend, usize) -> String) -> Option<Instant> {
        let (expired, next, in_flight) = {
            let mut state = self.state.lock();
            if state.queue.is_empty() {
                state.earliest = None;
            }
            let earliest = state.earliest?;
            if now < earliest {
                return Some(earliest);
            }
            let (expired, kept): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(&mut state.queue).into_iter().partition(|entry| entry.deadline <= now);
            state.earliest = kept.iter().map(|entry| entry.deadline).min();
            state.queue = kept;
            (expired, state.earliest, state.sent.len())
        };
        for entry in expired {
            self.expired.fetch_add(1, Ordering::Relaxed);
            let message = format!(
                "{}; the event on \"{}\" was {} before its deadline",
                held_up(entry.resend, in_flight),
                entry.event.topic(),
                if entry.attempts == 0 { "not sent" } else { "sent but not acknowledged" }
            );
            self.settle(entry, Some(Error::new(ErrorKind::Timeout, "publish", message)));
        }
        next
    }

    /// Fails everything that waits.
    pub(crate) fn fail_all(&self, reason: &Error) {
        let waiting = std::mem::take(&mut self.state.lock().queue);
        for entry in waiting {
            self.settle(entry, Some(reason.duplicate()));
        }
    }

    /// Events that wait to be sent or acknowledged.
    pub(crate) fn outstanding(&self) -> usize {
        let state = self.state.lock();
        state.queue.len() + state.sent.len()
    }

    /// What it has done so far.
    pub(crate) fn totals(&self) -> Totals {
        let state = self.state.lock();
        Totals { queued: state.next, acknowledged: state.acknowledged, failed: state.failed }
    }

    /// Waits until every event queued before this call is done with: acknowledged, refused or failed. Cancel-safe.
    pub(crate) async fn flushed(&self) {
        let until = self.state.lock().next;
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.state.lock().oldest().is_none_or(|oldest| oldest >= until) {
                return;
            }
            settled.await;
        }
    }

    /// Events that expired before they could be sent.
    pub(crate) fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    fn full(&self) -> Error {
        Error::new(
            ErrorKind::Full,
            "publish",
            format!(
                "{} events already wait to be sent, and none got through before the deadline",
                self.capacity
            ),
        )
    }
}
