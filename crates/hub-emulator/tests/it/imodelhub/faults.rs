#![expect(clippy::disallowed_methods, reason = "paused time is measured")]

use std::collections::BTreeMap;
use std::time::Duration;

use hub_emulator::imodelhub::{Action, Fault};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{Lab, header, subscriptions, unwrapped};

fn queue_fault(action: Action) -> Fault {
    Fault::new(action).method("delete").path("/messages/head")
}

#[tokio::test(start_paused = true)]
async fn a_status_comes_instead_of_the_message() {
    let lab = Lab::new().await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(1..2);
    let headers = BTreeMap::from([("Retry-After".to_owned(), "7".to_owned())]);
    let action = Action::Status { status: 503, headers, body: "busy".to_owned() };
    lab.emulator.add_fault(queue_fault(action).skip(1).times(2)).unwrap();
    assert_eq!(lab.head("POST", &queue, "").await.status(), 201, "another method");
    assert_eq!(lab.head("DELETE", &queue, "").await.status(), 204, "skipped");
    for _ in 0..2 {
        let answer = lab.head("DELETE", &queue, "").await;
        assert_eq!((answer.status().as_u16(), header(&answer, "retry-after").as_str()), (503, "7"));
        assert_eq!(&answer.body()[..], b"busy");
    }
    assert_eq!(lab.head("DELETE", &queue, "").await.status(), 204);
    assert_eq!(lab.emulator.imodelhub_stats().faults_applied, 2);
}

#[tokio::test(start_paused = true)]
async fn bodies_and_types_are_spoiled_and_the_message_is_taken() {
    let lab = Lab::new().await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    let types = |value: Option<&str>| Action::ContentType { value: value.map(str::to_owned) };
    for (action, content_type, length) in [
        (Action::TruncateBody, "VersionEvent", 35),
        (Action::EmptyBody, "VersionEvent", 0),
        (Action::BracelessBody, "VersionEvent", 69),
        (types(None), "", 71),
        (types(Some("NewEvent")), "NewEvent", 71),
        (types(Some("VersionEvent; charset=utf-8")), "VersionEvent; charset=utf-8", 71),
    ] {
        lab.emulator.add_fault(queue_fault(action.clone())).unwrap();
        assert_eq!(lab.head("DELETE", &queue, "").await.status(), 204, "nothing to spoil: the fault stays");
        lab.emulator.publish_imodel_event(super::IMODEL, "VersionEvent", Some(json!({"a": ""})));
        let answer = lab.head("DELETE", &queue, "").await;
        assert_eq!((answer.status().as_u16(), header(&answer, "content-type").as_str()), (200, content_type));
        assert_eq!(answer.body().len(), length, "{action:?}");
    }
    let state = lab.emulator.imodelhub_state();
    assert_eq!((state.queued(), state.faults, state.stats.faults_applied), (0, 0, 6));
}

#[tokio::test(start_paused = true)]
async fn a_reset_keeps_or_loses_the_message_as_it_says() {
    let lab = Lab::new().await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    let poll = async |method: &str| {
        let path = format!("{}/head?timeout=60", queue.path);
        lab.try_send(method, &path, &queue.sas, "").await.is_err()
    };
    lab.publish(1..4);
    lab.emulator.add_fault(Fault::new(Action::ResetWaiting { after_ms: 500 })).unwrap();
    let start = Instant::now();
    assert!(poll("DELETE").await && start.elapsed() == Duration::from_millis(500));
    assert_eq!(lab.emulator.imodelhub_state().queued(), 3);
    lab.emulator.add_fault(Fault::new(Action::ResetAfterDequeue).times(2)).unwrap();
    assert!(poll("DELETE").await);
    assert!(poll("POST").await);
    let state = lab.emulator.imodelhub_state();
    assert_eq!((state.queued(), state.locked()), (1, 1), "1 is lost, 2 is locked");
    lab.emulator.advance(Duration::from_secs(60));
    assert_eq!(unwrapped(&lab.head("DELETE", &queue, "").await), "2");
}

#[tokio::test(start_paused = true)]
async fn a_hung_request_gets_no_answer_and_a_delayed_one_a_late_one() {
    let lab = Lab::new().await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.publish(1..2);
    lab.emulator.add_fault(Fault::new(Action::Hang)).unwrap();
    let hour = Duration::from_secs(3_600);
    assert!(timeout(hour, lab.head("DELETE", &queue, "")).await.is_err());
    assert_eq!(lab.emulator.imodelhub_stats().faults_applied, 1);
    lab.emulator.add_fault(Fault::new(Action::Delay { ms: 9_000 })).unwrap();
    let start = Instant::now();
    lab.sas().await;
    assert_eq!(start.elapsed().as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_revoked_and_subscriptions_expire_on_demand() {
    let lab = Lab::new().await;
    let mut queue = lab.subscribe(&["VersionEvent"]).await;
    lab.emulator.add_fault(Fault::new(Action::RevokeToken).times(2)).unwrap();
    assert_eq!(lab.head("DELETE", &queue, "").await.status(), 401);
    assert_eq!(lab.rest("DELETE", &subscriptions(&queue.id), &json!(null)).await.0, 401);
    assert_eq!(lab.head("DELETE", &queue, "").await.status(), 401, "revoked for good");
    let path = subscriptions("").replace("Subscription", "SAS");
    let made = lab.send("POST", &path, "Bearer another", "{}").await;
    let made: serde_json::Value = serde_json::from_slice(made.body()).unwrap();
    queue.sas = super::after(&made)["properties"]["EventServiceSASToken"].as_str().unwrap().to_owned();
    lab.emulator.add_fault(queue_fault(Action::ExpireSubscription)).unwrap();
    assert_eq!(lab.head("DELETE", &queue, "").await.status(), 410);
    assert!(lab.emulator.imodelhub_state().subscriptions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn faults_are_forgotten_and_wrong_ones_refused() {
    let lab = Lab::new().await;
    lab.emulator.add_fault(Fault::new(Action::Reset).times(0)).unwrap();
    lab.emulator.add_fault(Fault::new(Action::Hang).path("x")).unwrap();
    assert_eq!(lab.emulator.imodelhub_state().faults, 2);
    assert_eq!((lab.emulator.clear_faults(), lab.emulator.imodelhub_state().faults), (2, 0));
    let refused = lab.emulator.add_fault(Fault::new(Action::Hang).path("(")).unwrap_err();
    assert_eq!(refused.kind(), hub_emulator::ErrorKind::InvalidFault);
    lab.sas().await;
}
