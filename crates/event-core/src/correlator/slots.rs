//! A slot for each question that is open: what answers do to it, and how it ends.
//!
//! Every step is one lock. Whoever asked is woken outside of it, and nothing of a caller's is dropped inside.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::task::{Context, Poll, Waker};

use super::sync::{Arc, Mutex};

/// How many finished questions are remembered, to tell a late answer from a foreign one.
pub(crate) const REMEMBERED: usize = 1024;

/// Hands answers to whoever asked.
pub(crate) struct Slots<K, V>(Mutex<Table<K, V>>);

struct Table<K, V> {
    open: HashMap<K, Slot<V>>,
    finished: HashMap<K, Ending>,
    order: VecDeque<K>,
    tally: Tally,
}

struct Slot<V> {
    unread: VecDeque<V>,
    capacity: usize,
    read: bool,
    waker: Option<Waker>,
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Answered,
    GivenUp,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It lies in the slot of whoever asked.
    Delivered,
    /// Whoever asked has the one answer that was wanted.
    Duplicate,
    /// Whoever asked stopped waiting.
    Late,
    /// The slot is full.
    Overflow,
    /// Nobody here asked.
    Foreign,
}

/// What became of the answers that were delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Taken by whoever asked.
    pub(crate) read: u64,
    /// Left behind: they came when whoever asked was about to stop waiting.
    pub(crate) unread: u64,
}

/// An open question. Dropping it closes the slot.
pub(crate) struct Asked<K: Clone + Eq + Hash, V> {
    slots: Arc<Slots<K, V>>,
    key: K,
}

impl<K: Clone + Eq + Hash, V> Slots<K, V> {
    /// Opens a slot that holds up to `capacity` unread answers, and with 1 takes one answer in all; `None` if it is
    /// open already.
    pub(crate) fn open(slots: &Arc<Self>, key: K, capacity: usize) -> Option<Asked<K, V>> {
        let mut table = slots.0.lock();
        if table.open.contains_key(&key) {
            return None;
        }
        table.open.insert(key.clone(), Slot { unread: VecDeque::new(), capacity, read: false, waker: None });
        drop(table);
        Some(Asked { slots: Arc::clone(slots), key })
    }

    /// Gives an answer to the question with this key.
    pub(crate) fn resolve(&self, key: &K, answer: V) -> Outcome {
        let mut table = self.0.lock();
        let Some(slot) = table.open.get_mut(key) else {
            return match table.finished.get(key) {
                Some(Ending::Answered) => Outcome::Duplicate,
                Some(Ending::GivenUp) => Outcome::Late,
                None => Outcome::Foreign,
            };
        };
        if slot.capacity == 1 && (slot.read || !slot.unread.is_empty()) {
            return Outcome::Duplicate;
        }
        if slot.unread.len() >= slot.capacity {
            return Outcome::Overflow;
        }
        slot.unread.push_back(answer);
        let waker = slot.waker.take();
        drop(table);
        if let Some(waker) = waker {
            waker.wake();
        }
        Outcome::Delivered
    }

    /// Open questions.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().open.len()
    }

    /// What became of the answers that were delivered.
    pub(crate) fn tally(&self) -> Tally {
        self.0.lock().tally
    }

    fn close(&self, key: &K) {
        let mut table = self.0.lock();
        let closed = table.open.remove(key);
        if let Some(slot) = &closed {
            let left = u64::try_from(slot.unread.len()).unwrap_or(u64::MAX);
            table.tally.unread += left;
            let ending = if slot.read { Ending::Answered } else { Ending::GivenUp };
            if table.finished.insert(key.clone(), ending).is_none() {
                table.order.push_back(key.clone());
            }
        }
        if table.order.len() > REMEMBERED
            && let Some(oldest) = table.order.pop_front()
        {
            table.finished.remove(&oldest);
        }
        drop(table);
        // Answers and waker are dropped here, outside of the lock.
        drop(closed);
    }
}

impl<K: Clone + Eq + Hash, V> Asked<K, V> {
    /// The next answer. Cancel-safe.
    pub(crate) async fn next(&mut self) -> V {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next answer, as a poll.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<V> {
        let mut table = self.slots.0.lock();
        // It is there for as long as this is.
        let Some(slot) = table.open.get_mut(&self.key) else { return Poll::Pending };
        if let Some(answer) = slot.unread.pop_front() {
            slot.read = true;
            table.tally.read += 1;
            return Poll::Ready(answer);
        }
        let replaced = slot.waker.replace(cx.waker().clone());
        drop(table);
        drop(replaced);
        Poll::Pending
    }
}

impl<K: Clone + Eq + Hash, V> Drop for Asked<K, V> {
    fn drop(&mut self) {
        self.slots.close(&self.key);
    }
}

impl<K, V> Default for Slots<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Table {
            open: HashMap::new(),
            finished: HashMap::new(),
            order: VecDeque::new(),
            tally: Tally::default(),
        }))
    }
}

impl<K, V> fmt::Debug for Slots<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash + fmt::Debug, V> fmt::Debug for Asked<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("key", &self.key).finish_non_exhaustive()
    }
}
