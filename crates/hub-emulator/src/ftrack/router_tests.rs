use serde_json::json;

use super::*;

const NOW: Duration = Duration::ZERO;

/// A router with connections 1 to 3.
fn router() -> Router {
    let mut router = Router::new(Repeats::new(Duration::from_secs(600), 1000), 100);
    for connection in 1..=3 {
        router.connect(connection);
    }
    router
}

fn subscribe_event(metadata: &Value, expression: &str) -> Event {
    Event::new(SUBSCRIBE, &json!({"subscriber": metadata, "subscription": expression})).unwrap()
}

fn subscribe(router: &mut Router, connection: ConnectionId, metadata: &Value, expression: &str) {
    let event = subscribe_event(metadata, expression);
    assert_eq!(router.handle(Some(connection), &event, NOW), Outcome::Subscribed);
}

fn unsubscribe(router: &mut Router, connection: ConnectionId, id: &str) -> Outcome {
    let event = Event::new(UNSUBSCRIBE, &json!({"subscriber": {"id": id}})).unwrap();
    router.handle(Some(connection), &event, NOW)
}

/// The connections that an event sent by connection 1 reaches.
fn reached(router: &mut Router, event: &Event) -> Vec<ConnectionId> {
    match router.handle(Some(1), event, NOW) {
        Outcome::Routed { to, .. } => to,
        other => panic!("{other:?}"),
    }
}

fn event(topic: &str, target: &str) -> Event {
    Event::builder(topic).data(&json!({"n": 3})).target(target).build().unwrap()
}

#[test]
fn an_event_goes_once_to_each_connection_whose_subscriber_matches_expression_and_target() {
    let mut router = router();
    subscribe(&mut router, 1, &json!({"id": "one"}), "topic=a.*");
    subscribe(&mut router, 2, &json!({"id": "two", "applicationId": "maya", "n": {"x": 1}}), "topic=a.b");
    subscribe(&mut router, 2, &json!({"id": "two-2", "applicationId": "nuke"}), "topic=a.b and data.n>2");
    subscribe(&mut router, 3, &json!({"id": "three"}), "not topic=a.b");
    for (topic, target, expected) in [
        ("a.b", "", &[1, 2][..]),
        ("a.c", "", &[1, 3]),
        ("x", "", &[3]),
        ("a.b", "id=two", &[2]),
        ("a.b", "id=two-2 and applicationId=nuke", &[2]),
        ("a.b", "id=two-2 and applicationId=maya", &[]),
        ("a.b", "applicationId=maya or id=one", &[1, 2]),
        ("a.b", "id=t*", &[2]),
        ("a.b", "n.x=1", &[2]),
        ("a.b", "not applicationId=maya", &[1, 2]),
        ("a.b", "id=three", &[]),
        ("a.b", "id=nobody", &[]),
        ("a.b", "id!=one", &[2]),
    ] {
        assert_eq!(reached(&mut router, &event(topic, target)), expected, "{topic} for {target:?}");
    }
}

#[test]
fn an_unreadable_target_reaches_nobody() {
    let mut router = router();
    subscribe(&mut router, 1, &json!({"id": "one"}), "topic=*");
    for target in ["id=", "((", "applicationId", " "] {
        assert_eq!(router.handle(Some(1), &event("a", target), NOW), Outcome::UnreadableTarget, "{target:?}");
    }
}

#[test]
fn the_newest_subscription_of_an_id_counts_on_each_connection_by_itself() {
    let mut router = router();
    subscribe(&mut router, 1, &json!({"id": "s", "v": 1}), "topic=old");
    subscribe(&mut router, 2, &json!({"id": "s", "v": 1}), "topic=old");
    subscribe(&mut router, 1, &json!({"id": "s", "v": 2}), "topic=new");
    assert_eq!(router.subscriptions(), 2);
    assert_eq!(reached(&mut router, &event("old", "")), [2]);
    assert_eq!(reached(&mut router, &event("new", "")), [1]);
    assert!(reached(&mut router, &event("new", "v=1")).is_empty());
    assert_eq!(reached(&mut router, &event("new", "id=s and v=2")), [1]);
}

#[test]
fn subscribing_twice_alike_changes_nothing() {
    let mut router = router();
    for _ in 0..2 {
        subscribe(&mut router, 1, &json!({"id": "hub"}), "topic=ftrack.meta.reply");
    }
    assert_eq!(router.subscriptions(), 1);
    assert_eq!(reached(&mut router, &event("ftrack.meta.reply", "id=hub")), [1]);
    assert_eq!(unsubscribe(&mut router, 1, "hub"), Outcome::Unsubscribed);
    assert!(reached(&mut router, &event("ftrack.meta.reply", "id=hub")).is_empty());
}

#[test]
fn a_subscription_ends_with_unsubscribe_or_with_its_connection() {
    let mut router = router();
    subscribe(&mut router, 1, &json!({"id": "s"}), "topic=a");
    subscribe(&mut router, 2, &json!({"id": "s"}), "topic=a");
    subscribe(&mut router, 2, &json!({"id": "t"}), "topic=a");
    assert_eq!(unsubscribe(&mut router, 3, "s"), Outcome::Unsubscribed, "never had it");
    assert_eq!(reached(&mut router, &event("a", "")), [1, 2]);
    assert_eq!(unsubscribe(&mut router, 1, "s"), Outcome::Unsubscribed);
    assert_eq!(reached(&mut router, &event("a", "")), [2]);
    router.disconnect(2);
    assert!(reached(&mut router, &event("a", "")).is_empty());
    assert_eq!((router.subscriptions(), router.by_id.len(), router.free.len()), (0, 0, 3));
    let late = subscribe_event(&json!({"id": "s"}), "topic=a");
    assert!(matches!(router.handle(Some(2), &late, NOW), Outcome::Refused(_)));
}

#[test]
fn a_meta_event_that_cannot_be_obeyed_is_refused_and_leaves_everything_as_it_was() {
    let mut router = router();
    subscribe(&mut router, 1, &json!({"id": "s"}), "topic=a");
    for (topic, data, says) in [
        (SUBSCRIBE, json!({"subscriber": {"id": "s"}, "subscription": "topic="}), "column"),
        (SUBSCRIBE, json!({"subscriber": {"id": "s"}, "subscription": ""}), ""),
        (SUBSCRIBE, json!({"subscriber": {"id": "s"}}), "subscription"),
        (SUBSCRIBE, json!({"subscriber": {"id": ""}, "subscription": "topic=b"}), "id"),
        (SUBSCRIBE, json!({"subscriber": {"id": 7}, "subscription": "topic=b"}), "id"),
        (SUBSCRIBE, json!({"subscriber": "s", "subscription": "topic=b"}), "subscriber"),
        (SUBSCRIBE, json!(null), "subscriber"),
        (UNSUBSCRIBE, json!({}), "subscriber"),
    ] {
        let event = Event::new(topic, &data).unwrap();
        match router.handle(Some(1), &event, NOW) {
            Outcome::Refused(message) => assert!(message.contains(says), "{data}: {message}"),
            other => panic!("{data}: {other:?}"),
        }
    }
    assert_eq!(reached(&mut router, &event("a", "")), [1]);
    let injected = subscribe_event(&json!({"id": "s"}), "topic=a");
    assert!(matches!(router.handle(None, &injected, NOW), Outcome::Refused(_)));
}

#[test]
fn meta_events_of_subscriptions_are_not_routed_but_replies_are() {
    let mut router = router();
    subscribe(&mut router, 2, &json!({"id": "all"}), "topic=*");
    subscribe(&mut router, 1, &json!({"id": "s"}), "topic=a");
    assert_eq!(unsubscribe(&mut router, 1, "s"), Outcome::Unsubscribed);
    assert_eq!(reached(&mut router, &event("ftrack.meta.reply", "")), [2]);
}

#[test]
fn a_repeat_is_dropped_within_the_window_but_meta_events_are_obeyed_every_time() {
    let mut router = router();
    subscribe(&mut router, 2, &json!({"id": "s"}), "topic=a");
    let once = event("a", "");
    assert_eq!(reached(&mut router, &once), [2]);
    assert_eq!(router.handle(Some(3), &once, Duration::from_secs(599)), Outcome::Repeated);
    assert!(matches!(router.handle(Some(3), &once, Duration::from_secs(600)), Outcome::Routed { .. }));
    let nameless = Event::from_json(r#"{"topic":"a"}"#).unwrap();
    assert_eq!(reached(&mut router, &nameless), [2]);
    assert_eq!(reached(&mut router, &nameless), [2]);

    let again = subscribe_event(&json!({"id": "s"}), "topic=a");
    assert_eq!(router.handle(Some(3), &again, NOW), Outcome::Subscribed);
    assert_eq!(router.handle(Some(3), &again, NOW), Outcome::Subscribed);
}

#[test]
fn subscriptions_are_bounded_but_a_full_hub_still_renews() {
    let mut router = Router::new(Repeats::new(Duration::ZERO, 0), 2);
    router.connect(1);
    subscribe(&mut router, 1, &json!({"id": "a"}), "topic=a");
    subscribe(&mut router, 1, &json!({"id": "b"}), "topic=b");
    let third = subscribe_event(&json!({"id": "c"}), "topic=c");
    assert!(matches!(router.handle(Some(1), &third, NOW), Outcome::Refused(_)));
    subscribe(&mut router, 1, &json!({"id": "a"}), "topic=c");
    assert_eq!(unsubscribe(&mut router, 1, "b"), Outcome::Unsubscribed);
    assert_eq!(router.handle(Some(1), &third, NOW), Outcome::Subscribed);
}

#[test]
fn the_packet_keeps_the_bytes_of_the_event_and_drops_unknown_members() {
    let mut router = router();
    subscribe(&mut router, 2, &json!({"id": "s"}), "topic=a");
    for (event, packet) in [
        (
            r#"{ "topic":"a", "data" : {"x": 1.0, "é":"\u00e9"}, "sent":null}"#,
            r#"5:::{"name":"ftrack.event","args":[{ "topic":"a", "data" : {"x": 1.0, "é":"\u00e9"}, "sent":null}]}"#,
        ),
        (
            r#"{"topic": "a", "host": "h", "data": [ 1 ]}"#,
            r#"5:::{"name":"ftrack.event","args":[{"topic":"a","data":[ 1 ]}]}"#,
        ),
    ] {
        let outcome = router.handle(Some(1), &Event::from_json(event).unwrap(), NOW);
        assert_eq!(outcome, Outcome::Routed { to: vec![2], packet: packet.into() });
    }
}
