//! A receiver with a journal: an event is in it before its request is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use imodelhub_events::journal::{Config, Journal};
use imodelhub_events::{Error, ErrorKind, HubEvent};

use super::sending::{receiver, send};
use crate::support::Log;

#[tokio::test]
async fn an_answer_waits_for_the_journal_and_not_for_the_handler() {
    let journal = Journal::in_memory(Config::default()).unwrap();
    let receiver = receiver(|builder| builder.journal(journal.clone()));
    let _listener = receiver
        .create_listener()
        .handle(async |_event: HubEvent| std::future::pending::<()>().await)
        .await
        .unwrap();
    for n in 1..=20 {
        assert_eq!(send(&receiver, &n.to_string()).await, StatusCode::OK);
        assert_eq!(journal.stats().appended, n);
    }
    assert_eq!(send(&receiver, "7").await, StatusCode::OK);
    let stats = receiver.stats();
    assert_eq!((stats.accepted, stats.handled, stats.repeats, stats.open), (20, 20, 1, 0));
    assert_eq!(journal.stats().appended, 20);
}

#[tokio::test]
async fn what_was_answered_is_handled_after_a_restart_and_repeats_are_known_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("webhooks.journal");
    let journal = Journal::open(&path, Config::default()).await.unwrap();
    let first = receiver(|builder| builder.journal(journal.clone()));
    let mut stream = first.create_listener().durable("versions").stream().await.unwrap();
    for id in ["1", "2", "3"] {
        assert_eq!(send(&first, id).await, StatusCode::OK);
    }
    assert_eq!(stream.next().await.unwrap().unwrap().ack().message_id(), Some("1"));
    while journal.consumers()[0].next_sequence < 2 {
        tokio::task::yield_now().await;
    }
    drop((stream, first));
    journal.close().await;

    let journal = Journal::open(&path, Config::default()).await.unwrap();
    let second = receiver(|builder| builder.journal(journal.clone()));
    let mut stream = second.create_listener().durable("versions").stream().await.unwrap();
    // The platform sends the third again: it did not see the answer. This process never saw its id.
    assert_eq!(send(&second, "3").await, StatusCode::OK);
    assert_eq!(send(&second, "4").await, StatusCode::OK);
    let mut ids = Vec::new();
    while ids.last().is_none_or(|id| id != "4") {
        let event = stream.next().await.unwrap().unwrap().ack();
        ids.push(event.message_id().unwrap().to_owned());
        assert_eq!(event.webhook().unwrap().message_id(), event.message_id());
    }
    ids.retain(|id| id != "1");
    assert_eq!(ids, ["2", "3", "4"]);
    assert_eq!(journal.stats().repeats, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_handler_gets_the_event_again_from_the_journal() {
    let journal = Journal::in_memory(Config::default()).unwrap();
    let receiver = receiver(|builder| builder.journal(journal.clone()));
    let (log, left) = (Log::default(), Arc::new(AtomicUsize::new(1)));
    let handled = log.clone();
    let _listener = receiver
        .create_listener()
        .handle(move |event: HubEvent| {
            handled.add(event.message_id().unwrap());
            let fails = left.swap(0, Ordering::SeqCst) == 1;
            async move { if fails { Err(Error::new(ErrorKind::Handler, "handle", "no")) } else { Ok(()) } }
        })
        .await
        .unwrap();
    assert_eq!(send(&receiver, "1").await, StatusCode::OK);
    let all = tokio::time::timeout(Duration::from_secs(3_600), log.wait_for(2)).await.unwrap();
    assert_eq!(all, ["1", "1"]);
    assert_eq!(receiver.stats().accepted, 1);
}

#[tokio::test]
async fn a_place_without_a_journal_is_refused() {
    let bare = receiver(|builder| builder);
    let refused = bare.create_listener().durable("versions").stream().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}
