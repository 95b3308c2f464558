//! The queue of one subscription: first in, first out, bounded, with a named policy for what does not fit.
#![expect(clippy::disallowed_methods, reason = "reads tokio's clock to space its reports")]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Credit;
use super::gate::Ticket;
use super::settle::Share;
use crate::{Error, Event, EventId};

/// What happens to an event that finds its subscription's buffer full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest waiting event is dropped: handlers see the newest state. The default.
    #[default]
    DropOldest,
    /// The new event is dropped: handlers see an unbroken beginning.
    DropNewest,
    /// The new event is dropped, and the hub disconnects, with [`ErrorKind::Full`](crate::ErrorKind::Full) as
    /// the reason, until it is told to connect again: for programs that would rather stop than go on with holes.
    Disconnect,
}

/// One event on its way to one subscription.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) event: Event,
    pub(crate) attempt: u32,
    /// Made by this hub for its own subscribers: answers go nowhere.
    pub(crate) local: bool,
    pub(crate) ticket: Option<Arc<Ticket>>,
    /// Events of one key are handled one after the other, in order.
    pub(crate) key: Option<u64>,
    /// On transports that ask for settlement.
    pub(crate) share: Option<Share>,
    /// On transports with credit: given back when the last of the delivery's jobs is done.
    pub(crate) credit: Option<Arc<Credit>>,
}

/// The queue of one subscription, with one consumer.
#[derive(Debug)]
pub(crate) struct Lane {
    queue: Mutex<Queue>,
    capacity: usize,
    pub(crate) overflow: Overflow,
    pub(crate) concurrency: usize,
    running: AtomicU32,
    /// Events that were taken out and are not decided yet, those whose handler is at work among them.
    taken: AtomicU32,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Queue {
    jobs: VecDeque<Job>,
    /// What few lanes need.
    rare: Option<Box<Rare>>,
    /// News for a stream's reader, after the jobs that came before it.
    notice: Option<Arc<Error>>,
    closed: bool,
    consumer: Option<Waker>,
}

#[derive(Debug, Default)]
struct Rare {
    /// Keys of the events that are worked on; as many as the lane has handlers at most.
    busy: Vec<u64>,
    /// Events whose start a handler of this very lane waits for.
    awaited: Vec<(EventId, Arc<OnceLock<Instant>>)>,
    last_report: Option<Instant>,
}

impl Lane {
    pub(crate) fn new(capacity: usize, overflow: Overflow, concurrency: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                rare: None,
                notice: None,
                closed: false,
                consumer: None,
            }),
            capacity: capacity.max(1),
            overflow,
            concurrency: concurrency.max(1),
            running: AtomicU32::new(0),
            taken: AtomicU32::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds a job; gives back the one that found no room, or the job itself if the lane is closed.
    pub(crate) fn push(&self, job: Job) -> Result<(), Rejected> {
        let (waker, refused) = {
            let mut queue = self.queue.lock();
            if queue.closed {
                return Err(Rejected::Closed);
            }
            let refused = if queue.jobs.len() < self.capacity {
                queue.jobs.push_back(job);
                None
            } else if self.overflow == Overflow::DropOldest {
                let oldest = queue.jobs.pop_front();
                queue.jobs.push_back(job);
                oldest
            } else {
                Some(job)
            };
            (queue.consumer.take(), refused)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        // The dropped job's ticket is finished here, outside the lock.
        match refused {
            Some(_job) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                Err(Rejected::Overflow)
            }
            None => Ok(()),
        }
    }

    /// The next job; `None` when the lane is closed and empty. One consumer only. Cancel-safe.
    pub(crate) async fn pop(&self) -> Option<Job> {
        poll_fn(|cx| self.poll_pop(cx)).await
    }

    pub(crate) fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<Job>> {
        let mut queue = self.queue.lock();
        if let Some(job) = queue.take() {
            return Poll::Ready(Some(job));
        }
        if queue.closed && queue.jobs.is_empty() {
            return Poll::Ready(None);
        }
        queue.consumer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next job or notice, for a stream.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Job, Arc<Error>>>> {
        let mut queue = self.queue.lock();
        if let Some(job) = queue.take() {
            return Poll::Ready(Some(Ok(job)));
        }
        if let Some(notice) = queue.notice.take() {
            return Poll::Ready(Some(Err(notice)));
        }
        if queue.closed {
            return Poll::Ready(None);
        }
        queue.consumer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Tells a stream's reader of a failure that it may outlive.
    pub(crate) fn notice(&self, error: Arc<Error>) {
        let waker = {
            let mut queue = self.queue.lock();
            queue.notice = Some(error);
            queue.consumer.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Tells a stream's reader of a failure that ends it.
    pub(crate) fn fail(&self, error: Arc<Error>) {
        self.queue.lock().notice = Some(error);
        self.close();
    }

    /// Whether a report about dropped events is due: at most one a second.
    pub(crate) fn may_report(&self) -> bool {
        let mut queue = self.queue.lock();
        let last = &mut queue.rare().last_report;
        let due = last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1));
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    /// Takes no more jobs; those that wait may still be taken.
    pub(crate) fn close(&self) {
        let waker = {
            let mut queue = self.queue.lock();
            queue.closed = true;
            queue.consumer.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Closes and throws away what waits; returns how many.
    pub(crate) fn abandon(&self) -> usize {
        self.close();
        let jobs = std::mem::take(&mut self.queue.lock().jobs);
        jobs.len()
    }

    /// Notes when an event is started here, until the note is dropped.
    pub(crate) fn await_start(self: &Arc<Self>, id: EventId) -> AwaitedStart {
        let started = Arc::new(OnceLock::new());
        self.queue.lock().rare().awaited.push((id.clone(), Arc::clone(&started)));
        AwaitedStart { lane: Arc::clone(self), id, started }
    }

    /// Holds the key of a job that was taken, until the guard is dropped.
    pub(crate) fn hold_key(self: &Arc<Self>, key: Option<u64>) -> Option<HeldKey> {
        key.map(|key| HeldKey { lane: Arc::clone(self), key })
    }

    /// Closes for a reader that may come later: events that nobody must settle wait for it, the others are thrown
    /// away; returns how many those were.
    pub(crate) fn close_for_reader(&self) -> usize {
        self.close();
        let thrown_away: Vec<Job> = {
            let mut queue = self.queue.lock();
            let (kept, gone): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(&mut queue.jobs).into_iter().partition(|job| job.share.is_none());
            queue.jobs = kept;
            gone.into()
        };
        thrown_away.len()
    }

    /// Events that wait for their handler, in the buffer or for their turn.
    pub(crate) fn waiting(&self) -> usize {
        let taken = self.taken.load(Ordering::Relaxed) as usize;
        self.queue.lock().jobs.len() + taken.saturating_sub(self.running())
    }

    /// One of the events that were taken out is worked on, from now on.
    pub(crate) fn begin(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// One of them is done with.
    pub(crate) fn finish(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the buffer is nine tenths full, or overflowed in the last ten seconds.
    pub(crate) fn is_slow(&self) -> bool {
        let queue = self.queue.lock();
        let full = queue.jobs.len() * 10 >= self.capacity * 9 && self.capacity > 9;
        let last = queue.rare.as_ref().and_then(|rare| rare.last_report);
        full || last.is_some_and(|last| last.elapsed() < Duration::from_secs(10))
    }

    /// Events dropped since the beginning because the buffer was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Handlers at work.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed) as usize
    }

    /// Counts a handler as running until the guard is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }
}

impl Queue {
    /// The first job whose key nobody works on.
    fn take(&mut self) -> Option<Job> {
        let at = match &self.rare {
            Some(rare) => {
                self.jobs.iter().position(|job| job.key.is_none_or(|key| !rare.busy.contains(&key)))?
            }
            None => 0,
        };
        let job = self.jobs.remove(at)?;
        if let Some(key) = job.key {
            self.rare().busy.push(key);
        }
        for (id, started) in self.rare.iter().flat_map(|rare| &rare.awaited) {
            if job.event.id() == Some(id) {
                let _ = started.set(Instant::now());
            }
        }
        Some(job)
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

/// Knows whether an event was started in a lane.
#[derive(Debug)]
pub(crate) struct AwaitedStart {
    lane: Arc<Lane>,
    id: EventId,
    started: Arc<OnceLock<Instant>>,
}

impl AwaitedStart {
    /// Whether the event came to this lane and had not been started by then.
    pub(crate) fn waited_until(&self, deadline: Instant) -> bool {
        match self.started.get() {
            Some(started) => *started >= deadline,
            None => self.lane.queue.lock().jobs.iter().any(|job| job.event.id() == Some(&self.id)),
        }
    }
}

impl Drop for AwaitedStart {
    fn drop(&mut self) {
        let mut queue = self.lane.queue.lock();
        queue.rare().awaited.retain(|(_, started)| !Arc::ptr_eq(started, &self.started));
    }
}

/// Why a job was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    Closed,
    Overflow,
}

/// The key of an event that is worked on.
#[derive(Debug)]
pub(crate) struct HeldKey {
    lane: Arc<Lane>,
    key: u64,
}

impl Drop for HeldKey {
    fn drop(&mut self) {
        let waker = {
            let mut queue = self.lane.queue.lock();
            queue.rare().busy.retain(|busy| *busy != self.key);
            queue.consumer.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A handler at work in a lane.
#[derive(Debug)]
pub(crate) struct Running<'l>(&'l Lane);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: usize) -> Job {
        let event = Event::builder("t").id(n.to_string()).build().unwrap();
        Job { event, attempt: 1, local: false, ticket: None, key: None, share: None, credit: None }
    }

    async fn ids(lane: &Lane) -> Vec<String> {
        lane.close();
        let mut ids = Vec::new();
        while let Some(job) = lane.pop().await {
            ids.extend(job.event.id().map(ToString::to_string));
        }
        ids
    }

    #[tokio::test]
    async fn drop_oldest_keeps_the_newest() {
        let lane = Lane::new(2, Overflow::DropOldest, 1);
        let outcome: Vec<_> = (0..4).map(|n| lane.push(job(n)).is_ok()).collect();
        assert_eq!(outcome, [true, true, false, false]);
        assert_eq!(ids(&lane).await, ["2", "3"]);
        assert_eq!(lane.dropped(), 2);
    }

    #[tokio::test]
    async fn jobs_of_one_key_come_one_at_a_time_and_others_pass_them() {
        let lane = Arc::new(Lane::new(8, Overflow::DropOldest, 4));
        for (n, key) in [(0, 7), (1, 7), (2, 8), (3, 7)] {
            let _ = lane.push(Job { key: Some(key), ..job(n) });
        }
        lane.close();
        let taken = |job: Option<Job>| job.map(|job| job.event.id().unwrap().to_string());
        let (first, other) = (lane.pop().await, lane.pop().await);
        let held = lane.hold_key(first.as_ref().and_then(|job| job.key));
        assert_eq!((taken(first), taken(other)), (Some("0".to_owned()), Some("2".to_owned())));
        let next = lane.pop();
        tokio::pin!(next);
        assert!(futures_util::poll!(next.as_mut()).is_pending(), "its key is held");
        drop(held);
        assert_eq!(taken(next.await), Some("1".to_owned()));
    }

    #[tokio::test]
    async fn drop_newest_keeps_the_beginning() {
        let lane = Lane::new(2, Overflow::DropNewest, 1);
        for n in 0..4 {
            let _ = lane.push(job(n));
        }
        assert_eq!(ids(&lane).await, ["0", "1"]);
        assert_eq!(lane.push(job(9)), Err(Rejected::Closed));
    }
}
