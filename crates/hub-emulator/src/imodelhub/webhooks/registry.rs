//! The webhooks, the routes that manage them, and what waits to be sent. Pure; the time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use event_core::Secret;
use http::{Method, Request, StatusCode, Uri};
use serde_json::{Value, json};

use super::envelope::{Delivery, ITWIN, succeeds};
use super::fault::{Faults, WebhookAction, WebhookFault};
use crate::imodelhub::answers::{Answer, empty, platform, platform_error};
use crate::imodelhub::clock::iso_date;
use crate::imodelhub::ids::Ids;
use crate::imodelhub::topic::Topic;

/// The most webhooks.
const MOST: usize = 1_000;
/// The most deliveries that wait; more are dropped and counted.
const MOST_WAITING: usize = 100_000;
/// The shortest secret.
const SECRET: usize = 32;

/// What a place in the list says.
#[derive(Debug)]
struct Webhook {
    id: String,
    /// The iTwin that it is for; `None`: the whole account.
    itwin: Option<String>,
    url: Uri,
    event_types: Vec<String>,
    secret: Secret,
    active: bool,
    created: Duration,
    modified: Duration,
}

/// Everything about webhooks.
#[derive(Debug)]
pub(in crate::imodelhub) struct Webhooks {
    all: Vec<Webhook>,
    ids: Ids,
    /// Whether callbacks may be anywhere, because the caller posts to them.
    anywhere: bool,
    waiting: VecDeque<Delivery>,
    faults: Faults,
}

/// What is wrong with a request: a member, and why.
struct Wrong(&'static str, &'static str);

impl Webhooks {
    pub(in crate::imodelhub) fn new(seed: u64, anywhere: bool) -> Self {
        let (all, waiting, faults) = (Vec::new(), VecDeque::new(), Faults::default());
        Self { all, ids: Ids::new(seed ^ 0x0057_4542_484f_4f4b), anywhere, waiting, faults }
    }

    pub(in crate::imodelhub) fn add_fault(&mut self, fault: WebhookFault) -> bool {
        self.faults.add(fault)
    }

    pub(in crate::imodelhub) fn clear_faults(&mut self) -> usize {
        self.faults.clear()
    }

    /// What happens to the next delivery.
    pub(super) fn take_fault(&mut self) -> Option<WebhookAction> {
        self.faults.take()
    }

    /// The next delivery that waits.
    pub(super) fn next(&mut self) -> Option<Delivery> {
        self.waiting.pop_front()
    }

    /// Whether a webhook is still there, and active: others are not sent to again.
    pub(super) fn wants(&self, id: &str) -> bool {
        self.all.iter().any(|webhook| webhook.id == id && webhook.active)
    }

    /// Tells of an event of iModelHub, if the platform has one that succeeds it. Gives how many webhooks are told, and for
    /// how many there was no room.
    pub(in crate::imodelhub) fn tell_of(
        &mut self,
        topic: &Topic,
        name: &str,
        body: &str,
        now: Duration,
    ) -> (usize, usize) {
        if self.all.is_empty() {
            return (0, 0);
        }
        let body = serde_json::from_str(body).unwrap_or_default();
        match succeeds(topic, name, &body) {
            Some((event_type, content)) => self.tell(event_type, None, &content, now),
            None => (0, 0),
        }
    }

    /// Tells an event to those who want it. Without an iTwin it is for every webhook, whatever iTwin that is for.
    pub(in crate::imodelhub) fn tell(
        &mut self,
        event_type: &str,
        itwin: Option<&str>,
        content: &Value,
        now: Duration,
    ) -> (usize, usize) {
        let (mut told, mut dropped) = (0, 0);
        for webhook in self.all.iter().filter(|webhook| webhook.active) {
            let theirs = webhook.itwin.as_deref();
            let meant = itwin.is_none_or(|itwin| theirs.is_none_or(|theirs| theirs == itwin));
            if !meant || !webhook.event_types.iter().any(|wanted| wanted == event_type) {
                continue;
            }
            if self.waiting.len() >= MOST_WAITING {
                dropped += 1;
                continue;
            }
            told += 1;
            self.waiting.push_back(Delivery {
                webhook: webhook.id.clone(),
                url: webhook.url.clone(),
                secret: webhook.secret.clone(),
                event_type: event_type.to_owned(),
                itwin: itwin.or(theirs).unwrap_or(ITWIN).to_owned(),
                message: self.ids.guid(),
                content: content.clone(),
                enqueued: now,
            });
        }
        (told, dropped)
    }

    /// Answers a request to `/webhooks` or below, from somebody who may.
    pub(in crate::imodelhub) fn handle(
        &mut self,
        id: Option<&str>,
        request: &Request<Bytes>,
        now: Duration,
    ) -> Answer {
        let body = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
        let Some(id) = id else {
            return match *request.method() {
                Method::GET => {
                    let all: Vec<Value> = self.all.iter().map(Webhook::to_json).collect();
                    platform(StatusCode::OK, &json!({"webhooks": all}))
                }
                Method::POST => self.create(&body, now).unwrap_or_else(invalid),
                _ => no_such_method(),
            };
        };
        let Some(at) = self.all.iter().position(|webhook| webhook.id.eq_ignore_ascii_case(id)) else {
            let message = "Requested webhook is not available.";
            return platform_error(StatusCode::NOT_FOUND, "WebhookNotFound", message, None);
        };
        match *request.method() {
            Method::GET => platform(StatusCode::OK, &json!({"webhook": self.all[at].to_json()})),
            Method::PATCH => self.update(at, &body, now).unwrap_or_else(invalid),
            Method::DELETE => {
                self.all.remove(at);
                empty(StatusCode::NO_CONTENT)
            }
            _ => no_such_method(),
        }
    }

    fn create(&mut self, body: &Value, now: Duration) -> Result<Answer, Wrong> {
        let url = self.url(body)?.ok_or(Wrong("callbackUrl", "it is missing"))?;
        let event_types = event_types(body)?.ok_or(Wrong("eventTypes", "it is missing"))?;
        let itwin = match (text(body, "scope"), text(body, "scopeId")) {
            (Some("Account"), _) => None,
            (Some("iTwin"), Some(itwin)) => Some(itwin.to_owned()),
            (Some("iTwin"), None) => return Err(Wrong("scopeId", "it is missing")),
            _ => return Err(Wrong("scope", "it is Account or iTwin")),
        };
        let given = secret(body)?;
        if self.all.len() >= MOST {
            return Err(Wrong("webhook", "there are too many"));
        }
        let secret =
            given.unwrap_or_else(|| format!("{}{}", self.ids.message_id(), self.ids.message_id()).into());
        let id = self.ids.guid();
        let webhook =
            Webhook { id, itwin, url, event_types, secret, active: false, created: now, modified: now };
        let mut json = webhook.to_json();
        json["secret"] = Value::from(webhook.secret.expose());
        self.all.push(webhook);
        Ok(platform(StatusCode::CREATED, &json!({"webhook": json})))
    }

    fn update(&mut self, at: usize, body: &Value, now: Duration) -> Result<Answer, Wrong> {
        let (url, event_types, secret) = (self.url(body)?, event_types(body)?, secret(body)?);
        let active = match body.get("active") {
            None => None,
            Some(Value::Bool(active)) => Some(*active),
            Some(_) => return Err(Wrong("active", "it is true or false")),
        };
        if !body.is_object() {
            return Err(Wrong("body", "it is a JSON object"));
        }
        let webhook = &mut self.all[at];
        webhook.active = active.unwrap_or(webhook.active);
        webhook.modified = now;
        if let Some(url) = url {
            webhook.url = url;
        }
        if let Some(event_types) = event_types {
            webhook.event_types = event_types;
        }
        if let Some(secret) = secret {
            webhook.secret = secret;
        }
        Ok(platform(StatusCode::OK, &json!({"webhook": webhook.to_json()})))
    }

    fn url(&self, body: &Value) -> Result<Option<Uri>, Wrong> {
        const KEY: &str = "callbackUrl";
        let Some(url) = text(body, KEY) else { return Ok(None) };
        let url: Uri = url.parse().map_err(|_| Wrong(KEY, "it is no URL"))?;
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match url.scheme_str() {
            Some("http") if here => Ok(Some(url)),
            Some("http" | "https") if self.anywhere && !host.is_empty() => Ok(Some(url)),
            // The platform wants https; the emulator has no certificates to trust, and reaches nobody else's machine.
            _ => Err(Wrong(
                KEY,
                "the emulator posts to http on this machine only, or by a poster of the caller's",
            )),
        }
    }
}

impl Webhook {
    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "scope": if self.itwin.is_some() { "iTwin" } else { "Account" },
            "scopeId": self.itwin,
            "active": self.active,
            "callbackUrl": self.url.to_string(),
            "eventTypes": self.event_types,
            "created": iso_date(self.created),
            "modified": iso_date(self.modified),
        })
    }
}

fn text<'a>(body: &'a Value, key: &str) -> Option<&'a str> {
    body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn event_types(body: &Value) -> Result<Option<Vec<String>>, Wrong> {
    const KEY: &str = "eventTypes";
    let Some(types) = body.get(KEY) else { return Ok(None) };
    let types: Option<Vec<String>> = types
        .as_array()
        .map(|types| types.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect());
    match types {
        Some(types) if !types.is_empty() => Ok(Some(types)),
        _ => Err(Wrong(KEY, "it is a list of types, and not empty")),
    }
}

fn secret(body: &Value) -> Result<Option<Secret>, Wrong> {
    match text(body, "secret") {
        Some(secret) if secret.chars().count() < SECRET => {
            Err(Wrong("secret", "it has 32 characters at least"))
        }
        secret => Ok(secret.map(Secret::from)),
    }
}

fn invalid(Wrong(target, message): Wrong) -> Answer {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let about = Some(("InvalidValue", message, target));
    platform_error(status, "InvalidWebhooksRequest", "Request body is invalid.", about)
}

fn no_such_method() -> Answer {
    empty(StatusCode::METHOD_NOT_ALLOWED)
}
