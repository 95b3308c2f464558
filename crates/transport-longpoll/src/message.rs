//! One message as it came, and as an event. Pure.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use event_core::{Event, EventBuilder, RawJson, Result};
use http::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION};

use crate::binary_xml::{self, BodyError};
use crate::broker::{BrokerProperties, http_date};

/// The topic of a message without a content type.
pub const UNTYPED: &str = "untyped";

const BROKER_PROPERTIES: HeaderName = HeaderName::from_static("brokerproperties");

/// One message of a queue.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// The sender's content type, cut at the first `;` and trimmed, in the case in which it came; `None` when
    /// there is none. On queues of events it is the type of the event.
    pub content_type: Option<String>,
    /// The JSON of the body, out of its wrapping; or why there is none.
    pub body: Result<RawJson, BodyError>,
    /// The body as it came.
    pub raw: Bytes,
    /// What the broker says about the message.
    pub broker: BrokerProperties,
    /// The `BrokerProperties` header as it came, if it is JSON.
    pub broker_json: Option<RawJson>,
    /// The `Location` header of a locked message, unchecked; see [`LockUrl`](crate::lock::LockUrl).
    pub location: Option<String>,
    /// When the answer was written, by the server's clock, to the second.
    pub date: Option<SystemTime>,
    /// All headers; custom properties come as headers of their own.
    pub headers: HeaderMap,
}

impl Message {
    /// Reads headers and body of an answer that holds a message. Total: whatever came makes a message.
    pub fn read(headers: HeaderMap, body: Bytes) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let content_type = text(&CONTENT_TYPE)
            .map(|value| value.split(';').next().unwrap_or_default().trim())
            .filter(|value| !value.is_empty())
            .map(str::to_owned);
        let broker = headers.get(&BROKER_PROPERTIES);
        Self {
            content_type,
            body: binary_xml::unwrap(&body).map(|(json, _)| json),
            raw: body,
            broker: broker.map(|header| BrokerProperties::parse(header.as_bytes())).unwrap_or_default(),
            broker_json: broker
                .and_then(|header| RawJson::from_text(Bytes::copy_from_slice(header.as_bytes())).ok()),
            location: text(&LOCATION).map(str::to_owned),
            date: text(&DATE).and_then(http_date),
            headers,
        }
    }

    /// The message as an event:
    ///
    /// | member | value |
    /// |---|---|
    /// | `topic` | the content type, or [`UNTYPED`] |
    /// | `id` | the message id; a random one when there is none |
    /// | `data` | the JSON of the body; `null` when it cannot be read |
    /// | `sent` | the time of arrival in the queue, as `Sun, 06 Nov 1994 08:49:37 GMT` |
    /// | `broker` | the `BrokerProperties` as they came |
    /// | `raw`, `problem` | only when the body cannot be read: the body in base64, and why |
    ///
    /// A message is never dropped for its body: with destructive reading there is no second chance.
    ///
    /// # Errors
    ///
    /// Those of [`EventBuilder::build`], of which none can come from a message.
    pub fn to_event(&self) -> Result<Event> {
        self.to_event_as(self.content_type.as_deref().unwrap_or(UNTYPED))
    }

    /// The same under another topic; the empty one counts as [`UNTYPED`].
    ///
    /// # Errors
    ///
    /// As for [`Message::to_event`].
    pub fn to_event_as(&self, topic: &str) -> Result<Event> {
        self.builder(if topic.is_empty() { UNTYPED } else { topic }).build()
    }

    fn builder(&self, topic: &str) -> EventBuilder {
        let mut event = Event::builder(topic);
        if let Some(id) = &self.broker.message_id {
            event = event.id(id.as_str());
        }
        if let Some(time) = self.broker.enqueued_time.filter(is_four_digit_year) {
            event = event.sent(httpdate::fmt_http_date(time));
        }
        if let Some(broker) = &self.broker_json {
            event = event.raw_extra("broker", broker.clone());
        }
        match &self.body {
            Ok(json) => event.raw_data(json.clone()),
            Err(error) => event
                .raw_data(RawJson::null())
                .extra("raw", &STANDARD.encode(&self.raw))
                .extra("problem", &error.to_string()),
        }
    }
}

/// What [`httpdate::fmt_http_date`] takes without a panic: 1970 to 9999.
fn is_four_digit_year(time: &SystemTime) -> bool {
    const YEAR_10000: u64 = 253_402_300_800;
    time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since.as_secs() < YEAR_10000)
}
