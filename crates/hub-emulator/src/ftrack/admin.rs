//! The admin routes: what the library offers, over HTTP, for demos and for tests in other languages.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use event_core::Event;
use serde::Deserialize;

use super::Action;
use super::http::Site;
use crate::guard::{json, refuse};

/// `GET /admin/state`.
pub(super) async fn state(State(site): State<Arc<Site>>) -> Response {
    let (state, connections) = (site.hub.state(), site.hub.connections());
    json(StatusCode::OK, &serde_json::json!({"state": state, "connections": connections}))
}

/// `POST /admin/ftrack/publish`: the body is an event.
pub(super) async fn publish(State(site): State<Arc<Site>>, body: Bytes) -> Response {
    let published = Event::from_json(body)
        .map_err(|error| error.to_string())
        .and_then(|event| site.hub.publish(&event).map_err(|error| error.to_string()));
    match published {
        Ok(published) => json(StatusCode::OK, &serde_json::json!(published)),
        Err(message) => refuse(&message),
    }
}

/// How clients are to be put out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disconnect {
    how: How,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum How {
    Packet,
    Cut,
}

/// `POST /admin/ftrack/disconnect`: `{"how":"packet"}` or `{"how":"cut"}`.
pub(super) async fn disconnect(State(site): State<Arc<Site>>, body: Bytes) -> Response {
    let disconnected = match serde_json::from_slice(&body) {
        Ok(Disconnect { how: How::Packet }) => site.hub.disconnect_all(),
        Ok(Disconnect { how: How::Cut }) => site.hub.cut_all(),
        Err(_) => return refuse(r#"the body is {"how":"packet"} or {"how":"cut"}"#),
    };
    json(StatusCode::OK, &serde_json::json!({"disconnected": disconnected}))
}

/// Something to do to open connections.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fire {
    action: Action,
    #[serde(default)]
    connection: Option<u64>,
}

/// `POST /admin/faults/fire`: `{"action":{"do":"reset"}}`, with `"connection"` for one only.
pub(super) async fn fire(State(site): State<Arc<Site>>, body: Bytes) -> Response {
    let hit = serde_json::from_slice(&body)
        .map_err(|error| format!(r#"the body is {{"action":{{"do":"reset"}}}}: {error}"#))
        .and_then(|Fire { action, connection }| {
            site.hub.fire(&action, connection).map_err(|error| error.to_string())
        });
    match hit {
        Ok(hit) => json(StatusCode::OK, &serde_json::json!({"hit": hit})),
        Err(message) => refuse(&message),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Flapping {
    up_ms: u64,
    down_ms: u64,
}

/// `POST /admin/faults/flap`: `{"upMs":500,"downMs":2000}`.
pub(super) async fn flap(State(site): State<Arc<Site>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Flapping { up_ms, down_ms }) if up_ms > 0 && down_ms > 0 => {
            site.hub.flap(Duration::from_millis(up_ms), Duration::from_millis(down_ms));
            json(StatusCode::OK, &serde_json::json!({"upMs": up_ms, "downMs": down_ms}))
        }
        _ => refuse(r#"the body is {"upMs":500,"downMs":2000}, both at least 1"#),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rolling {
    pause_ms: u64,
}

/// `POST /admin/faults/rolling-restart`: `{"pauseMs":1000}`.
pub(super) async fn rolling_restart(State(site): State<Arc<Site>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Rolling { pause_ms }) => {
            let connections = site.hub.rolling_restart(Duration::from_millis(pause_ms));
            json(StatusCode::OK, &serde_json::json!({"connections": connections}))
        }
        Err(_) => refuse(r#"the body is {"pauseMs":1000}"#),
    }
}
