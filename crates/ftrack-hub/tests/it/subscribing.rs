//! "Subscribing to events": by topic and by full expressions; unsubscribing; what cannot be subscribed.

use ftrack_hub::{ErrorKind, Event, Expression, Lifecycle, topics};
use hub_emulator::Emulator;
use serde_json::{Value, json};

use crate::support::{Log, builder, connected, emulated, event, holds, one, report, state, two, within};

#[tokio::test]
async fn a_topic_subscription_gets_the_events_of_its_topic() {
    let (_emulator, ann, ben) = two().await;
    let (updates, all) = (Log::default(), Log::default());
    updates.follow(ann.event_hub(), "topic=ftrack.update").await;
    all.follow(ann.event_hub(), "topic=ftrack.*").await;
    for topic in ["ftrack.update", "ftrack.updated", "studio.ftrack.update", "ftrack.action.launch"] {
        within(ben.event_hub().publish(event(topic, topic))).await.unwrap();
    }
    assert_eq!(
        all.wait_for(3).await,
        ["\"ftrack.update\"", "\"ftrack.updated\"", "\"ftrack.action.launch\""],
        "a wildcard is a prefix"
    );
    ann.event_hub().close().await;
    assert_eq!(updates.lines(), ["\"ftrack.update\""]);
}

#[tokio::test]
async fn every_part_of_the_expression_language_selects() {
    let (_emulator, ann, ben) = two().await;
    let expressions = [
        "topic=render and data.frames>=100",
        "topic=render and not data.kind=shot",
        "topic=render and (data.kind=\"two words\" or data.kind=asset)",
        "topic=render and source.user.username=ben and data.nested.deep=true",
        "topic=render and data.frames!=99 and data.kind=sh*",
        "(topic=render)and(data.kind='two words')",
    ];
    let mut logs = Vec::new();
    for expression in expressions {
        let log = Log::default();
        log.follow(ann.event_hub(), expression).await;
        logs.push(log);
    }
    for data in [
        json!({"n": 1, "kind": "shot", "frames": 100}),
        json!({"n": 2, "kind": "two words", "frames": 99.5}),
        json!({"n": 3, "kind": "asset", "frames": "100", "nested": {"deep": true}}),
        json!({"n": 4, "kind": "shot", "frames": 99}),
        json!({"n": 5}),
    ] {
        within(ben.event_hub().publish(event("render", &data))).await.unwrap();
    }
    let seen = Log::default();
    seen.follow(ann.event_hub(), "topic=end").await;
    within(ben.event_hub().publish(event("end", 0))).await.unwrap();
    seen.wait_for(1).await;
    ann.event_hub().close().await;
    let numbers: Vec<Vec<i64>> = logs
        .iter()
        .map(|log| {
            log.lines()
                .iter()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["n"].as_i64().unwrap())
                .collect()
        })
        .collect();
    assert_eq!(numbers, [vec![1, 3], vec![2, 3, 5], vec![2, 3], vec![3], vec![1], vec![2]]);
}

#[tokio::test]
async fn an_expression_may_come_parsed_and_a_malformed_one_is_not_sent() {
    let (emulator, ann) = one().await;
    let parsed = Expression::parse("topic = x and not a=b").unwrap();
    within(ann.event_hub().subscribe(&parsed).handle(async |_: Event| ())).await.unwrap();
    assert!(holds(&emulator, &parsed.to_string()), "{:?}", emulator.connections());
    for bad in ["", "topic=", "topic", "topic=a and", "(topic=a", "a==b"] {
        let error = within(ann.event_hub().subscribe(bad).handle(async |_: Event| ())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidExpression, "{bad}: {error}");
    }
    assert_eq!(emulator.stats().subscribed, 2);
}

#[tokio::test]
async fn unsubscribing_stops_deliveries_in_each_of_its_three_ways() {
    let (emulator, ann, ben) = two().await;
    let hub = ann.event_hub();
    let log = Log::default();
    let by_handle = log.follow(hub, "topic=a").await;
    hub.subscribe("topic=b")
        .id("by-id")
        .handle_with(log.clone(), async |_, log: Log| log.add("b"))
        .await
        .unwrap();
    let stream = hub.subscribe("topic=c").stream().await.unwrap();
    for topic in ["a", "b"] {
        within(ben.event_hub().publish(event(topic, topic))).await.unwrap();
    }
    log.wait_for(2).await;

    within(by_handle.unsubscribe()).await.unwrap();
    within(hub.unsubscribe("by-id")).await.unwrap();
    drop(stream);
    emulated(&emulator, |state| state.stats.unsubscribed == 3).await;
    for topic in ["a", "b", "c"] {
        assert!(!holds(&emulator, &format!("topic={topic}")), "{topic}");
    }
    // Even if a server sent them on.
    let rest = Log::default();
    rest.follow(hub, "topic=*").await;
    for topic in ["a", "b", "c"] {
        within(ben.event_hub().publish(event(topic, "again"))).await.unwrap();
    }
    rest.wait_for(3).await;
    let error = within(hub.unsubscribe("by-id")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(within(by_handle.unsubscribe()).await.unwrap_err().kind(), ErrorKind::NotFound);
    hub.close().await;
    assert_eq!(log.lines(), ["\"a\"", "b"]);
}

#[tokio::test]
async fn a_subscriber_is_found_by_its_identifier() {
    let (_emulator, ann) = one().await;
    let hub = ann.event_hub();
    hub.subscribe("topic=a")
        .id("mine")
        .metadata("role", "farm")
        .priority(7)
        .handle(async |_: Event| ())
        .await
        .unwrap();
    let found = hub.get_subscriber_by_identifier("mine").unwrap();
    assert_eq!((found.id().as_str(), found.priority()), ("mine", 7));
    assert_eq!(found.expression().to_string(), "topic=a");
    assert_eq!(
        json!(found.subscriber().metadata()),
        json!({"id": "mine", "role": "farm", "applicationId": "ftrack.api.rust"})
    );
    assert!(hub.get_subscriber_by_identifier("other").is_none());
    within(found.unsubscribe()).await.unwrap();
    assert!(hub.get_subscriber_by_identifier("mine").is_none());
}

#[tokio::test]
async fn an_identifier_in_use_is_refused_and_the_first_subscriber_goes_on() {
    let (emulator, ann) = one().await;
    let hub = ann.event_hub();
    let log = Log::default();
    hub.subscribe("topic=a")
        .id("s")
        .handle_with(log.clone(), async |_, log: Log| log.add("first"))
        .await
        .unwrap();
    for id in ["s", hub.id().as_str()] {
        let second = hub.subscribe("topic=a").id(id);
        let error =
            within(second.handle_with(log.clone(), async |_, log: Log| log.add("second"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Duplicate, "{error}");
    }
    within(hub.publish(event("a", 1))).await.unwrap();
    log.wait_for(1).await;
    // Another session may use the same.
    let ben = connected(&emulator, "ben").await;
    within(ben.event_hub().subscribe("topic=a").id("s").handle(async |_: Event| ())).await.unwrap();
    hub.close().await;
    assert_eq!(log.lines(), ["first"]);
}

#[tokio::test]
async fn a_subscription_that_the_server_refuses_fails_and_leaves_nothing() {
    let emulator = Emulator::builder().max_subscriptions(2).start().await.unwrap();
    let ann = connected(&emulator, "ann").await;
    let hub = ann.event_hub();
    hub.subscribe("topic=a").id("first").handle(async |_: Event| ()).await.unwrap();
    let error = within(hub.subscribe("topic=b").id("second").handle(async |_: Event| ())).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Refused, false));
    assert!(error.to_string().contains("takes no more"), "{error}");
    assert!(hub.get_subscriber_by_identifier("second").is_none());
    within(hub.unsubscribe("first")).await.unwrap();
    within(hub.subscribe("topic=b").id("second").handle(async |_: Event| ())).await.unwrap();
}

#[tokio::test]
async fn a_hub_whose_own_subscription_is_refused_does_not_pretend_to_be_connected() {
    let emulator = Emulator::builder().max_subscriptions(0).start().await.unwrap();
    let session = builder(&emulator, "ann").build().unwrap();
    let error = within(session.event_hub().connect()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!session.event_hub().is_connected());
    emulated(&emulator, |state| state.connections == 0).await;
}

#[tokio::test]
async fn subscriptions_made_before_connecting_are_made_with_the_connection() {
    let emulator = Emulator::start().await.unwrap();
    let session = builder(&emulator, "ann").build().unwrap();
    let log = Log::default();
    log.follow(session.event_hub(), "topic=a").await;
    assert_eq!(emulator.stats().handshakes, 0);
    within(session.event_hub().connect()).await.unwrap();
    assert!(holds(&emulator, "topic=a"), "confirmed before connect() returns");
    emulator.publish(event("a", 1)).unwrap();
    assert_eq!(log.wait_for(1).await, ["1"]);
}

#[tokio::test]
async fn the_hub_tells_its_own_subscribers_that_it_is_connected_and_that_it_is_not() {
    let emulator = Emulator::start().await.unwrap();
    let session = builder(&emulator, "ann").build().unwrap();
    let hub = session.event_hub();
    let log = Log::default();
    for topic in [topics::CONNECTED, topics::DISCONNECTED] {
        let told = async |event: Event, log: Log| log.add(event.topic().as_str());
        hub.subscribe(format!("topic={topic}")).handle_with(log.clone(), told).await.unwrap();
    }
    within(hub.connect()).await.unwrap();
    log.wait_for(1).await;
    emulator.cut_all();
    log.wait_for(2).await;
    state(hub, ftrack_hub::ConnectionState::is_connected).await;
    log.wait_for(3).await;
    hub.disconnect().await;
    assert_eq!(
        log.wait_for(4).await,
        [topics::CONNECTED, topics::DISCONNECTED, topics::CONNECTED, topics::DISCONNECTED]
    );
    // Three subscriptions each time, and nothing else: these events are never sent.
    assert_eq!(emulator.stats().events_received, 6);
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_is_reported_and_the_next_event_is_handled() {
    let (_emulator, ann, ben) = two().await;
    let hub = ann.event_hub();
    let mut lifecycle = hub.lifecycle();
    let log = Log::default();
    let handler = async |event: Event, log: Log| -> Result<(), &'static str> {
        match event.data_value().as_str() {
            Some("fail") => Err("disk full"),
            Some("panic") => panic!("cannot go on"),
            _ => {
                log.add("handled");
                Ok(())
            }
        }
    };
    let subscription = hub.subscribe("topic=t").id("s").handle_with(log.clone(), handler).await.unwrap();
    for how in ["fail", "panic", "well"] {
        within(ben.event_hub().publish(event("t", how))).await.unwrap();
    }
    for said in ["disk full", "cannot go on"] {
        let (id, error) = report(&mut lifecycle, |change| match change {
            Lifecycle::HandlerFailed { id, error } => Some((id, error)),
            _ => None,
        })
        .await;
        assert_eq!((id.as_str(), error.kind()), ("s", ErrorKind::Handler));
        assert!(error.to_string().contains(said), "{error}");
    }
    log.wait_for(1).await;
    assert!(hub.is_connected());
    assert_eq!((hub.stats().handler_failures, subscription.stats().failed), (2, 2));
}
