//! The store: tables of redb, groups of operations written at once, reads.

pub(crate) mod backend;
mod group;
mod overlay;
mod threads;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError};

pub(crate) use group::{Appended, Op, Outgoing, Writer, Written};
pub(crate) use threads::{Reads, Writes};

use crate::config::Config;
use crate::cursor::Cursor;
use crate::error::StoreError;
use crate::letters::Letter;
use crate::record::{self, FORMAT, Record};
use crate::repeats::Repeats;
use backend::Opener;

type Bytes<'t> = &'t [u8];

pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Chunks by their first sequence.
pub(crate) const CHUNKS: TableDefinition<'_, u64, Bytes<'_>> = TableDefinition::new("chunks");
/// What is known of each chunk, and the ids in it.
pub(crate) const INDEX: TableDefinition<'_, u64, Bytes<'_>> = TableDefinition::new("index");
pub(crate) const CONSUMERS: TableDefinition<'_, &str, Bytes<'_>> = TableDefinition::new("consumers");
/// By consumer and sequence; the outbox has the empty name.
pub(crate) const LETTERS: TableDefinition<'_, (&str, u64), Bytes<'_>> = TableDefinition::new("dead letters");
pub(crate) const OUTBOX: TableDefinition<'_, u64, Bytes<'_>> = TableDefinition::new("outbox");

pub(crate) const FORMAT_KEY: &str = "format";
pub(crate) const NEXT_KEY: &str = "next sequence";
pub(crate) const NEXT_OUT_KEY: &str = "next outgoing";
pub(crate) const BYTES_KEY: &str = "bytes of chunks";
/// When something was last known to have come in without a hole.
pub(crate) const ALIVE_KEY: &str = "last sign";

/// The place of a consumer, shared between the link that serves it and the writer that keeps it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    /// Whether it is kept past the link.
    pub(crate) durable: bool,
    pub(crate) cursor: Mutex<Cursor>,
}

/// The file, opened anew after a failure of the disk.
pub(crate) struct StoreFile {
    pub(crate) path: PathBuf,
    open: Opener,
    cache: usize,
    for_reading: bool,
    pub(crate) database: RwLock<Option<Database>>,
}

/// What was found in a file.
pub(crate) struct Found {
    pub(crate) writer: Writer,
    pub(crate) places: BTreeMap<String, Arc<Place>>,
    pub(crate) outbox: Vec<(u64, Outgoing)>,
    /// The first record there is, or will be.
    pub(crate) first: u64,
    /// Until when something came in without a hole, if anything did.
    pub(crate) alive: Option<u64>,
}

impl StoreFile {
    pub(crate) fn new(path: &Path, open: Opener, cache: usize) -> Self {
        Self { path: path.to_owned(), open, cache, for_reading: false, database: RwLock::new(None) }
    }

    /// A file that is not to be changed.
    pub(crate) fn for_reading(path: &Path, cache: usize) -> Self {
        Self { for_reading: true, ..Self::new(path, backend::file_for_reading(path), cache) }
    }

    pub(crate) fn error(&self, error: impl Into<redb::Error>) -> StoreError {
        StoreError::of_store(&self.path, &error.into())
    }

    pub(crate) fn damaged(&self, found: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), found: found.into() }
    }

    /// Opens the file if it is not open.
    pub(crate) fn ensure_open(&self) -> Result<(), StoreError> {
        let mut database = self.database.write();
        if database.is_none() {
            if self.for_reading && !self.path.exists() {
                return Err(StoreError::Missing { path: self.path.clone() });
            }
            let backend = (self.open)().map_err(|error| self.error(error))?;
            let opened = self.guarded(|| {
                Database::builder()
                    .set_cache_size(self.cache)
                    .create_with_backend(backend)
                    .map_err(|error| self.error(error))
            })?;
            *database = Some(opened);
        }
        Ok(())
    }

    /// Closes the file, so that it is opened anew.
    pub(crate) fn reset(&self) {
        let database = self.database.write().take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }

    /// Runs something that a damaged file can make panic.
    pub(crate) fn guarded<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(self.damaged("its pages contradict each other")))
    }

    /// Marks the file, so that it opens at once after a crash.
    fn mark(&self) -> Result<(), StoreError> {
        self.guarded(|| {
            let guard = self.database.read();
            let Some(database) = guard.as_ref() else { return Err(StoreError::Closed) };
            let mut write = database.begin_write().map_err(|error| self.error(error))?;
            write.set_quick_repair(true);
            write.commit().map_err(|error| self.error(error))
        })
    }

    /// Opens the file and reads what must be known of it.
    pub(crate) fn find(self: Arc<Self>, config: &Config) -> Result<Found, StoreError> {
        self.ensure_open()?;
        let file = Arc::clone(&self);
        self.guarded(move || file.look(config))
    }

    fn look(self: &Arc<Self>, config: &Config) -> Result<Found, StoreError> {
        let guard = self.database.read();
        let Some(database) = guard.as_ref() else { return Err(StoreError::Closed) };
        if !self.has_tables(&database.begin_read().map_err(|error| self.error(error))?)? {
            if self.for_reading {
                return Err(self.damaged("there is nothing in it"));
            }
            self.make_tables(database)?;
        }
        let read = database.begin_read().map_err(|error| self.error(error))?;
        let meta = read.open_table(META).map_err(|error| self.error(error))?;
        let number = |key| -> Result<Option<u64>, StoreError> {
            Ok(meta.get(key).map_err(|error| self.error(error))?.map(|value| value.value()))
        };
        let mut places = BTreeMap::new();
        let consumers = read.open_table(CONSUMERS).map_err(|error| self.error(error))?;
        for entry in consumers.iter().map_err(|error| self.error(error))? {
            let (name, bytes) = entry.map_err(|error| self.error(error))?;
            let name = name.value().to_owned();
            let Some(cursor) = Cursor::decode(bytes.value()) else {
                return Err(self.damaged(format!("the place of the consumer \"{name}\" is unreadable")));
            };
            places.insert(name.clone(), Arc::new(Place { name, durable: true, cursor: Mutex::new(cursor) }));
        }
        let mut outbox = Vec::new();
        let waiting = read.open_table(OUTBOX).map_err(|error| self.error(error))?;
        for entry in waiting.iter().map_err(|error| self.error(error))? {
            let (sequence, bytes) = entry.map_err(|error| self.error(error))?;
            let Some(outgoing) = Outgoing::decode(bytes.value()) else {
                return Err(self.damaged("an event of the outbox is unreadable"));
            };
            outbox.push((sequence.value(), outgoing));
        }
        let mut repeats = Repeats::new(crate::config::millis(config.repeats), config.repeats_ids);
        let index = read.open_table(INDEX).map_err(|error| self.error(error))?;
        self.remember(&index, &mut repeats, config)?;
        let first = index.first().map_err(|error| self.error(error))?.map(|(first, _)| first.value());
        let (next, next_out) = (number(NEXT_KEY)?.unwrap_or(1), number(NEXT_OUT_KEY)?.unwrap_or(1));
        let writer = Writer {
            file: Arc::clone(self),
            config: config.clone(),
            next,
            next_out,
            bytes: number(BYTES_KEY)?.unwrap_or(0),
            repeats,
            places: places.clone(),
            failed_at: None,
            marked: true,
        };
        Ok(Found { writer, places, outbox, first: first.unwrap_or(next), alive: number(ALIVE_KEY)? })
    }

    /// Remembers the ids of the last while.
    fn remember(
        &self,
        index: &impl ReadableTable<u64, Bytes<'static>>,
        repeats: &mut Repeats,
        config: &Config,
    ) -> Result<(), StoreError> {
        let oldest = config.now().saturating_sub(crate::config::millis(config.repeats));
        let mut found: Vec<(Vec<Vec<u8>>, u64)> = Vec::new();
        let mut count = 0;
        for entry in index.iter().map_err(|error| self.error(error))?.rev() {
            let (_, bytes) = entry.map_err(|error| self.error(error))?;
            let Some(summary) = group::Summary::decode(bytes.value()) else {
                return Err(self.damaged("an entry of the index is unreadable"));
            };
            if summary.last_received < oldest || count >= config.repeats_ids {
                break;
            }
            count += summary.ids.len();
            found.push((summary.ids, summary.last_received));
        }
        for (ids, received) in found.into_iter().rev() {
            for id in ids {
                repeats.remember(&id, received);
            }
        }
        Ok(())
    }

    /// Whether this is a journal that this version reads; `false` when nothing was ever written.
    fn has_tables(&self, read: &ReadTransaction) -> Result<bool, StoreError> {
        let version = match read.open_table(META) {
            Ok(meta) => meta.get(FORMAT_KEY).map_err(|error| self.error(error))?.map(|found| found.value()),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(self.error(error)),
        };
        match version {
            Some(version) if version == u64::from(FORMAT) => Ok(true),
            Some(version) => {
                let version = u32::try_from(version).unwrap_or(u32::MAX);
                Err(StoreError::NewerVersion { path: self.path.clone(), version })
            }
            None if read.list_tables().map_err(|error| self.error(error))?.next().is_some() => {
                Err(self.damaged("it is a store of something else"))
            }
            None => Ok(false),
        }
    }

    fn make_tables(&self, database: &Database) -> Result<(), StoreError> {
        let write = database.begin_write().map_err(|error| self.error(error))?;
        {
            let mut meta = write.open_table(META).map_err(|error| self.error(error))?;
            meta.insert(FORMAT_KEY, u64::from(FORMAT)).map_err(|error| self.error(error))?;
            write.open_table(CHUNKS).map_err(|error| self.error(error))?;
            write.open_table(INDEX).map_err(|error| self.error(error))?;
            write.open_table(CONSUMERS).map_err(|error| self.error(error))?;
            write.open_table(LETTERS).map_err(|error| self.error(error))?;
            write.open_table(OUTBOX).map_err(|error| self.error(error))?;
        }
        write.commit().map_err(|error| self.error(error))
    }

    /// Records from a sequence on: about so many bytes, and at least one if there is one. Chunks that are damaged are
    /// left out.
    pub(crate) fn read(&self, from: u64, bytes: usize) -> Result<Vec<Record>, StoreError> {
        self.guarded(|| {
            let guard = self.database.read();
            let Some(database) = guard.as_ref() else { return Err(StoreError::Closed) };
            let read = database.begin_read().map_err(|error| self.error(error))?;
            let chunks = read.open_table(CHUNKS).map_err(|error| self.error(error))?;
            let before = chunks.range(..=from).map_err(|error| self.error(error))?.next_back();
            let start = match before {
                Some(entry) => entry.map_err(|error| self.error(error))?.0.value(),
                None => from,
            };
            let (mut records, mut taken) = (Vec::new(), 0);
            for entry in chunks.range(start..).map_err(|error| self.error(error))? {
                let (first, chunk) = entry.map_err(|error| self.error(error))?;
                let Some((found, unreadable)) = record::decode(chunk.value()) else {
                    tracing::error!(first = first.value(), path = %self.path.display(), "a chunk is damaged");
                    continue;
                };
                if unreadable > 0 {
                    tracing::error!(first = first.value(), unreadable, "records do not read as events");
                }
                records.extend(found.into_iter().filter(|record| record.sequence >= from));
                taken += chunk.value().len();
                if taken >= bytes && !records.is_empty() {
                    break;
                }
            }
            Ok(records)
        })
    }

    /// The first sequence whose record came at this time or later; that of the next record if none did.
    pub(crate) fn at_time(&self, time: u64) -> Result<u64, StoreError> {
        self.guarded(|| {
            let guard = self.database.read();
            let Some(database) = guard.as_ref() else { return Err(StoreError::Closed) };
            let read = database.begin_read().map_err(|error| self.error(error))?;
            let meta = read.open_table(META).map_err(|error| self.error(error))?;
            let end = meta.get(NEXT_KEY).map_err(|error| self.error(error))?.map_or(1, |next| next.value());
            let index = read.open_table(INDEX).map_err(|error| self.error(error))?;
            // Times grow with sequences: halve until one chunk is left.
            let (mut low, mut high) = (0, end);
            while low < high {
                let middle = low + (high - low) / 2;
                match index.range(middle..high).map_err(|error| self.error(error))?.next() {
                    None => high = middle,
                    Some(entry) => {
                        let (first, bytes) = entry.map_err(|error| self.error(error))?;
                        let late = group::Summary::decode(bytes.value())
                            .is_some_and(|summary| summary.last_received >= time);
                        if late { high = middle } else { low = first.value() + 1 }
                    }
                }
            }
            // `low` is past the last chunk that is too early: the chunk that follows has it.
            drop((index, meta, read));
            drop(guard);
            let found = self.read(low, 1)?;
            Ok(found.iter().find(|record| record.received >= time).map_or(end, |record| record.sequence))
        })
    }

    /// The dead letters of a consumer; the outbox has the empty name.
    pub(crate) fn letters(&self, consumer: &str) -> Result<Vec<Letter>, StoreError> {
        self.guarded(|| {
            let guard = self.database.read();
            let Some(database) = guard.as_ref() else { return Err(StoreError::Closed) };
            let read = database.begin_read().map_err(|error| self.error(error))?;
            let letters = read.open_table(LETTERS).map_err(|error| self.error(error))?;
            let of_it =
                letters.range((consumer, 0)..=(consumer, u64::MAX)).map_err(|error| self.error(error))?;
            let mut found = Vec::new();
            for entry in of_it {
                let (key, bytes) = entry.map_err(|error| self.error(error))?;
                found.extend(Letter::decode(key.value().1, bytes.value()));
            }
            Ok(found)
        })
    }

    /// How many dead letters each consumer has; the outbox has the empty name.
    pub(crate) fn count_letters(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.guarded(|| {
            let guard = self.database.read();
            let Some(database) = guard.as_ref() else { return Err(StoreError::Closed) };
            let read = database.begin_read().map_err(|error| self.error(error))?;
            let letters = read.open_table(LETTERS).map_err(|error| self.error(error))?;
            let mut counted = BTreeMap::new();
            for entry in letters.iter().map_err(|error| self.error(error))? {
                let (key, _) = entry.map_err(|error| self.error(error))?;
                *counted.entry(key.value().0.to_owned()).or_default() += 1;
            }
            Ok(counted)
        })
    }
}
