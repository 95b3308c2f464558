//! What an event says, in a few words. Pure.

use event_core::Event;
use serde_json::Value;

use super::log::Entry;

/// The most characters of a summary.
const LONGEST: usize = 160;
/// How many entities are named.
const NAMED: usize = 3;

/// The entities of an update, the action of a launch, or the beginning of the data as it is.
pub(super) fn of(event: &Event) -> String {
    let known = match event.topic().as_str() {
        "ftrack.update" => entities(event.data_value()),
        "ftrack.action.discover" | "ftrack.action.launch" => action(event.data_value()),
        "ftrack.meta.subscribe" => event.data_value()["subscription"].as_str().map(ToOwned::to_owned),
        _ => None,
    };
    match known {
        Some(text) => cut(&text),
        None => event.raw_data().value().filter(|data| !data.is_null()).and_then(|data| cut(data.as_str())),
    }
    .unwrap_or_default()
}

/// Who says that it comes from them; else the user of the connection.
pub(super) fn user(entry: &Entry) -> Option<String> {
    let named = entry.event.source()["user"]["username"].as_str().filter(|name| !name.is_empty());
    named.or(entry.user.as_deref()).and_then(cut)
}

/// At most so many characters, in one line; `None` for nothing.
fn cut(text: &str) -> Option<String> {
    let mut short: String = text
        .chars()
        .take(LONGEST)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    (!short.is_empty()).then_some(short)
}

fn entities(data: &Value) -> Option<String> {
    let all = data["entities"].as_array()?;
    let mut named: Vec<String> = all.iter().take(NAMED).map(entity).collect();
    if all.len() > NAMED {
        named.push(format!("and {} more", all.len() - NAMED));
    }
    Some(named.join(", "))
}

fn entity(entity: &Value) -> String {
    let word = |name: &str| entity[name].as_str().unwrap_or("?").to_owned();
    let keys: Vec<&str> = entity["keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let what = format!("{} {}", word("action"), word("entityType"));
    if keys.is_empty() { what } else { format!("{what} ({})", keys.join(", ")) }
}

fn action(data: &Value) -> Option<String> {
    let selected = data["selection"].as_array().map_or(0, Vec::len);
    let name = data["actionIdentifier"].as_str();
    (name.is_some() || selected > 0).then(|| match name {
        Some(name) => format!("{name} on {selected} selected"),
        None => format!("on {selected} selected"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_summed_up_in_one_short_line() {
        let long = format!(r#""{}""#, "é".repeat(500));
        for (topic, data, summary) in [
            (
                "ftrack.update",
                r#"{"entities":[{"action":"update","entityType":"task","keys":["statusid"]}]}"#,
                "update task (statusid)".to_owned(),
            ),
            ("ftrack.update", "[1]", "[1]".to_owned()),
            (
                "ftrack.action.launch",
                r#"{"actionIdentifier":"x","selection":[1]}"#,
                "x on 1 selected".to_owned(),
            ),
            ("ftrack.meta.subscribe", r#"{"subscription":"topic=a"}"#, "topic=a".to_owned()),
            ("mine", "null", String::new()),
            ("mine", "{\"a\":\n\t1}", "{\"a\":  1}".to_owned()),
            ("mine", &long, format!("\"{}…", "é".repeat(159))),
        ] {
            let event = Event::from_json(format!(r#"{{"topic":"{topic}","data":{data}}}"#)).unwrap();
            assert_eq!(of(&event), summary, "{topic}");
        }
    }
}
