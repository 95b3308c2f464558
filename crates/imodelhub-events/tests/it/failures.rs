//! The failures that end the official listener in silence: here each is reported, and the listener goes on or ends
//! with its reason.

use std::sync::Arc;

use hub_emulator::Emulator;
use hub_emulator::imodelhub::{Action, Fault};
use imodelhub_events::{
    AccessToken, Environment, ErrorKind, EventType, HubEvent, IModelHubClient, ListenerState, ReceiveMode,
};

use crate::support::{IMODEL, Log, client, imodel};

fn status(status: u16) -> Action {
    Action::Status { status, headers: std::collections::BTreeMap::new(), body: String::new() }
}

/// What the listener makes of a failure.
enum Then {
    /// It goes on, and the event that comes next arrives.
    GoesOn,
    /// The spoilt event itself is handed over, and the listener goes on.
    HandsOver,
    Ends(ErrorKind),
}

#[tokio::test]
async fn sixteen_failures_are_reported_and_survived_or_end_the_listener_with_a_reason() {
    let login = Action::Status {
        status: 302,
        headers: [("Location".to_owned(), "https://ims.bentley.com/login".to_owned())].into(),
        body: "https://ims.bentley.com".to_owned(),
    };
    let table = [
        ("400", status(400), Then::Ends(ErrorKind::Refused)),
        ("403", status(403), Then::Ends(ErrorKind::PermissionDenied)),
        ("404", status(404), Then::Ends(ErrorKind::NotFound)),
        ("410", status(410), Then::Ends(ErrorKind::NotFound)),
        ("302", login, Then::Ends(ErrorKind::Unauthenticated)),
        ("429", status(429), Then::GoesOn),
        ("500", status(500), Then::GoesOn),
        ("503", status(503), Then::GoesOn),
        ("reset", Action::Reset, Then::GoesOn),
        ("truncated body", Action::TruncateBody, Then::HandsOver),
        ("no braces", Action::BracelessBody, Then::HandsOver),
        ("empty body", Action::EmptyBody, Then::HandsOver),
        ("unknown type", Action::ContentType { value: Some("NewEvent".to_owned()) }, Then::HandsOver),
        (
            "parameters",
            Action::ContentType { value: Some("VersionEvent; charset=utf-8".to_owned()) },
            Then::HandsOver,
        ),
        ("other case", Action::ContentType { value: Some("versionevent".to_owned()) }, Then::HandsOver),
        ("no type", Action::ContentType { value: None }, Then::HandsOver),
    ];
    for (label, action, then) in table {
        let emulator = Arc::new(Emulator::start().await.unwrap());
        let (client, _) = client(&emulator);
        let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
        let log = Log::default();
        let writing = log.clone();
        let queue = Fault::new(action).method("DELETE").path("/messages/head");
        emulator.add_fault(queue).unwrap();
        emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
        let listener = client
            .create_listener(&subscription)
            .mode(ReceiveMode::ReceiveAndDelete)
            .handle(move |event: HubEvent| {
                let log = writing.clone();
                async move { log.add(event.event_type().to_owned()) }
            })
            .await
            .unwrap();
        match then {
            Then::GoesOn => {
                assert_eq!(log.wait_for(1).await, ["VersionEvent"], "{label}: the event was not lost");
            }
            Then::HandsOver => {
                let spoilt = log.wait_for(1).await;
                emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
                let lines = log.wait_for(2).await;
                assert_eq!(lines[1], "VersionEvent", "{label}");
                println!("{label}: handed over as {}", spoilt[0]);
            }
            Then::Ends(kind) => {
                let ended = listener.wait_for_state(|_| false).await;
                let ListenerState::Ended(Some(reason)) = ended else { panic!("{label}: {ended:?}") };
                assert_eq!(reason.kind(), kind, "{label}: {reason}");
                println!("{label}: ends with {reason}");
            }
        }
    }
}

#[tokio::test]
async fn a_persistent_401_ends_after_one_refresh_per_credential() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, tokens) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let before = emulator.imodelhub_stats().requests;
    emulator.add_fault(Fault::new(status(401)).path("messages/head").times(0)).unwrap();
    let mut stream = client.create_listener(&subscription).stream().await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(stream.next().await.is_none());
    let requests = emulator.imodelhub_stats().requests - before;
    assert!(requests <= 4, "{requests} requests");
    assert_eq!(tokens.given(), 1);
    println!("a persistent 401 on the queue: {requests} requests");
}

#[tokio::test]
async fn a_refused_access_token_without_another_ends_at_once() {
    let emulator = Emulator::builder().access_token("good").start().await.unwrap();
    let environment = Environment::Url(emulator.imodelhub_url());
    let client = IModelHubClient::builder(environment, AccessToken::bearer("marked-bad")).build().unwrap();
    let error = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!format!("{error} {error:?} {client:?}").contains("marked"));
    assert_eq!(emulator.imodelhub_stats().requests, 1);
}

#[tokio::test]
async fn an_expired_subscription_is_created_anew_where_that_is_wished_for_and_the_gap_is_told() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let log = Log::default();
    let (gaps, events) = (log.clone(), log.clone());
    let listener = client
        .create_listener(&subscription)
        .recreate_expired(true)
        .on_gap(move |gap| gaps.add(format!("gap, types {:?}", gap.recreated.event_types)))
        .handle(move |event: HubEvent| {
            let log = events.clone();
            async move { log.add(event.event_type().to_owned()) }
        })
        .await
        .unwrap();
    emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
    client.delete_subscription(&subscription).await.unwrap();
    log.wait_for(1).await;
    assert_ne!(listener.subscription_id(), subscription.id);
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    assert_eq!(log.wait_for(2).await, ["gap, types [\"VersionEvent\"]", "VersionEvent"]);
    drop(listener);
    emulator.wait_for_imodelhub(|state| state.waiting() == 0).await;
}

#[tokio::test]
async fn a_service_that_refuses_locked_reading_ends_the_listener_by_name_or_is_read_destructively() {
    for fallback in [false, true] {
        let emulator = Arc::new(Emulator::start().await.unwrap());
        let (client, _) = client(&emulator);
        let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
        emulator.add_fault(Fault::new(status(403)).method("POST").path("/messages/head").times(0)).unwrap();
        emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
        let log = Log::default();
        let told = log.clone();
        let listening = client.create_listener(&subscription).fallback(fallback);
        let listening = listening.on_fallback(move |reason| told.add(reason.to_string()));
        let mut stream = listening.stream().await.unwrap();
        if fallback {
            assert!(log.wait_for(1).await[0].contains("refuses locked reading"));
            let event = stream.next().await.unwrap().unwrap().ack();
            assert_eq!(event.event_type(), "VersionEvent");
        } else {
            let error = stream.next().await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PeekLockRefused);
            assert!(error.to_string().contains("ReceiveAndDelete"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_event_lost_by_a_destructive_read_that_broke_off_is_told_as_a_possible_loss() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    emulator.add_fault(Fault::new(Action::ResetAfterDequeue).path("messages/head")).unwrap();
    let log = Log::default();
    let (losses, events) = (log.clone(), log.clone());
    let _listener = client
        .create_listener(&subscription)
        .mode(ReceiveMode::ReceiveAndDelete)
        .on_possible_loss(move |reason| losses.add(format!("loss {:?}", reason.kind())))
        .handle(move |event: HubEvent| {
            let events = events.clone();
            async move { events.add(event.body()["VersionName"].to_string()) }
        })
        .await
        .unwrap();
    for name in ["lost", "there"] {
        let body = serde_json::json!({ "VersionName": name });
        emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(body));
    }
    assert_eq!(log.wait_for(2).await, ["loss Disconnected", "\"there\""]);
}
