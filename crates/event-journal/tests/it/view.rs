//! Files looked at without changing them, and what was given up and is tried again. Real time.

use std::fs;
use std::time::Duration;

use event_core::memory::MemoryHub;
use event_core::transport::Settlement;
use event_core::{Error, ErrorKind};
use event_journal::{Cause, Config, Journal, Start, StoreError, View};

use super::support::{Rig, config, durable, event, number};

fn cause(error: &Error) -> StoreError {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<StoreError>().unwrap().clone()
}

/// Five records, of which `c` has handled the first three and rejected the fourth.
async fn filled(journal: &Journal) {
    let bus = MemoryHub::new();
    let mut rig = Rig::up(&bus, journal).await;
    rig.subscribe(&durable("c", "topic=t")).await;
    for n in 0..5 {
        bus.inject(&event(n));
        let delivery = rig.delivery().await;
        let outcome = match n {
            0..3 => Settlement::Complete,
            3 => Settlement::Reject,
            _ => continue,
        };
        rig.tx.settle(delivery.token.unwrap(), outcome).await.unwrap();
    }
}

async fn numbers(view: &View, from: Start) -> Vec<u64> {
    let mut replay = view.replay(from).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(record) = replay.next().await {
        numbers.push(number(&record.unwrap().event));
    }
    numbers
}

#[tokio::test]
async fn a_view_shows_what_is_there_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path, config()).await.unwrap();
    filled(&journal).await;
    journal.close().await;
    let before = fs::read(&path).unwrap();
    let view = View::open(&path).await.unwrap();
    let overview = view.overview();
    assert_eq!((overview.first_sequence, overview.next_sequence, overview.outbox), (1, 6, 0));
    assert!(overview.bytes > 0 && overview.last_received.is_some(), "{overview:?}");
    let consumer = &overview.consumers[0];
    assert_eq!((consumer.name.as_str(), consumer.next_sequence, consumer.open), ("c", 6, 1));
    assert_eq!(numbers(&view, Start::Beginning).await, [0, 1, 2, 3, 4]);
    assert_eq!(numbers(&view, Start::Sequence(4)).await, [3, 4]);
    assert_eq!(numbers(&view, Start::End).await, [0_u64; 0]);
    let boxes = view.letter_boxes().await.unwrap();
    assert_eq!(
        boxes.iter().map(|it| (it.consumer.as_deref(), it.letters)).collect::<Vec<_>>(),
        [(Some("c"), 1)]
    );
    let letters = view.dead_letters("c").await.unwrap();
    assert_eq!((letters[0].sequence, letters[0].cause), (4, Cause::Rejected));
    // Others may look at the same time.
    let other = View::open(&path).await.unwrap();
    assert_eq!(other.overview(), overview);
    other.close().await;
    view.close().await;
    assert!(before == fs::read(&path).unwrap(), "the file was changed");
}

#[tokio::test]
async fn a_file_that_a_program_has_open_is_not_looked_at_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path, config()).await.unwrap();
    let refused = View::open(&path).await.unwrap_err();
    assert_eq!(cause(&refused), StoreError::Locked { path: path.clone() });
    assert!(refused.to_string().contains("end that"), "{refused}");
    journal.close().await;
    let view = View::open(&path).await.unwrap();
    let mut hasty = config();
    hasty.lock_wait = Duration::ZERO;
    let refused = Journal::open(&path, hasty).await.unwrap_err();
    assert_eq!(cause(&refused), StoreError::Locked { path: path.clone() });
    view.close().await;
    Journal::open(&path, config()).await.unwrap();
}

#[tokio::test]
async fn what_a_crash_left_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let (path, left) = (folder.path().join("journal"), folder.path().join("left"));
    let mut config = config();
    config.checkpoint = Duration::MAX;
    let journal = Journal::open(&path, config).await.unwrap();
    // As a crash at this moment would leave the file: nothing is being written.
    fs::copy(&path, &left).unwrap();
    assert_eq!(View::open(&left).await.unwrap().overview().next_sequence, 1);
    filled(&journal).await;
    let left = folder.path().join("left later");
    fs::copy(&path, &left).unwrap();
    let before = fs::read(&left).unwrap();
    assert_eq!(numbers(&View::open(&left).await.unwrap(), Start::Beginning).await, [0, 1, 2, 3, 4]);
    assert!(before == fs::read(&left).unwrap(), "the file was changed");
}

#[tokio::test]
async fn no_file_is_made_by_looking_and_what_is_no_journal_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let refused = View::open(&path).await.unwrap_err();
    assert_eq!(cause(&refused), StoreError::Missing { path: path.clone() });
    assert!(!path.exists());
    for content in ["", "no journal"] {
        fs::write(&path, content.repeat(1_000)).unwrap();
        let refused = View::open(&path).await.unwrap_err();
        assert!(matches!(cause(&refused), StoreError::Damaged { .. }), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content.repeat(1_000));
    }
    let other = folder.path().join("other.redb");
    drop(redb::Database::create(&other).unwrap());
    let refused = View::open(&other).await.unwrap_err();
    assert!(refused.to_string().contains("there is nothing in it"), "{refused}");
}

#[tokio::test]
async fn a_publish_that_was_given_up_is_sent_again() {
    let bus = MemoryHub::new();
    bus.refuse_events(Some(ErrorKind::PermissionDenied));
    let journal = Journal::in_memory(Config::default()).unwrap();
    let mut rig = Rig::up(&bus, &journal).await;
    rig.tx.send(event(7)).unwrap().await.unwrap();
    while journal.stats().unsent < 1 {
        rig.during(tokio::task::yield_now()).await;
    }
    let letter = journal.unsent().await.unwrap().remove(0);
    assert_eq!((letter.cause, number(&letter.event)), (Cause::Refused, 7));
    bus.refuse_events(None);
    assert!(!journal.resend(letter.sequence + 1).await.unwrap());
    assert!(journal.resend(letter.sequence).await.unwrap());
    assert!(journal.unsent().await.unwrap().is_empty());
    while journal.stats().outbox > 0 {
        rig.during(tokio::task::yield_now()).await;
    }
    assert_eq!(bus.published(), 1);
}

#[tokio::test]
async fn a_publish_that_was_given_up_is_not_delivered_to_nobody() {
    let bus = MemoryHub::new();
    bus.refuse_events(Some(ErrorKind::PermissionDenied));
    let journal = Journal::in_memory(Config::default()).unwrap();
    let mut rig = Rig::up(&bus, &journal).await;
    rig.tx.send(event(7)).unwrap().await.unwrap();
    while journal.stats().unsent < 1 {
        rig.during(tokio::task::yield_now()).await;
    }
    let sequence = journal.unsent().await.unwrap()[0].sequence;
    let refused = journal.redeliver("", sequence).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!(journal.unsent().await.unwrap().len(), 1, "it was lost");
}
