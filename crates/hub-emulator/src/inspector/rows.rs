//! Events as rows of a list: their JSON. Pure.

use std::time::Duration;

use event_core::{Event, Expression};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::log::{Entry, Fate};
use super::summary;

/// One event in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row<'a> {
    sequence: u64,
    /// Since 1970, in milliseconds.
    #[serde(serialize_with = "millis")]
    at: Duration,
    topic: &'a str,
    user: Option<String>,
    /// The connection it came from; none: no client's.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    #[serde(flatten)]
    fate: &'a Fate,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<&'a str>,
    /// Of its text, in bytes.
    size: usize,
    summary: String,
    /// The event itself, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
}

impl<'a> Row<'a> {
    /// With the event itself, if `whole`.
    pub(super) fn of(entry: &'a Entry, whole: bool) -> Self {
        let event = &entry.event;
        Self {
            sequence: entry.sequence,
            at: entry.at,
            topic: event.topic().as_str(),
            user: summary::user(entry),
            from: entry.from,
            fate: &entry.fate,
            id: event.id().map(event_core::EventId::as_str),
            in_reply_to: event.in_reply_to().map(event_core::EventId::as_str),
            size: entry.size,
            summary: summary::of(event),
            event: whole.then(|| raw(event)).flatten(),
        }
    }
}

/// The event as it came.
fn raw(event: &Event) -> Option<Box<RawValue>> {
    let text = String::from_utf8(event.to_json().to_vec()).ok()?;
    RawValue::from_string(text).ok()
}

/// Whether an event is wanted; without an expression, all are.
pub(super) fn is_wanted(wanted: Option<&Expression>, entry: &Entry) -> bool {
    wanted.is_none_or(|wanted| wanted.matches(&entry.event))
}

/// A line of a recording, as `hubctl replay` reads it: `{"at":1.5,"event":{..}}`, the time in seconds.
pub(super) fn recorded(begin: Duration, entry: &Entry) -> Vec<u8> {
    let at = entry.at.saturating_sub(begin).as_secs_f64();
    let mut line = format!(r#"{{"at":{at},"event":"#).into_bytes();
    // Line breaks can stand between the members of an event, and only there.
    let json = entry.event.to_json();
    line.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    line.extend_from_slice(b"}\n");
    line
}

/// Milliseconds with their fractions, which a browser's clock understands.
pub(super) fn in_millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The same, for serde.
pub(super) fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(in_millis(*time))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(text: &str) -> Entry {
        let event = Event::from_json(text.to_owned()).unwrap();
        Entry {
            sequence: 4,
            at: Duration::from_millis(2_500),
            from: Some(7),
            user: Some("ann".into()),
            fate: Fate::Routed { recipients: 2 },
            size: text.len(),
            event,
        }
    }

    #[test]
    fn a_row_has_what_a_list_shows() {
        let entry = entry(r#"{"topic":"t","id":"i","data":{"n":1.0}}"#);
        assert_eq!(
            serde_json::to_value(Row::of(&entry, false)).unwrap(),
            json!({
                "sequence": 4, "at": 2500.0, "topic": "t", "user": "ann", "from": 7, "fate": "routed",
                "recipients": 2, "id": "i", "size": 39, "summary": "{\"n\":1.0}",
            })
        );
        let whole = serde_json::to_string(&Row::of(&entry, true)).unwrap();
        assert!(whole.ends_with(r#""event":{"topic":"t","id":"i","data":{"n":1.0}}}"#), "{whole}");
    }

    #[test]
    fn a_recorded_event_is_one_line() {
        let line = recorded(Duration::from_secs(1), &entry("{\"topic\":\"t\",\n\"data\":\"a\\nb\"}"));
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text, "{\"at\":1.5,\"event\":{\"topic\":\"t\", \"data\":\"a\\nb\"}}\n");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["event"]["data"], "a\nb");
    }
}
