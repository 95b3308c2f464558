//! CloudEvents: what is read can be written, and what was written is read as the same.

use event_cloudevents::{CloudEvents, Problem};
use event_core::Event;
use serde_json::Value;

/// Reads the bytes as a CloudEvent, and as an event that becomes one.
///
/// # Panics
///
/// When an event that was read cannot be written, when one that was written is read as another, or when an event is
/// refused for anything else than its id or topic.
pub fn body(data: &[u8]) {
    let Ok(mapping) = CloudEvents::from_source("https://hub.example") else { panic!("a good source") };
    match mapping.read(data) {
        Ok(event) => assert!(written_and_read(&mapping, &event), "what was read cannot be written"),
        Err(error) => assert!(error.path().starts_with('$') && !error.to_string().is_empty()),
    }
    if let Ok(event) = Event::from_json(data.to_vec()) {
        written_and_read(&mapping, &event);
    }
    let _ = mapping.read_batch(data);
}

/// `false` for an event that cannot be a CloudEvent.
fn written_and_read(mapping: &CloudEvents, event: &Event) -> bool {
    let json = match mapping.write(event) {
        Ok(json) => json,
        Err(error) => {
            let fair = matches!(error.problem(), Problem::Missing | Problem::Empty | Problem::Characters);
            assert!(fair && matches!(error.path(), "$.id" | "$.topic"), "{error}");
            return false;
        }
    };
    let Ok(again) = mapping.read(&json) else { panic!("{json:?} is refused") };
    if let (Some(one), Some(other)) = (tree(event), tree(&again)) {
        assert_eq!(one, other, "{json:?}");
    }
    true
}

/// An event in which null and nothing are the same, `data` apart; `None` for numbers and depths that no tree has.
fn tree(event: &Event) -> Option<Value> {
    let mut tree: Value = serde_json::from_slice(&event.to_json()).ok()?;
    tree.as_object_mut()?.retain(|name, value| match name.as_str() {
        "source" | "inReplyToEvent" | "sent" => !value.is_null(),
        "target" => !value.is_null() && *value != "",
        _ => true,
    });
    Some(tree)
}
