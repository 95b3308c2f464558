//! Drain and close: what is there is finished within the limit, and the report adds up.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use event_core::hub::DrainReport;
use event_core::memory::MemoryHub;
use event_core::{ConnectionState, ErrorKind, Event, EventHub, Json, Lifecycle, Overflow};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::support::{Log, event, one_hub, running};

fn adds_up(report: &DrainReport) {
    let DrainReport { deliveries, handled, failed, skipped, dropped, abandoned, unread, .. } = *report;
    assert_eq!(deliveries, handled + failed + skipped + dropped + abandoned + unread, "{report}");
    assert_eq!(report.publishes, report.published + report.refused + report.unsent, "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_with_500_in_flight_ends_at_its_limit_and_the_report_adds_up() {
    let (bus, hub) = one_hub().await;
    let slow = hub
        .subscribe("topic=t")
        .concurrency(10)
        .handle(async |_event: Event| tokio::time::sleep(Duration::from_millis(100)).await) // paused
        .await
        .unwrap();
    bus.hold_acknowledgements(true);
    for _ in 0..500 {
        hub.publish(event("t")).no_wait().await.unwrap();
    }
    while slow.stats().delivered < 64 {
        tokio::task::yield_now().await;
    }
    let mut feed = EventHub::builder(bus.transport()).connect().await.unwrap();
    for _ in 0..436 {
        bus.inject(&Event::builder("t").id(event_core::EventId::random()).build().unwrap());
    }
    while slow.stats().delivered < 500 {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    let report = hub.drain(Duration::from_secs(2)).await;
    assert!(started.elapsed() <= Duration::from_millis(2100), "{:?}", started.elapsed());
    adds_up(&report);
    assert!(report.timed_out && !report.is_clean());
    assert_eq!((report.deliveries, report.publishes), (500, 500), "{report}");
    // Ten handlers at a time, each a tenth of a second, for two seconds.
    assert!((190..=200).contains(&report.handled) && report.abandoned == 500 - report.handled, "{report}");
    assert_eq!(report.unsent, 500);
    // Again: the same, at once.
    let again = Instant::now();
    assert_eq!(hub.drain(Duration::from_secs(60)).await, report);
    assert_eq!(again.elapsed(), Duration::ZERO);
    feed = {
        drop(feed);
        hub
    };
    assert!(matches!(feed.state(), ConnectionState::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_clean_drain_finishes_handlers_their_replies_and_waiting_publishes() {
    let (bus, hub) = one_hub().await;
    let asker = EventHub::builder(bus.transport()).connect().await.unwrap();
    let answering = hub
        .subscribe("topic=ask")
        .handle(async |_event: Event| {
            tokio::time::sleep(Duration::from_secs(1)).await; // paused
            Json(json!("done"))
        })
        .await
        .unwrap();
    let asking: Vec<_> = (0..3).map(|_| tokio::spawn(asker.request(event("ask")).into_future())).collect();
    while answering.stats().delivered < 3 {
        tokio::task::yield_now().await;
    }
    let report = hub.drain(Duration::from_secs(30)).await;
    adds_up(&report);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.handled, report.published), (3, 3));
    assert_eq!(report.elapsed, Duration::from_secs(3));
    for asked in asking {
        assert_eq!(asked.await.unwrap().unwrap().data_value(), "done");
    }
    let shown = report.to_string();
    assert!(shown.starts_with("drained in 3.0 s: 3 deliveries (3 handled"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn every_fate_is_in_the_report() {
    let (bus, hub) = one_hub().await;
    let gate = Arc::new(Semaphore::new(0));
    let picky = hub
        .subscribe("topic=t")
        .priority(1)
        .buffer(4, Overflow::DropNewest)
        .handle_ctx({
            let gate = Arc::clone(&gate);
            move |event, context| {
                let gate = Arc::clone(&gate);
                async move {
                    let _turn = gate.acquire().await;
                    match event.data_value().as_u64() {
                        Some(1) => Err(event_core::Error::new(ErrorKind::Handler, "test", "no")),
                        Some(2) => panic!("handler"),
                        Some(3) => {
                            context.stop();
                            Ok(())
                        }
                        _ => Ok(()),
                    }
                }
            }
        })
        .await
        .unwrap();
    let after = hub.subscribe("topic=t").handle(async |_event: Event| {}).await.unwrap();
    let mut unread = hub.subscribe("topic=t").priority(0).stream().await.unwrap();
    for n in 0..7 {
        bus.inject(&Event::new("t", &n).unwrap());
    }
    while after.stats().delivered < 7 {
        tokio::task::yield_now().await;
    }
    // The stream read one; the others it holds to the end.
    unread.next().await.unwrap().unwrap();
    running(&picky, 1).await;
    let draining = tokio::spawn({
        let hub = hub.clone();
        async move { hub.drain(Duration::from_secs(5)).await }
    });
    hub.wait_for_state(|state| matches!(state, ConnectionState::Draining)).await;
    gate.add_permits(1000);
    let report = draining.await.unwrap();
    adds_up(&report);
    assert_eq!(report.unread, 6, "{report}");
    let mut left = 0;
    while let Some(delivery) = unread.next().await {
        delivery.unwrap();
        left += 1;
    }
    assert_eq!(left, 6, "what a stream holds can be read after the end");
    for subscription in [&picky, &after] {
        let stats = subscription.stats();
        let sum = stats.handled + stats.failed + stats.skipped + stats.dropped + stats.abandoned;
        assert_eq!((stats.delivered, stats.waiting, stats.running), (sum, 0, 0), "{stats:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_drains_takes_no_new_subscription_and_lets_one_go() {
    let (_bus, hub) = one_hub().await;
    let log = Log::default();
    let going = hub.subscribe("topic=other").handle(async |_event: Event| {}).await.unwrap();
    let slow = hub
        .subscribe("topic=t")
        .handle_with(log.clone(), async |_event, log: Log| {
            log.add("started");
            tokio::time::sleep(Duration::from_secs(2)).await; // paused
            log.add("finished");
        })
        .await
        .unwrap();
    hub.publish(event("t")).await.unwrap();
    log.wait_for(1).await;
    let mut lifecycle = hub.lifecycle();
    let draining = tokio::spawn({
        let hub = hub.clone();
        async move { hub.drain(Duration::from_secs(10)).await }
    });
    hub.wait_for_state(|state| matches!(state, ConnectionState::Draining)).await;
    let refused = hub.subscribe("topic=new").stream().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
    assert!(refused.to_string().contains("drained"), "{refused}");
    assert_eq!(hub.connect().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(hub.reconnect().await.unwrap_err().kind(), ErrorKind::Closed);
    let started = Instant::now();
    going.unsubscribe().await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO, "it does not wait for the drain");
    hub.publish(event("while draining")).await.unwrap();
    let report = draining.await.unwrap();
    assert!(report.is_clean() && report.handled == 1 && report.published == 1, "{report}");
    assert_eq!(log.lines(), ["started", "finished"]);
    assert_eq!(slow.stats().handled, 1);
    let mut story = Vec::new();
    while let Some(event_core::hub::Report::Happened(change)) = lifecycle.next().await {
        story.push(change);
    }
    assert!(matches!(story.as_slice(), [Lifecycle::Draining, Lifecycle::Closed]), "{story:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_handler_of_a_subscription_that_ended_before() {
    let (_bus, hub) = one_hub().await;
    let log = Log::default();
    let ended = hub
        .subscribe("topic=t")
        .handle_with(log.clone(), async |_event, log: Log| {
            log.add("started");
            tokio::time::sleep(Duration::from_secs(1)).await; // paused
            log.add("finished");
        })
        .await
        .unwrap();
    hub.publish(event("t")).await.unwrap();
    log.wait_for(1).await;
    ended.unsubscribe().await.unwrap();
    let report = hub.drain(Duration::from_secs(5)).await;
    assert_eq!((report.deliveries, report.handled), (1, 1), "{report}");
    assert_eq!(log.lines(), ["started", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_a_hub_without_a_connection_reports_what_was_not_sent() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).build().unwrap();
    let waiting = tokio::spawn(hub.publish(event("t")).into_future());
    while hub.stats().outstanding == 0 {
        tokio::task::yield_now().await;
    }
    let report = hub.drain(Duration::from_secs(5)).await;
    assert_eq!((report.publishes, report.unsent, report.timed_out), (1, 1, false), "{report}");
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_drain_whose_future_is_dropped_goes_on() {
    let (_bus, hub) = one_hub().await;
    assert!(futures_util::poll!(std::pin::pin!(hub.drain(Duration::from_secs(5)))).is_pending());
    hub.wait_for_state(|_| false).await;
    assert!(matches!(hub.state(), ConnectionState::Closed));
}
