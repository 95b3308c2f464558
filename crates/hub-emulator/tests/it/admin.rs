use hub_emulator::Emulator;
use serde_json::{Value, json};

use crate::support::{Client, get, http};

async fn post(emulator: &Emulator, path: &str, body: &str) -> (u16, Value) {
    let (status, body) = http(emulator.ftrack_addr(), &format!("POST {path} HTTP/1.1"), body).await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn the_state_shows_connections_subscriptions_and_counters() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s", "applicationId": "x"}), "topic = a and not data.n>3").await;
    let (status, body) = get(&emulator, "/admin/state").await;
    let shown: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(shown["state"]["connections"], 1);
    assert_eq!(shown["state"]["stats"]["subscribed"], 1);
    assert_eq!(shown["connections"][0]["user"], "ann");
    assert_eq!(shown["connections"][0]["subscriptions"][0]["id"], "s");
    let expression = shown["connections"][0]["subscriptions"][0]["expression"].as_str().unwrap();
    assert_eq!(expression, "topic=a and not data.n>3");
}

#[tokio::test]
async fn an_event_can_be_published() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=a").await;
    let event = r#"{"topic":"a","id":"e","data":{"x":1}}"#;
    let first = post(&emulator, "/admin/ftrack/publish", event).await;
    assert_eq!(first, (200, json!({"recipients": 1, "repeated": false})));
    let second = post(&emulator, "/admin/ftrack/publish", event).await;
    assert_eq!(second, (200, json!({"recipients": 0, "repeated": true})));
    assert_eq!(client.next_event().await["data"], json!({"x": 1}));
    for bad in ["", "[]", "{}", r#"{"topic":"ftrack.meta.subscribe"}"#] {
        let (status, answer) = post(&emulator, "/admin/ftrack/publish", bad).await;
        assert!(status == 400 && answer["error"].is_string(), "{bad}: {answer}");
    }
}

#[tokio::test]
async fn clients_can_be_put_out_or_cut() {
    let emulator = Emulator::start().await.unwrap();
    for (body, farewell) in [(r#"{"how":"packet"}"#, &["0::"][..]), (r#"{"how":"cut"}"#, &[])] {
        let mut client = Client::connect(&emulator).await;
        let answer = post(&emulator, "/admin/ftrack/disconnect", body).await;
        assert_eq!(answer, (200, json!({"disconnected": 1})));
        assert_eq!(client.rest().await, farewell);
    }
    for bad in ["", "{}", r#"{"how":"gently"}"#] {
        assert_eq!(post(&emulator, "/admin/ftrack/disconnect", bad).await.0, 400);
    }
}
