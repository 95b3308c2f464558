//! The two threads of a journal: one writes groups, one reads. Bounded queues; both end with the journal.
#![expect(clippy::disallowed_methods, reason = "a shell: the writer sees when nothing came for a while")]

use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::StoreFile;
use super::group::{Op, Writer, Written};
use crate::error::StoreError;

/// Operations that may wait to be written.
pub(crate) const QUEUE: usize = 8_192;
/// Of one group: so many, and about so many bytes.
const GROUP: usize = 4_096;
const GROUP_BYTES: usize = 4 << 20;
/// Reads that may wait.
const READS: usize = 256;

type Publish = Box<dyn Fn(Written) + Send + Sync>;
type Read = Box<dyn FnOnce(&StoreFile) + Send>;

/// The way to the writer.
pub(crate) enum Writes {
    Thread(mpsc::Sender<Op>),
    /// Written by whoever asks: in memory, for tests whose time is paused.
    Here(Box<Mutex<Writer>>, Publish),
    /// Nothing may be written to this file.
    Refused(PathBuf),
}

impl Writes {
    /// Starts the thread that writes. `ended` is dropped with it.
    pub(crate) fn start(
        mut writer: Writer,
        publish: Publish,
        ended: watch::Sender<()>,
    ) -> Result<Self, StoreError> {
        let (ops, mut waiting) = mpsc::channel::<Op>(QUEUE);
        let path = writer.file.path.clone();
        let work = move || {
            let _ended = ended;
            loop {
                let first = match next(&mut waiting, writer.rests_after()) {
                    Next::Op(op) => op,
                    Next::Rest => {
                        writer.mark();
                        continue;
                    }
                    Next::End => break,
                };
                let mut weight = first.weight();
                let mut group = vec![first];
                while group.len() < GROUP && weight < GROUP_BYTES {
                    let Ok(op) = waiting.try_recv() else { break };
                    weight += op.weight();
                    group.push(op);
                }
                writer.write(group, &publish);
            }
            writer.file.reset();
        };
        let started = thread::Builder::new().name("event-journal-writer".to_owned()).spawn(work);
        started.map_err(|error| StoreError::of_io(&path, &error))?;
        Ok(Self::Thread(ops))
    }

    /// Hands an operation over without waiting; gives it back when there is no room.
    #[expect(clippy::result_large_err, reason = "the operation is given back")]
    pub(crate) fn try_submit(&self, op: Op) -> Result<(), (Op, StoreError)> {
        match self {
            Self::Thread(ops) => ops.try_send(op).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(op) => (op, StoreError::Busy),
                mpsc::error::TrySendError::Closed(op) => (op, StoreError::Closed),
            }),
            Self::Here(writer, publish) => {
                writer.lock().write(vec![op], publish);
                Ok(())
            }
            Self::Refused(path) => Err((op, StoreError::ReadOnly { path: path.clone() })),
        }
    }

    /// Hands an operation over, waiting for room.
    pub(crate) async fn submit(&self, op: Op) -> Result<(), StoreError> {
        match self {
            Self::Thread(ops) => ops.send(op).await.map_err(|_| StoreError::Closed),
            Self::Here(..) | Self::Refused(_) => self.try_submit(op).map_err(|(_, error)| error),
        }
    }

    /// Whether there is room for an operation now.
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Self::Thread(ops) => ops.capacity() > 0,
            Self::Here(..) | Self::Refused(_) => true,
        }
    }

    /// Waits until there may be room. Cancel-safe.
    pub(crate) async fn room(&self) {
        if let Self::Thread(ops) = self {
            drop(ops.reserve().await);
        }
    }
}

/// What the writer is to do next.
enum Next {
    Op(Op),
    /// Nothing came for so long.
    Rest,
    End,
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an operation: no longer than this, if it is given.
fn next(waiting: &mut mpsc::Receiver<Op>, within: Option<Duration>) -> Next {
    let until = within.and_then(|within| Instant::now().checked_add(within));
    let Some(until) = until else {
        return waiting.blocking_recv().map_or(Next::End, Next::Op);
    };
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(op) = waiting.poll_recv(&mut cx) {
            return op.map_or(Next::End, Next::Op);
        }
        let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
            return Next::Rest;
        };
        thread::park_timeout(left);
    }
}

/// The way to the reader.
pub(crate) enum Reads {
    Thread(mpsc::Sender<Read>),
    Here(Arc<StoreFile>),
}

impl Reads {
    /// Starts the thread that reads. `ended` is dropped with it.
    pub(crate) fn start(file: Arc<StoreFile>, ended: watch::Sender<()>) -> Result<Self, StoreError> {
        let (reads, mut waiting) = mpsc::channel::<Read>(READS);
        let path = file.path.clone();
        let work = move || {
            let _ended = ended;
            while let Some(read) = waiting.blocking_recv() {
                read(&file);
            }
        };
        let started = thread::Builder::new().name("event-journal-reader".to_owned()).spawn(work);
        started.map_err(|error| StoreError::of_io(&path, &error))?;
        Ok(Self::Thread(reads))
    }

    /// Reads without waiting for the outcome; `false` when there is no room.
    pub(crate) fn try_submit(&self, read: Read) -> bool {
        match self {
            Self::Thread(reads) => reads.try_send(read).is_ok(),
            Self::Here(file) => {
                read(file);
                true
            }
        }
    }

    /// Reads, waiting for room.
    pub(crate) async fn submit(&self, read: Read) -> Result<(), StoreError> {
        match self {
            Self::Thread(reads) => reads.send(read).await.map_err(|_| StoreError::Closed),
            Self::Here(file) => {
                read(file);
                Ok(())
            }
        }
    }
}
