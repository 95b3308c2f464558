//! A disk that fails and recovers. Real time: the writer leaves a disk that failed alone for a second.

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_core::memory::MemoryHub;
use event_core::supervisor::{ReconnectPolicy, Supervised};
use event_core::transport::{Attempt, Guarantee, Inbound, Transport};
use event_core::{ErrorKind, Event, Expression, Subscriber, SubscriptionSpec};
use futures_util::StreamExt;
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::*;
use crate::Journaled;
use crate::record::Draft;
use crate::store::backend::Backend;

/// A file on a disk that is full when it is told to be.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

fn on_disk(path: &Path, full: &Arc<AtomicBool>) -> Opener {
    let (at, full) = (path.to_owned(), Arc::clone(full));
    Box::new(move || {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&at);
        let file = FileBackend::new(file.map_err(redb::Error::Io)?).map_err(redb::Error::from)?;
        Ok(Backend { inner: Box::new(Disk { file, full: Arc::clone(&full) }), synced: true })
    })
}

fn event(n: u64) -> Event {
    Event::builder("t").id(n.to_string()).data(&serde_json::json!({ "n": n })).build().unwrap()
}

fn spec(id: &str, durable: bool) -> SubscriptionSpec {
    let expression = Expression::parse(&format!("topic=t or topic={}", crate::GAP_TOPIC)).unwrap();
    let mut spec = SubscriptionSpec::new(Subscriber::new(id), Some(expression));
    if durable {
        spec.durable = Some(id.to_owned());
        spec.require = Guarantee::AtLeastOnce;
    }
    spec
}

#[tokio::test]
async fn a_full_disk_is_told_counted_and_a_gap_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let full = Arc::new(AtomicBool::new(false));
    let opener = on_disk(&path, &full);
    let journal = Journal::open_with(&path, opener, Config::default()).await.unwrap();
    let bus = MemoryHub::new();
    let supervised = Supervised::new(Arc::new(bus.transport()), ReconnectPolicy::default());
    let mut link = Journaled::new(supervised, journal.clone()).connect(Attempt::first()).await.unwrap();
    while !matches!(link.rx.next().await, Some(Ok(Inbound::Restored { .. }))) {}
    for spec in [spec("kept", true), spec("live", false)] {
        let subscribing = link.tx.subscribe(&spec);
        tokio::pin!(subscribing);
        tokio::select! {
            outcome = &mut subscribing => outcome.unwrap(),
            item = link.rx.next() => panic!("{item:?}"),
        }
    }
    let mut said = Vec::new();
    let mut told = None;
    bus.inject(&event(1));
    let publishing = |n: u64| link.tx.send(event(n));
    let mut refused = None;
    while said.len() < 6 {
        let item = tokio::time::timeout(Duration::from_millis(200), link.rx.next()).await;
        match item {
            Ok(Some(Ok(Inbound::Delivery(delivery)))) => {
                let kept = delivery.token.is_some();
                said.push((kept, delivery.event.data_value()["n"].as_u64()));
                if said.len() == 2 {
                    full.store(true, Ordering::SeqCst);
                    bus.inject(&event(2));
                }
                if said.len() == 3 {
                    refused = Some(publishing(7).unwrap());
                }
            }
            Ok(Some(Ok(Inbound::Problem(error)))) => told = Some(error),
            Ok(other) => panic!("{other:?}"),
            Err(_) => {
                if let Some(refused) = refused.take() {
                    let error = refused.await.unwrap_err();
                    assert!(format!("{error:?}").contains("no room on the disk"), "{error:?}");
                    full.store(false, Ordering::SeqCst);
                    // The store rests after a failure: wait until it takes what nobody subscribes to.
                    let other = || Event::builder("other").data(&()).build().unwrap();
                    while link.tx.send(other()).unwrap().await.is_err() {}
                    bus.inject(&event(3));
                }
            }
        }
    }
    let told = told.unwrap();
    assert_eq!(told.kind(), ErrorKind::Storage);
    assert!(told.to_string().contains("free some"), "{told}");
    let of =
        |wanted| said.iter().filter(move |(kept, _)| *kept == wanted).map(|(_, n)| *n).collect::<Vec<_>>();
    assert_eq!(of(false), [Some(1), Some(2), Some(3)], "those who get what comes as it comes go on");
    assert_eq!(of(true), [Some(1), None, Some(3)], "the others learn of the gap, in its place");
    assert_eq!(journal.stats().not_stored, 1);
}

#[tokio::test]
async fn a_disk_that_is_full_when_the_file_is_marked_loses_nothing_and_is_written_to_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let full = Arc::new(AtomicBool::new(false));
    let config = Config::default();
    let file = Arc::new(StoreFile::new(&path, on_disk(&path, &full), config.cache));
    let mut writer = Arc::clone(&file).find(&config).unwrap().writer;
    let write = |writer: &mut crate::store::Writer, n: u64| {
        let event = event(n);
        let draft =
            Draft { received: config.now(), event: event.to_json(), is_gap: false, to: None, exact: true };
        let (reply, mut outcome) = oneshot::channel();
        writer.write(vec![Op::Append { draft, event, id: None, reply }], |_| {});
        outcome.try_recv().unwrap().unwrap();
    };
    write(&mut writer, 1);
    full.store(true, Ordering::SeqCst);
    writer.mark();
    full.store(false, Ordering::SeqCst);
    write(&mut writer, 2);
    writer.mark();
    let read = file.read(1, usize::MAX).unwrap();
    let numbers = read.iter().map(|record| record.event.data_value()["n"].as_u64());
    assert_eq!(numbers.collect::<Vec<_>>(), [Some(1), Some(2)]);
}
