//! The event types of both families, and what an event says when nobody says what.

use serde_json::{Value, json};

use super::ids::change_set_id;
use super::topic::Topic;

/// What an iModel's subscription can ask for.
const IMODEL_TYPES: [&str; 11] = [
    "LockEvent",
    "AllLocksDeletedEvent",
    "ChangeSetPostPushEvent",
    "ChangeSetPrePushEvent",
    "CodeEvent",
    "AllCodesDeletedEvent",
    "BriefcaseDeletedEvent",
    IMODEL_DELETED,
    "VersionEvent",
    "CheckpointCreatedEvent",
    "CheckpointV2CreatedEvent",
];

/// What a global subscription can ask for.
const GLOBAL_TYPES: [&str; 7] = [
    "SoftiModelDeleteEvent",
    "HardiModelDeleteEvent",
    "iModelCreatedEvent",
    "ChangeSetCreatedEvent",
    "NamedVersionCreatedEvent",
    "CheckpointCreatedEvent",
    "CheckpointV2CreatedEvent",
];

/// The event after which an iModel's subscriptions have five more minutes.
pub(super) const IMODEL_DELETED: &str = "iModelDeletedEvent";

const GLOBAL_TOPIC: &str = "iModelHubGlobalEvents";
const FROM: &str = "00000000-0000-4000-8000-00000000000f";
const PROJECT: &str = "11111111-1111-4111-8111-111111111111";
const IMODEL: &str = "22222222-2222-4222-8222-222222222222";
const VERSION: &str = "33333333-3333-4333-8333-333333333333";

/// Whether the service knows a type in the family of a topic.
pub(super) fn is_known(topic: &Topic, name: &str) -> bool {
    match topic {
        Topic::IModel(_) => IMODEL_TYPES.contains(&name),
        Topic::Global => GLOBAL_TYPES.contains(&name),
    }
}

/// The text of an event, with the members and in the order that were recorded. `number` makes it differ from others.
pub(super) fn default_body(topic: &Topic, name: &str, number: u64) -> String {
    let mut members = vec![
        ("EventTopic", json!(if let Topic::IModel(id) = topic { id } else { GLOBAL_TOPIC })),
        ("FromEventSubscriptionId", json!(FROM)),
        ("ToEventSubscriptionId", json!("")),
    ];
    if *topic == Topic::Global {
        members.extend([
            ("ProjectId", json!(PROJECT)),
            ("ContextId", json!(PROJECT)),
            ("ContextTypeId", json!(3)),
            ("iModelId", json!(IMODEL)),
        ]);
    }
    members.extend(own_members(topic, name, number));
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn own_members(topic: &Topic, name: &str, number: u64) -> Vec<(&'static str, Value)> {
    let briefcase = ("BriefcaseId", json!(2));
    let change_set = || ("ChangeSetId", json!(change_set_id(number)));
    let index = || ("ChangeSetIndex", json!(number.to_string()));
    let version = ("VersionId", json!(VERSION));
    let version_name = || ("VersionName", json!(format!("Version {number}")));
    match (name, topic) {
        ("LockEvent", _) => vec![
            briefcase,
            ("LockType", json!("Element")),
            ("LockLevel", json!("Shared")),
            ("ObjectIds", json!(["0x115", "0x116"])),
            ("ReleasedWithChangeSet", json!(change_set_id(number))),
        ],
        ("AllLocksDeletedEvent" | "AllCodesDeletedEvent" | "BriefcaseDeletedEvent", _) => vec![briefcase],
        ("ChangeSetPostPushEvent" | "ChangeSetCreatedEvent", _) => vec![briefcase, change_set(), index()],
        ("CodeEvent", _) => vec![
            briefcase,
            ("CodeScope", json!("0x1")),
            ("CodeSpecId", json!("0xff")),
            ("State", json!(1)),
            ("Values", json!([format!("TestCode-{number}")])),
        ],
        ("VersionEvent", _) => vec![version, version_name(), change_set()],
        ("NamedVersionCreatedEvent", _) => vec![change_set(), version, version_name()],
        ("CheckpointCreatedEvent" | "CheckpointV2CreatedEvent", _) => vec![index(), change_set(), version],
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoint_types_exist_in_both_families_and_no_others_do() {
        let imodel = Topic::IModel("x".into());
        for name in IMODEL_TYPES {
            assert_eq!(is_known(&Topic::Global, name), name.starts_with("Checkpoint"), "{name}");
        }
        for name in GLOBAL_TYPES {
            assert_eq!(is_known(&imodel, name), name.starts_with("Checkpoint"), "{name}");
        }
        assert!(!is_known(&imodel, "versionevent") && !is_known(&imodel, ""));
    }
}
