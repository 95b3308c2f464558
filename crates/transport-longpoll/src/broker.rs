//! What the broker says about a message: the `BrokerProperties` header. Pure.

use std::time::SystemTime;

use serde_json::{Map, Value};

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
        let mut map: Map<String, Value> = serde_json::from_slice(header).unwrap_or_default();
        Self {
            message_id: take(&mut map, "MessageId", text),
            sequence_number: take(&mut map, "SequenceNumber", number),
            delivery_count: take(&mut map, "DeliveryCount", |v| number(v).and_then(|n| n.try_into().ok())),
            enqueued_time: take(&mut map, "EnqueuedTimeUtc", date),
            locked_until: take(&mut map, "LockedUntilUtc", date)
                .or_else(|| take(&mut map, "LockedUntil", date)),
            lock_token: take(&mut map, "LockToken", text),
            label: take(&mut map, "Label", text),
            correlation_id: take(&mut map, "CorrelationId", text),
            session_id: take(&mut map, "SessionId", text),
            other: map,
        }
    }
}

/// Takes a property out if it can be read.
fn take<T>(map: &mut Map<String, Value>, key: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    let value = read(map.get(key)?)?;
    map.remove(key);
    Some(value)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A number, or a text that is one.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn date(value: &Value) -> Option<SystemTime> {
    http_date(value.as_str()?)
}

/// An HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT` or one of its two older forms.
pub(crate) fn http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}
