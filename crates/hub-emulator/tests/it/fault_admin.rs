//! The admin routes about faults, the same on both services but for a few.

use hub_emulator::{Defect, Emulator, MemoryStream};
use serde_json::{Value, json};

use crate::support::{Client, http_over};

async fn emulator() -> Emulator {
    Emulator::builder().in_memory().start().await.unwrap()
}

async fn ask(stream: MemoryStream, request: &str, body: &str) -> (u16, Value) {
    let (status, _, body) =
        http_over(Box::new(stream), "localhost", &format!("{request} HTTP/1.1"), body).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

async fn ftrack(emulator: &Emulator, request: &str, body: &str) -> (u16, Value) {
    ask(emulator.ftrack_stream().unwrap(), request, body).await
}

async fn imodelhub(emulator: &Emulator, request: &str, body: &str) -> (u16, Value) {
    ask(emulator.imodelhub_stream().unwrap(), request, body).await
}

#[tokio::test(start_paused = true)]
async fn faults_are_added_replaced_seen_with_their_counts_and_cleared() {
    let emulator = emulator().await;
    let fault = r#"{"times":2,"after":{"packets":1},"action":{"do":"disconnect"}}"#;
    assert_eq!(ftrack(&emulator, "POST /admin/faults", fault).await, (200, json!({"faults": 1})));
    let mut client = Client::in_memory(&emulator).await;
    client.send("2::").await;
    assert_eq!(client.rest().await, ["0::"]);
    let (_, seen) = ftrack(&emulator, "GET /admin/faults", "").await;
    assert_eq!(seen["fired"], json!({"disconnect": 1}));
    assert_eq!(seen["faults"][0]["times"], 1);
    assert_eq!(seen["faults"][0]["after"], json!({"packets": 1}));
    let several = r#"[{"action":{"do":"refuse"},"skip":9},{"action":{"do":"status","status":503}}]"#;
    let (_, seen) = ftrack(&emulator, "PUT /admin/faults", several).await;
    assert_eq!(seen["faults"].as_array().unwrap().len(), 2);
    for (request, bad) in [
        ("POST /admin/faults", r#"{"action":{"do":"dance"}}"#),
        ("POST /admin/faults", r#"{"action":{"do":"status","status":99}}"#),
        ("PUT /admin/faults", r#"[{"action":{"do":"fin"}},{"action":{"do":"close","code":1}}]"#),
        ("PUT /admin/faults", "{}"),
    ] {
        assert_eq!(ftrack(&emulator, request, bad).await.0, 400, "{bad}");
    }
    assert_eq!(ftrack(&emulator, "DELETE /admin/faults", "").await, (200, json!({"cleared": 2})));

    assert_eq!(
        imodelhub(&emulator, "PUT /admin/faults", r#"[{"action":{"do":"reset_body"},"times":0}]"#).await.1["faults"]
            [0]["action"],
        json!({"do": "reset_body"})
    );
    assert_eq!(imodelhub(&emulator, "DELETE /admin/faults", "").await.1, json!({"cleared": 1}));
}

#[tokio::test(start_paused = true)]
async fn open_connections_are_struck_flapping_begins_and_restarts_roll() {
    let emulator = emulator().await;
    let mut client = Client::in_memory(&emulator).await;
    let (status, hit) =
        ftrack(&emulator, "POST /admin/faults/fire", r#"{"action":{"do":"fin"},"connection":7}"#).await;
    assert_eq!((status, hit), (200, json!({"hit": 0})));
    let answer = ftrack(&emulator, "POST /admin/faults/fire", r#"{"action":{"do":"error_packet"}}"#).await;
    assert_eq!(answer, (200, json!({"hit": 1})));
    assert_eq!(client.rest().await, ["7:::1+0"]);
    let mut client = Client::in_memory(&emulator).await;
    let answer = ftrack(&emulator, "POST /admin/faults/rolling-restart", r#"{"pauseMs":10}"#).await;
    assert_eq!((answer.1, client.rest().await), (json!({"connections": 1}), vec!["0::".to_owned()]));
    ftrack(&emulator, "POST /admin/faults/flap", r#"{"upMs":5,"downMs":1000000}"#).await;
    emulator.wait_for(|_| emulator.ftrack_faults().fired().contains_key("flap")).await;
    assert!(emulator.ftrack_stream().is_err());
    emulator.ftrack_faults().clear();
    for (route, bad) in [
        ("fire", r#"{"action":{"do":"refuse"}}"#),
        ("fire", "{}"),
        ("flap", r#"{"upMs":0,"downMs":1}"#),
        ("rolling-restart", "{}"),
    ] {
        assert_eq!(
            ftrack(&emulator, &format!("POST /admin/faults/{route}"), bad).await.0,
            400,
            "{route} {bad}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn defects_and_chance_are_switched_on_either_service() {
    let emulator = emulator().await;
    let (_, seen) = ftrack(&emulator, "PUT /admin/defects/lifo_queue", "").await;
    assert_eq!(seen["on"], json!(["lifo_queue"]));
    assert_eq!(seen["known"].as_array().unwrap().len(), 10);
    let (_, seen) = imodelhub(&emulator, "GET /admin/defects", "").await;
    assert_eq!(seen["on"], json!(["lifo_queue"]), "they are the emulator's, not a service's");
    imodelhub(&emulator, "PUT /admin/defects", r#"{"on":["ack_dropped","id_on_events"]}"#).await;
    assert_eq!(emulator.defects(), [Defect::AckDropped, Defect::IdOnEvents]);
    ftrack(&emulator, "DELETE /admin/defects/ack_dropped", "").await;
    assert_eq!(emulator.defects(), [Defect::IdOnEvents]);
    ftrack(&emulator, "DELETE /admin/defects", "").await;
    assert_eq!(emulator.defects(), []);
    assert_eq!(ftrack(&emulator, "PUT /admin/defects/none", "").await.0, 400);
    assert_eq!(ftrack(&emulator, "PUT /admin/defects", r#"{"on":["none"]}"#).await.0, 400);

    let chance = r#"{"probability":0.5,"seed":3,"only":["fin"]}"#;
    let (status, seen) = ftrack(&emulator, "PUT /admin/bugginess", chance).await;
    assert_eq!((status, &seen["bugginess"]["probability"]), (200, &json!(0.5)));
    assert_eq!(imodelhub(&emulator, "GET /admin/bugginess", "").await.1, json!({"bugginess": null}));
    assert_eq!(ftrack(&emulator, "DELETE /admin/bugginess", "").await.1, json!({"bugginess": null}));
    let wrong = ftrack(&emulator, "PUT /admin/bugginess", r#"{"probability":2,"seed":3}"#).await;
    assert_eq!(wrong.0, 400);
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_sites_do_not_turn_the_dial() {
    let emulator = emulator().await;
    for request in ["PUT /admin/defects/lifo_queue", "DELETE /admin/faults"] {
        for stream in [emulator.ftrack_stream().unwrap(), emulator.imodelhub_stream().unwrap()] {
            let head = format!("{request} HTTP/1.1\nOrigin: https://evil.example");
            assert_eq!(http_over(Box::new(stream), "localhost", &head, "").await.0, 403);
        }
    }
    assert_eq!(emulator.defects(), []);
}
