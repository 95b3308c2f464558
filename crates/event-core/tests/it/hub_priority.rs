//! Priority, stopping, and handlers that ask: nothing waits in a circle.

use std::time::Duration;

use event_core::{Context, ErrorKind, Event, EventHub, Json};
use serde_json::json;

use crate::support::{Log, event, one_hub};

#[tokio::test]
async fn smaller_numbers_handle_an_event_first() {
    let (_bus, hub) = one_hub().await;
    let log = Log::default();
    for priority in [100, 5, 50, -1] {
        hub.subscribe("topic=t")
            .priority(priority)
            .handle_with((log.clone(), priority), async |_event: Event, (log, priority): (Log, i32)| {
                tokio::task::yield_now().await;
                log.add(priority.to_string());
            })
            .await
            .unwrap();
    }
    for _ in 0..3 {
        hub.publish(event("t")).await.unwrap();
    }
    let lines = log.wait_for(12).await;
    let each = ["-1", "5", "50", "100"];
    for number in each {
        assert_eq!(lines.iter().filter(|line| *line == number).count(), 3);
    }
    // Within each event the order holds: the nth "5" comes after the nth "-1", and so on.
    for pair in each.windows(2) {
        let places = |which: &str| {
            lines.iter().enumerate().filter(|(_, l)| *l == which).map(|(n, _)| n).collect::<Vec<_>>()
        };
        assert!(places(pair[0]).iter().zip(places(pair[1])).all(|(a, b)| *a < b), "{lines:?}");
    }
}

#[tokio::test]
async fn a_stopped_event_reaches_no_larger_number() {
    let (_bus, hub) = one_hub().await;
    let log = Log::default();
    hub.subscribe("topic=t")
        .priority(1)
        .handle_ctx(async |event: Event, context: Context| {
            if event.data_value()["stop"] == true {
                assert!(context.stop());
            }
        })
        .await
        .unwrap();
    let late = hub
        .subscribe("topic=t")
        .priority(2)
        .handle_with(log.clone(), async |event: Event, log: Log| {
            log.add(event.data_value()["n"].to_string());
        })
        .await
        .unwrap();
    for (n, stop) in [(0, false), (1, true), (2, false)] {
        hub.publish(Event::new("t", &json!({"n": n, "stop": stop})).unwrap()).await.unwrap();
    }
    assert_eq!(log.wait_for(2).await, ["0", "2"]);
    assert_eq!(late.stats().skipped, 1);
}

#[tokio::test]
async fn a_panic_an_unsubscribe_or_a_release_lets_larger_numbers_go_ahead() {
    let (_bus, hub) = one_hub().await;
    let mut last = hub.subscribe("topic=t").priority(9).stream().await.unwrap();
    hub.subscribe("topic=t")
        .priority(1)
        .handle(async |_event: Event| -> () { panic!("first") })
        .await
        .unwrap();
    hub.subscribe("topic=t")
        .priority(2)
        .id("forever")
        .handle_ctx(async |_event, context: Context| {
            context.release();
            assert!(!context.stop(), "whoever let go cannot stop");
            std::future::pending::<()>().await;
        })
        .await
        .unwrap();
    let stuck = hub
        .subscribe("topic=t")
        .priority(3)
        .handle(async |_event: Event| std::future::pending::<()>().await)
        .await
        .unwrap();
    hub.publish(event("t")).await.unwrap();
    hub.publish(event("t")).await.unwrap();
    while stuck.stats().running == 0 {
        tokio::task::yield_now().await;
    }
    assert!(futures_util::poll!(std::pin::pin!(last.next())).is_pending(), "held back by number 3");
    drop(last);
}

#[tokio::test]
async fn a_stream_lets_go_when_it_yields_unless_it_gates() {
    let (_bus, hub) = one_hub().await;
    let mut free = hub.subscribe("topic=t").priority(1).stream().await.unwrap();
    let mut gating = hub.subscribe("topic=t").priority(2).gating(true).stream().await.unwrap();
    let mut last = hub.subscribe("topic=t").priority(3).stream().await.unwrap();
    hub.publish(event("t")).await.unwrap();
    let first = free.next().await.unwrap().unwrap();
    assert!(!first.stop());
    let second = gating.next().await.unwrap().unwrap();
    assert!(futures_util::poll!(std::pin::pin!(last.next())).is_pending());
    drop(second);
    last.next().await.unwrap().unwrap();

    hub.publish(event("t")).await.unwrap();
    free.next().await.unwrap().unwrap();
    assert!(gating.next().await.unwrap().unwrap().stop());
    hub.publish(event("t")).await.unwrap();
    free.next().await.unwrap().unwrap();
    drop(gating.next().await.unwrap().unwrap());
    last.next().await.unwrap().unwrap();
    assert_eq!(last.stats().skipped, 1);
}

/// A handler that asks `inner` while it handles `outer`, and another that may answer `inner`.
async fn nested(hub: &EventHub, asking: i32, answering: i32) -> Event {
    hub.subscribe("topic=outer or topic=inner")
        .id("asks")
        .priority(asking)
        .handle_ctx(async |event: Event, context: Context| {
            if event.topic() == "outer" {
                let answer = context.hub().unwrap().request(crate::support::event("inner")).await?;
                return Ok(Some(Json(answer.data_value().clone())));
            }
            Ok::<_, event_core::Error>(None)
        })
        .await
        .unwrap();
    // It wants the outer event too, so that the two are gated against each other.
    hub.subscribe("topic=outer or topic=inner")
        .id("answers")
        .priority(answering)
        .handle(async |event: Event| (event.topic() == "inner").then_some(Json("inner answer")))
        .await
        .unwrap();
    hub.request(event("outer")).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn nesting_a_request_to_a_smaller_number_resolves() {
    let (_bus, hub) = one_hub().await;
    assert_eq!(nested(&hub, 100, 50).await.data_value(), "inner answer");
}

#[tokio::test(start_paused = true)]
async fn nesting_a_request_to_a_larger_number_resolves_once_the_asker_has_room() {
    let (_bus, hub) = one_hub().await;
    // The asker's own lane also gets "inner", at the smaller number: with one handler it could never finish it.
    hub.subscribe("topic=outer")
        .id("asks")
        .priority(50)
        .handle_ctx(async |_event, context: Context| {
            let answer = context.hub().unwrap().request(event("inner")).await?;
            Ok::<_, event_core::Error>(Json(answer.data_value().clone()))
        })
        .await
        .unwrap();
    hub.subscribe("topic=outer or topic=inner")
        .id("answers")
        .priority(100)
        .handle(async |event: Event| (event.topic() == "inner").then_some(Json("inner answer")))
        .await
        .unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(hub.request(event("outer")).await.unwrap().data_value(), "inner answer");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

/// Answers `inner`, and asks it from `outer`: a request to itself.
async fn asks_itself(hub: &EventHub, concurrency: usize) {
    hub.subscribe("topic=outer or topic=inner")
        .id("selfish")
        .concurrency(concurrency)
        .handle_ctx(async |event: Event, context: Context| {
            if event.topic() == "inner" {
                return Ok(Json(json!("inner answer")));
            }
            let inner = context
                .hub()
                .unwrap()
                .request(crate::support::event("inner"))
                .timeout(Duration::from_secs(3))
                .await;
            match inner {
                Ok(answer) => Ok(Json(answer.data_value().clone())),
                Err(error) if error.kind() == ErrorKind::Timeout => Ok(Json(json!(error.to_string()))),
                Err(error) => Err(error),
            }
        })
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn nesting_a_request_to_itself_resolves_when_it_has_room() {
    let (_bus, hub) = one_hub().await;
    asks_itself(&hub, 2).await;
    assert_eq!(hub.request(event("outer")).await.unwrap().data_value(), "inner answer");
}

#[tokio::test(start_paused = true)]
async fn nesting_a_request_to_itself_without_room_times_out_and_names_the_lane() {
    let (_bus, hub) = one_hub().await;
    asks_itself(&hub, 1).await;
    let said = hub.request(event("outer")).await.unwrap();
    let said = said.data_value().as_str().unwrap();
    assert!(said.contains("\"selfish\"") && said.contains("1 handler"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn n_requests_to_itself_at_concurrency_n_time_out_and_name_the_lane() {
    let (_bus, hub) = one_hub().await;
    asks_itself(&hub, 4).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let hub = hub.clone();
        asking.spawn(async move { hub.request(event("outer")).await });
    }
    while let Some(said) = asking.join_next().await {
        let said = said.unwrap().unwrap();
        let said = said.data_value().as_str().unwrap();
        assert!(said.contains("\"selfish\"") && said.contains("4 handler"), "{said}");
    }
    assert_eq!(hub.stats().open_requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_local_publish_inside_a_handler_holds_nobody_back() {
    let (_bus, hub) = one_hub().await;
    hub.subscribe("topic=outer")
        .priority(1)
        .handle_ctx(async |_event, context: Context| {
            let outcomes = context.hub().unwrap().publish_local(&event("local")).await?;
            Ok::<_, event_core::Error>(Json(outcomes.len()))
        })
        .await
        .unwrap();
    hub.subscribe("topic=local").priority(1).handle(async |_event: Event| {}).await.unwrap();
    hub.subscribe("topic=outer or topic=local").priority(2).handle(async |_event: Event| {}).await.unwrap();
    assert_eq!(hub.request(event("outer")).await.unwrap().data_value(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_others_leave_unanswered_does_not_blame_the_lane() {
    let (_bus, hub) = one_hub().await;
    hub.subscribe("topic=outer")
        .id("innocent")
        .handle_ctx(async |_event, context: Context| {
            let error = context.hub().unwrap().request(event("nobody")).timeout(Duration::from_secs(3)).await;
            Json(error.unwrap_err().to_string())
        })
        .await
        .unwrap();
    let said = hub.request(event("outer")).await.unwrap();
    let said = said.data_value().as_str().unwrap();
    assert!(said.contains("no reply") && !said.contains("innocent"), "{said}");
}
