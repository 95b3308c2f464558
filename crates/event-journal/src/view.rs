//! A journal's file, looked at without changing it.

use std::path::Path;

use event_core::Result;

use crate::journal::{Consumer, Journal, Start};
use crate::letters::Letter;
use crate::replay::Replay;
use crate::store::StoreFile;

/// A journal's file, opened for reading alone: for inspection, and for reading again what a program kept that has
/// ended.
///
/// Several processes can have one at a time, but not beside a [`Journal`]: as long as a program has the file open, a
/// view is refused, and while there is a view, a program that opens the file waits ([`Config::lock_wait`]) and is
/// refused. Nothing is written: what a crash left undone is mended in memory alone.
///
/// ```
/// use event_journal::{Config, Journal, Start, View};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), event_core::Error> {
/// # let folder = tempfile::tempdir().map_err(|error| event_core::Error::new(event_core::ErrorKind::Storage, "test", error.to_string()))?;
/// # let path = folder.path().join("events.journal");
/// # Journal::open(&path, Config::default()).await?.close().await;
/// let view = View::open(path).await?;
/// println!("{:?}", view.overview());
/// let mut replay = view.replay(Start::Beginning).await?;
/// while let Some(record) = replay.next().await {
///     println!("{:?}", record?.event.topic());
/// }
/// # Ok(())
/// # }
/// ```
///
/// [`Config::lock_wait`]: crate::Config::lock_wait
#[derive(Clone, Debug)]
pub struct View {
    journal: Journal,
    overview: Overview,
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overview {
    /// The first record there is, or will be.
    pub first_sequence: u64,
    /// The sequence that the next record gets.
    pub next_sequence: u64,
    /// Bytes that the records take.
    pub bytes: u64,
    /// When the last record came, in milliseconds since 1970; `None` when none ever did.
    pub last_received: Option<u64>,
    /// Publishes that wait to be sent.
    pub outbox: usize,
    /// The durable consumers, by name.
    pub consumers: Vec<Consumer>,
}

/// The dead letters of one consumer, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LetterBox {
    /// Whose they are; `None` for publishes that were given up.
    pub consumer: Option<String>,
    /// How many there are.
    pub letters: u64,
}

impl View {
    /// Opens a file that is there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`](event_core::ErrorKind::Storage) with a [`StoreError`](crate::StoreError) as its source,
    /// which says what to do: there is no such file, a program has it open, it is damaged, or of a newer version.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (journal, found) = Journal::open_for_reading(path.as_ref()).await?;
        let overview = Overview {
            first_sequence: found.first,
            next_sequence: found.writer.next(),
            bytes: found.writer.bytes(),
            last_received: found.alive,
            outbox: found.outbox.len(),
            consumers: journal.consumers(),
        };
        Ok(Self { journal, overview })
    }

    /// What the journal holds.
    pub fn overview(&self) -> &Overview {
        &self.overview
    }

    /// Reads records, from a place on. Ends with the last record there is.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn replay(&self, from: Start) -> Result<Replay> {
        self.journal.replay(from).await
    }

    /// Who has dead letters, and how many; publishes that were given up come first.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn letter_boxes(&self) -> Result<Vec<LetterBox>> {
        let counted = self.journal.read(StoreFile::count_letters).await?;
        let named = |(name, letters): (String, u64)| LetterBox {
            consumer: (!name.is_empty()).then_some(name),
            letters,
        };
        Ok(counted.into_iter().map(named).collect())
    }

    /// The dead letters of a durable consumer, oldest first.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn dead_letters(&self, consumer: &str) -> Result<Vec<Letter>> {
        self.journal.dead_letters(consumer).await
    }

    /// What was to be published and was given up: it expired, or the service refused it.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn unsent(&self) -> Result<Vec<Letter>> {
        self.journal.unsent().await
    }

    /// Waits until the file is closed. With other clones, or a [`Replay`], still alive, it waits for their end.
    ///
    /// # Cancel safety
    ///
    /// The view ends whether this is awaited or not.
    pub async fn close(self) {
        self.journal.close().await;
    }
}
