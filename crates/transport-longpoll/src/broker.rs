//! What the broker says about a message: the `BrokerProperties` header. Pure.

use std::fmt;
use std::time::SystemTime;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

const LOCKED_UNTIL: &str = "LockedUntil";

/// What the broker says about a message.
///
/// A property that is missing, or that has another type than documented, is `None`; one that is not among the
/// typed ones, or could not be read, stays in [`other`](Self::other).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BrokerProperties {
    /// `MessageId`: by this repeats are recognised.
    pub message_id: Option<String>,
    /// `SequenceNumber`: rises by arrival.
    pub sequence_number: Option<u64>,
    /// `DeliveryCount`: 1 for the first delivery.
    pub delivery_count: Option<u32>,
    /// `EnqueuedTimeUtc`: when the message came into the queue, by the service's clock, to the second.
    pub enqueued_time: Option<SystemTime>,
    /// `LockedUntilUtc` or `LockedUntil`: when the lock lapses, by the service's clock, to the second.
    pub locked_until: Option<SystemTime>,
    /// `LockToken`.
    pub lock_token: Option<String>,
    /// `Label`.
    pub label: Option<String>,
    /// `CorrelationId`, as the sender set it.
    pub correlation_id: Option<String>,
    /// `SessionId`.
    pub session_id: Option<String>,
    /// The rest, as it came: `TimeToLive`, `State`, `EnqueuedSequenceNumber` and whatever is unknown.
    pub other: Map<String, Value>,
}

impl BrokerProperties {
    /// Reads the header. Total: what is no JSON object gives no properties.
    pub fn parse(header: &[u8]) -> Self {
        let mut json = serde_json::Deserializer::from_slice(header);
        let broker = Members.deserialize(&mut json);
        broker.and_then(|broker| json.end().map(|()| broker)).unwrap_or_default()
    }

    /// Takes a property in; gives it back if it is of another type than documented, or unknown.
    fn take(&mut self, key: &str, value: Value) -> Result<(), Value> {
        match key {
            "MessageId" => text(value).map(|id| self.message_id = Some(id)),
            "SequenceNumber" => number(value).map(|number| self.sequence_number = Some(number)),
            "DeliveryCount" => {
                let count = number(value.clone())?.try_into().map_err(|_| value)?;
                self.delivery_count = Some(count);
                Ok(())
            }
            "EnqueuedTimeUtc" => date(value).map(|time| self.enqueued_time = Some(time)),
            "LockedUntilUtc" => date(value).map(|time| self.locked_until = Some(time)),
            "LockToken" => text(value).map(|token| self.lock_token = Some(token)),
            "Label" => text(value).map(|label| self.label = Some(label)),
            "CorrelationId" => text(value).map(|id| self.correlation_id = Some(id)),
            "SessionId" => text(value).map(|id| self.session_id = Some(id)),
            _ => Err(value),
        }
    }
}

/// Reads an object, whose members go where they belong as they come.
struct Members;

impl<'de> DeserializeSeed<'de> for Members {
    type Value = BrokerProperties;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<BrokerProperties, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = BrokerProperties;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the properties of a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<BrokerProperties, A::Error> {
        let mut broker = BrokerProperties::default();
        while let Some((key, value)) = members.next_entry::<String, Value>()? {
            if let Err(value) = broker.take(&key, value) {
                broker.other.insert(key, value);
            }
        }
        // Its other name, which counts if the first is not there.
        if broker.locked_until.is_none()
            && let Some(value) = broker.other.remove(LOCKED_UNTIL)
        {
            match date(value) {
                Ok(time) => broker.locked_until = Some(time),
                Err(value) => _ = broker.other.insert(LOCKED_UNTIL.to_owned(), value),
            }
        }
        Ok(broker)
    }
}

/// A text that is not empty.
fn text(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(text),
        other => Err(other),
    }
}

/// A number, or a text that is one.
fn number(value: Value) -> Result<u64, Value> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()).ok_or(value)
}

fn date(value: Value) -> Result<SystemTime, Value> {
    value.as_str().and_then(http_date).ok_or(value)
}

/// An HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT` or one of its two older forms.
pub(crate) fn http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}
