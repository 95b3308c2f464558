//! The routes that change something: publishing, faults, and the cookie of a page.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use event_core::{Event, EventId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;

use super::door::cookie;
use super::state::Shared;
use crate::error::Error;
use crate::faults::{Bugginess, Defect, Turned};
use crate::ftrack::Action;
use crate::guard::{json as answer, refuse};
use crate::imodelhub::Topic;

/// The most events of an iModel that one request may publish.
const MAX_COUNT: u64 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

/// `POST /api/login`: `{"token":".."}`; the answer sets the cookie.
pub(super) async fn login(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Ok(Login { token }) = serde_json::from_slice(&body) else {
        return refuse(r#"the body is {"token":".."}"#);
    };
    if !shared.door.opens(&token) {
        return answer(StatusCode::UNAUTHORIZED, &json!({"error": "this is not the token"}));
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if shared.door.token.is_some()
        && let Ok(value) = HeaderValue::from_str(&cookie(&token))
    {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

/// What to publish.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Publication {
    /// An event as on the wire. Without an id it gets one.
    Ftrack(Box<RawValue>),
    IModelHub(IModelEvent),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IModelEvent {
    /// A GUID; none: an event about all iModels.
    #[serde(default)]
    imodel: Option<String>,
    r#type: String,
    #[serde(default)]
    body: Option<Box<RawValue>>,
    #[serde(default = "one")]
    count: u64,
}

const fn one() -> u64 {
    1
}

/// `POST /api/publish`: `{"ftrack":{"topic":".."}}` or `{"imodelhub":{"imodel":"GUID","type":".."}}`.
pub(super) async fn publish(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let published = match serde_json::from_slice(&body) {
        Ok(Publication::Ftrack(event)) => publish_ftrack(&shared, &event),
        Ok(Publication::IModelHub(event)) => publish_imodel(&shared, &event),
        Err(error) => Err(format!(
            r#"the body is {{"ftrack":EVENT}} or {{"imodelhub":{{"type":"VersionEvent"}}}}: {error}"#
        )),
    };
    published.unwrap_or_else(|message| refuse(&message))
}

fn publish_ftrack(shared: &Shared, event: &RawValue) -> Result<Response, String> {
    let mut event = Event::from_json(event.get().to_owned()).map_err(|error| error.to_string())?;
    if event.id().is_none() {
        let built = event.to_builder().id(EventId::random()).build();
        event = built.map_err(|error| error.to_string())?;
    }
    let published = shared.publish(&event).map_err(|error| error.to_string())?;
    let id = event.id().map(EventId::as_str);
    let said = json!({"id": id, "recipients": published.recipients, "repeated": published.repeated});
    Ok(answer(StatusCode::OK, &said))
}

fn publish_imodel(shared: &Shared, event: &IModelEvent) -> Result<Response, String> {
    let topic = match &event.imodel {
        Some(id) => Topic::imodel(id).ok_or("the id of an iModel is a GUID")?,
        None => Topic::Global,
    };
    if !(1..=MAX_COUNT).contains(&event.count) {
        return Err(format!("count is 1 to {MAX_COUNT}"));
    }
    let body = event.body.as_deref().map(RawValue::get);
    let recipients = shared
        .publish_imodel(&topic, &event.r#type, body, event.count)
        .ok_or_else(|| format!("there is no event type {:?} in this family", event.r#type))?;
    Ok(answer(StatusCode::OK, &json!({"recipients": recipients, "published": event.count})))
}

/// Which service's dial.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Ftrack,
    IModelHub,
}

/// A turn of a fault dial.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
enum Turn {
    /// Something goes wrong with connections, or requests, to come.
    Add { side: Side, fault: Box<serde_json::Value> },
    /// Something goes wrong with open ftrack connections now.
    Fire { action: Action, connection: Option<u64> },
    /// Chance.
    Chance { side: Side, chance: Bugginess },
    /// What waits is forgotten, and chance.
    Clear { side: Side },
    /// A lasting flaw of both services.
    Defect { name: Defect, on: bool },
}

/// `POST /api/faults`: see [`Turn`]. The answer is the state of the dials, and what was hit if it was fired.
pub(super) async fn faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let hit = match serde_json::from_slice(&body) {
        Ok(turn) => turned(&shared, turn),
        Err(error) => {
            Err(format!(r#"the body is such as {{"do":"fire","action":{{"do":"reset"}}}}: {error}"#))
        }
    };
    match hit {
        Ok(hit) => {
            let mut said = shared.faults();
            if let Some(hit) = hit {
                said["hit"] = hit.into();
            }
            answer(StatusCode::OK, &said)
        }
        Err(message) => refuse(&message),
    }
}

fn turned(shared: &Shared, turn: Turn) -> Result<Option<usize>, String> {
    let (ftrack, imodelhub) = (shared.ftrack_faults(), shared.imodelhub_faults());
    let told = |error: Error| error.to_string();
    match turn {
        Turn::Add { side: Side::Ftrack, fault } => add(&ftrack, *fault)?,
        Turn::Add { side: Side::IModelHub, fault } => add(&imodelhub, *fault)?,
        Turn::Chance { side: Side::Ftrack, chance } => ftrack.bugginess(&chance).map_err(told)?,
        Turn::Chance { side: Side::IModelHub, chance } => imodelhub.bugginess(&chance).map_err(told)?,
        Turn::Clear { side: Side::Ftrack } => _ = ftrack.clear(),
        Turn::Clear { side: Side::IModelHub } => _ = imodelhub.clear(),
        Turn::Defect { name, on } => shared.set_defect(name, on),
        Turn::Fire { action, connection: None } => return ftrack.fire(action).map(Some).map_err(told),
        Turn::Fire { action, connection: Some(id) } => {
            return ftrack.fire_at(id, action).map(|hit| Some(hit.into())).map_err(told);
        }
    }
    Ok(None)
}

fn add<T: Turned>(faults: &T, fault: serde_json::Value) -> Result<(), String>
where
    T::Fault: DeserializeOwned,
{
    let fault = serde_json::from_value(fault).map_err(|error| format!("this is no fault: {error}"))?;
    faults.add(fault).map_err(|error| error.to_string())
}
