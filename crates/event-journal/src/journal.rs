//! The journal: a store that is open, and everything that can be asked of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use event_core::{Error, ErrorKind, Event, Expression, Result};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use crate::config::{Config, millis};
use crate::cursor::Cursor;
use crate::error::StoreError;
use crate::outbound::Outbound;
use crate::record::Record;
use crate::replay::Replay;
use crate::store::backend::{self, Opener};
use crate::store::{Found, Op, Outgoing, Place, Reads, StoreFile, Writes, Written};

/// Records and bytes of the newest ones that are kept in memory, for consumers that keep up.
const TAIL: usize = 8_192;
const TAIL_BYTES: usize = 16 << 20;
/// Events that the outbox holds.
pub(crate) const OUTBOX: usize = 100_000;

/// A journal: what came in and what is to go out, in one file.
///
/// A clone is the same journal. When the last clone is dropped, what was handed over is written and the file is
/// closed, by its own threads; [`Journal::close`] waits for that.
#[derive(Clone)]
pub struct Journal(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) writes: Writes,
    pub(crate) reads: Reads,
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Config,
    ended: watch::Receiver<()>,
}

/// What the writer tells the links.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    wakers: Mutex<Vec<Weak<AtomicWaker>>>,
    /// Told when an event has left the outbox.
    pub(crate) left: Notify,
    pub(crate) counters: Counters,
}

pub(crate) struct State {
    /// The sequence that the next record gets.
    pub(crate) next: u64,
    /// No record before this one exists.
    pub(crate) first: u64,
    tail: VecDeque<Record>,
    tail_bytes: usize,
    pub(crate) places: BTreeMap<String, Arc<Place>>,
    /// Consumers that a link serves.
    pub(crate) busy: BTreeSet<String>,
    pub(crate) outbound: Outbound,
    /// The link that sends what is in the outbox.
    pub(crate) feeder: Option<u64>,
    pub(crate) links: u64,
    /// Until when the process before this one took events in, until a link says that it is up.
    pub(crate) restarted: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) appended: AtomicU64,
    pub(crate) repeats: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) dead: AtomicU64,
    pub(crate) unsent: AtomicU64,
    pub(crate) not_stored: AtomicU64,
    pub(crate) unreadable_targets: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What a journal has done since it was opened, and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records written.
    pub appended: u64,
    /// Events that came again within the window, and were dropped.
    pub repeats: u64,
    /// Gaps noted.
    pub gaps: u64,
    /// Deliveries that became dead letters.
    pub dead_letters: u64,
    /// Publishes that became dead letters: expired, or refused by the service.
    pub unsent: u64,
    /// Events that could not be written. Each belongs to a gap.
    pub not_stored: u64,
    /// Events whose target is not an expression: they reach nobody.
    pub unreadable_targets: u64,
    /// Publishes that wait to be sent or acknowledged.
    pub outbox: usize,
    /// The sequence that the next record gets.
    pub next_sequence: u64,
}

/// A consumer, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// The first record that it never looked at.
    pub next_sequence: u64,
    /// Records that it has and is not done with.
    pub open: usize,
    /// Records after its place. Not all of them need be for it.
    pub behind: u64,
    /// Whether a subscription has it now.
    pub in_use: bool,
}

/// Where to begin.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Start {
    /// With the oldest record there is.
    Beginning,
    /// With this record, or the first after it.
    Sequence(u64),
    /// With the first record that came at this time or later.
    Time(SystemTime),
    /// With the first record that matches.
    Match(Expression),
    /// With the next record to come.
    End,
}

impl Journal {
    /// Opens the journal in this file, making it if it is not there. Its folder must exist.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`] with a [`StoreError`] as its source, which says what to do: the file is damaged, of a
    /// newer version, open elsewhere, read-only, or the disk is full.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the file as it was, or empty.
    pub async fn open(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let opener = backend::file(&path, config.fsync);
        Self::open_with(&path, opener, config).await
    }

    pub(crate) async fn open_with(path: &Path, opener: Opener, config: Config) -> Result<Self> {
        let file = Arc::new(StoreFile::new(path, opener, config.cache));
        let mut waited = Duration::ZERO;
        let found = loop {
            match Self::find(&file, &config).await {
                Ok(found) => break found,
                Err(StoreError::Locked { .. }) if waited < config.lock_wait => {
                    let pause = Duration::from_millis(20);
                    tokio::time::sleep(pause).await;
                    waited += pause;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let (ending, ended) = watch::channel(());
        let shared = Shared::new(&found);
        let told = Arc::clone(&shared);
        let publish = Box::new(move |written| told.written(written));
        let writes = Writes::start(found.writer, publish, ending.clone())?;
        let reads = Reads::start(file, ending)?;
        Ok(Self(Arc::new(Inner { writes, reads, shared, config, ended })))
    }

    /// Looks at a file, on a thread that may block.
    async fn find(file: &Arc<StoreFile>, config: &Config) -> Result<Found, StoreError> {
        let (opening, settings) = (Arc::clone(file), config.clone());
        let outcome = tokio::task::spawn_blocking(move || opening.find(&settings)).await;
        outcome.unwrap_or_else(|_| Err(file.damaged("opening it panicked")))
    }

    /// A journal that is never written, and what it holds.
    pub(crate) async fn open_for_reading(path: &Path) -> Result<(Self, Found)> {
        // Nothing comes, so nothing comes again.
        let config = Config { repeats: Duration::ZERO, ..Config::default() };
        let file = Arc::new(StoreFile::for_reading(path, config.cache));
        let found = Self::find(&file, &config).await?;
        let (ending, ended) = watch::channel(());
        let shared = Shared::new(&found);
        let reads = Reads::start(file, ending)?;
        let writes = Writes::Refused(path.to_owned());
        Ok((Self(Arc::new(Inner { writes, reads, shared, config, ended })), found))
    }

    /// A journal in memory, of which nothing is left: for tests. It has no threads, so that time may be paused.
    ///
    /// # Errors
    ///
    /// None that should happen.
    pub fn in_memory(config: Config) -> Result<Self> {
        let file = Arc::new(StoreFile::new(Path::new("memory"), backend::memory(), config.cache));
        let found = Arc::clone(&file).find(&config)?;
        let shared = Shared::new(&found);
        let told = Arc::clone(&shared);
        let writes =
            Writes::Here(Box::new(Mutex::new(found.writer)), Box::new(move |written| told.written(written)));
        let (_, ended) = watch::channel(());
        Ok(Self(Arc::new(Inner { writes, reads: Reads::Here(file), shared, config, ended })))
    }

    /// Waits until everything is written and the file is closed. With other clones, or a link over it, still alive,
    /// it waits for their end.
    ///
    /// # Cancel safety
    ///
    /// The journal ends whether this is awaited or not.
    pub async fn close(self) {
        let mut ended = self.0.ended.clone();
        drop(self);
        // Never changed: it ends when both threads have.
        while ended.changed().await.is_ok() {}
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0.shared.counters;
        let state = self.0.shared.state.lock();
        Stats {
            appended: of(&counters.appended),
            repeats: of(&counters.repeats),
            gaps: of(&counters.gaps),
            dead_letters: of(&counters.dead),
            unsent: of(&counters.unsent),
            not_stored: of(&counters.not_stored),
            unreadable_targets: of(&counters.unreadable_targets),
            outbox: state.outbound.len(),
            next_sequence: state.next,
        }
    }

    /// The durable consumers, by name.
    pub fn consumers(&self) -> Vec<Consumer> {
        let state = self.0.shared.state.lock();
        let consumer = |place: &Arc<Place>| {
            let cursor = place.cursor.lock();
            Consumer {
                name: place.name.clone(),
                next_sequence: cursor.next(),
                open: cursor.open(),
                behind: state.next.saturating_sub(cursor.next()),
                in_use: state.busy.contains(&place.name),
            }
        };
        state.places.values().map(consumer).collect()
    }

    /// Puts a durable consumer to another place, making it if there is none of this name. What it had open is let
    /// go.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Duplicate`] while a subscription has it; those of the store.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn rewind(&self, consumer: &str, to: Start) -> Result<()> {
        let next = self.resolve(to).await?;
        let claim = self.claim(consumer)?;
        let place = match self.place(consumer) {
            Some(place) => {
                *place.cursor.lock() = Cursor::new(next);
                place
            }
            None => Self::new_place(consumer, next, true),
        };
        let done = self.adopt(place).await;
        drop(claim);
        done
    }

    /// Forgets a durable consumer and its dead letters: nothing is kept for it any more. `false` when there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Duplicate`] while a subscription has it; those of the store.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn forget(&self, consumer: &str) -> Result<bool> {
        let _claim = self.claim(consumer)?;
        let name = consumer.to_owned();
        let known = self.ask(|reply| Op::Forget { name, reply }).await?;
        self.0.shared.state.lock().places.remove(consumer);
        Ok(known)
    }

    /// Reads records again, from a place on, without a consumer. Ends with the last record there is.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn replay(&self, from: Start) -> Result<Replay> {
        let next = self.resolve(from).await?;
        Ok(Replay::new(self.clone(), next))
    }

    pub(crate) async fn resolve(&self, start: Start) -> Result<u64> {
        let (first, next) = {
            let state = self.0.shared.state.lock();
            (state.first, state.next)
        };
        Ok(match start {
            Start::Beginning => first,
            Start::Sequence(sequence) => sequence.clamp(1, next),
            Start::End => next,
            Start::Time(time) => {
                let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                self.read(move |file| file.at_time(millis(since))).await?
            }
            Start::Match(expression) => {
                let mut replay = Replay::new(self.clone(), first).matching(expression);
                replay.next().await.transpose()?.map_or(next, |record| record.sequence)
            }
        })
    }

    /// Hands an operation over and waits until it is on the disk.
    pub(crate) async fn ask<T>(
        &self,
        op: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Op,
    ) -> Result<T> {
        let (reply, outcome) = oneshot::channel();
        self.0.writes.submit(op(reply)).await?;
        Ok(outcome.await.unwrap_or(Err(StoreError::Closed))?)
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&StoreFile) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, outcome) = oneshot::channel();
        self.0.reads.submit(Box::new(move |file| drop(reply.send(work(file))))).await?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(crate) fn place(&self, name: &str) -> Option<Arc<Place>> {
        self.0.shared.state.lock().places.get(name).cloned()
    }

    pub(crate) fn new_place(name: &str, next: u64, durable: bool) -> Arc<Place> {
        Arc::new(Place { name: name.to_owned(), durable, cursor: Mutex::new(Cursor::new(next)) })
    }

    /// Keeps a durable consumer from now on.
    pub(crate) async fn adopt(&self, place: Arc<Place>) -> Result<()> {
        self.0.shared.state.lock().places.insert(place.name.clone(), Arc::clone(&place));
        self.ask(|reply| Op::Adopt { place, reply }).await
    }

    /// Takes a consumer for oneself, until the claim is dropped.
    pub(crate) fn claim(&self, consumer: &str) -> Result<Claim> {
        if consumer.is_empty() {
            let message = "the name of a durable consumer is empty; give it one that no other has";
            return Err(Error::new(ErrorKind::InvalidInput, "subscribe", message));
        }
        if !self.0.shared.state.lock().busy.insert(consumer.to_owned()) {
            let message = format!(
                "the durable consumer \"{consumer}\" is in use; end that subscription, or choose another name"
            );
            return Err(Error::new(ErrorKind::Duplicate, "subscribe", message));
        }
        Ok(Claim { shared: Arc::clone(&self.0.shared), name: consumer.to_owned() })
    }
}

/// A consumer that somebody has.
pub(crate) struct Claim {
    shared: Arc<Shared>,
    name: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.state.lock().busy.remove(&self.name);
    }
}

impl Shared {
    fn new(found: &Found) -> Arc<Self> {
        let mut outbound = Outbound::default();
        for (sequence, outgoing) in &found.outbox {
            outbound.push(*sequence, Outgoing::clone(outgoing));
        }
        Arc::new(Self {
            state: Mutex::new(State {
                next: found.writer.next(),
                first: found.first,
                tail: VecDeque::new(),
                tail_bytes: 0,
                places: found.places.clone(),
                busy: BTreeSet::new(),
                outbound,
                feeder: None,
                links: 0,
                restarted: found.alive,
            }),
            wakers: Mutex::default(),
            left: Notify::new(),
            counters: Counters::default(),
        })
    }

    /// A group is on the disk.
    fn written(&self, written: Written) {
        {
            let mut state = self.state.lock();
            state.next = written.next;
            for (sequence, outgoing) in written.outgoing {
                state.outbound.push(sequence, outgoing);
            }
            if let Some(first) = written.removed_before {
                state.first = first;
            }
            for record in written.records {
                count(if record.is_gap { &self.counters.gaps } else { &self.counters.appended });
                state.tail_bytes += record.event.to_json().len();
                state.tail.push_back(record);
            }
            while state.tail.len() > TAIL || state.tail_bytes > TAIL_BYTES {
                let Some(oldest) = state.tail.pop_front() else { break };
                state.tail_bytes -= oldest.event.to_json().len();
            }
        }
        self.wake();
    }

    /// Has every link look again.
    pub(crate) fn wake(&self) {
        self.wakers.lock().retain(|waker| match waker.upgrade() {
            Some(waker) => {
                waker.wake();
                true
            }
            None => false,
        });
    }

    pub(crate) fn wake_also(&self, waker: &Arc<AtomicWaker>) {
        self.wakers.lock().push(Arc::downgrade(waker));
    }
}

impl State {
    /// Records from a sequence on, if memory has them; at most so many.
    pub(crate) fn tail_from(&self, from: u64, most: usize) -> Option<Vec<Record>> {
        let first = self.tail.front()?.sequence;
        let skip = usize::try_from(from.checked_sub(first)?).ok()?;
        Some(self.tail.iter().skip(skip).take(most).cloned().collect())
    }
}

/// A gap, as an event.
pub(crate) fn gap_event(from: u64, to: u64, reason: &str) -> Result<Event> {
    Event::new(crate::GAP_TOPIC, &serde_json::json!({ "from": from, "to": to, "reason": reason }))
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
