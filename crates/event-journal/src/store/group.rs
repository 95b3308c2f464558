//! A group of operations: written in one transaction, synced once.
#![expect(clippy::disallowed_methods, reason = "a shell: spaces its attempts after a failure of the disk")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event_core::Event;
use redb::{ReadableTable, WriteTransaction};
use tokio::sync::oneshot;

use super::{
    ALIVE_KEY, BYTES_KEY, CHUNKS, CONSUMERS, INDEX, LETTERS, META, NEXT_KEY, NEXT_OUT_KEY, OUTBOX, Place,
    StoreFile,
};
use crate::config::Config;
use crate::error::StoreError;
use crate::letters::Letter;
use crate::record::{self, Draft, Reader, Record};
use crate::repeats::Repeats;
use crate::retention::{Extent, removable};

/// How long a disk that failed is left alone.
const REST: Duration = Duration::from_secs(1);
/// Chunks that retention looks at in one group.
const SWEEP: usize = 64;

/// Hears whether it was written.
pub(crate) type Told = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What became of an event that was to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    As(u64),
    /// It came already.
    Repeat,
}

/// An event in the outbox.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) event: Event,
    /// Milliseconds since 1970.
    pub(crate) expires: u64,
}

impl Outgoing {
    fn encode(&self) -> Vec<u8> {
        let mut out = self.expires.to_le_bytes().to_vec();
        out.extend(self.event.to_json());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(Bytes::copy_from_slice(bytes));
        let expires = reader.u64()?;
        Some(Self { expires, event: Event::from_json(reader.0).ok()? })
    }
}

/// One thing to be written.
pub(crate) enum Op {
    Append {
        draft: Draft,
        event: Event,
        id: Option<Vec<u8>>,
        reply: Reply<Appended>,
    },
    Save {
        place: Arc<Place>,
        reply: Option<Reply<()>>,
    },
    Bury {
        place: Arc<Place>,
        letter: Box<Letter>,
        reply: Option<Reply<()>>,
    },
    Publish {
        outgoing: Outgoing,
        reply: Told,
    },
    /// Told when everything handed over before is written.
    Barrier {
        reply: Reply<()>,
    },
    Sent {
        sequence: u64,
    },
    Unsent {
        sequence: u64,
        letter: Box<Letter>,
    },
    Adopt {
        place: Arc<Place>,
        reply: Reply<()>,
    },
    Forget {
        name: String,
        reply: Reply<bool>,
    },
    Discard {
        consumer: String,
        sequence: u64,
        reply: Reply<Option<Letter>>,
    },
}

impl Op {
    /// About how much it writes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Append { draft, .. } => draft.len(),
            Self::Publish { outgoing, .. } => outgoing.event.to_json().len(),
            _ => 64,
        }
    }
}

/// What others must know of a group that was written.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) records: Vec<Record>,
    pub(crate) outgoing: Vec<(u64, Outgoing)>,
    /// The records before this one were removed, if any were.
    pub(crate) removed_before: Option<u64>,
    /// The next record's sequence.
    pub(crate) next: u64,
}

/// What is known of a chunk without reading it, and the ids in it.
pub(crate) struct Summary {
    pub(crate) last_received: u64,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) ids: Vec<Vec<u8>>,
}

impl Summary {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.last_received, self.count, self.bytes] {
            out.extend(number.to_le_bytes());
        }
        for id in &self.ids {
            out.extend(u16::try_from(id.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.extend(&id[..id.len().min(usize::from(u16::MAX))]);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(Bytes::copy_from_slice(bytes));
        let (last_received, count, bytes) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let mut ids = Vec::new();
        while !reader.0.is_empty() {
            let length = usize::from(reader.u16()?);
            ids.push(reader.take(length)?.to_vec());
        }
        Some(Self { last_received, count, bytes, ids })
    }
}

/// The one who writes.
pub(crate) struct Writer {
    pub(super) file: Arc<StoreFile>,
    pub(super) config: Config,
    pub(super) next: u64,
    pub(super) next_out: u64,
    pub(super) bytes: u64,
    pub(super) repeats: Repeats,
    /// Durable consumers: what they need is kept.
    pub(super) places: BTreeMap<String, Arc<Place>>,
    pub(super) failed_at: Option<(Instant, StoreError)>,
    /// Whether the file as it is opens at once after a crash.
    pub(super) marked: bool,
}

/// A group on its way: what is written, and what is said when it is.
#[derive(Default)]
struct Group {
    drafts: Vec<(Draft, Event, Option<Vec<u8>>)>,
    remembered: usize,
    places: BTreeMap<String, Arc<Place>>,
    outgoing: Vec<(u64, Outgoing)>,
    adopted: Vec<Arc<Place>>,
    forgotten: Vec<String>,
    alive: Option<u64>,
    bytes: u64,
    written: Written,
    /// Said when all is well, or not.
    replies: Vec<Told>,
}

impl Group {
    fn tell<T: Send + 'static>(&mut self, reply: Reply<T>, value: T) {
        self.replies.push(Box::new(move |outcome| {
            let _ = reply.send(outcome.map(|()| value));
        }));
    }
}

impl Writer {
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// How many bytes the records take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How long nothing must come until the file is to be marked, if it is not.
    pub(super) fn rests_after(&self) -> Option<Duration> {
        (!self.marked).then_some(self.config.checkpoint)
    }

    /// Marks the file: nothing came for that long.
    pub(crate) fn mark(&mut self) {
        // Not tried again before the next group.
        self.marked = true;
        if let Err(error) = self.file.mark() {
            tracing::warn!(%error, "the journal was not marked; after a crash, opening it reads all of it");
            // What a disk that failed did is not trusted; others read on.
            self.file.reset();
            let _ = self.file.ensure_open();
        }
    }

    /// Writes a group. Whoever waits for it is told when it is on the disk, or why it is not.
    pub(crate) fn write(&mut self, ops: Vec<Op>, publish: impl FnOnce(Written)) {
        let mut group = Group { bytes: self.bytes, ..Group::default() };
        let outcome = self.try_write(ops, &mut group);
        let replies = std::mem::take(&mut group.replies);
        match &outcome {
            Ok(()) => {
                self.failed_at = None;
                self.marked = self.config.marks_each_group();
                self.next += group.drafts.len() as u64;
                self.next_out += group.outgoing.len() as u64;
                self.bytes = group.bytes;
                for place in group.adopted.drain(..) {
                    self.places.insert(place.name.clone(), place);
                }
                for name in &group.forgotten {
                    self.places.remove(name);
                }
                publish(self.written(group));
            }
            Err(error) => {
                self.repeats.take_back(group.remembered);
                tracing::error!(%error, "a group was not written");
                if !matches!(self.failed_at, Some((at, _)) if at.elapsed() < REST) {
                    self.failed_at = Some((Instant::now(), error.clone()));
                    self.file.reset();
                    self.marked = true;
                }
            }
        }
        for reply in replies {
            reply(outcome.clone());
        }
    }

    fn written(&self, mut group: Group) -> Written {
        let first = self.next - group.drafts.len() as u64;
        let records = (first..).zip(group.drafts.drain(..)).map(|(sequence, (draft, event, _))| Record {
            sequence,
            received: draft.received,
            event,
            is_gap: draft.is_gap,
            to: draft.to,
            exact: draft.exact,
        });
        Written {
            records: records.collect(),
            outgoing: group.outgoing,
            next: self.next,
            removed_before: group.written.removed_before,
        }
    }

    fn try_write(&mut self, ops: Vec<Op>, group: &mut Group) -> Result<(), StoreError> {
        if let Some((at, error)) = &self.failed_at
            && at.elapsed() < REST
        {
            let error = error.clone();
            return Err(refuse(ops, group, error));
        }
        if let Err(error) = self.file.ensure_open() {
            return Err(refuse(ops, group, error));
        }
        let file = Arc::clone(&self.file);
        let guard = file.database.read();
        let Some(database) = guard.as_ref() else { return Err(refuse(ops, group, StoreError::Closed)) };
        let mut transaction = match database.begin_write() {
            Ok(transaction) => transaction,
            Err(error) => return Err(refuse(ops, group, file.error(error))),
        };
        // Marked, it takes a second sync: when there is time, unless told otherwise.
        transaction.set_quick_repair(self.config.marks_each_group());
        file.guarded(|| {
            for op in ops {
                self.take(op, &transaction, group).map_err(|error| file.error(error))?;
            }
            self.fill(&transaction, group).map_err(|error| file.error(error))?;
            transaction.commit().map_err(|error| file.error(error))
        })
    }

    fn take(&mut self, op: Op, write: &WriteTransaction, group: &mut Group) -> Result<(), redb::Error> {
        match op {
            Op::Append { draft, event, id, reply } => {
                if let Some(id) = &id {
                    if self.repeats.has(id, draft.received) {
                        group.tell(reply, Appended::Repeat);
                        return Ok(());
                    }
                    self.repeats.remember(id, draft.received);
                    group.remembered += 1;
                }
                let sequence = self.next + group.drafts.len() as u64;
                group.alive = group.alive.max(Some(draft.received));
                group.drafts.push((draft, event, id));
                group.tell(reply, Appended::As(sequence));
            }
            Op::Save { place, reply } => {
                group.places.insert(place.name.clone(), place);
                if let Some(reply) = reply {
                    group.tell(reply, ());
                }
            }
            Op::Bury { place, letter, reply } => {
                if let Some(reply) = reply {
                    group.tell(reply, ());
                }
                let key = (place.name.as_str(), letter.sequence);
                write.open_table(LETTERS)?.insert(key, letter.encode().as_slice())?;
                group.places.insert(place.name.clone(), place);
            }
            Op::Publish { outgoing, reply } => {
                let sequence = self.next_out + group.outgoing.len() as u64;
                group.replies.push(reply);
                write.open_table(OUTBOX)?.insert(sequence, outgoing.encode().as_slice())?;
                group.outgoing.push((sequence, outgoing));
            }
            Op::Sent { sequence } => {
                write.open_table(OUTBOX)?.remove(sequence)?;
            }
            Op::Unsent { sequence, letter } => {
                write.open_table(OUTBOX)?.remove(sequence)?;
                write.open_table(LETTERS)?.insert(("", sequence), letter.encode().as_slice())?;
            }
            Op::Adopt { place, reply } => {
                group.tell(reply, ());
                group.places.insert(place.name.clone(), Arc::clone(&place));
                group.adopted.push(place);
            }
            Op::Forget { name, reply } => {
                let known = write.open_table(CONSUMERS)?.remove(name.as_str())?.is_some();
                let mut letters = write.open_table(LETTERS)?;
                letters.retain_in((name.as_str(), 0)..=(name.as_str(), u64::MAX), |_, _| false)?;
                group.places.remove(&name);
                group.forgotten.push(name);
                group.tell(reply, known);
            }
            Op::Discard { consumer, sequence, reply } => {
                let mut letters = write.open_table(LETTERS)?;
                let removed = letters.remove((consumer.as_str(), sequence))?;
                let letter = removed.and_then(|bytes| Letter::decode(sequence, bytes.value()));
                group.tell(reply, letter);
            }
            Op::Barrier { reply } => group.tell(reply, ()),
        }
        Ok(())
    }

    /// Writes what the group gathered.
    fn fill(&mut self, write: &WriteTransaction, group: &mut Group) -> Result<(), redb::Error> {
        self.append(write, group)?;
        if !group.places.is_empty() {
            let mut consumers = write.open_table(CONSUMERS)?;
            for (name, place) in group.places.iter().filter(|(_, place)| place.durable) {
                let bytes = place.cursor.lock().encode();
                consumers.insert(name.as_str(), bytes.as_slice())?;
            }
        }
        if !group.drafts.is_empty() {
            self.sweep(write, group)?;
        }
        let mut meta = write.open_table(META)?;
        if !group.drafts.is_empty() {
            meta.insert(NEXT_KEY, self.next + group.drafts.len() as u64)?;
            meta.insert(BYTES_KEY, group.bytes)?;
        }
        if !group.outgoing.is_empty() {
            meta.insert(NEXT_OUT_KEY, self.next_out + group.outgoing.len() as u64)?;
        }
        if let Some(alive) = group.alive {
            meta.insert(ALIVE_KEY, alive)?;
        }
        Ok(())
    }

    fn append(&self, write: &WriteTransaction, group: &mut Group) -> Result<(), redb::Error> {
        if group.drafts.is_empty() {
            return Ok(());
        }
        let (mut chunks, mut index) = (write.open_table(CHUNKS)?, write.open_table(INDEX)?);
        let drafts: Vec<Draft> = group.drafts.iter().map(|(draft, _, _)| draft.clone()).collect();
        let (mut first, mut at) = (self.next, 0);
        for count in record::split(&drafts) {
            let part = &drafts[at..at + count];
            let bytes = record::encode(first, part);
            let summary = Summary {
                last_received: part.iter().map(|draft| draft.received).max().unwrap_or(0),
                count: count as u64,
                bytes: bytes.len() as u64,
                ids: group.drafts[at..at + count].iter().filter_map(|(_, _, id)| id.clone()).collect(),
            };
            chunks.insert(first, bytes.as_slice())?;
            index.insert(first, summary.encode().as_slice())?;
            group.bytes += bytes.len() as u64;
            first += count as u64;
            at += count;
        }
        Ok(())
    }

    /// Removes what retention does not keep, a little with each group.
    fn sweep(&self, write: &WriteTransaction, group: &mut Group) -> Result<(), redb::Error> {
        let mut index = write.open_table(INDEX)?;
        let mut oldest = Vec::new();
        for entry in index.iter()?.take(SWEEP) {
            let (first, bytes) = entry?;
            let Some(summary) = Summary::decode(bytes.value()) else { break };
            let Summary { last_received, count, bytes, .. } = summary;
            oldest.push(Extent { first: first.value(), count, last_received, bytes });
            // Most of the time nothing is due.
            if oldest.len() == 1
                && removable(&oldest, group.bytes, None, &self.config.retention, self.config.now()) == 0
            {
                return Ok(());
            }
        }
        let needed = self.places.values().map(|place| place.cursor.lock().floor()).min();
        let policy = &self.config.retention;
        let gone = removable(&oldest, group.bytes, needed, policy, self.config.now());
        let mut chunks = write.open_table(CHUNKS)?;
        for chunk in &oldest[..gone] {
            chunks.remove(chunk.first)?;
            index.remove(chunk.first)?;
            group.bytes = group.bytes.saturating_sub(chunk.bytes);
            group.written.removed_before = Some(chunk.first + chunk.count);
        }
        Ok(())
    }
}

/// Nothing of a group is written: everybody is told.
fn refuse(ops: Vec<Op>, group: &mut Group, error: StoreError) -> StoreError {
    for op in ops {
        match op {
            Op::Append { reply, .. } => group.tell(reply, Appended::Repeat),
            Op::Save { reply: Some(reply), .. }
            | Op::Bury { reply: Some(reply), .. }
            | Op::Adopt { reply, .. } => {
                group.tell(reply, ());
            }
            Op::Publish { reply, .. } => group.replies.push(reply),
            Op::Barrier { reply } => group.tell(reply, ()),
            Op::Forget { reply, .. } => group.tell(reply, false),
            Op::Discard { reply, .. } => group.tell(reply, None),
            Op::Save { .. } | Op::Bury { .. } | Op::Sent { .. } | Op::Unsent { .. } => {}
        }
    }
    error
}
