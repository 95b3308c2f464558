//! What the platform sends: an envelope around what happened. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use event_core::{Error, ErrorKind, Event, RawJson, Result};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::content::WebhookContent;
use super::date::read_date;
use super::types::WebhookEventType;
use crate::event::HubEvent;

/// The member by which an event of the core is known to have come by a webhook.
const MARK: &str = "webhook";
/// Under what topic an event without a type goes.
const UNTYPED: &str = "untyped";

/// An event as the platform sends it, in the second or the first version of its API.
///
/// Every member is kept as it came, known or not: [`WebhookEvent::members`].
///
/// ```
/// use imodelhub_events::webhooks::{WebhookContent, WebhookEvent};
///
/// let event = WebhookEvent::parse(br#"{
///     "content": {"imodelId": "72640bf2-2173-4276-b896-c157bee0df76", "userId": "e5c7ae4f-2d72-4319-b96a-d46492e4f860"},
///     "eventType": "iModels.iModelDeleted.v1", "enqueuedDateTime": "11/3/2023 8:07:01 PM",
///     "iTwinId": "ce40a55a-6954-4de3-85c7-f796c3e423d9", "messageId": "32369e4b-c9ff-47e4-b422-83b97247ce5b",
///     "webhookId": "7da4ba7e-3a35-4d97-a1b0-6d453aa97493"}"#)?;
/// if let WebhookContent::IModelDeleted(deleted) = event.content()? {
///     assert_eq!(deleted.imodel_id, "72640bf2-2173-4276-b896-c157bee0df76");
/// }
/// # Ok::<(), imodelhub_events::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct WebhookEvent(Map<String, Value>);

impl WebhookEvent {
    /// Reads a body whose [signature](super::SigningKeys) was checked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] unless it is one JSON object.
    pub fn parse(body: &[u8]) -> Result<Self> {
        serde_json::from_slice(body).map(Self).map_err(|cause| {
            let message = "the body is not one JSON object";
            Error::new(ErrorKind::Decode, "read webhook", message).with_source(cause)
        })
    }

    /// The event behind an event of the core, if it came by a webhook.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if it did not, or if its JSON has numbers or depths that cannot be held.
    pub fn of(event: &Event) -> Result<Self> {
        match event.data_value() {
            Value::Object(members) if came_by_webhook(event) => Ok(Self(members.clone())),
            _ => {
                let message =
                    "it did not come by a webhook, or cannot be held as a tree; its text is in the raw event";
                Err(Error::new(ErrorKind::Decode, "read webhook", message))
            }
        }
    }

    /// The event that a listener gets for a body whose [signature](super::SigningKeys) was checked: for programs that
    /// receive by other means than a [receiver](super::WebhookReceiver).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] unless it is one JSON object.
    pub fn received(body: impl Into<Bytes>) -> Result<HubEvent> {
        to_event(body.into()).map(|(event, _)| HubEvent::new(event))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Its type, as the platform spells it.
    pub fn event_type(&self) -> Option<&str> {
        self.text("eventType").or_else(|| self.text("contentType"))
    }

    /// Its type.
    pub fn known_type(&self) -> Option<WebhookEventType> {
        self.event_type().map(WebhookEventType::from)
    }

    /// The message's id, by which a repeat is recognised.
    pub fn message_id(&self) -> Option<&str> {
        self.text("messageId")
    }

    /// The webhook that it was sent by.
    pub fn webhook_id(&self) -> Option<&str> {
        self.text("webhookId").or_else(|| self.text("subscriptionId"))
    }

    /// The iTwin that it is about. Only in the second version of the API.
    pub fn itwin_id(&self) -> Option<&str> {
        self.text("iTwinId")
    }

    /// When the platform put it into its queue, as it says; see [`read_date`] about the time zone.
    pub fn enqueued(&self) -> Option<SystemTime> {
        self.text("enqueuedDateTime").and_then(read_date)
    }

    /// What happened.
    ///
    /// # Errors
    ///
    /// As [`WebhookContent::read`].
    pub fn content(&self) -> Result<WebhookContent> {
        let event_type = self.event_type().unwrap_or(UNTYPED);
        WebhookContent::read(event_type, self.0.get("content").unwrap_or(&Value::Null))
    }

    /// Every member of the envelope, as it came.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// The names of members, without what they hold: payloads stay out of logs.
impl fmt::Debug for WebhookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        write!(f, "WebhookEvent({})", names.join(", "))
    }
}

pub(crate) fn came_by_webhook(event: &Event) -> bool {
    event.extra(MARK).is_some()
}

/// The body as an event of the core: its type as the topic, its message id as the id, its text as the data, byte for
/// byte. A body without a message id is known by its digest, so that a repeat of it is recognised, too.
///
/// Also says when the platform put it into its queue, if that can be read.
pub(super) fn to_event(body: Bytes) -> Result<(Event, Option<SystemTime>)> {
    // Numbers that no tree can hold, and depths, are left alone here.
    let envelope: BTreeMap<String, &RawValue> = serde_json::from_slice(&body).map_err(|cause| {
        Error::new(ErrorKind::Decode, "read webhook", "the body is not one JSON object").with_source(cause)
    })?;
    let text = |key: &str| -> Option<String> {
        let text: String = serde_json::from_str(envelope.get(key)?.get()).ok()?;
        Some(text).filter(|text| !text.is_empty())
    };
    let topic = text("eventType").or_else(|| text("contentType")).unwrap_or_else(|| UNTYPED.to_owned());
    let id =
        text("messageId").unwrap_or_else(|| format!("sha256-{}", HEXLOWER.encode(&Sha256::digest(&body))));
    let enqueued = text("enqueuedDateTime").and_then(|date| read_date(&date));
    let version = if envelope.contains_key("eventType") { 2 } else { 1 };
    drop(envelope);
    let event = Event::builder(topic)
        .id(id)
        .raw_data(RawJson::from_text(body)?)
        .extra(MARK, &json!({"version": version}))
        .build()?;
    Ok((event, enqueued))
}
