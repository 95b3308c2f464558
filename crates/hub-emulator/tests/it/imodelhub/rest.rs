use hub_emulator::Emulator;
use serde_json::{Value, json};

use super::{IMODEL, Lab, after, instance, subscriptions};

const GLOBAL: &str = "/sv1.1/Repositories/Global--Global/GlobalScope/GlobalEventSubscription/";

#[tokio::test(start_paused = true)]
async fn a_subscription_is_created_changed_and_deleted() {
    let lab = Lab::new().await;
    let wanted = json!({"EventTypes": ["VersionEvent"], "Id": "", "TopicName": "", "Other": 1});
    let (status, made) = lab.rest("POST", &subscriptions(""), &instance(&wanted)).await;
    assert_eq!((status, &made["changedInstance"]["change"]), (200, &json!("Created")));
    let first = after(&made);
    assert_eq!(first["schemaName"], "iModelScope");
    assert_eq!(first["className"], "EventSubscription");
    assert_eq!(first["properties"], json!({"EventTypes": ["VersionEvent"]}));
    let path = subscriptions(&first["instanceId"].as_str().unwrap().to_ascii_uppercase());
    let (status, made) = lab.rest("POST", &path, &instance(&json!({"EventTypes": ["CodeEvent", ""]}))).await;
    let second = after(&made);
    assert_eq!((status, &made["changedInstance"]["change"]), (200, &json!("Modified")));
    assert_eq!(second["instanceId"], first["instanceId"]);
    assert_ne!(second["eTag"], first["eTag"]);
    assert_eq!(second["properties"], json!({"EventTypes": ["CodeEvent"]}));
    assert_eq!(lab.rest("DELETE", &path, &Value::Null).await, (200, Value::Null));
    let state = lab.emulator.imodelhub_state();
    assert_eq!((state.subscriptions.len(), state.stats.subscriptions_deleted), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn refusals_have_their_status_and_error_id() {
    let lab = Lab::new().await;
    let (create, version) = (subscriptions(""), json!({"EventTypes": ["VersionEvent"]}));
    let (unknown, types) = (subscriptions("x"), |name: &str| instance(&json!({"EventTypes": [name]})));
    let sas = create.replace("EventSubscription", "EventSAS");
    for (method, path, body, status, error) in [
        ("POST", &create, types("NoSuchEvent"), 400, "iModelHub.EventTypeDoesNotExist"),
        ("POST", &create, types("versionevent"), 400, "iModelHub.EventTypeDoesNotExist"),
        ("POST", &create, types("NamedVersionCreatedEvent"), 400, "iModelHub.EventTypeDoesNotExist"),
        ("POST", &create, types(""), 400, "iModelHub.MissingRequiredProperties"),
        ("POST", &create, instance(&json!({})), 400, "iModelHub.MissingRequiredProperties"),
        ("POST", &create, Value::Null, 400, "iModelHub.InvalidPropertiesValues"),
        ("POST", &create, json!([]), 400, "iModelHub.InvalidPropertiesValues"),
        ("POST", &unknown, instance(&version), 404, "iModelHub.EventSubscriptionDoesNotExist"),
        ("DELETE", &unknown, Value::Null, 404, "iModelHub.EventSubscriptionDoesNotExist"),
        ("GET", &create, Value::Null, 405, "NotSupported"),
        ("DELETE", &sas, Value::Null, 405, "NotSupported"),
        ("POST", &create.replace(IMODEL, "x"), instance(&version), 404, "iModelHub.iModelDoesNotExist"),
        ("POST", &create.replace("EventSubscription", "Lock"), instance(&version), 404, "ClassNotFound"),
    ] {
        let (got, answer) = lab.rest(method, path, &body).await;
        assert_eq!((got, answer["errorId"].as_str()), (status, Some(error)), "{method} {path} {body}");
        assert!(answer["errorMessage"].is_string() && answer["errorDescription"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_global_subscription_is_known_by_its_callers_id_too() {
    let lab = Lab::new().await;
    let wanted = instance(&json!({"EventTypes": ["iModelCreatedEvent"], "SubscriptionId": IMODEL}));
    let (_, first) = lab.rest("POST", GLOBAL, &wanted).await;
    assert_eq!(after(&first)["schemaName"], "GlobalScope");
    assert_eq!(after(&first)["className"], "GlobalEventSubscription");
    assert_eq!(after(&first)["properties"]["SubscriptionId"], IMODEL);
    let (_, second) = lab.rest("POST", GLOBAL, &wanted).await;
    assert_eq!(second["changedInstance"]["change"], "Existing");
    assert_eq!(after(&second)["instanceId"], after(&first)["instanceId"]);
    // The official client lets an empty list pass here.
    let (status, _) = lab.rest("POST", GLOBAL, &instance(&json!({"EventTypes": []}))).await;
    assert_eq!(status, 200);
    assert_eq!(lab.emulator.publish_global_event("iModelCreatedEvent", None), 1);
    assert_eq!(lab.emulator.publish_imodel_event(IMODEL, "CheckpointCreatedEvent", None), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sas_names_the_address_the_client_used_and_its_end() {
    let lab = Lab::new().await;
    let (base, token) = lab.sas().await;
    assert_eq!(base, format!("http://127.0.0.1:7001/bus/{IMODEL}"));
    let end: u64 = token.split("&se=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
    lab.emulator.advance(std::time::Duration::from_secs(100));
    let (_, later) = lab.sas().await;
    assert!(later.contains(&format!("&se={}&", end + 100)), "{end} {later}");
}

#[tokio::test(start_paused = true)]
async fn access_tokens_are_any_listed_or_revoked() {
    let path = subscriptions("").replace("EventSubscription", "EventSAS");
    let status = async |lab: &Lab, authorization: &str| {
        let answer = lab.send("POST", &path, authorization, "{}").await;
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(answer.status() == 401, body["errorId"] == "LoginFailed");
        answer.status().as_u16()
    };
    let open = Lab::new().await;
    for (authorization, expected) in [("Bearer a", 200), ("Basic dTpw", 200), ("", 401), ("a", 401)] {
        assert_eq!(status(&open, authorization).await, expected, "{authorization}");
    }
    assert_eq!(open.emulator.revoke_tokens(), 2);
    assert_eq!((status(&open, "Bearer a").await, status(&open, "Bearer b").await), (401, 200));
    let listed = Emulator::builder().access_token("a").basic_login("u", &"p".into());
    let listed = Lab::with(listed).await;
    for (authorization, expected) in [("Bearer a", 200), ("Basic dTpw", 200), ("Bearer b", 401)] {
        assert_eq!(status(&listed, authorization).await, expected, "{authorization}");
    }
    listed.emulator.revoke_tokens();
    assert_eq!(status(&listed, "Bearer a").await, 401);
    listed.emulator.accept_token("b");
    assert_eq!(status(&listed, "Bearer b").await, 200);
    assert_eq!(listed.emulator.imodelhub_stats().tokens_refused, 2);
}

#[tokio::test(start_paused = true)]
async fn types_to_come_can_be_made_known() {
    let lab = Lab::with(Emulator::builder().event_type("FutureEvent")).await;
    let queue = lab.subscribe(&["FutureEvent", "VersionEvent"]).await;
    assert_eq!(lab.emulator.publish_imodel_event(IMODEL, "FutureEvent", Some(json!({"a": 1}))), 1);
    let answer = lab.head("DELETE", &queue, "").await;
    assert_eq!(
        (super::header(&answer, "content-type").as_str(), super::unwrapped(&answer).as_str()),
        ("FutureEvent", r#"{"a":1}"#)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_for_debugging_has_no_tokens_and_no_bodies() {
    let lab = Lab::with(Emulator::builder().access_token("jwt").access_token("token-marked")).await;
    let queue = lab.subscribe(&["VersionEvent"]).await;
    lab.emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(json!("body-marked")));
    lab.emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(json!("body-marked")));
    lab.head("POST", &queue, "").await;
    lab.send("POST", &subscriptions(""), "Bearer token-marked", "").await;
    let shown = format!("{:?}", lab.emulator);
    assert!(shown.contains("VersionEvent") && !shown.contains("marked"), "{shown}");
    assert!(!shown.contains("SharedAccessSignature"), "{shown}");
    let captures = format!("{:?}", lab.emulator.imodelhub_captures());
    assert!(!captures.contains("token-marked"), "{captures}");
}
