//! The admin routes: what the library offers, over HTTP, for demos and for tests in other languages.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use event_core::Event;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::Site;

/// `GET /admin/state`.
pub(super) async fn state(State(site): State<Arc<Site>>) -> Response {
    let (state, connections) = (site.hub.state(), site.hub.connections());
    answer(StatusCode::OK, &json!({"state": state, "connections": connections}))
}

/// `POST /admin/ftrack/publish`: the body is an event.
pub(super) async fn publish(State(site): State<Arc<Site>>, body: Bytes) -> Response {
    let published = Event::from_json(body)
        .map_err(|error| error.to_string())
        .and_then(|event| site.hub.publish(&event).map_err(|error| error.to_string()));
    match published {
        Ok(published) => answer(StatusCode::OK, &json!(published)),
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
    answer(StatusCode::OK, &json!({"disconnected": disconnected}))
}

fn refuse(message: &str) -> Response {
    answer(StatusCode::BAD_REQUEST, &json!({"error": message}))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
