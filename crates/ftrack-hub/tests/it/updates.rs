//! Filters of updates: by the server, entity by entity, several changes as one.

use std::sync::Arc;
use std::time::Duration;

use ftrack_hub::events::{Entity, Update};
use ftrack_hub::updates::{Debounce, Filter};
use ftrack_hub::{ErrorKind, Event, EventHub, Lifecycle, Session};
use hub_emulator::Emulator;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{Log, builder, connect, event, holds, report, two, within};

fn status(id: &str, old: &str, new: &str) -> Value {
    json!({"entityId": id, "entityType": "task", "action": "update", "keys": ["statusid"],
        "changes": {"statusid": {"old": old, "new": new}}})
}

fn update(entities: &[Value]) -> Event {
    event("ftrack.update", json!({ "entities": entities }))
}

/// A hub without a connection: events come by `publish_local`, and time may be paused.
fn alone() -> Session {
    Session::builder("http://localhost:1", "ann", "key").build().unwrap()
}

async fn give(hub: &EventHub, entities: &[Value]) {
    for outcome in hub.publish_local(&update(entities)).await.unwrap() {
        outcome.reply.unwrap();
    }
}

fn line(entity: &Entity) -> String {
    let status = entity.change("statusid").unwrap();
    let text = |text: Option<&str>| text.unwrap_or("?").to_owned();
    format!("{} {}>{}", entity.id.value().unwrap(), text(status.old_text()), text(status.new_text()))
}

#[tokio::test]
async fn ones_own_changes_do_not_even_come() {
    let emulator = Emulator::start().await.unwrap();
    let ann = connect(builder(&emulator, "ann").application_id("studio.sync")).await;
    let other_tool = connect(builder(&emulator, "ann").application_id("studio.ingest")).await;
    let same_tool = connect(builder(&emulator, "ann").application_id("studio.sync")).await;
    let ben = connect(builder(&emulator, "ben").application_id("studio.sync")).await;
    let (hub, log) = (ann.event_hub(), Log::default());
    let handler = async |_: Update, event: Event, log: Log| log.add(event.data_value()["n"].to_string());
    within(hub.on::<Update>().ignore_own().handle_with(log.clone(), handler)).await.unwrap();
    for (n, session) in [&ann, &same_tool, &other_tool, &ben].into_iter().enumerate() {
        within(session.event_hub().publish(event("ftrack.update", json!({ "n": n })))).await.unwrap();
    }
    assert_eq!(log.wait_for(2).await, ["2", "3"]);
    assert_eq!(hub.stats().received, 2, "the server left the others out");
}

#[tokio::test]
async fn users_and_programs_are_left_out_by_the_server() {
    let (emulator, ann, _ben) = two().await;
    let nothing = async |_: Update, _: Event| ();
    let others = ann.event_hub().on::<Update>().ignore_user("farm").ignore_application("studio sync");
    within(others.handle(nothing)).await.unwrap();
    let expression =
        "topic=ftrack.update and not source.user.username=farm and not source.applicationId=\"studio sync\"";
    assert!(holds(&emulator, expression), "{:?}", emulator.connections());
    let error = within(ann.event_hub().on::<Update>().ignore_user("a\"'").handle(nothing)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidExpression);
}

#[tokio::test]
async fn matching_entities_come_one_by_one_and_each_failure_counts() {
    let session = alone();
    let (hub, log) = (session.event_hub(), Log::default());
    let mut lifecycle = hub.lifecycle();
    let handler = async |entity: Entity, _: Event, log: Log| {
        log.add(line(&entity));
        if entity.id.value().unwrap().as_str().starts_with("bad") { Err("no such shot") } else { Ok(()) }
    };
    let wanted = hub.on::<Update>().entities(Filter::status_changed_to("b"));
    let subscription = wanted.handle_with(log.clone(), handler).await.unwrap();
    let entities = [
        status("t1", "a", "b"),
        status("t2", "a", "c"),
        status("bad1", "a", "b"),
        status("bad2", "a", "b"),
        status("t3", "x", "b"),
    ];
    let outcome = hub.publish_local(&update(&entities)).await.unwrap().remove(0);
    assert_eq!(outcome.reply.unwrap_err().kind(), ErrorKind::Handler);
    assert_eq!(log.lines(), ["t1 a>b", "bad1 a>b", "bad2 a>b", "t3 x>b"]);
    assert_eq!((hub.stats().handler_failures, subscription.stats().failed), (2, 1));
    for _ in 0..2 {
        report(&mut lifecycle, |change| matches!(change, Lifecycle::HandlerFailed { .. }).then_some(()))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_an_entity_come_as_one_when_it_is_quiet() {
    let session = alone();
    let (hub, log) = (session.event_hub(), Log::default());
    let debounced = hub
        .on::<Update>()
        .entities(Filter::status_changed())
        .debounced(Debounce::quiet(Duration::from_secs(2)));
    let noted = log.clone();
    let debounced = debounced
        .handle(move |entity, _| {
            noted.add(line(&entity));
            std::future::ready(())
        })
        .await
        .unwrap();
    give(hub, &[status("t1", "a", "b"), status("t2", "a", "b")]).await;
    tokio::time::sleep(Duration::from_millis(1500)).await; // paused
    give(hub, &[status("t1", "b", "c"), status("t3", "a", "b")]).await;
    give(hub, &[status("t3", "b", "a")]).await;
    tokio::time::sleep(Duration::from_millis(600)).await; // paused
    assert_eq!(log.lines(), ["t2 a>b"]);
    tokio::time::sleep(Duration::from_millis(1500)).await; // paused
    assert_eq!(log.lines(), ["t2 a>b", "t1 a>c"], "t3 went back to where it was");
    let stats = debounced.stats();
    assert_eq!((stats.changes, stats.merged, stats.unwanted, stats.handled), (5, 2, 1, 2), "{stats:?}");
    assert_eq!((stats.failed, stats.early), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn failures_of_settled_entities_are_counted_and_reported_and_others_go_on() {
    let session = alone();
    let hub = session.event_hub();
    let mut lifecycle = hub.lifecycle();
    let debounced = hub
        .on::<Update>()
        .id("settled")
        .entities(Filter::any())
        .debounced(Debounce::quiet(Duration::from_secs(1)));
    let handler = async |entity: Entity, _: Event| match entity.id.value().unwrap().as_str() {
        "fails" => Err("no such shot"),
        "panics" => panic!("no shots at all"),
        _ => Ok(()),
    };
    let debounced = debounced.handle(handler).await.unwrap();
    give(hub, &["fails", "panics", "fine"].map(|id| status(id, "a", "b"))).await;
    let mut failures = Vec::new();
    while failures.len() < 2 {
        failures.push(
            report(&mut lifecycle, |change| match change {
                Lifecycle::HandlerFailed { id, error } => Some(format!("{id}: {error}")),
                _ => None,
            })
            .await,
        );
    }
    assert!(failures[0].contains("settled") && failures[0].contains("no such shot"), "{failures:?}");
    assert!(failures[1].contains("panicked"), "{failures:?}");
    debounced.flush().await;
    assert_eq!(
        (debounced.stats().handled, debounced.stats().failed, hub.stats().handler_failures),
        (1, 2, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn unsubscribing_hands_out_what_waits_and_the_task_ends_with_the_hub() {
    let session = alone();
    let (hub, log) = (session.event_hub().clone(), Log::default());
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let noted = log.clone();
    let debounced =
        hub.on::<Update>().entities(Filter::any()).debounced(Debounce::quiet(Duration::from_secs(3600)));
    let debounced = debounced
        .handle(move |entity, _| {
            noted.add(line(&entity));
            std::future::ready(())
        })
        .await
        .unwrap();
    give(&hub, &[status("t1", "a", "b"), status("t1", "b", "c")]).await;
    debounced.unsubscribe().await.unwrap();
    assert_eq!(log.lines(), ["t1 a>c"]);
    assert_eq!(debounced.unsubscribe().await.unwrap_err().kind(), ErrorKind::NotFound);
    drop((debounced, hub, session));
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() >= before {
        tokio::time::sleep(Duration::from_millis(10)).await; // paused
    }
}

#[tokio::test(start_paused = true)]
async fn entities_that_wait_are_bounded_and_a_slow_handler_makes_the_subscription_wait() {
    let session = alone();
    let (hub, log, may_go) = (session.event_hub(), Log::default(), Arc::new(Semaphore::new(0)));
    let debounce = Debounce::quiet(Duration::from_secs(3600)).entities(2);
    let (noted, gate) = (log.clone(), Arc::clone(&may_go));
    let debounced = hub.on::<Update>().entities(Filter::any()).debounced(debounce);
    let debounced = debounced
        .handle(move |entity, _| {
            let (noted, gate) = (noted.clone(), Arc::clone(&gate));
            async move {
                gate.acquire().await.unwrap().forget();
                noted.add(line(&entity));
            }
        })
        .await
        .unwrap();
    let entities: Vec<Value> = (0..200).map(|n| status(&format!("t{n}"), "a", "b")).collect();
    let giving = tokio::spawn({
        let (hub, entities) = (hub.clone(), entities.clone());
        async move { give(&hub, &entities).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await; // paused
    assert!(!giving.is_finished(), "the feed is full: the subscription waits, nothing is thrown away");
    assert!(debounced.stats().changes <= 3, "{:?}", debounced.stats());
    may_go.add_permits(200);
    giving.await.unwrap();
    debounced.flush().await;
    let stats = debounced.stats();
    assert_eq!(
        (stats.changes, stats.handled, stats.early, log.lines().len()),
        (200, 200, 198, 200),
        "{stats:?}"
    );
}
