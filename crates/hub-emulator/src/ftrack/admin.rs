//! The admin routes: what the library offers, over HTTP, for demos and for tests in other languages.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use event_core::Event;
use serde::Deserialize;

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
