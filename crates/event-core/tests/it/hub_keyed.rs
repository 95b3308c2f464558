//! Concurrency with keys: order within a key, no waiting between keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_core::{Event, Overflow};
use serde_json::json;

use crate::support::{Log, one_hub, running};

fn change(shot: usize, n: usize) -> Event {
    Event::new("shot", &json!({"shot": shot, "n": n})).unwrap()
}

#[tokio::test(start_paused = true)]
async fn events_of_one_key_stay_in_order_and_others_overtake_them() {
    let (bus, hub) = one_hub().await;
    let log = Log::default();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let state = (log.clone(), Arc::clone(&now), Arc::clone(&most));
    hub.subscribe("topic=shot")
        .concurrency(4)
        .keyed(|event| event.data_value()["shot"].as_u64())
        .handle_with(
            state,
            async |event: Event, (log, now, most): (Log, Arc<AtomicUsize>, Arc<AtomicUsize>)| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let data = event.data_value();
                // Earlier events take longer: without keys they would be overtaken.
                let n = data["n"].as_u64().unwrap();
                tokio::time::sleep(Duration::from_millis(100 - n)).await; // paused
                log.add(format!("{} {n}", data["shot"]));
                now.fetch_sub(1, Ordering::SeqCst);
            },
        )
        .await
        .unwrap();
    for n in 0..50 {
        for shot in 0..4 {
            bus.inject(&change(shot, n));
        }
    }
    let started = tokio::time::Instant::now();
    let lines = log.wait_for(200).await;
    let mut last: HashMap<String, i64> = HashMap::new();
    for line in lines {
        let (shot, n) = line.split_once(' ').unwrap();
        let n: i64 = n.parse().unwrap();
        let before = last.insert(shot.to_owned(), n).unwrap_or(-1);
        assert_eq!(n, before + 1, "shot {shot}");
    }
    assert_eq!(most.load(Ordering::SeqCst), 4, "the four keys ran side by side");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_busy_key_keeps_no_other_waiting() {
    let (bus, hub) = one_hub().await;
    let log = Log::default();
    let subscription = hub
        .subscribe("topic=shot")
        .concurrency(2)
        .keyed(|event| event.data_value()["shot"].as_u64())
        .handle_with(log.clone(), async |event: Event, log: Log| {
            if event.data_value()["shot"] == 0 {
                std::future::pending::<()>().await;
            }
            log.add(event.data_value()["n"].to_string());
        })
        .await
        .unwrap();
    for n in 0..3 {
        bus.inject(&change(0, n));
    }
    for n in 10..13 {
        bus.inject(&change(1, n));
    }
    assert_eq!(log.wait_for(3).await, ["10", "11", "12"]);
    running(&subscription, 1).await;
    assert_eq!((subscription.stats().waiting, subscription.stats().delivered), (2, 6));
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_handler_panics_or_whose_function_does_is_free_again() {
    let (bus, hub) = one_hub().await;
    let log = Log::default();
    let subscription = hub
        .subscribe("topic=shot")
        .concurrency(2)
        .buffer(16, Overflow::DropNewest)
        .keyed(|event| {
            let shot = event.data_value()["shot"].as_u64().unwrap();
            assert!(shot < 9, "no key for this one");
            shot
        })
        .handle_with(log.clone(), async |event: Event, log: Log| {
            assert!(event.data_value()["n"] != 0, "the first one");
            log.add(format!("{} {}", event.data_value()["shot"], event.data_value()["n"]));
        })
        .await
        .unwrap();
    for event in [change(1, 0), change(1, 1), change(9, 0), change(9, 1)] {
        bus.inject(&event);
    }
    let mut lines = log.wait_for(2).await;
    lines.sort();
    assert_eq!(lines, ["1 1", "9 1"]);
    let stats = subscription.stats();
    assert_eq!((stats.delivered, stats.failed, stats.handled), (4, 2, 2));
}
