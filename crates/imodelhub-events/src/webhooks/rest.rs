//! The routes of webhooks: requests as values, answers read. Pure.

use event_core::{Error, ErrorKind, Result, Secret};
use serde_json::{Value, json};

use super::date::read_date;
use super::manage::{NewWebhook, Webhook, WebhookScope};
use super::types::WebhookEventType;
use crate::wsg::{Call, Method};

const ALL: &str = "/webhooks/";
/// The shortest secret.
const SECRET: usize = 32;

fn call(method: Method, path: String, body: Option<&Value>) -> Call {
    Call { method, path, body: body.map(|body| body.to_string().into_bytes()) }
}

fn one(id: &str) -> Result<String> {
    let plain =
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if plain {
        Ok(format!("/webhooks/{id}"))
    } else {
        Err(invalid("the id of a webhook has letters, digits and dashes"))
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, "manage webhooks", message)
}

pub(super) fn list() -> Call {
    call(Method::Get, ALL.to_owned(), None)
}

pub(super) fn get(id: &str) -> Result<Call> {
    Ok(call(Method::Get, one(id)?, None))
}

pub(super) fn set_active(id: &str, active: bool) -> Result<Call> {
    Ok(call(Method::Patch, one(id)?, Some(&json!({"active": active}))))
}

pub(super) fn delete(id: &str) -> Result<Call> {
    Ok(call(Method::Delete, one(id)?, None))
}

pub(super) fn create(new: &NewWebhook) -> Result<Call> {
    if new.event_types.is_empty() || new.event_types.iter().any(|name| name.as_str().trim().is_empty()) {
        return Err(invalid("give at least one event type, and none that is empty"));
    }
    if new.secret.as_ref().is_some_and(|secret| secret.expose().chars().count() < SECRET) {
        return Err(invalid("the secret has fewer than 32 characters"));
    }
    let (scope, id) = match &new.scope {
        WebhookScope::Account => ("Account", None),
        WebhookScope::ITwin(id) if id.is_empty() => return Err(invalid("the iTwin's id is empty")),
        WebhookScope::ITwin(id) => ("iTwin", Some(id)),
        WebhookScope::Other(scope, id) => (scope.as_str(), id.as_ref()),
    };
    let types: Vec<&str> = new.event_types.iter().map(WebhookEventType::as_str).collect();
    let mut body = json!({"callbackUrl": new.callback_url, "scope": scope, "eventTypes": types});
    if let Some(id) = id {
        body["scopeId"] = Value::from(id.as_str());
    }
    if let Some(secret) = &new.secret {
        body["secret"] = Value::from(secret.expose());
    }
    Ok(call(Method::Post, ALL.to_owned(), Some(&body)))
}

fn unexpected(what: &str) -> Error {
    let message = format!("the platform's answer is not of the expected form: {what}; is the URL right?");
    Error::new(ErrorKind::Protocol, "manage webhooks", message)
}

fn tree(answer: &[u8]) -> Result<Value> {
    serde_json::from_slice(answer).map_err(|cause| unexpected("it is not JSON").with_source(cause))
}

/// The webhook in an answer, with or without an envelope.
fn inside(answer: &Value) -> &Value {
    answer.get("webhook").unwrap_or(answer)
}

/// The id of a webhook that was created, and its secret if the answer has it.
pub(super) fn created(answer: &[u8]) -> Result<(String, Option<Secret>)> {
    let answer = tree(answer)?;
    let text = |key| inside(&answer).get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let id = text("id").ok_or_else(|| unexpected("it has no id"))?;
    Ok((id.to_owned(), text("secret").map(Secret::from)))
}

pub(super) fn webhook(answer: &[u8]) -> Result<Webhook> {
    read(inside(&tree(answer)?))
}

pub(super) fn webhooks(answer: &[u8]) -> Result<Vec<Webhook>> {
    let answer = tree(answer)?;
    let all = answer.get("webhooks").unwrap_or(&answer).as_array();
    all.ok_or_else(|| unexpected("it has no list of webhooks"))?.iter().map(read).collect()
}

fn read(webhook: &Value) -> Result<Webhook> {
    let text = |key| webhook.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let id = text("id").ok_or_else(|| unexpected("a webhook has no id"))?.to_owned();
    let types = webhook.get("eventTypes").and_then(Value::as_array).into_iter().flatten();
    let scope_id = || text("scopeId").map(str::to_owned);
    let scope = text("scope").map(|scope| match (scope.to_ascii_lowercase().as_str(), scope_id()) {
        ("account", _) => WebhookScope::Account,
        ("itwin", Some(id)) => WebhookScope::ITwin(id),
        (_, id) => WebhookScope::Other(scope.to_owned(), id),
    });
    Ok(Webhook {
        id,
        scope,
        active: webhook.get("active").and_then(Value::as_bool).unwrap_or_default(),
        callback_url: text("callbackUrl").unwrap_or_default().to_owned(),
        event_types: types.filter_map(Value::as_str).map(WebhookEventType::from).collect(),
        created: text("created").and_then(read_date),
        modified: text("modified").and_then(read_date),
    })
}
