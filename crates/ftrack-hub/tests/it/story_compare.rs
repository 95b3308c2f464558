//! Compares two tellings of the story, field by field, ids replaced by what they stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::story_read::{Client, Line};

const ABSENT: &str = "absent";
const EMPTY: &str = "none";

/// A field that differs: what the official client says, what we say, and in which steps.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) field: String,
    pub(crate) theirs: String,
    pub(crate) ours: String,
    pub(crate) steps: BTreeSet<String>,
}

/// A telling with ids replaced: for each client and step the fields, and the order of the steps.
struct Telling {
    /// By client and step: how often it was said, and the fields of the first time.
    steps: BTreeMap<(usize, String), (usize, BTreeMap<String, String>)>,
    order: [Vec<String>; 2],
}

/// What each id stands for.
fn names(clients: &[Client; 2]) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for (client, who) in clients.iter().zip(["a", "b"]) {
        for Line { step, event, .. } in client {
            let Some(event) = event else { continue };
            let mut name = |id: &Value, what: String| {
                let id = id.as_str().expect("an id").to_owned();
                if !names.iter().any(|(known, _)| *known == id) {
                    names.push((id, what));
                }
            };
            if step == "subscribe to replies" {
                name(&event["source"]["id"], format!("<hub {who}>"));
            }
            if step == "subscribe" {
                name(&event["data"]["subscriber"]["id"], format!("<subscriber of {who}>"));
            }
            name(&event["id"], format!("<id of {step}>"));
        }
    }
    names
}

fn form(id: &str) -> &'static str {
    let dashes: Vec<usize> = id.match_indices('-').map(|(at, _)| at).collect();
    let hexadecimal = id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    match (id.len(), &dashes[..]) {
        (32, []) if hexadecimal => "32 hexadecimal digits",
        (36, [8, 13, 18, 23]) if hexadecimal => "UUID with dashes",
        _ => "other",
    }
}

/// Every leaf under its path, as JSON; objects show through their members.
fn flatten(path: &str, value: &Value, names: &[(String, String)], out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                flatten(&format!("{path}.{key}"), value, names, out);
            }
        }
        leaf => {
            let host =
                path.rsplit('.').next() == Some("host") && leaf.as_str().is_some_and(|host| !host.is_empty());
            let text = if host { "\"<machine>\"".to_owned() } else { leaf.to_string() };
            let symbolic = names.iter().fold(text, |text, (id, name)| text.replace(id, name));
            out.insert(path.to_owned(), symbolic);
        }
    }
}

fn tell(clients: &[Client; 2]) -> Telling {
    let names = names(clients);
    let mut telling = Telling { steps: BTreeMap::new(), order: [vec![], vec![]] };
    for (number, client) in clients.iter().enumerate() {
        for line in client {
            let mut fields = line.fields.clone();
            if let Some(event) = &line.event {
                flatten("event", event, &names, &mut fields);
                fields.insert("form of ids".to_owned(), form(event["id"].as_str().unwrap()).to_owned());
            }
            let (times, _) = telling.steps.entry((number, line.step.clone())).or_insert_with(|| (0, fields));
            *times += 1;
            if *times == 1 && line.step != "heartbeat" {
                telling.order[number].push(line.step.clone());
            }
        }
    }
    telling
}

/// How our telling differs from theirs.
pub(crate) fn differences(theirs: &[Client; 2], ours: &[Client; 2]) -> Vec<Difference> {
    let (theirs, ours) = (tell(theirs), tell(ours));
    let mut found: BTreeMap<(String, String, String), BTreeSet<String>> = BTreeMap::new();
    let mut note = |field: &str, theirs: &str, ours: &str, step: &str| {
        let key = (field.to_owned(), theirs.to_owned(), ours.to_owned());
        found.entry(key).or_default().insert(step.to_owned());
    };
    let said: BTreeSet<_> = theirs.steps.keys().chain(ours.steps.keys()).collect();
    for key in said {
        let step = &key.1;
        let (Some((their_times, their_fields)), Some((our_times, our_fields))) =
            (theirs.steps.get(key), ours.steps.get(key))
        else {
            let is = |there: bool| if there { "said" } else { "not said" };
            note(step, is(theirs.steps.contains_key(key)), is(ours.steps.contains_key(key)), step);
            continue;
        };
        if their_times != our_times && step != "heartbeat" {
            note("times", &their_times.to_string(), &our_times.to_string(), step);
        }
        let fields: BTreeSet<_> = their_fields.keys().chain(our_fields.keys()).collect();
        for field in fields {
            let value = |of: &BTreeMap<String, String>| match of.get(field).map(String::as_str) {
                None => ABSENT.to_owned(),
                Some("") => EMPTY.to_owned(),
                Some(text) => text.to_owned(),
            };
            let (their_value, our_value) = (value(their_fields), value(our_fields));
            if their_value != our_value {
                note(field, &their_value, &our_value, step);
            }
        }
    }
    for (their_order, our_order) in theirs.order.iter().zip(&ours.order) {
        let common = |of: &[String], other: &[String]| {
            of.iter().filter(|step| other.contains(step)).cloned().collect::<Vec<_>>().join(", ")
        };
        let (their_order, our_order) = (common(their_order, our_order), common(our_order, their_order));
        if their_order != our_order {
            note("order of steps", &their_order, &our_order, "all");
        }
    }
    found
        .into_iter()
        .map(|((field, theirs, ours), steps)| Difference { field, theirs, ours, steps })
        .collect()
}

/// A field that may differ, from which official clients, and why.
pub(crate) type Allowed = (&'static str, &'static [&'static str], &'static str);

/// The table of what differs and why; panics for a difference without a reason and for a reason without one.
pub(crate) fn explain(comparisons: &[(&str, Vec<Difference>)], allowed: &[Allowed]) -> String {
    let mut table =
        "| Field | Official client | ftrack-hub | Where | Why |\n|---|---|---|---|---|\n".to_owned();
    let mut wrong = Vec::new();
    for (client, found) in comparisons {
        let fields: BTreeSet<&str> = found.iter().map(|difference| &*difference.field).collect();
        for (field, _, _) in allowed.iter().filter(|(_, clients, _)| clients.contains(client)) {
            if !fields.contains(field) {
                wrong.push(format!("{client}: {field} does not differ any more"));
            }
        }
        for field in fields {
            let of_field: Vec<&Difference> =
                found.iter().filter(|difference| difference.field == field).collect();
            let all = |part: fn(&Difference) -> &str| {
                let values: BTreeSet<String> =
                    of_field.iter().map(|difference| format!("`{}`", part(difference))).collect();
                values.into_iter().collect::<Vec<_>>().join(" ")
            };
            let (theirs, ours) = (all(|difference| &difference.theirs), all(|difference| &difference.ours));
            let steps: BTreeSet<&str> =
                of_field.iter().flat_map(|difference| &difference.steps).map(String::as_str).collect();
            let steps =
                if steps.len() > 4 { "every event".to_owned() } else { Vec::from_iter(steps).join(", ") };
            match allowed.iter().find(|(name, clients, _)| *name == field && clients.contains(client)) {
                Some((_, _, why)) => {
                    let _ = writeln!(table, "| {field} | {client}: {theirs} | {ours} | {steps} | {why} |");
                }
                None => wrong.push(format!("{client}: {field} differs: {theirs} / {ours} in {steps}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{table}\n{wrong:#?}");
    table
}
