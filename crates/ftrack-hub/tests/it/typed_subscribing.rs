//! Subscribing to topics whose payloads have types.

use ftrack_hub::events::{ComponentAdded, Payload, RequestResolve, ResolvedPath, Update};
use ftrack_hub::{Error, ErrorKind, Event, Json, Lifecycle, Result};
use serde_json::json;

use crate::support::{Log, event, holds, one, report, two, within};

fn update(name: &str) -> Event {
    event("ftrack.update", json!({"entities": [{"entityId": name, "action": "update"}]}))
}

/// An update that does not decode.
fn broken() -> Event {
    event("ftrack.update", json!({"entities": [{"entityId": ["no", "text"]}]}))
}

fn first_id(update: &Update) -> String {
    update.entities()[0].id.value().unwrap().to_string()
}

#[tokio::test]
async fn a_handler_gets_payload_and_event_and_the_server_the_whole_expression() {
    let (emulator, ann, ben) = two().await;
    let log = Log::default();
    let subscription =
        ann.event_hub().on::<Update>().where_("source.user.username=ben").where_("data.n>1 or data.n<0");
    let handler = async |update: Update, event: Event, log: Log| {
        log.add(format!("{} from {}", first_id(&update), event.source()["user"]["username"]));
    };
    within(subscription.priority(10).handle_with(log.clone(), handler)).await.unwrap();
    assert!(holds(&emulator, "topic=ftrack.update and source.user.username=ben and (data.n>1 or data.n<0)"));
    for (session, n) in [(&ann, 2), (&ben, 1), (&ben, 2)] {
        let mut update = Update::decode(&update("t1")).unwrap();
        update.rest.insert("n".to_owned(), json!(n));
        within(session.event_hub().publish(update.to_event().unwrap())).await.unwrap();
    }
    within(
        ben.event_hub().publish(event("ftrack.update", json!({"n": -1, "entities": [{"entityId": "t2"}]}))),
    )
    .await
    .unwrap();
    assert_eq!(log.wait_for(2).await, ["t1 from \"ben\"", "t2 from \"ben\""]);
}

#[tokio::test]
async fn a_typed_answer_is_the_reply() {
    let (_emulator, ann, ben) = two().await;
    ann.event_hub()
        .on::<RequestResolve>()
        .handle(async |asked: RequestResolve, _event: Event| {
            let component = asked.component_id.value().ok_or("which component?")?;
            Ok::<_, &str>(ResolvedPath::new(format!("/show/{component}.exr")))
        })
        .await
        .unwrap();
    let asked = event("ftrack.location.request-resolve", json!({"componentId": "c7", "locationName": null}));
    let reply = within(ben.event_hub().publish_and_wait_for_reply(asked)).await.unwrap();
    assert_eq!(reply.data_value(), &json!({"path": "/show/c7.exr"}));
}

#[tokio::test]
async fn what_does_not_decode_is_counted_and_reported_and_others_go_on() {
    let (_emulator, ann, ben) = two().await;
    let (hub, log) = (ann.event_hub(), Log::default());
    let handler = async |update: Update, _event: Event, log: Log| log.add(first_id(&update));
    let typed =
        within(hub.on::<Update>().id("typed").priority(1).handle_with(log.clone(), handler)).await.unwrap();
    let raw = Log::default();
    raw.follow(hub, "topic=ftrack.update").await;
    let mut lifecycle = hub.lifecycle();
    for event in [broken(), update("t1")] {
        within(ben.event_hub().publish(event)).await.unwrap();
    }
    assert_eq!(log.wait_for(1).await, ["t1"]);
    assert_eq!(raw.wait_for(2).await.len(), 2, "other subscriptions run, and later events are handled");
    let (id, error) = report(&mut lifecycle, |change| match change {
        Lifecycle::HandlerFailed { id, error } => Some((id, error)),
        _ => None,
    })
    .await;
    assert_eq!((id.as_str(), error.kind()), ("typed", ErrorKind::Decode));
    assert!(error.to_string().contains("`entities[0].entityId` is a list"), "{error}");
    assert_eq!((hub.stats().handler_failures, hub.stats().undecodable), (1, 1));
    assert_eq!((typed.stats().failed, typed.stats().handled), (1, 1));
}

#[tokio::test]
async fn a_handlers_own_failure_is_not_counted_as_undecodable() {
    let (_emulator, session) = one().await;
    let hub = session.event_hub();
    let fail = async |_: Update, event: Event| event.data::<u8>().map(Json);
    within(hub.on::<Update>().handle(fail)).await.unwrap();
    let [outcome] = &within(hub.publish_local(&update("t"))).await.unwrap()[..] else {
        panic!("one handler")
    };
    assert_eq!(outcome.reply.as_ref().unwrap_err().kind(), ErrorKind::Handler);
    assert_eq!((hub.stats().handler_failures, hub.stats().undecodable), (1, 0));
}

#[tokio::test]
async fn a_handler_may_take_what_does_not_decode_too() {
    let (_emulator, session) = one().await;
    let hub = session.event_hub();
    let handler = async |update: Result<Update>, event: Event| match update {
        Ok(update) => Json(json!(first_id(&update))),
        Err(error) => {
            Json(json!([error.kind() == ErrorKind::Decode, event.data_value()["entities"][0]["entityId"]]))
        }
    };
    within(hub.on::<Update>().handle_any(handler)).await.unwrap();
    for (event, expected) in [(update("t"), json!("t")), (broken(), json!([true, ["no", "text"]]))] {
        let [outcome] = &within(hub.publish_local(&event)).await.unwrap()[..] else { panic!("one handler") };
        assert_eq!(outcome.reply.as_ref().unwrap().as_ref().unwrap().to_value().unwrap(), expected);
    }
    assert_eq!(hub.stats().handler_failures, 0);
}

#[tokio::test]
async fn a_stream_yields_payloads_and_the_events_of_those_that_do_not_decode() {
    let (_emulator, ann, ben) = two().await;
    let mut stream = within(ann.event_hub().on::<Update>().stream()).await.unwrap();
    for event in [broken(), update("t1")] {
        within(ben.event_hub().publish(event)).await.unwrap();
    }
    let first = within(stream.next()).await.unwrap().unwrap();
    assert_eq!(first.payload().unwrap_err().kind(), ErrorKind::Decode);
    assert_eq!(first.event().data_value()["entities"][0]["entityId"][1], "text");
    let (second, delivery) = within(stream.next()).await.unwrap().unwrap().into_parts();
    assert_eq!(first_id(&second.unwrap()), "t1");
    assert_eq!(delivery.event().topic(), "ftrack.update");
    within(stream.unsubscribe()).await.unwrap();
}

#[tokio::test]
async fn options_and_mistakes_are_those_of_any_subscription() {
    let (_emulator, session) = one().await;
    let hub = session.event_hub();
    let done = async |_: ComponentAdded, _: Event| ();
    let subscription =
        hub.on::<ComponentAdded>().id("mine").metadata("role", "archive").priority(7).concurrency(3);
    let subscription = within(subscription.handle(done)).await.unwrap();
    assert_eq!((subscription.id().as_str(), subscription.priority()), ("mine", 7));
    assert_eq!(subscription.subscriber().metadata()["role"], "archive");
    let error: Error = within(hub.on::<ComponentAdded>().id("mine").handle(done)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    let error = within(hub.on::<ComponentAdded>().where_("a==b").handle(done)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidExpression);
}
