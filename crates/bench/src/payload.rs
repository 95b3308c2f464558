//! What travels in the measurements: an `ftrack.update` of 1.5 kB as it was recorded, and a smaller question.

use event_core::{Event, Result};
use serde_json::{Value, json};

const UPDATE: &[u8] = include_bytes!("../data/ftrack-payload-update.json");

/// The topic of the recorded event.
pub(crate) const TOPIC: &str = "ftrack.update";

/// The recorded event.
///
/// # Errors
///
/// When the file is no event.
pub(crate) fn update() -> Result<Event> {
    Event::from_json(UPDATE.trim_ascii_end())
}

/// What is published: topic and data of the recorded event; the rest is the client's to fill in.
///
/// # Errors
///
/// As [`update`].
pub(crate) fn published() -> Result<Event> {
    Event::builder(TOPIC).data(update()?.data_value()).build()
}

/// An event under another id.
///
/// # Errors
///
/// As [`update`].
pub(crate) fn numbered(template: &Event, prefix: u32, n: u64) -> Result<Event> {
    template.to_builder().id(format!("{prefix:08x}{n:024x}")).build()
}

/// What is asked and answered in round trips: about 250 bytes.
pub(crate) fn question(n: u64) -> Value {
    json!({
        "n": n,
        "selection": [{ "entityType": "task", "entityId": "a1b2c3d4-1111-4222-8333-aaaaaaaaaaaa" }],
        "actionIdentifier": "studio.render.submit",
        "description": "what a question or an answer says, long enough to be like a real one",
    })
}

/// The nth expression of a kind of other subscriptions, none of which wants the recorded event.
pub(crate) fn other(kind: &str, n: u64) -> String {
    match kind {
        "exact topic" => format!("topic=show.task{n}.update"),
        "prefix" => format!("topic=show{n:06}.*"),
        "topic+field" => format!("topic={TOPIC} and data.n={n}"),
        "field only" => format!("data.n={n}"),
        // Implies no literal: evaluated for every event.
        _ => format!("data.n>{n}"),
    }
}
