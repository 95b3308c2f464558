//! Decoding the data of an event, with errors that say where and not what.

use std::fmt::{self, Write};

use event_core::{Error, ErrorKind, Event, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

/// Why the data of an event is not what its topic promises: the place in the JSON, what stands there, what should.
///
/// It is the [`source`](std::error::Error::source) of an [`Error`] of kind [`ErrorKind::Decode`]. It names members
/// and kinds of JSON values, never the values.
///
/// ```
/// use ftrack_hub::events::{DecodeError, Payload, Update};
/// use ftrack_hub::{Event, ErrorKind};
/// use serde_json::json;
/// use std::error::Error;
///
/// let event = Event::new("ftrack.update", &json!({"entities": [{"entityId": 7}]}))?;
/// let error = Update::decode(&event).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Decode);
/// let cause = error.source().and_then(|cause| cause.downcast_ref::<DecodeError>()).unwrap();
/// assert_eq!(cause.path(), "entities[0].entityId");
/// assert_eq!(cause.found(), "a number");
/// # Ok::<(), ftrack_hub::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    path: String,
    found: &'static str,
    expected: String,
}

impl DecodeError {
    /// The place inside the data, such as `entities[0].changes.statusid`; empty for the data as a whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stands there: "null", "a boolean", "a number", "a text", "a list", "an object", or "nothing".
    pub fn found(&self) -> &str {
        self.found
    }

    /// What should stand there, in a few words.
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, found, expected } = self;
        match path.as_str() {
            "" => write!(f, "the data is {found}, expected {expected}"),
            path => write!(f, "`{path}` is {found}, expected {expected}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// The data of an event as a type.
pub(super) fn decode<T: DeserializeOwned>(event: &Event) -> Result<T> {
    from_value(event.data_value()).map_err(|cause| {
        let message = format!("{cause}; the event itself is intact, read it by Event::data_value");
        Error::new(ErrorKind::Decode, "decode event", format!("{}: {message}", event.topic()))
            .with_source(cause)
    })
}

/// A tree as a type.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, DecodeError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut place = Some(value);
        let mut path = String::new();
        for segment in error.path() {
            match segment {
                Segment::Seq { index } => {
                    place = place.and_then(|value| value.get(index));
                    let _ = write!(path, "[{index}]");
                }
                Segment::Map { key } | Segment::Enum { variant: key } => {
                    place = place.and_then(|value| value.get(key));
                    let dot = if path.is_empty() { "" } else { "." };
                    let _ = write!(path, "{dot}{key}");
                }
                Segment::Unknown => {}
            }
        }
        DecodeError { path, found: kind(place), expected: expectation(&error.inner().to_string()) }
    })
}

/// The part of serde's message that comes from the type; the other part may quote the payload.
fn expectation(message: &str) -> String {
    if let Some((_, expected)) = message.rsplit_once(", expected ") {
        return expected.to_owned();
    }
    match message.strip_prefix("missing field ") {
        Some(field) => format!("a member {field}"),
        None => "another shape".to_owned(),
    }
}

/// What kind of JSON value it is.
pub(crate) fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_quotes_nothing_of_the_payload() {
        #[derive(serde::Deserialize, Debug)]
        struct Shot {
            #[expect(dead_code, reason = "only its type matters")]
            frames: u32,
        }
        for (data, path, message) in [
            (json!({"frames": "marked, expected 4711"}), "frames", "`frames` is a text, expected u32"),
            (json!({"frames": -4711}), "frames", "`frames` is a number, expected u32"),
            (json!({}), "", "the data is an object, expected a member `frames`"),
            (json!("marked"), "", "the data is a text, expected struct Shot"),
        ] {
            let error = from_value::<Shot>(&data).unwrap_err();
            assert_eq!((error.path(), error.to_string().as_str()), (path, message), "{data}");
        }
    }
}
