//! What an event is about, in a few words.

use std::fmt;

use ftrack_hub::Event;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::fitting::Fitting;

/// How many entities are named.
const NAMED: usize = 3;

/// The entities of an update, the action of a launch, or the data as it is: of that, not much more than `most`
/// characters. Decodes what it names.
pub(super) fn of(event: &Event, most: usize) -> String {
    let Some(data) = event.raw_data().value().filter(|data| !data.is_null()) else { return String::new() };
    let data = data.as_str();
    let told = match event.topic().as_str() {
        "ftrack.update" => entities(data),
        "ftrack.action.discover" | "ftrack.action.launch" => action(data),
        _ => None,
    };
    told.unwrap_or_else(|| compact(data, most))
}

#[derive(Deserialize)]
struct Update {
    entities: Entities,
}

/// Those that are named, and how many there are.
struct Entities {
    named: Vec<Entity>,
    all: usize,
}

#[derive(Deserialize)]
struct Entity {
    #[serde(default)]
    action: Fitting<String>,
    #[serde(default, rename = "entityType")]
    kind: Fitting<String>,
    #[serde(default)]
    keys: Fitting<Vec<Fitting<String>>>,
}

impl<'de> Deserialize<'de> for Entities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Entities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of entities")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut named = Vec::with_capacity(NAMED);
                while named.len() < NAMED {
                    let Some(entity) = list.next_element()? else { break };
                    named.push(entity);
                }
                let mut all = named.len();
                while let Some(IgnoredAny) = list.next_element()? {
                    all += 1;
                }
                Ok(Entities { named, all })
            }
        }

        deserializer.deserialize_seq(Reader)
    }
}

/// `update task (statusid, priority), add note`.
fn entities(data: &str) -> Option<String> {
    let Update { entities: Entities { named, all } } = serde_json::from_str(data).ok()?;
    let more = all - named.len();
    let mut named: Vec<String> = named.into_iter().map(told).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    Some(named.join(", "))
}

fn told(Entity { action, kind, keys }: Entity) -> String {
    let word = |word: Fitting<String>| word.0.unwrap_or_else(|| "?".to_owned());
    let keys: Vec<String> = keys.0.unwrap_or_default().into_iter().filter_map(|key| key.0).collect();
    let what = format!("{} {}", word(action), word(kind));
    if keys.is_empty() { what } else { format!("{what} ({})", keys.join(", ")) }
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    selection: Fitting<Vec<IgnoredAny>>,
    #[serde(default, rename = "actionIdentifier")]
    identifier: Fitting<String>,
}

/// `studio.publish on 2 selected`.
fn action(data: &str) -> Option<String> {
    let Action { selection, identifier } = serde_json::from_str(data).ok()?;
    let selected = selection.0.map_or(0, |selection| selection.len());
    (identifier.0.is_some() || selected > 0).then(|| match identifier.0 {
        Some(name) => format!("{name} on {selected} selected"),
        None => format!("on {selected} selected"),
    })
}

/// The beginning of a JSON text without the white space between its tokens.
fn compact(json: &str, most: usize) -> String {
    let (mut inside, mut escaped) = (false, false);
    let is_shown = |character: &char| {
        let space = !inside && character.is_ascii_whitespace();
        match character {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
        !space
    };
    json.chars().filter(is_shown).take(most + 1).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_summed_up_by_topic() {
        let entity =
            |n: usize| json!({"action": "update", "entityType": format!("t{n}"), "keys": ["a", "b"]});
        for (topic, data, summary) in [
            ("ftrack.update", json!({"entities": [entity(1)]}), "update t1 (a, b)"),
            (
                "ftrack.update",
                json!({"entities": [entity(1), entity(2), entity(3), entity(4), {"action": "add"}]}),
                "update t1 (a, b), update t2 (a, b), update t3 (a, b), and 2 more",
            ),
            ("ftrack.update", json!({"entities": 1}), "{\"entities\":1}"),
            ("ftrack.update", json!({"entities": [{}, {"action": 1, "keys": [1, "a"]}]}), "? ?, ? ? (a)"),
            ("ftrack.update", json!({"entities": [1]}), "{\"entities\":[1]}"),
            (
                "ftrack.action.launch",
                json!({"actionIdentifier": "x", "selection": [1, 2]}),
                "x on 2 selected",
            ),
            ("ftrack.action.discover", json!({"selection": [1]}), "on 1 selected"),
            ("ftrack.action.discover", json!({}), "{}"),
            ("mine", json!(null), ""),
            ("mine", json!([1]), "[1]"),
        ] {
            assert_eq!(of(&Event::new(topic, &data).unwrap(), 200), summary, "{topic} {data}");
        }
    }

    #[test]
    fn data_is_shown_without_the_space_between_its_tokens_and_not_to_its_end() {
        let event =
            Event::from_json("{\"topic\":\"t\",\"data\":{ \"a b\" :\n[1, \"\\\" c\"] , \"d\": null}}")
                .unwrap();
        assert_eq!(of(&event, 200), r#"{"a b":[1,"\" c"],"d":null}"#);
        assert_eq!(of(&event, 5), r#"{"a b""#);
        assert_eq!(of(&Event::from_json(r#"{"topic":"t"}"#).unwrap(), 5), "");
    }
}
