//! The admin routes: what the library offers, over HTTP, for demos and for tests in other languages.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::hub::Hub;
use super::topic::Topic;
use crate::guard::{json as answer, refuse};

/// The most events that one request may publish.
const MAX_COUNT: u64 = 100_000;

/// `GET /admin/state`.
pub(super) async fn state(State(hub): State<Arc<Hub>>) -> Response {
    answer(StatusCode::OK, &json!(hub.state()))
}

/// An event to publish.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publication {
    r#type: String,
    #[serde(default = "one")]
    count: u64,
    body: Option<Box<RawValue>>,
}

const fn one() -> u64 {
    1
}

/// `POST /admin/imodels/{id}/events`.
pub(super) async fn publish_imodel(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    match Topic::imodel(&id) {
        Some(topic) => publish(&hub, &topic, &body),
        None => refuse("the id of an iModel is a GUID"),
    }
}

/// `POST /admin/global/events`.
pub(super) async fn publish_global(State(hub): State<Arc<Hub>>, body: Bytes) -> Response {
    publish(&hub, &Topic::Global, &body)
}

fn publish(hub: &Hub, topic: &Topic, body: &[u8]) -> Response {
    let publication: Publication = match serde_json::from_slice(body) {
        Ok(publication) => publication,
        Err(error) => return refuse(&format!(r#"the body is {{"type":"VersionEvent"}}: {error}"#)),
    };
    let Publication { r#type: name, count, body } = publication;
    if !(1..=MAX_COUNT).contains(&count) {
        return refuse(&format!("count is 1 to {MAX_COUNT}"));
    }
    match hub.publish(topic, &name, body.as_deref().map(RawValue::get), count) {
        Some(recipients) => answer(StatusCode::OK, &json!({"published": count, "recipients": recipients})),
        None => refuse(&format!("there is no event type {name:?} in this family")),
    }
}

/// An event to tell to webhooks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Telling {
    event_type: String,
    #[serde(rename = "iTwinId")]
    itwin_id: Option<String>,
    #[serde(default)]
    content: Value,
}

/// `POST /admin/webhooks/events`.
pub(super) async fn tell_webhooks(State(hub): State<Arc<Hub>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Telling { event_type, itwin_id, content }) => {
            let told = hub.tell(&event_type, itwin_id.as_deref(), &content);
            answer(StatusCode::OK, &json!({"told": told}))
        }
        Err(error) => refuse(&format!(r#"the body is {{"eventType":"..","content":{{}}}}: {error}"#)),
    }
}

/// `POST /admin/webhooks/faults`.
pub(super) async fn webhook_fault(State(hub): State<Arc<Hub>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(fault) => {
            if hub.configure(|service| service.webhooks.add_fault(fault)) {
                answer(StatusCode::OK, &json!({"added": 1}))
            } else {
                refuse("1,000 faults wait already")
            }
        }
        Err(error) => refuse(&format!(r#"the body is {{"action":{{"do":"repeat"}}}}: {error}"#)),
    }
}

/// `DELETE /admin/webhooks/faults`.
pub(super) async fn clear_webhook_faults(State(hub): State<Arc<Hub>>) -> Response {
    let cleared = hub.configure(|service| service.webhooks.clear_faults());
    answer(StatusCode::OK, &json!({"cleared": cleared}))
}

/// Settings that can be changed; what is not given stays.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Changes {
    /// 0: any number.
    sas_max_uses: Option<u32>,
    sas_lifetime_ms: Option<u64>,
    lock_ms: Option<u64>,
    subscription_idle_ms: Option<u64>,
    /// 0: never.
    global_subscription_idle_ms: Option<u64>,
    max_delivery_count: Option<u32>,
    max_poll_ms: Option<u64>,
    plain_bodies: Option<bool>,
    #[serde(default)]
    event_types: Vec<String>,
    /// Good from now on, and with those given before the only ones.
    #[serde(default)]
    access_tokens: Vec<String>,
}

/// `GET /admin/config`.
pub(super) async fn config(State(hub): State<Arc<Hub>>) -> Response {
    shown(&hub)
}

/// `POST /admin/config`.
pub(super) async fn configure(State(hub): State<Arc<Hub>>, body: Bytes) -> Response {
    let changes: Changes = match serde_json::from_slice(&body) {
        Ok(changes) => changes,
        Err(error) => return refuse(&format!("the body is an object of settings: {error}")),
    };
    if changes.lock_ms == Some(0) || changes.max_delivery_count == Some(0) {
        return refuse("lockMs and maxDeliveryCount are at least 1");
    }
    for token in &changes.access_tokens {
        hub.accept_token(&token.as_str().into());
    }
    hub.configure(|service| {
        let set = |to: &mut Duration, ms: Option<u64>| {
            if let Some(ms) = ms {
                *to = Duration::from_millis(ms);
            }
        };
        let (settings, rules) = (&mut service.settings, &mut service.bus.rules);
        if let Some(uses) = changes.sas_max_uses {
            settings.sas_max_uses = Some(uses).filter(|uses| *uses > 0);
        }
        set(&mut settings.sas_lifetime, changes.sas_lifetime_ms);
        set(&mut settings.max_poll, changes.max_poll_ms);
        set(&mut rules.lock, changes.lock_ms);
        set(&mut rules.idle, changes.subscription_idle_ms);
        if let Some(idle) = changes.global_subscription_idle_ms {
            rules.global_idle = Some(idle).filter(|idle| *idle > 0).map(Duration::from_millis);
        }
        rules.max_deliveries = changes.max_delivery_count.unwrap_or(rules.max_deliveries);
        settings.plain_bodies = changes.plain_bodies.unwrap_or(settings.plain_bodies);
        settings.event_types.extend(changes.event_types);
        settings.event_types.sort_unstable();
        settings.event_types.dedup();
    });
    shown(&hub)
}

fn shown(hub: &Hub) -> Response {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = hub.configure(|service| {
        let (settings, rules) = (&service.settings, &service.bus.rules);
        json!({
            "sasMaxUses": settings.sas_max_uses.unwrap_or(0),
            "sasLifetimeMs": ms(settings.sas_lifetime),
            "lockMs": ms(rules.lock),
            "subscriptionIdleMs": ms(rules.idle),
            "globalSubscriptionIdleMs": rules.global_idle.map_or(0, ms),
            "maxDeliveryCount": rules.max_deliveries,
            "maxPollMs": ms(settings.max_poll),
            "plainBodies": settings.plain_bodies,
            "eventTypes": settings.event_types,
        })
    });
    answer(StatusCode::OK, &config)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    ms: u64,
}

/// `POST /admin/advance`: `{"ms":60000}`.
pub(super) async fn advance(State(hub): State<Arc<Hub>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Advance { ms }) => {
            hub.advance(Duration::from_millis(ms));
            answer(StatusCode::OK, &json!({"advancedMs": ms}))
        }
        Err(_) => refuse(r#"the body is {"ms":60000}"#),
    }
}

/// `POST /admin/sas/expire`.
pub(super) async fn expire_sas(State(hub): State<Arc<Hub>>) -> Response {
    answer(StatusCode::OK, &json!({"expired": hub.expire_sas()}))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    token: Option<String>,
}

/// `POST /admin/tokens/revoke`: all, or `{"token":".."}`.
pub(super) async fn revoke_tokens(State(hub): State<Arc<Hub>>, body: Bytes) -> Response {
    let asked = if body.is_empty() { Ok(Revocation::default()) } else { serde_json::from_slice(&body) };
    let revoked = match asked {
        Ok(Revocation { token: None }) => hub.revoke_tokens(),
        Ok(Revocation { token: Some(token) }) => {
            hub.revoke_token(&token);
            1
        }
        Err(_) => return refuse(r#"the body is empty or {"token":"the token, without its scheme"}"#),
    };
    answer(StatusCode::OK, &json!({"revoked": revoked}))
}

/// `GET /admin/captures`.
pub(super) async fn captures(State(hub): State<Arc<Hub>>) -> Response {
    answer(StatusCode::OK, &json!(hub.captures()))
}

/// `DELETE /admin/captures`.
pub(super) async fn clear_captures(State(hub): State<Arc<Hub>>) -> Response {
    answer(StatusCode::OK, &json!({"cleared": hub.clear_captures()}))
}
