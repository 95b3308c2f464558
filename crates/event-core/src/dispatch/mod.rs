//! From an event to the lanes of those who want it.

mod fate;
pub(crate) mod gate;
mod index;
pub(crate) mod lane;
pub(crate) mod settle;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use fate::{EntryCounters, Fate};
pub use index::Index;
pub use lane::Overflow;

use smallvec::SmallVec;

use crate::handler::BoxedHandler;
use crate::subscription::{SubscriptionSpec, Target};
use crate::{Event, Expression, SubscriptionId};
use gate::Gate;
use lane::{Job, Lane, Rejected};
use settle::Share;

/// One subscription of a hub.
pub(crate) struct Entry {
    pub(crate) spec: SubscriptionSpec,
    pub(crate) expression: Expression,
    pub(crate) priority: i32,
    /// Registration order, for a stable order at one priority.
    pub(crate) sequence: u64,
    pub(crate) lane: Arc<Lane>,
    /// `None` for a stream.
    pub(crate) handler: Option<BoxedHandler>,
    pub(crate) key_of: Option<KeyOf>,
    pub(crate) counters: EntryCounters,
}

/// Gives the key of an event: events of one key are handled in order.
pub(crate) type KeyOf = Arc<dyn Fn(&Event) -> u64 + Send + Sync>;

impl Entry {
    pub(crate) fn id(&self) -> &SubscriptionId {
        &self.spec.id
    }

    /// Takes no more events and throws away those that wait.
    pub(crate) fn abandon(&self) {
        self.threw_away(self.lane.abandon());
    }

    /// Takes no more events; what waits and needs no settling may still be read, by a stream, or is still handled.
    pub(crate) fn close(&self) {
        if self.handler.is_some() {
            self.lane.close();
        } else {
            self.threw_away(self.lane.close_for_reader());
        }
    }

    fn threw_away(&self, events: usize) {
        self.counters.abandoned.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Events that wait or are worked on.
    pub(crate) fn open(&self) -> u64 {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let EntryCounters { delivered, handled, failed, skipped, abandoned } = &self.counters;
        let done = count(handled) + count(failed) + count(skipped) + count(abandoned) + self.lane.dropped();
        count(delivered).saturating_sub(done)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.spec.id)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

/// Those who want an event; most events are wanted once, and then nothing is allocated.
pub(crate) type Matched = SmallVec<[Arc<Entry>; 1]>;

/// All subscriptions of a hub.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    slots: Vec<Option<Arc<Entry>>>,
    free: Vec<u32>,
    by_id: HashMap<SubscriptionId, u32>,
    index: Index,
    candidates: Vec<u32>,
    registered: u64,
}

impl Registry {
    /// Adds a subscription; gives it back if its id is taken.
    pub(crate) fn insert(&mut self, build: impl FnOnce(u64) -> Entry) -> Result<Arc<Entry>, SubscriptionId> {
        let entry = build(self.registered);
        if self.by_id.contains_key(entry.id()) {
            return Err(entry.id().clone());
        }
        self.registered += 1;
        let entry = Arc::new(entry);
        let number = if let Some(number) = self.free.pop() {
            self.slots[number as usize] = Some(Arc::clone(&entry));
            number
        } else {
            self.slots.push(Some(Arc::clone(&entry)));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        self.index.insert(number, &entry.expression);
        self.by_id.insert(entry.id().clone(), number);
        Ok(entry)
    }

    /// Takes a subscription out.
    pub(crate) fn remove(&mut self, id: &SubscriptionId) -> Option<Arc<Entry>> {
        let number = self.by_id.remove(id)?;
        let entry = self.slots.get_mut(number as usize)?.take()?;
        self.index.remove(number, &entry.expression);
        self.free.push(number);
        Some(entry)
    }

    pub(crate) fn get(&self, id: &SubscriptionId) -> Option<&Arc<Entry>> {
        self.slots.get(*self.by_id.get(id)? as usize)?.as_ref()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// All subscriptions in registration order.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        let mut all: Vec<_> = self.slots.iter().flatten().cloned().collect();
        all.sort_by_key(|entry| entry.sequence);
        all
    }

    /// Those whose expression matches the event and whose metadata its target includes, smallest priority number
    /// first.
    pub(crate) fn matching(&mut self, event: &Event, target: &Target) -> Matched {
        let mut candidates = std::mem::take(&mut self.candidates);
        self.index.candidates(event, &mut candidates);
        let mut matched: Matched = candidates
            .iter()
            .filter_map(|number| self.slots.get(*number as usize)?.as_ref())
            .filter(|entry| entry.expression.matches(event) && target.allows(&entry.spec))
            .cloned()
            .collect();
        self.candidates = candidates;
        if matched.len() > 1 {
            matched.sort_by_key(|entry| (entry.priority, entry.sequence));
        }
        matched
    }
}

/// How an event comes to its subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// 1 for a first delivery.
    pub(crate) attempt: u32,
    /// See [`Job::local`].
    pub(crate) local: bool,
    /// One for each subscription, on transports that ask for settlement.
    pub(crate) shares: Vec<Share>,
    /// On transports with credit.
    pub(crate) credit: Option<Arc<Credit>>,
}

impl Terms {
    /// For an event of the hub's own making.
    pub(crate) fn local() -> Self {
        Self { attempt: 1, local: true, ..Self::default() }
    }
}

/// Room for one more delivery, given back when this is dropped.
pub(crate) struct Credit {
    give_back: Box<dyn Fn() + Send + Sync>,
}

impl Credit {
    pub(crate) fn new(give_back: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { give_back: Box::new(give_back) })
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        (self.give_back)();
    }
}

impl std::fmt::Debug for Credit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credit")
    }
}

/// Puts an event into the lanes of `matched` (sorted by priority). Calls `overflowed` for each lane that had no
/// room for something.
pub(crate) fn enqueue(
    matched: &[Arc<Entry>],
    event: &Event,
    terms: Terms,
    mut overflowed: impl FnMut(&Arc<Entry>),
) {
    let several = matched.windows(2).any(|pair| pair[0].priority != pair[1].priority);
    let gate = several.then(|| Gate::new(matched.iter().map(|entry| entry.priority)));
    let mut shares = terms.shares.into_iter();
    // All places are taken before the first lane can run, so that no lane sees a level as finished too early.
    let jobs: SmallVec<[Job; 1]> = matched
        .iter()
        .map(|entry| Job {
            event: event.clone(),
            attempt: terms.attempt,
            local: terms.local,
            ticket: gate.as_ref().map(|gate| gate.ticket(entry.priority)),
            key: entry.key_of.as_ref().map(|key_of| key_of(event)),
            share: shares.next(),
            credit: terms.credit.clone(),
        })
        .collect();
    for (entry, job) in matched.iter().zip(jobs) {
        entry.counters.delivered.fetch_add(1, Ordering::Relaxed);
        match entry.lane.push(job) {
            Ok(()) => {}
            Err(Rejected::Overflow) => overflowed(entry),
            Err(Rejected::Closed) => {
                entry.counters.abandoned.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
