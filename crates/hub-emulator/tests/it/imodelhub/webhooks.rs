//! The routes of webhooks, and what is told, as any language can drive it.

use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use hub_emulator::Emulator;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::IMODEL;
use super::wire::Wire;

async fn ask(wire: &mut Wire, request: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let reply = wire.ask(request, &body).await;
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
}

#[tokio::test]
async fn webhooks_are_managed_by_whoever_has_a_token() {
    let emulator = Emulator::builder().access_token("good").start().await.unwrap();
    let mut wire = Wire::connect(&emulator).await;
    let (status, body) = ask(&mut wire, "GET /webhooks/ HTTP/1.1", &Value::Null).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("HeaderNotFound")));
    let get = "GET /webhooks/ HTTP/1.1\nAuthorization: Bearer bad";
    assert_eq!(ask(&mut wire, get, &Value::Null).await.0, 401);
    let with = |line: &str| format!("{line} HTTP/1.1\nAuthorization: Bearer good");
    let good = json!({
        "callbackUrl": "http://localhost:9/", "scope": "Account", "eventTypes": ["iModels.iModelCreated.v1"],
    });
    for (key, value) in [
        ("callbackUrl", json!("https://example.com/")),
        ("callbackUrl", json!("http://192.0.2.1/")),
        ("callbackUrl", Value::Null),
        ("scope", json!("Moon")),
        ("scope", json!("iTwin")),
        ("eventTypes", json!([])),
        ("secret", json!("short")),
    ] {
        let mut body = good.clone();
        body[key] = value;
        let (status, body) = ask(&mut wire, &with("POST /webhooks/"), &body).await;
        assert_eq!((status, &body["error"]["code"]), (422, &json!("InvalidWebhooksRequest")), "{key}");
        assert!(body["error"]["details"][0]["target"].as_str().unwrap().starts_with(&key[..5]), "{body}");
    }
    let (status, created) = ask(&mut wire, &with("POST /webhooks"), &good).await;
    let id = created["webhook"]["id"].as_str().unwrap();
    assert_eq!((status, &created["webhook"]["active"]), (201, &json!(false)));
    assert_eq!(created["webhook"]["secret"].as_str().unwrap().len(), 64);
    let (_, listed) = ask(&mut wire, &with("GET /webhooks/"), &Value::Null).await;
    assert!(listed["webhooks"][0]["id"] == id && listed["webhooks"][0]["secret"].is_null());
    let one = format!("/webhooks/{id}");
    let patched = ask(&mut wire, &with(&format!("PATCH {one}")), &json!({"active": "yes"})).await;
    assert_eq!(patched.0, 422);
    let patched = ask(&mut wire, &with(&format!("PATCH {one}")), &json!({"active": true})).await;
    assert_eq!((patched.0, &patched.1["webhook"]["active"]), (200, &json!(true)));
    assert_eq!(ask(&mut wire, &with(&format!("PUT {one}")), &Value::Null).await.0, 405);
    assert_eq!(ask(&mut wire, &with(&format!("DELETE {one}")), &Value::Null).await.0, 204);
    let (status, gone) = ask(&mut wire, &with(&format!("GET {one}")), &Value::Null).await;
    assert_eq!((status, &gone["error"]["code"]), (404, &json!("WebhookNotFound")));
}

#[tokio::test]
async fn events_and_faults_can_be_made_over_http() {
    let came: Arc<Mutex<Vec<(bool, Value)>>> = Arc::default();
    let coming = Arc::clone(&came);
    let poster = move |request: axum::http::Request<Bytes>| {
        let signed = request.headers().contains_key("signature");
        coming.lock().push((signed, serde_json::from_slice(request.body()).unwrap()));
        async move { if signed { StatusCode::NO_CONTENT } else { StatusCode::UNAUTHORIZED } }
    };
    let emulator = Emulator::builder()
        .webhook_poster(poster)
        .webhook_resending(5, std::time::Duration::from_millis(1))
        .start()
        .await
        .unwrap();
    let mut wire = Wire::connect(&emulator).await;
    let webhook = json!({
        "callbackUrl": "https://example.com/hook", "scope": "Account",
        "eventTypes": ["iModels.iModelCreated.v1", "iModels.namedVersionCreated.v1"],
    });
    let create = "POST /webhooks/ HTTP/1.1\nAuthorization: Bearer any";
    let (_, created) = ask(&mut wire, create, &webhook).await;
    let id = created["webhook"]["id"].as_str().unwrap();
    let activate = format!("PATCH /webhooks/{id} HTTP/1.1\nAuthorization: Bearer any");
    ask(&mut wire, &activate, &json!({"active": true})).await;
    let faults = "POST /admin/webhooks/faults HTTP/1.1";
    assert_eq!(ask(&mut wire, faults, &json!({"action": {"do": "unsigned"}})).await.0, 200);
    assert_eq!(ask(&mut wire, faults, &json!({"action": {"do": "nothing"}})).await.0, 400);
    let tell = "POST /admin/webhooks/events HTTP/1.1";
    let event = json!({"eventType": "iModels.iModelCreated.v1", "content": {"imodelId": "1"}});
    assert_eq!(ask(&mut wire, tell, &event).await, (200, json!({"told": 1})));
    emulator.wait_for_imodelhub(|state| state.stats.webhooks_acknowledged == 1).await;
    // What is published for subscriptions is told, too.
    let body = json!({"VersionId": "v", "ChangeSetId": "c"});
    emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(body));
    emulator.wait_for_imodelhub(|state| state.stats.webhooks_acknowledged == 2).await;
    let came = came.lock().clone();
    assert_eq!(came.iter().map(|(signed, _)| *signed).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(came[0].1, came[1].1, "sent again as it was");
    assert_eq!(came[2].1["eventType"], "iModels.namedVersionCreated.v1");
    assert_eq!((&came[2].1["content"]["versionId"], &came[2].1["webhookId"]), (&json!("v"), &json!(id)));
    assert_eq!(ask(&mut wire, "DELETE /admin/webhooks/faults HTTP/1.1", &Value::Null).await.1["cleared"], 0);
}
