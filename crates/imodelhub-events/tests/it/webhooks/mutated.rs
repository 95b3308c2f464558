//! Payloads that were damaged, and payloads from a later version of the platform.

use event_core::Event;
use imodelhub_events::webhooks::{WebhookContent, WebhookEvent};
use imodelhub_events::{ErrorKind, HubEvent};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};

use super::payloads::{DESCRIBED, DOCUMENTED};

#[derive(Clone, Debug)]
enum Change {
    Remove(Index),
    Replace(Index, Value),
    Rename(Index, String),
    Add(String, Value),
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9]{1,24}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(".{0,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<Index>().prop_map(Change::Remove),
        (any::<Index>(), any_json()).prop_map(|(at, value)| Change::Replace(at, value)),
        (any::<Index>(), ".{0,10}").prop_map(|(at, name)| Change::Rename(at, name)),
        (".{0,10}", any_json()).prop_map(|(name, value)| Change::Add(name, value)),
    ]
}

fn apply(members: &mut Map<String, Value>, change: Change) {
    let key = |members: &Map<String, Value>, at: &Index| {
        let keys: Vec<&String> = members.keys().collect();
        (!keys.is_empty()).then(|| (*at.get(&keys)).clone())
    };
    match change {
        Change::Remove(at) => {
            if let Some(key) = key(members, &at) {
                members.remove(&key);
            }
        }
        Change::Replace(at, value) => {
            if let Some(key) = key(members, &at) {
                members.insert(key, value);
            }
        }
        Change::Rename(at, name) => {
            if let Some(value) = key(members, &at).and_then(|key| members.remove(&key)) {
                members.insert(name, value);
            }
        }
        Change::Add(name, value) => {
            members.insert(name, value);
        }
    }
}

fn example() -> impl Strategy<Value = Map<String, Value>> {
    let lines: Vec<&str> = DOCUMENTED.lines().chain(DESCRIBED.lines()).collect();
    prop::sample::select(lines).prop_map(|line| serde_json::from_str(line).unwrap())
}

fn mutated() -> impl Strategy<Value = Map<String, Value>> {
    (example(), prop::collection::vec((any::<bool>(), change()), 0..6)).prop_map(|(mut members, changes)| {
        for (inside, change) in changes {
            match members.get_mut("content") {
                Some(Value::Object(content)) if inside => apply(content, change),
                _ => apply(&mut members, change),
            }
        }
        members
    })
}

/// Each member that has a field, and what the field says.
type Fields = Vec<(&'static str, Option<String>)>;

/// The members of a content that a type holds: those with a field, and the others.
fn held(content: &WebhookContent) -> Option<(Fields, &Map<String, Value>)> {
    let text = |text: &String| Some(text.clone());
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    Some(match content {
        WebhookContent::IModelCreated(it) | WebhookContent::IModelDeleted(it) => (
            vec![
                ("imodelId", text(&it.imodel_id)),
                ("userId", it.user_id.clone()),
                ("projectId", it.project_id.clone()),
            ],
            &it.rest,
        ),
        WebhookContent::NamedVersionCreated(it) => (
            vec![
                ("versionId", text(&it.version_id)),
                ("versionName", it.version_name.clone()),
                ("imodelId", text(&it.imodel_id)),
                ("changesetId", it.changeset_id.clone()),
                ("changesetIndex", number(it.changeset_index)),
                ("userId", it.user_id.clone()),
                ("projectId", it.project_id.clone()),
            ],
            &it.rest,
        ),
        WebhookContent::MemberAdded(it)
        | WebhookContent::MemberRemoved(it)
        | WebhookContent::RoleAssigned(it)
        | WebhookContent::RoleUnassigned(it) => (
            vec![
                ("memberId", text(&it.member_id)),
                ("memberType", it.member_type.clone()),
                ("roleId", it.role_id.clone()),
                ("roleName", it.role_name.clone()),
                ("eventCreatedBy", it.event_created_by.clone()),
            ],
            &it.rest,
        ),
        WebhookContent::ChangesetPushed(it) => (
            vec![
                ("briefcaseId", number(it.briefcase_id)),
                ("changesetId", text(&it.changeset_id)),
                ("changesetIndex", number(it.changeset_index)),
                ("imodelId", text(&it.imodel_id)),
                ("projectId", it.project_id.clone()),
            ],
            &it.rest,
        ),
        WebhookContent::ChangesetGroupCompleted(it) => (
            vec![
                ("changesetId", it.changeset_id.clone()),
                ("changesetIndex", number(it.changeset_index)),
                ("imodelId", text(&it.imodel_id)),
                ("projectId", it.project_id.clone()),
            ],
            &it.rest,
        ),
        WebhookContent::ChangesReady(members) => (vec![], members),
        _ => return None,
    })
}

/// Whether a field says what the JSON does; numbers may be texts and texts numbers, null and the empty text are nothing.
fn says(field: Option<&String>, value: &Value) -> bool {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let field = field.map_or("", String::as_str);
    field == text || field.parse::<i64>().is_ok_and(|number| text.trim().parse() == Ok(number))
}

proptest! {
    #[test]
    fn a_mutated_payload_loses_no_member(members in mutated()) {
        let body = Value::Object(members.clone()).to_string();
        // JSON has no words for some floating-point numbers; what was written counts.
        let members: Map<String, Value> = serde_json::from_str(&body).unwrap();
        let event = WebhookEvent::received(body.clone()).unwrap();
        let kept = HubEvent::new(Event::from_json(event.raw().to_json()).unwrap());
        prop_assert_eq!(kept.raw().raw_data().value().unwrap().as_bytes(), body.as_bytes());
        let webhook = kept.webhook().unwrap();
        prop_assert_eq!(webhook.members(), &members);
        prop_assert!(kept.message_id().is_some_and(|id| !id.is_empty()));
        let _ = (webhook.enqueued(), webhook.known_type(), kept.imodel(), kept.global());
        match webhook.content() {
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Decode),
            Ok(content) => if let Some((fields, rest)) = held(&content) {
                for (key, value) in members["content"].as_object().unwrap() {
                    if let Some((_, field)) = fields.iter().find(|(name, _)| name == key) {
                        prop_assert!(says(field.as_ref(), value), "{}", key);
                    } else {
                        prop_assert_eq!(rest.get(key), Some(value));
                    }
                }
            },
        }
    }

    #[test]
    fn bytes_that_were_damaged_are_read_or_refused(members in example(), at in any::<Index>(), byte in any::<u8>(), end in any::<Index>()) {
        let mut body = Value::Object(members).to_string().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        body.truncate(end.index(body.len() * 2).max(1));
        if let Ok(event) = WebhookEvent::received(body.clone()) {
            prop_assert_eq!(event.raw().raw_data().value().unwrap().as_bytes(), &body);
            let _ = event.webhook().map(|webhook| webhook.content());
        }
    }
}
