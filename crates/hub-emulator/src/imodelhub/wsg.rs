//! The REST side: subscriptions and SAS tokens. Pure.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Map, Value, json};

use super::answers::{Answer, Instance, changed, empty, wsg_error};
use super::bus::Subscription;
use super::route::Class;
use super::service::Service;
use super::topic::Topic;

/// Answers a request with a good access token.
pub(super) fn handle(
    service: &mut Service,
    topic: &Topic,
    class: Class,
    id: Option<&str>,
    request: &Request<Bytes>,
    origin: &str,
    now: Duration,
) -> Answer {
    match (class, request.method(), id) {
        (Class::Sas, &Method::POST, None) => sas(service, topic, origin, now),
        (Class::Subscription, &Method::POST, _) => match (Wanted::read(request.body()), id) {
            (None, _) => wsg_error(
                StatusCode::BAD_REQUEST,
                "iModelHub.InvalidPropertiesValues",
                "The body is not an instance in JSON",
            ),
            (Some(wanted), None) => create(service, topic, wanted, now),
            (Some(wanted), Some(id)) => update(service, topic, id, wanted, now),
        },
        (Class::Subscription, &Method::DELETE, Some(id)) => match service.bus.delete(topic, id, now) {
            Ok(()) => empty(StatusCode::OK),
            Err(_) => no_such_subscription(),
        },
        _ => wsg_error(StatusCode::METHOD_NOT_ALLOWED, "NotSupported", "The operation is not supported"),
    }
}

/// The properties that count; all others are ignored.
struct Wanted {
    /// `None`: not given.
    types: Option<Vec<String>>,
    given_id: Option<String>,
}

impl Wanted {
    /// `None` when the body is not a JSON object. Empty texts are as good as nothing.
    fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok().filter(Value::is_object)?;
        let properties = &body["instance"]["properties"];
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let types = properties["EventTypes"]
            .as_array()
            .map(|types| types.iter().filter_map(Value::as_str).filter_map(given).collect());
        Some(Self { types, given_id: properties["SubscriptionId"].as_str().and_then(given) })
    }
}

fn create(service: &mut Service, topic: &Topic, wanted: Wanted, now: Duration) -> Answer {
    let types = match checked(service, topic, wanted.types) {
        Ok(types) => types,
        Err((error, message)) => return wsg_error(StatusCode::BAD_REQUEST, error, &message),
    };
    let etag = service.bus.ids.etag();
    if *topic == Topic::Global
        && let Some(id) = &wanted.given_id
        && let Some(existing) = service.bus.with_given_id(id, now)
    {
        return changed("Existing", instance(existing, etag));
    }
    let given_id = wanted.given_id.filter(|_| *topic == Topic::Global);
    match service.bus.create(topic.clone(), types, given_id, now) {
        Some(subscription) => changed("Created", instance(subscription, etag)),
        None => wsg_error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "iModelHub.OperationFailed",
            "This emulator has no room for more subscriptions",
        ),
    }
}

fn update(service: &mut Service, topic: &Topic, id: &str, wanted: Wanted, now: Duration) -> Answer {
    let types = match checked(service, topic, wanted.types) {
        Ok(types) => types,
        Err((error, message)) => return wsg_error(StatusCode::BAD_REQUEST, error, &message),
    };
    let etag = service.bus.ids.etag();
    match service.bus.update(topic, id, types, now) {
        Ok(subscription) => changed("Modified", instance(subscription, etag)),
        Err(_) => no_such_subscription(),
    }
}

/// The types, all of them known; or an error's id and message. A global subscription may have none.
fn checked(
    service: &Service,
    topic: &Topic,
    types: Option<Vec<String>>,
) -> Result<Vec<String>, (&'static str, String)> {
    let types = types.unwrap_or_default();
    if types.is_empty() && *topic != Topic::Global {
        let message = "The subscription has no EventTypes".to_owned();
        return Err(("iModelHub.MissingRequiredProperties", message));
    }
    match types.iter().find(|name| !service.knows(topic, name)) {
        None => Ok(types),
        Some(name) => Err(("iModelHub.EventTypeDoesNotExist", format!("Event type {name} does not exist"))),
    }
}

fn sas(service: &mut Service, topic: &Topic, origin: &str, now: Duration) -> Answer {
    let base = format!("{origin}/bus/{}", topic.path());
    let until = now.saturating_add(service.settings.sas_lifetime);
    let ids = &mut service.bus.ids;
    let token = service.sas.issue(topic, &base, until, service.settings.sas_max_uses, ids);
    let etag = ids.etag();
    service.bus.stats.sas_issued += 1;
    let properties = members([("BaseAddress", json!(base)), ("EventServiceSASToken", json!(token))]);
    let (schema, class) = match topic {
        Topic::IModel(_) => ("iModelScope", "EventSAS"),
        Topic::Global => ("GlobalScope", "GlobalEventSAS"),
    };
    changed("Created", Instance { id: "", schema, class, etag, properties })
}

fn instance(subscription: &Subscription, etag: String) -> Instance<'_> {
    let mut properties = members([("EventTypes", json!(subscription.types))]);
    if let Some(id) = &subscription.given_id {
        properties.insert("SubscriptionId".to_owned(), json!(id));
    }
    let (schema, class) = match subscription.topic {
        Topic::IModel(_) => ("iModelScope", "EventSubscription"),
        Topic::Global => ("GlobalScope", "GlobalEventSubscription"),
    };
    Instance { id: &subscription.id, schema, class, etag, properties }
}

/// In this order, which is the alphabet's too.
fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn no_such_subscription() -> Answer {
    let message = "Event subscription does not exist";
    wsg_error(StatusCode::NOT_FOUND, "iModelHub.EventSubscriptionDoesNotExist", message)
}
