//! Listeners: shared polls, renewed tokens, settlement, ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hub_emulator::Emulator;
use imodelhub_events::{ErrorKind, EventType, HubEvent, ListenerState, ReceiveMode};
use serde_json::json;

use crate::support::{IMODEL, Log, client, imodel};

fn publish(emulator: &Emulator, n: usize) {
    emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(json!({"VersionName": n.to_string()})));
}

fn name(event: &HubEvent) -> String {
    event.body()["VersionName"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn five_hundred_events_through_short_lived_tokens_arrive_once_and_in_order() {
    let emulator = Arc::new(Emulator::builder().sas_max_uses(3).start().await.unwrap());
    let (client, tokens) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let log = Log::default();
    let (writing, revoking, seen) = (log.clone(), Arc::clone(&emulator), Arc::new(AtomicUsize::new(0)));
    for n in 0..500 {
        publish(&emulator, n);
    }
    let _listener = client
        .create_listener(&subscription)
        .mode(ReceiveMode::ReceiveAndDelete)
        .handle(move |event: HubEvent| {
            let (log, emulator, seen) = (writing.clone(), Arc::clone(&revoking), Arc::clone(&seen));
            async move {
                log.add(name(&event));
                // Five times, while the listener is at work.
                if (seen.fetch_add(1, Ordering::SeqCst) + 1) % 100 == 50 {
                    emulator.revoke_tokens();
                }
            }
        })
        .await
        .unwrap();
    let lines = log.wait_for(500).await;
    assert_eq!(lines, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(tokens.given(), 1 + 5, "the first, and one for each revocation");
    println!(
        "500 events, {} access tokens, {} SAS tokens",
        tokens.given(),
        emulator.imodelhub_stats().sas_issued
    );
}

#[tokio::test]
async fn several_listeners_share_one_poll_and_other_subscriptions_are_independent() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let other = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let log = Log::default();
    let mut listeners = Vec::new();
    for (who, subscription) in [("a", &subscription), ("b", &subscription), ("c", &other)] {
        let log = log.clone();
        let listening = client.create_listener(subscription).handle(move |event: HubEvent| {
            let log = log.clone();
            async move { log.add(format!("{who}{}", name(&event))) }
        });
        listeners.push(listening.await.unwrap());
    }
    emulator.wait_for_imodelhub(|state| state.waiting() == 2).await;
    publish(&emulator, 0);
    let mut lines = log.wait_for(3).await;
    lines.sort();
    assert_eq!(lines, ["a0", "b0", "c0"]);
    emulator.wait_for_imodelhub(|state| state.stats.completed == 2 && state.waiting() == 2).await;
    let mode = client.create_listener(&subscription).mode(ReceiveMode::ReceiveAndDelete).stream().await;
    assert_eq!(mode.unwrap_err().kind(), ErrorKind::Duplicate, "one queue, one mode");
    // The first of two listeners leaves: the poll goes on. Then the second: it ends.
    listeners.remove(0);
    publish(&emulator, 1);
    assert_eq!(log.wait_for(5).await.iter().filter(|line| line.starts_with('a')).count(), 1);
    emulator.wait_for_imodelhub(|state| state.waiting() == 2).await;
    listeners.clear();
    emulator.wait_for_imodelhub(|state| state.waiting() == 0).await;
    publish(&emulator, 2);
    let left = client.get_event(&subscription, None).await.unwrap().unwrap();
    assert_eq!(name(&left), "2", "not lost to a poll that nobody reads");
}

#[tokio::test]
async fn an_event_that_a_handler_could_not_handle_comes_again() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let log = Log::default();
    let writing = log.clone();
    let _listener = client
        .create_listener(&subscription)
        .handle(move |event: HubEvent| {
            let log = writing.clone();
            async move {
                log.add(format!("{} attempt {}", name(&event), event.delivery_count().unwrap()));
                match event.delivery_count() {
                    Some(1) => Err("not yet"),
                    _ => Ok(()),
                }
            }
        })
        .await
        .unwrap();
    publish(&emulator, 7);
    assert_eq!(log.wait_for(2).await, ["7 attempt 1", "7 attempt 2"]);
    let state = emulator.wait_for_imodelhub(|state| state.stats.completed == 1).await;
    assert_eq!((state.queued(), state.locked(), state.stats.unlocked), (0, 0, 1));
}

#[tokio::test]
async fn a_stream_completes_what_is_acknowledged_and_gives_back_the_rest() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let mut stream = client.create_listener(&subscription).stream().await.unwrap();
    publish(&emulator, 0);
    let first = stream.next().await.unwrap().unwrap();
    drop(first);
    let again = stream.next().await.unwrap().unwrap();
    assert_eq!(again.event().delivery_count(), Some(2));
    assert_eq!(name(&again.ack()), "0");
    emulator.wait_for_imodelhub(|state| state.stats.completed == 1).await;
    drop(stream);
    emulator.wait_for_imodelhub(|state| state.waiting() == 0).await;
}

#[tokio::test]
async fn a_listener_shows_where_it_stands() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let listener = client.create_listener(&subscription).handle(async |_event: HubEvent| {}).await.unwrap();
    let state = listener.wait_for_state(|state| matches!(state, ListenerState::Listening)).await;
    assert!(matches!(state, ListenerState::Listening), "{state:?}");
    client.delete_subscription(&subscription).await.unwrap();
    let ended = listener.wait_for_state(|_| false).await;
    let ListenerState::Ended(Some(reason)) = ended else { panic!("{ended:?}") };
    assert_eq!(reason.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_stream_polled_by_a_combinator_hears_of_the_end_at_once() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let stream = client.create_listener(&subscription).stream().await.unwrap();
    let reading = tokio::spawn(futures_util::StreamExt::collect::<Vec<_>>(stream));
    emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
    client.delete_subscription(&subscription).await.unwrap();
    let seen = reading.await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_listener_that_panics_does_not_cut_off_the_others() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let log = Log::default();
    let writing = log.clone();
    let panics = client.create_listener(&subscription).handle(async |event: HubEvent| {
        assert_ne!(event.delivery_count(), Some(1), "the first time");
    });
    let _panics = panics.await.unwrap();
    let calm = client.create_listener(&subscription).handle(move |event: HubEvent| {
        let log = writing.clone();
        async move {
            log.add(format!("begin {}", event.delivery_count().unwrap()));
            tokio::task::yield_now().await;
            log.add(format!("end {}", event.delivery_count().unwrap()));
        }
    });
    let _calm = calm.await.unwrap();
    publish(&emulator, 0);
    assert_eq!(log.wait_for(4).await, ["begin 1", "end 1", "begin 2", "end 2"]);
    emulator.wait_for_imodelhub(|state| state.stats.completed == 1).await;
}
