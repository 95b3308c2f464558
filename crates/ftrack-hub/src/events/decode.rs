//! Decoding the data of an event, with errors that say where and not what.

use std::fmt::Write;

use event_core::{DecodeError, Error, ErrorKind, Event, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

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
        DecodeError::new(path, place, expectation(&error.inner().to_string()))
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
