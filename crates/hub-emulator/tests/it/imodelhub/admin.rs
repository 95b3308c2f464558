use hub_emulator::Emulator;
use serde_json::{Value, json};

use super::wire::Wire;
use super::{IMODEL, subscriptions};

async fn ask(wire: &mut Wire, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let reply = wire.ask(&format!("{method} {path} HTTP/1.1"), &body).await;
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

#[tokio::test]
async fn events_are_published_and_seen_by_the_next_poll() {
    let emulator = Emulator::start().await.unwrap();
    let mut wire = Wire::connect(&emulator).await;
    let (head, sas) = wire.subscribe(&["VersionEvent"]).await;
    let path = format!("/admin/imodels/{}/events", IMODEL.to_ascii_uppercase());
    let event = json!({"type": "VersionEvent", "count": 3});
    assert_eq!(ask(&mut wire, "POST", &path, &event).await, (200, json!({"published": 3, "recipients": 1})));
    // A body keeps its bytes.
    let reply = wire
        .ask(&format!("POST {path} HTTP/1.1"), r#"{"type":"VersionEvent","body":{"b":1, "a":2.0}}"#)
        .await;
    assert_eq!(reply.status, 200);
    let global = json!({"type": "iModelCreatedEvent"});
    let published = ask(&mut wire, "POST", "/admin/global/events", &global).await;
    assert_eq!(published, (200, json!({"published": 1, "recipients": 0})));
    let poll = format!("DELETE {head} HTTP/1.1\nAuthorization: {sas}");
    let mut last = Vec::new();
    for _ in 0..4 {
        last = wire.ask(&poll, "").await.body;
    }
    assert_eq!(&last[63..], br#"{"b":1, "a":2.0}"#);
    for (path, body) in [
        (path.as_str(), json!({"type": "NoSuchEvent"})),
        (&path, json!({"type": "iModelCreatedEvent"})),
        (&path, json!({"type": "VersionEvent", "count": 0})),
        (&path, json!({"type": "VersionEvent", "more": 0})),
        (&path, json!(null)),
        ("/admin/global/events", json!({"type": "VersionEvent"})),
        ("/admin/imodels/x/events", json!({"type": "VersionEvent"})),
    ] {
        let (status, answer) = ask(&mut wire, "POST", path, &body).await;
        assert!(status == 400 && answer["error"].is_string(), "{path} {body}: {answer}");
    }
}

#[tokio::test]
async fn settings_are_changed_and_shown() {
    let emulator = Emulator::start().await.unwrap();
    let mut wire = Wire::connect(&emulator).await;
    let (_, before) = ask(&mut wire, "GET", "/admin/config", &json!(null)).await;
    let defaults = json!({
        "sasMaxUses": 0, "sasLifetimeMs": 3_600_000, "lockMs": 60_000, "subscriptionIdleMs": 3_600_000,
        "globalSubscriptionIdleMs": 0, "maxDeliveryCount": 10, "maxPollMs": 230_000, "plainBodies": false,
        "eventTypes": [],
    });
    assert_eq!(before, defaults);
    let changes = json!({"sasMaxUses": 3, "lockMs": 50, "eventTypes": ["NewEvent"], "accessTokens": ["jwt"]});
    let (status, after) = ask(&mut wire, "POST", "/admin/config", &changes).await;
    assert_eq!((status, &after["sasMaxUses"], &after["lockMs"]), (200, &json!(3), &json!(50)));
    assert_eq!((&after["eventTypes"], &after["plainBodies"]), (&json!(["NewEvent"]), &json!(false)));
    assert_eq!(ask(&mut wire, "POST", "/admin/config", &defaults).await.0, 200, "what is shown can be given");
    wire.subscribe(&["NewEvent"]).await;
    let path = subscriptions("");
    assert_eq!(
        wire.ask(&format!("POST {path} HTTP/1.1\nAuthorization: Bearer other"), "{}").await.status,
        401
    );
    for bad in [json!({"lockMs": 0}), json!({"lockMS": 1}), json!([]), json!(null)] {
        assert_eq!(ask(&mut wire, "POST", "/admin/config", &bad).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn tokens_and_time_are_ended_from_outside() {
    let emulator = Emulator::start().await.unwrap();
    let mut wire = Wire::connect(&emulator).await;
    let (head, sas) = wire.subscribe(&["VersionEvent"]).await;
    let poll = format!("DELETE {head} HTTP/1.1\nAuthorization: {sas}");
    assert_eq!(wire.ask(&poll, "").await.status, 204);
    assert_eq!(ask(&mut wire, "POST", "/admin/sas/expire", &json!(null)).await, (200, json!({"expired": 1})));
    assert_eq!(wire.ask(&poll, "").await.status, 401);
    let revoke = "/admin/tokens/revoke";
    assert_eq!(ask(&mut wire, "POST", revoke, &json!(null)).await, (200, json!({"revoked": 1})));
    assert_eq!(
        ask(&mut wire, "POST", revoke, &json!({"token": "second"})).await,
        (200, json!({"revoked": 1}))
    );
    assert_eq!(ask(&mut wire, "POST", revoke, &json!({"tokens": 1})).await.0, 400);
    for (token, status) in [("jwt", 401), ("second", 401), ("third", 200)] {
        let sas = subscriptions("").replace("Subscription", "SAS");
        let reply = wire.ask(&format!("POST {sas} HTTP/1.1\nAuthorization: Bearer {token}"), "{}").await;
        assert_eq!(reply.status, status, "{token}");
    }
    assert_eq!(ask(&mut wire, "POST", "/admin/advance", &json!({"ms": 3_600_000})).await.0, 200);
    assert_eq!(ask(&mut wire, "POST", "/admin/advance", &json!({})).await.0, 400);
    assert!(emulator.imodelhub_state().subscriptions.is_empty());
}

#[tokio::test]
async fn faults_are_set_and_forgotten() {
    let emulator = Emulator::start().await.unwrap();
    let mut wire = Wire::connect(&emulator).await;
    let fault = json!({
        "match": {"path": "EventSAS"}, "times": 0,
        "action": {"do": "status", "status": 429, "headers": {"Retry-After": "1"}},
    });
    assert_eq!(ask(&mut wire, "POST", "/admin/faults", &fault).await, (200, json!({"faults": 1})));
    let sas = subscriptions("").replace("Subscription", "SAS");
    let reply = wire.ask(&format!("POST {sas} HTTP/1.1\nAuthorization: Bearer jwt"), "{}").await;
    assert!(reply.status == 429 && reply.head.contains("retry-after: 1"), "{}", reply.head);
    assert_eq!(ask(&mut wire, "DELETE", "/admin/faults", &json!(null)).await, (200, json!({"cleared": 1})));
    wire.subscribe(&["VersionEvent"]).await;
    for bad in [json!(null), json!({}), json!({"action": {"do": "dance"}})] {
        assert_eq!(ask(&mut wire, "POST", "/admin/faults", &bad).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn state_and_captures_show_what_happened_and_no_credentials() {
    let emulator = Emulator::builder().captures(2).start().await.unwrap();
    let mut wire = Wire::connect(&emulator).await;
    let (head, sas) = wire.subscribe(&["VersionEvent"]).await;
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    let (_, state) = ask(&mut wire, "GET", "/admin/state", &json!(null)).await;
    let subscription = &state["subs"][0];
    assert_eq!((&subscription["queued"], &subscription["imodelId"]), (&json!(1), &json!(null)));
    assert_eq!(
        (&subscription["iModelId"], &subscription["eventTypes"]),
        (&json!(IMODEL), &json!(["VersionEvent"]))
    );
    assert_eq!((&state["running"], &state["stats"]["sasIssued"]), (&json!(true), &json!(1)));
    wire.ask(&format!("DELETE {head} HTTP/1.1\nAuthorization: {sas}"), "").await;
    let (_, captures) = ask(&mut wire, "GET", "/admin/captures", &json!(null)).await;
    assert_eq!(captures.as_array().unwrap().len(), 2);
    assert_eq!(captures[0]["request"]["headers"]["authorization"], "Bearer [redacted]");
    assert_eq!(captures[1]["request"]["headers"]["authorization"], sas);
    assert_eq!(
        (&captures[1]["request"]["method"], &captures[1]["response"]["status"]),
        (&json!("DELETE"), &json!(200))
    );
    assert!(captures[1]["response"]["bodyBase64"].as_str().unwrap().starts_with("QAZzdHJpbmcIM2h0dHA6"));
    assert_eq!(ask(&mut wire, "DELETE", "/admin/captures", &json!(null)).await, (200, json!({"cleared": 2})));
    assert!(wire.ask("GET /admin/other HTTP/1.1", "").await.status == 404);
}
