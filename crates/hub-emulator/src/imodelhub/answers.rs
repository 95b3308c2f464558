//! The forms of all answers. Pure.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::clock::http_date;
use super::queue::Delivery;

/// An answer before it goes anywhere.
pub(super) type Answer = Response<Bytes>;

const BROKER_PROPERTIES: HeaderName = HeaderName::from_static("brokerproperties");
const JSON: &str = "application/json";
const XML: &str = "application/xml; charset=utf-8";
/// What a message says about how long it lives; nothing depends on it.
const TIME_TO_LIVE: u64 = 3_600;

/// The REST side's envelope.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    changed_instance: Changed<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed<'a> {
    change: &'a str,
    instance_after_change: Instance<'a>,
}

/// A REST resource as it is after a request.
#[derive(Serialize)]
pub(super) struct Instance<'a> {
    #[serde(rename = "instanceId")]
    pub(super) id: &'a str,
    #[serde(rename = "schemaName")]
    pub(super) schema: &'a str,
    #[serde(rename = "className")]
    pub(super) class: &'a str,
    #[serde(rename = "eTag")]
    pub(super) etag: String,
    pub(super) properties: Map<String, Value>,
}

#[derive(Serialize)]
struct WsgError<'a> {
    #[serde(rename = "errorId")]
    id: &'a str,
    #[serde(rename = "errorMessage")]
    message: &'a str,
    #[serde(rename = "errorDescription")]
    description: &'a str,
}

/// A REST request done.
pub(super) fn changed(change: &str, instance: Instance<'_>) -> Answer {
    let envelope = Envelope { changed_instance: Changed { change, instance_after_change: instance } };
    with_type(StatusCode::OK, JSON, text(&envelope))
}

/// A REST request refused.
pub(super) fn wsg_error(status: StatusCode, id: &str, message: &str) -> Answer {
    let error = WsgError { id, message, description: message };
    with_type(status, JSON, text(&error))
}

/// An answer of the iTwin Platform.
pub(super) fn platform(status: StatusCode, body: &Value) -> Answer {
    with_type(status, JSON, body.to_string())
}

/// A refusal of the iTwin Platform; `about` is code, message and target of its detail.
pub(super) fn platform_error(
    status: StatusCode,
    code: &str,
    message: &str,
    about: Option<(&str, &str, &str)>,
) -> Answer {
    let details: Vec<Value> = about
        .into_iter()
        .map(|(code, message, target)| json!({"code": code, "message": message, "target": target}))
        .collect();
    let mut error = json!({"code": code, "message": message});
    if !details.is_empty() {
        error["details"] = Value::from(details);
    }
    platform(status, &json!({"error": error}))
}

/// A queue request refused.
pub(super) fn bus_error(status: StatusCode, detail: &str) -> Answer {
    let code = status.as_u16();
    with_type(status, XML, format!("<Error><Code>{code}</Code><Detail>{detail}</Detail></Error>"))
}

/// Done, and no more to say.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

/// A message: gone from its queue (200), or locked (201). `place` is the queue's absolute address in lower case.
/// `charset` adds one to the type, which is a defect.
pub(super) fn delivery(delivery: &Delivery, place: &str, charset: bool, now: Duration) -> Answer {
    let mut answer = Answer::new(delivery.event.body.clone());
    let mut put = |name, text: &str| {
        // Names and addresses come from headers and paths, where nothing else than header text can be.
        if let Ok(value) = HeaderValue::from_str(text) {
            answer.headers_mut().insert(name, value);
        }
    };
    let name = &delivery.event.name;
    put(CONTENT_TYPE, &if charset { format!("{name}; charset=utf-8") } else { name.to_string() });
    put(DATE, &http_date(now));
    put(BROKER_PROPERTIES, &broker_properties(delivery));
    if let Some(lock) = &delivery.lock {
        put(LOCATION, &format!("{place}/messages/{}/{}", delivery.sequence, lock.token));
        *answer.status_mut() = StatusCode::CREATED;
    }
    answer
}

/// Lists its members in the recorded order.
fn broker_properties(delivery: &Delivery) -> String {
    let mut members = vec![
        ("DeliveryCount", json!(delivery.count)),
        ("EnqueuedSequenceNumber", json!(0)),
        ("EnqueuedTimeUtc", json!(http_date(delivery.event.enqueued))),
        ("MessageId", json!(*delivery.event.message_id)),
        ("SequenceNumber", json!(delivery.sequence)),
        ("State", json!("Active")),
        ("TimeToLive", json!(TIME_TO_LIVE)),
    ];
    if let Some(lock) = &delivery.lock {
        members.push(("LockToken", json!(lock.token)));
        members.push(("LockedUntilUtc", json!(http_date(lock.until))));
    }
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Answer::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// These structures have text keys only, so this cannot fail.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
