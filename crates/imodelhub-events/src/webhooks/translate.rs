//! The platform's events as the ones of iModelHub that they succeed, so that one handler can read both. Pure.

use super::content::WebhookContent;
use crate::event::{ChangeSetPushed, GlobalChange, GlobalEvent, IModelEvent, VersionCreated};

/// What of it an iModel's subscription would have told.
pub(crate) fn as_imodel_event(content: &WebhookContent, event_type: &str) -> IModelEvent {
    match content {
        WebhookContent::IModelDeleted(_) => IModelEvent::IModelDeleted,
        WebhookContent::NamedVersionCreated(_) | WebhookContent::ChangesetPushed(_) => {
            match change(content) {
                GlobalChange::NamedVersionCreated(version) => IModelEvent::Version(version),
                GlobalChange::ChangeSetCreated(pushed) => IModelEvent::ChangeSetPostPush(pushed),
                _ => IModelEvent::Unknown(event_type.to_owned()),
            }
        }
        _ => IModelEvent::Unknown(event_type.to_owned()),
    }
}

/// What of it a global subscription would have told. Whether an iModel was deleted for good is not said, so that this
/// is an unknown change.
pub(crate) fn as_global_event(content: &WebhookContent, event_type: &str) -> GlobalEvent {
    let (imodel_id, project_id) = match content {
        WebhookContent::IModelCreated(it) | WebhookContent::IModelDeleted(it) => {
            (&*it.imodel_id, &it.project_id)
        }
        WebhookContent::NamedVersionCreated(it) => (&*it.imodel_id, &it.project_id),
        WebhookContent::ChangesetPushed(it) => (&*it.imodel_id, &it.project_id),
        WebhookContent::ChangesetGroupCompleted(it) => (&*it.imodel_id, &it.project_id),
        _ => ("", &None),
    };
    let change = match change(content) {
        GlobalChange::Unknown(_) => GlobalChange::Unknown(event_type.to_owned()),
        known => known,
    };
    GlobalEvent {
        imodel_id: imodel_id.to_owned(),
        project_id: project_id.clone(),
        context_id: None,
        context_type: None,
        change,
    }
}

fn change(content: &WebhookContent) -> GlobalChange {
    match content {
        WebhookContent::IModelCreated(_) => GlobalChange::IModelCreated,
        WebhookContent::NamedVersionCreated(version) => GlobalChange::NamedVersionCreated(VersionCreated {
            version_id: version.version_id.clone(),
            version_name: version.version_name.clone().unwrap_or_default(),
            change_set_id: version.changeset_id.clone(),
        }),
        WebhookContent::ChangesetPushed(pushed) => GlobalChange::ChangeSetCreated(ChangeSetPushed {
            briefcase_id: pushed.briefcase_id,
            change_set_id: pushed.changeset_id.clone(),
            change_set_index: pushed.changeset_index,
        }),
        _ => GlobalChange::Unknown(String::new()),
    }
}
