//! Ending in good order, and going on with a subscription later.

use std::sync::Arc;
use std::time::Duration;

use hub_emulator::Emulator;
use imodelhub_events::{EventSubscription, EventType, HubEvent};

use crate::support::{IMODEL, Log, client, imodel};

#[tokio::test]
async fn what_was_acknowledged_before_a_drain_is_completed() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let mut events = client.create_listener(&subscription).stream().await.unwrap();
    for _ in 0..3 {
        emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    }
    for _ in 0..2 {
        events.next().await.unwrap().unwrap().ack();
    }
    drop(events);
    let report = client.drain(Duration::from_secs(10)).await;
    assert_eq!(emulator.imodelhub_stats().completed, 2, "{report:?}");
    assert_eq!(report, client.drain(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_drain_waits_for_a_handler() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let (begun, go_on) = (Log::default(), Arc::new(tokio::sync::Notify::new()));
    let (note, wait) = (begun.clone(), Arc::clone(&go_on));
    let _listener = client
        .create_listener(&subscription)
        .handle(move |_: HubEvent| {
            note.add("begun");
            let wait = Arc::clone(&wait);
            async move { wait.notified().await }
        })
        .await
        .unwrap();
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    begun.wait_for(1).await;
    let (report, ()) = tokio::join!(client.drain(Duration::from_secs(10)), async {
        tokio::task::yield_now().await;
        go_on.notify_one();
    });
    assert_eq!((report.handled, emulator.imodelhub_stats().completed), (1, 1), "{report:?}");
}

#[tokio::test]
async fn a_drain_without_listeners_has_nothing_to_report() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    assert_eq!(client.drain(Duration::from_secs(1)).await, imodelhub_events::DrainReport::default());
}

#[tokio::test]
async fn a_subscription_is_taken_up_again_by_its_id() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (before, _) = client(&emulator);
    let id = before.create_subscription(&imodel(), &[EventType::Version]).await.unwrap().id;
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    drop(before);

    let (after, _) = client(&emulator);
    let subscription = EventSubscription::existing(&imodel(), id);
    let event = after.get_event(&subscription, None).await.unwrap().unwrap();
    assert_eq!(event.event_type(), "VersionEvent");
    after.delete_subscription(&subscription).await.unwrap();
}
