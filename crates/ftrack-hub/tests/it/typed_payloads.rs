//! Payloads of the standard topics: every documented form decodes, and comes out as it went in.

use std::error::Error as _;
use std::sync::LazyLock;

use ftrack_hub::events::{Action, DecodeError, MetaReply, Payload, Standard, Update};
use ftrack_hub::{ErrorKind, Event, Field};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The documented forms, one or more for each standard topic.
pub(crate) static EXAMPLES: LazyLock<Vec<Event>> = LazyLock::new(|| {
    let examples: Vec<Value> = serde_json::from_str(include_str!("../data/events.json")).unwrap();
    examples.iter().map(|example| event(&example["topic"], &example["data"])).collect()
});

fn event(topic: &Value, data: &Value) -> Event {
    Event::new(topic.as_str().unwrap(), data).unwrap()
}

#[test]
fn every_documented_form_decodes_and_is_written_without_loss() {
    for event in EXAMPLES.iter() {
        let payload = Standard::decode(event).unwrap().expect("a standard topic");
        let written = payload.to_event().unwrap();
        assert_eq!((written.topic(), written.data_value()), (event.topic(), event.data_value()));
    }
    for topic in Standard::TOPICS {
        assert!(EXAMPLES.iter().any(|event| event.topic() == topic), "{topic} has an example");
    }
    assert_eq!((EXAMPLES.len(), Standard::TOPICS.len()), (30, 19));
    assert_eq!(Standard::decode(&Event::new("my.topic", &1).unwrap()).unwrap(), None);
}

#[test]
fn the_recorded_update_decodes_and_is_written_without_loss() {
    let event = Event::from_json(include_str!("../data/ftrack-payload-update.json")).unwrap();
    let update = Update::decode(&event).unwrap();
    assert_eq!(&serde_json::to_value(&update).unwrap(), event.data_value());
    let [task] = update.entities() else { panic!("one entity") };
    assert_eq!(task.action, Field::Value(Action::Update));
    assert!(task.is("Task") && !task.is("Shot"));
    let status = task.change("statusid").unwrap();
    assert!(
        status.old_text().unwrap().starts_with("44dd9fb2")
            && status.new_text().unwrap().starts_with("44ddd0fe")
    );
    assert!(update.rest.is_empty() && task.rest.is_empty(), "every member of it has a field");
}

#[test]
fn missing_null_and_present_members_stay_apart() {
    for data in [json!({}), json!({"entities": null}), json!({"entities": []})] {
        let update = Update::decode(&event(&json!("ftrack.update"), &data)).unwrap();
        assert!(update.entities().is_empty());
        assert_eq!(serde_json::to_value(&update).unwrap(), data);
    }
}

#[test]
fn an_error_names_the_place_and_the_event_stays_readable() {
    let data = json!({"entities": [{}, {"changes": {"statusid": {"old": 1}, "sort": "marked"}}]});
    let event = event(&json!("ftrack.update"), &data);
    let error = Update::decode(&event).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("ftrack.update: `entities[1].changes.sort` is a text"), "{error}");
    assert!(!format!("{error:?}").contains("marked"), "{error:?}");
    let cause = error.source().unwrap().downcast_ref::<DecodeError>().unwrap();
    assert_eq!((cause.path(), cause.found()), ("entities[1].changes.sort", "a text"));
    assert_eq!(event.data_value(), &data);
    let other = MetaReply::decode(&event).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::InvalidInput, "{other}");
}

#[test]
fn payloads_stay_out_of_debug() {
    let event = event(&json!("ftrack.update"), &json!({"user": {"name": "marked"}, "novel": "marked"}));
    let shown = format!("{:?} {:?}", Update::decode(&event).unwrap(), Standard::decode(&event).unwrap());
    assert!(shown.contains("Update(user, novel)") && !shown.contains("marked"), "{shown}");
}

/// Any JSON, not very deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Names that the types know, and others.
fn key() -> impl Strategy<Value = String> {
    let known = [
        "entities",
        "entityId",
        "entityType",
        "action",
        "keys",
        "changes",
        "old",
        "new",
        "parents",
        "parentId",
        "user",
        "selection",
        "values",
        "items",
        "type",
        "success",
        "rest",
        "data",
    ];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "\\PC{0,6}"]
}

/// One change at a place.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(Value),
    Insert(String, Value),
    Remove,
    Rename(String),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any_json().prop_map(Mutation::Replace),
        (key(), any_json()).prop_map(|(key, value)| Mutation::Insert(key, value)),
        Just(Mutation::Remove),
        key().prop_map(Mutation::Rename),
    ]
}

/// How many values there are, the whole included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Does it to the value with this number, in the order in which they are written.
fn mutate(value: &mut Value, number: &mut usize, mutation: &Mutation) {
    if *number == 0 {
        *number = usize::MAX;
        match (mutation, &mut *value) {
            (Mutation::Insert(key, new), Value::Object(members)) => {
                members.insert(key.clone(), new.clone());
            }
            (Mutation::Insert(_, new), Value::Array(items)) => items.push(new.clone()),
            (Mutation::Replace(new) | Mutation::Insert(_, new), place) => *place = new.clone(),
            (Mutation::Remove, Value::Object(members)) => {
                let first = members.keys().next().cloned();
                first.and_then(|key| members.remove(&key));
            }
            (Mutation::Rename(to), Value::Object(members)) => {
                if let Some(moved) = members.keys().next_back().cloned().and_then(|key| members.remove(&key))
                {
                    members.insert(to.clone(), moved);
                }
            }
            (Mutation::Remove | Mutation::Rename(_), place) => *place = Value::Null,
        }
        return;
    }
    *number -= 1;
    let inner: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => Vec::new(),
    };
    for value in inner {
        mutate(value, number, mutation);
        if *number == usize::MAX {
            return;
        }
    }
}

proptest! {
    #[test]
    fn a_mutated_payload_is_refused_with_a_place_or_loses_nothing(
        example in any::<prop::sample::Index>(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), mutation()), 1..5),
    ) {
        let example = example.get(&EXAMPLES);
        let mut data = example.data_value().clone();
        for (place, mutation) in &mutations {
            let mut number = place.index(count(&data));
            mutate(&mut data, &mut number, mutation);
        }
        let event = Event::from_json(json!({"topic": example.topic().as_str(), "data": data}).to_string()).unwrap();
        match Standard::decode(&event) {
            Ok(payload) => {
                let written = serde_json::to_value(payload.expect("a standard topic")).unwrap();
                prop_assert_eq!(&written, event.data_value());
            }
            Err(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::Decode);
                let cause = error.source().and_then(|cause| cause.downcast_ref::<DecodeError>()).unwrap();
                prop_assert_ne!(cause.found(), "nothing");
            }
        }
    }
}
