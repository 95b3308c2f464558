//! What an event is about, in a few words.

use ftrack_hub::Event;
use serde_json::Value;

/// How many entities are named.
const NAMED: usize = 3;

/// The entities of an update, the action of a launch, or the data as it is.
pub(super) fn of(event: &Event) -> String {
    let data = event.data_value();
    match event.topic().as_str() {
        "ftrack.update" => entities(data).unwrap_or_else(|| data.to_string()),
        "ftrack.action.discover" | "ftrack.action.launch" => action(data).unwrap_or_else(|| data.to_string()),
        _ if data.is_null() => String::new(),
        _ => data.to_string(),
    }
}

/// `update task (statusid, priority), add note`.
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

/// `studio.publish on 2 selected`.
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
            assert_eq!(of(&Event::new(topic, &data).unwrap()), summary, "{topic} {data}");
        }
    }
}
