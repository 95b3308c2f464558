//! Events from JSON: the text is kept, an edit touches only what it names, and lookups agree with a plain tree.

use event_core::expression::Subject;
use event_core::{Event, EventReader, Field};
use serde_json::{Map, Value};

/// The most members that an event may have.
const MAX_MEMBERS: usize = 256;

/// Reads the bytes as an event.
///
/// # Panics
///
/// When an event does not give back its bytes, when editing it changes what was not edited, when it says anything
/// else than a plain JSON parser does, or when a sound event is refused.
pub fn body(data: &[u8]) {
    let tree = serde_json::from_slice::<Value>(data);
    match Event::from_json(data.to_vec()) {
        Ok(event) => {
            assert_eq!(event.to_json(), data, "byte for byte");
            let judged = serde_json::from_slice::<serde::de::IgnoredAny>(data);
            assert!(judged.is_ok(), "an event that is no JSON: {judged:?}");
            if let Ok(tree) = &tree {
                agree(&event, tree);
            }
            rewritten(&event);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(Value::Object(members)) = tree {
        sound_is_read(&members);
    }
}

/// The event and the tree of the same text find the same things.
fn agree(event: &Event, tree: &Value) {
    assert_eq!(tree["topic"], event.topic().as_str());
    looked_up_alike(event, tree);
    assert_eq!(event.data_value(), &tree["data"]);
    assert_eq!(event.source(), &tree["source"]);
    assert_eq!(event.id().map(event_core::EventId::as_str), tree["id"].as_str());
    assert_eq!(event.in_reply_to().map(event_core::EventId::as_str), tree["inReplyToEvent"].as_str());
    assert_eq!(event.target(), tree["target"].as_str().unwrap_or_default());
    looked_up_alike(event, tree);
    let Ok(text) = std::str::from_utf8(&event.to_json()).map(str::to_owned) else { panic!("no UTF-8") };
    assert_eq!(EventReader::new().read(&text).ok().as_ref(), Some(event));
}

/// At first in the text, later in the event's own tree.
fn looked_up_alike(event: &Event, tree: &Value) {
    for (key, value) in tree.as_object().into_iter().flatten() {
        let path = [Box::from(&**key)];
        assert_eq!(event.lookup(&path), tree.lookup(&path), "{key}");
        for inner in value.as_object().into_iter().flat_map(Map::keys) {
            let path = [Box::from(&**key), Box::from(&**inner)];
            assert_eq!(event.lookup(&path), tree.lookup(&path), "{key}.{inner}");
        }
    }
}

/// An edited copy keeps everything else, and writing it settles after once.
fn rewritten(event: &Event) {
    let Ok(copy) = event.to_builder().build() else {
        return assert!(event.topic().as_str().is_empty(), "a copy is refused");
    };
    let text = copy.to_json();
    let Ok(again) = Event::from_json(text.clone()) else { panic!("{text:?} is refused") };
    same_but_for_id(event, &again);
    assert_eq!(event.fields().id, again.fields().id);
    let settled = again.to_builder().build().map(|settled| settled.to_json());
    assert_eq!(settled.ok(), Some(text));

    let Ok(edited) = event.to_builder().id("edited").build() else { panic!("an edit is refused") };
    let Ok(edited) = Event::from_json(edited.to_json()) else { panic!("an edited event is refused") };
    assert_eq!(edited.id().map(event_core::EventId::as_str), Some("edited"));
    same_but_for_id(event, &edited);
}

fn same_but_for_id(one: &Event, other: &Event) {
    assert_eq!(one.topic(), other.topic());
    assert_eq!(one.fields().target, other.fields().target);
    assert_eq!(one.fields().in_reply_to, other.fields().in_reply_to);
    for (one, other) in [
        (one.raw_data(), other.raw_data()),
        (one.raw_source(), other.raw_source()),
        (one.sent(), other.sent()),
    ] {
        assert_eq!(bytes(one), bytes(other), "data keeps its bytes");
    }
}

fn bytes(field: &Field<event_core::RawJson>) -> Field<&[u8]> {
    match field {
        Field::Absent => Field::Absent,
        Field::Null => Field::Null,
        Field::Value(raw) => Field::Value(raw.as_bytes()),
    }
}

/// An object with a text as topic, and texts or nothing where texts belong, is an event.
fn sound_is_read(members: &Map<String, Value>) {
    let textual = |key: &str| members.get(key).is_none_or(|value| value.is_string() || value.is_null());
    let sound = members.get("topic").is_some_and(Value::is_string)
        && ["id", "target", "inReplyToEvent"].into_iter().all(textual)
        && members.len() <= MAX_MEMBERS;
    let text = Value::Object(members.clone()).to_string();
    assert_eq!(Event::from_json(text.clone()).is_ok(), sound, "{text}");
}
