//! One recorded delivery of every type, byte for byte in, typed event out.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use imodelhub_events::{
    CodeState, ContextType, ErrorKind, GlobalChange, GlobalEvent, HubEvent, IModelEvent, LockLevel, LockType,
};
use serde_json::{Value, json};
use transport_longpoll::message::Message;

/// The recorded deliveries: a label and the event.
fn recorded() -> Vec<(String, HubEvent)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/imodelhub-event-bodies.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            let response = &record["response"];
            let mut headers = HeaderMap::new();
            for (name, value) in response["headers"].as_object().unwrap() {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.insert(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
            }
            let body = STANDARD.decode(response["bodyBase64"].as_str().unwrap()).unwrap();
            let event = Message::read(headers, Bytes::from(body)).to_event().unwrap();
            (record["label"].as_str().unwrap().to_owned(), HubEvent::new(event))
        })
        .collect()
}

#[test]
fn all_recorded_bodies_are_read_into_their_typed_events() {
    let recorded = recorded();
    assert_eq!(recorded.len(), 19);
    let mut seen = Vec::new();
    for (label, event) in &recorded {
        assert!(event.message_id().is_some() && event.sequence_number().is_some(), "{label}");
        assert_eq!(event.delivery_count(), Some(1), "{label}");
        if let Some(name) = label.strip_prefix("global ") {
            let global = event.global().unwrap();
            assert_eq!(event.event_topic(), Some("iModelHubGlobalEvents"), "{label}");
            check_global(name, &global);
            seen.push(format!("{name}: {:?}", global.change));
        } else {
            check_imodel(label, &event.imodel().unwrap());
            seen.push(format!("{label}: {:?}", event.imodel().unwrap()));
        }
    }
    println!("{} bodies:\n{}", seen.len(), seen.join("\n"));
}

const HASH: usize = 40;

fn check_imodel(label: &str, event: &IModelEvent) {
    match (label, event) {
        (
            "AllLocksDeletedEvent" | "AllCodesDeletedEvent" | "BriefcaseDeletedEvent",
            IModelEvent::AllLocksDeleted { briefcase_id }
            | IModelEvent::AllCodesDeleted { briefcase_id }
            | IModelEvent::BriefcaseDeleted { briefcase_id },
        ) => assert_eq!(*briefcase_id, Some(2)),
        ("LockEvent", IModelEvent::Lock(lock)) => {
            assert_eq!((&lock.lock_type, &lock.lock_level), (&LockType::Element, &LockLevel::Shared));
            assert_eq!(
                (lock.briefcase_id, lock.object_ids.as_slice()),
                (Some(2), &["0x115".to_owned(), "0x116".to_owned()][..])
            );
            assert_eq!(lock.released_with_change_set.as_ref().map(String::len), Some(HASH));
        }
        ("CodeEvent", IModelEvent::Code(code)) => {
            assert_eq!((code.code_spec_id.as_str(), code.code_scope.as_str()), ("0xff", "0x1"));
            assert_eq!(code.state, Some(CodeState::Reserved));
            assert!(!code.values.is_empty());
        }
        ("ChangeSetPostPushEvent", IModelEvent::ChangeSetPostPush(pushed)) => {
            assert_eq!((pushed.briefcase_id, pushed.change_set_id.len()), (Some(2), HASH));
            assert!(pushed.change_set_index.is_some());
        }
        ("VersionEvent", IModelEvent::Version(version)) => {
            assert_eq!(
                (version.version_id.as_str(), version.version_name.as_str()),
                ("33333333-3333-4333-8333-333333333333", "Version 1")
            );
            assert_eq!(version.change_set_id.as_ref().map(String::len), Some(HASH));
        }
        (
            "CheckpointCreatedEvent" | "CheckpointV2CreatedEvent",
            IModelEvent::CheckpointCreated(checkpoint) | IModelEvent::CheckpointV2Created(checkpoint),
        ) => {
            assert!(checkpoint.change_set_index.is_some() && checkpoint.change_set_id.len() == HASH);
        }
        ("ChangeSetPrePushEvent", IModelEvent::ChangeSetPrePush)
        | ("iModelDeletedEvent", IModelEvent::IModelDeleted) => {}
        (label, other) => panic!("{label} was read as {other:?}"),
    }
}

fn check_global(label: &str, event: &GlobalEvent) {
    assert_eq!(event.imodel_id.len(), 36, "{label}");
    assert!(event.project_id.is_some() && event.context_id.is_some(), "{label}");
    assert!(
        matches!(event.context_type, Some(ContextType::Project | ContextType::Asset | ContextType::Team)),
        "{label}"
    );
    match (label, &event.change) {
        ("ChangeSetCreatedEvent", GlobalChange::ChangeSetCreated(pushed)) => {
            assert_eq!(pushed.change_set_id.len(), HASH);
        }
        ("NamedVersionCreatedEvent", GlobalChange::NamedVersionCreated(version)) => {
            assert!(!version.version_name.is_empty());
        }
        ("CheckpointCreatedEvent", GlobalChange::CheckpointCreated(_))
        | ("CheckpointV2CreatedEvent", GlobalChange::CheckpointV2Created(_))
        | ("SoftiModelDeleteEvent", GlobalChange::SoftIModelDelete)
        | ("HardiModelDeleteEvent", GlobalChange::HardIModelDelete)
        | ("iModelCreatedEvent" | "iModelCreatedEvent (peek)", GlobalChange::IModelCreated) => {}
        (label, other) => panic!("{label} was read as {other:?}"),
    }
}

#[test]
fn unknown_types_extra_members_and_numbers_as_text_are_taken_and_wrong_ones_refused() {
    assert_eq!(
        IModelEvent::read("BrandNewEvent", &json!({})).unwrap(),
        IModelEvent::Unknown("BrandNewEvent".to_owned())
    );
    let index = |index: Value| {
        IModelEvent::read("ChangeSetPostPushEvent", &json!({"ChangeSetIndex": index, "New": [1]}))
    };
    for good in [json!(7), json!("7"), json!(" 7 ")] {
        let IModelEvent::ChangeSetPostPush(pushed) = index(good).unwrap() else { panic!("a push") };
        assert_eq!(pushed.change_set_index, Some(7));
    }
    for bad in [json!("seven"), json!([7]), json!(7.5)] {
        assert_eq!(index(bad).unwrap_err().kind(), ErrorKind::Decode);
    }
    assert_eq!(IModelEvent::read("VersionEvent", &json!("text")).unwrap_err().kind(), ErrorKind::Decode);
    let IModelEvent::Lock(lock) = IModelEvent::read("lockevent", &json!({"LockType": "Novel"})).unwrap()
    else {
        panic!("a lock")
    };
    assert_eq!((lock.lock_type, lock.object_ids.len()), (LockType::Other("Novel".to_owned()), 0));
}
