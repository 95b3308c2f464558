//! Files: opened, opened again, damaged, locked, of another version. Real time.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use event_core::memory::MemoryHub;
use event_core::transport::Settlement;
use event_core::{Error, ErrorKind};
use event_journal::{Config, GAP_TOPIC, Journal, Start, StoreError, export};

use super::support::{Rig, config, durable, event, number};

/// Records with these numbers in a journal, handled by the consumer `c` up to (not including) `handled`.
async fn fill(path: &Path, config: Config, range: std::ops::Range<u64>, handled: u64) {
    let journal = Journal::open(path, config).await.unwrap();
    let bus = MemoryHub::new();
    let mut rig = Rig::up(&bus, &journal).await;
    rig.subscribe(&durable("c", "topic=t")).await;
    let last = range.end - 1;
    for n in range {
        bus.inject(&event(n));
        let delivery = rig.delivery().await;
        if number(&delivery.event) < handled {
            rig.tx.settle(delivery.token.unwrap(), Settlement::Complete).await.unwrap();
        }
    }
    // What was delivered may have been left from before: the new ones are to be stored, too.
    while numbers(&journal).await.last() != Some(&last) {
        rig.during(tokio::task::yield_now()).await;
    }
    drop(rig);
    journal.close().await;
}

async fn numbers(journal: &Journal) -> Vec<u64> {
    let mut replay = journal.replay(Start::Beginning).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(record) = replay.next().await {
        let record = record.unwrap();
        if !record.is_gap {
            numbers.push(number(&record.event));
        }
    }
    numbers
}

fn cause(error: &Error) -> StoreError {
    assert_eq!(error.kind(), ErrorKind::Storage, "{error:?}");
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<StoreError>().unwrap().clone()
}

#[tokio::test]
async fn a_file_opened_again_has_everything_and_says_where_it_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    fill(&path, config(), 0..20, 15).await;
    let journal = Journal::open(&path, config()).await.unwrap();
    assert_eq!(numbers(&journal).await, (0..20).collect::<Vec<_>>());
    let consumer = &journal.consumers()[0];
    assert_eq!((consumer.open, consumer.in_use), (5, false));
    let bus = MemoryHub::new();
    let mut rig = Rig::up(&bus, &journal).await;
    let expression = format!("topic=t or topic={GAP_TOPIC}");
    rig.subscribe(&durable("c", &expression)).await;
    for n in 15..20 {
        let delivery = rig.delivery().await;
        assert_eq!((number(&delivery.event), delivery.attempt), (n, 2));
    }
    let gap = rig.delivery().await.event;
    assert_eq!(gap.topic(), &GAP_TOPIC);
    assert!(gap.data_value()["to"].as_u64() >= gap.data_value()["from"].as_u64(), "{}", gap.data_value());
    // The ids of before are still known.
    bus.inject(&event(3));
    bus.inject(&event(20));
    assert_eq!(number(&rig.delivery().await.event), 20);
    while journal.stats().repeats < 1 {
        rig.during(tokio::task::yield_now()).await;
    }
    assert_eq!((journal.stats().repeats, journal.stats().appended), (1, 1));
}

#[tokio::test]
async fn a_publish_survives_and_goes_out_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let bus = MemoryHub::new();
    bus.refuse_connections(Some((ErrorKind::Unreachable, "away")));
    let journal = Journal::open(&path, config()).await.unwrap();
    let rig = Rig::open(&bus, &journal).await;
    for n in 0..3 {
        rig.tx.send(event(n)).unwrap().await.unwrap();
    }
    drop(rig);
    journal.close().await;
    bus.refuse_connections(None);
    let journal = Journal::open(&path, config()).await.unwrap();
    assert_eq!(journal.stats().outbox, 3);
    let mut rig = Rig::up(&bus, &journal).await;
    let tx = Arc::clone(&rig.tx);
    rig.during(tx.flush()).await.unwrap();
    assert_eq!((bus.published(), journal.stats().outbox), (3, 0));
    drop((rig, tx));
    journal.close().await;
    let journal = Journal::open(&path, config()).await.unwrap();
    assert_eq!(journal.stats().outbox, 0);
}

#[tokio::test]
async fn a_file_that_is_open_elsewhere_is_waited_for_and_then_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let first = Journal::open(&path, config()).await.unwrap();
    let mut hasty = config();
    hasty.lock_wait = Duration::from_millis(50);
    let refused = Journal::open(&path, hasty).await.unwrap_err();
    assert_eq!(cause(&refused), StoreError::Locked { path: path.clone() });
    assert!(refused.is_transient());
    let waiting = Journal::open(&path, {
        let mut patient = config();
        patient.lock_wait = Duration::from_secs(60);
        patient
    });
    let ((), second) = tokio::join!(first.close(), waiting);
    second.unwrap();
}

#[tokio::test]
async fn a_file_of_something_else_or_of_a_newer_version_is_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "no journal".repeat(1_000)).unwrap();
    let refused = Journal::open(&text, config()).await.unwrap_err();
    assert!(matches!(cause(&refused), StoreError::Damaged { .. }), "{refused:?}");
    assert!(refused.to_string().contains("event_journal::export"), "{refused}");
    assert_eq!(fs::read_to_string(&text).unwrap(), "no journal".repeat(1_000));

    let other = folder.path().join("other.redb");
    let database = redb::Database::create(&other).unwrap();
    let write = database.begin_write().unwrap();
    let table = redb::TableDefinition::<u64, u64>::new("something");
    write.open_table(table).unwrap().insert(1, 1).unwrap();
    write.commit().unwrap();
    drop(database);
    let refused = Journal::open(&other, config()).await.unwrap_err();
    assert!(refused.to_string().contains("a store of something else"), "{refused}");

    let newer = folder.path().join("newer");
    Journal::open(&newer, config()).await.unwrap().close().await;
    let database = redb::Database::create(&newer).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(redb::TableDefinition::<&str, u64>::new("meta")).unwrap().insert("format", 9).unwrap();
    write.commit().unwrap();
    drop(database);
    let refused = Journal::open(&newer, config()).await.unwrap_err();
    assert_eq!(cause(&refused), StoreError::NewerVersion { path: newer, version: 9 });
    assert!(refused.to_string().contains("newer version of event-journal"), "{refused}");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder");
    let refused = Journal::open(&missing, config()).await.unwrap_err();
    assert!(matches!(cause(&refused), StoreError::Io { .. }), "{refused:?}");
    // The kernel's own file systems take no files from anybody.
    if cfg!(target_os = "linux") {
        let refused = Journal::open("/sys/journal", config()).await.unwrap_err();
        assert!(matches!(cause(&refused), StoreError::ReadOnly { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn retention_removes_what_was_handled_and_tells_of_what_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let wall = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&wall);
    let mut keeping = config();
    keeping.retention.age = Duration::from_secs(100);
    keeping.clock = Arc::new(move || UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::SeqCst)));
    let path = folder.path().join("journal");
    fill(&path, keeping.clone(), 0..10, 6).await;
    wall.fetch_add(200_000, Ordering::SeqCst);
    // One more group has the old ones removed, as far as they were handled.
    fill(&path, keeping.clone(), 10..12, 0).await;
    let journal = Journal::open(&path, keeping.clone()).await.unwrap();
    let left = numbers(&journal).await;
    assert!(left.starts_with(&[6, 7, 8, 9, 10]), "{left:?}");
    journal.close().await;

    keeping.retention.even_unhandled = true;
    wall.fetch_add(200_000, Ordering::SeqCst);
    let journal = Journal::open(&path, keeping).await.unwrap();
    let bus = MemoryHub::new();
    let mut rig = Rig::up(&bus, &journal).await;
    journal.rewind("late", Start::Beginning).await.unwrap();
    bus.inject(&event(20));
    while journal.stats().appended < 1 {
        rig.during(tokio::task::yield_now()).await;
    }
    rig.subscribe(&durable("late", &format!("topic=t or topic={GAP_TOPIC}"))).await;
    let mut came = Vec::new();
    while came.last() != Some(&20) {
        let delivery = rig.delivery().await;
        came.push(number(&delivery.event));
        rig.tx.settle(delivery.token.unwrap(), Settlement::Complete).await.unwrap();
    }
    // First the hole in place of what is gone; the gap of the restart lies somewhere before the last.
    assert_eq!(came.first(), Some(&u64::MAX), "{came:?}");
    assert!(!came.contains(&6), "{came:?}");
}

#[tokio::test]
async fn records_are_found_by_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let wall = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&wall);
    let mut config = config();
    config.clock = Arc::new(move || UNIX_EPOCH + Duration::from_millis(clock.fetch_add(0, Ordering::SeqCst)));
    let journal = Journal::open(folder.path().join("journal"), config).await.unwrap();
    let bus = MemoryHub::new();
    let mut rig = Rig::up(&bus, &journal).await;
    rig.subscribe(&durable("c", "topic=t")).await;
    for n in 0..30 {
        wall.store(n * 1_000, Ordering::SeqCst);
        bus.inject(&event(n));
        assert_eq!(number(&rig.delivery().await.event), n);
    }
    for (millis, first) in [(0, 0), (1, 1), (1_000, 1), (14_999, 15), (29_000, 29)] {
        let time = UNIX_EPOCH + Duration::from_millis(millis);
        let record = journal.replay(Start::Time(time)).await.unwrap().next().await.unwrap().unwrap();
        assert_eq!(number(&record.event), first, "{millis}");
    }
    let after = UNIX_EPOCH + Duration::from_millis(29_001);
    assert!(journal.replay(Start::Time(after)).await.unwrap().next().await.is_none());
}

#[tokio::test]
async fn what_is_readable_of_a_damaged_file_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    fill(&path, config(), 0..200, 200).await;
    let mut whole = Vec::new();
    let exported = export(&path, &mut whole).unwrap();
    assert_eq!(
        (exported.records, exported.first, exported.last, exported.missing),
        (200, Some(1), Some(200), 0)
    );
    let lines: Vec<serde_json::Value> = whole
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let order: Vec<_> = lines.iter().map(|line| line["event"]["data"]["n"].as_u64().unwrap()).collect();
    assert_eq!(order, (0..200).collect::<Vec<_>>());

    // The head of the file is gone, and a piece of its middle.
    let mut bytes = fs::read(&path).unwrap();
    bytes[..4_096].fill(0);
    let at = bytes.windows(4).position(|bytes| bytes == b"EVJ1").unwrap();
    bytes[at + 20] ^= 0xff;
    fs::write(&path, &bytes).unwrap();
    let refused = Journal::open(&path, config()).await.unwrap_err();
    assert!(matches!(cause(&refused), StoreError::Damaged { .. }), "{refused:?}");
    let mut rest = Vec::new();
    let exported = export(&path, &mut rest).unwrap();
    assert!((190..=200).contains(&exported.records), "{exported:?}");
}

/// Whether a copy of a file in use, which is what a crash leaves behind, must be read as a whole to be opened.
fn must_be_read(path: &Path) -> bool {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let asking = Arc::clone(&asked);
    let mut builder = redb::Database::builder();
    builder.set_repair_callback(move |_| {
        asking.fetch_add(1, Ordering::SeqCst);
    });
    let opened = builder.open(&copy).is_ok();
    !opened || asked.load(Ordering::SeqCst) > 0
}

/// A journal of ten events that are handled, still open.
async fn handled(path: &Path, checkpoint: Duration) -> Journal {
    let mut config = config();
    config.checkpoint = checkpoint;
    let journal = Journal::open(path, config).await.unwrap();
    let bus = MemoryHub::new();
    let mut rig = Rig::up(&bus, &journal).await;
    rig.subscribe(&durable("c", "topic=t")).await;
    for n in 0..10 {
        bus.inject(&event(n));
        let delivery = rig.delivery().await;
        rig.tx.settle(delivery.token.unwrap(), Settlement::Complete).await.unwrap();
    }
    journal
}

#[tokio::test]
async fn a_group_takes_one_sync_and_a_crash_after_it_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = handled(&path, Duration::MAX).await;
    assert!(must_be_read(&path));
    let crashed = folder.path().join("crashed");
    fs::copy(&path, &crashed).unwrap();
    drop(journal);
    let journal = Journal::open(&crashed, config()).await.unwrap();
    assert_eq!(numbers(&journal).await, (0..10).collect::<Vec<_>>());
    let consumer = &journal.consumers()[0];
    assert_eq!((consumer.open, consumer.behind), (0, 0));
}

#[tokio::test]
async fn a_file_at_rest_opens_at_once_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = handled(&path, Duration::from_millis(1)).await;
    let marked = async {
        while must_be_read(&path) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), marked).await.expect("it is never marked");
    assert_eq!(numbers(&journal).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn with_no_time_to_rest_each_group_leaves_a_file_that_opens_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = handled(&path, Duration::ZERO).await;
    assert!(!must_be_read(&path));
    assert_eq!(journal.stats().appended, 10);
}
