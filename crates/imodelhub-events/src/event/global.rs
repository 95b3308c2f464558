//! Events of the whole service, with their fields.

use event_core::Result;
use serde_json::Value;

use super::fields::Body;
use super::imodel::{ChangeSetPushed, Checkpoint, VersionCreated};
use super::types::{ContextType, GlobalEventType};

/// What happened, and to which iModel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GlobalEvent {
    /// The iModel.
    pub imodel_id: String,
    /// The project, where the service names it.
    pub project_id: Option<String>,
    /// The context that the iModel belongs to, where the service names it.
    pub context_id: Option<String>,
    /// The kind of that context.
    pub context_type: Option<ContextType>,
    /// What happened.
    pub change: GlobalChange,
}

/// What happened to an iModel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GlobalChange {
    /// A changeset was created.
    ChangeSetCreated(ChangeSetPushed),
    /// A checkpoint was created.
    CheckpointCreated(Checkpoint),
    /// A checkpoint of the second version was created.
    CheckpointV2Created(Checkpoint),
    /// It was deleted for good.
    HardIModelDelete,
    /// It was created.
    IModelCreated,
    /// A named version was created.
    NamedVersionCreated(VersionCreated),
    /// It was marked as deleted.
    SoftIModelDelete,
    /// A type that this version does not know; its body is in the raw event.
    Unknown(String),
}

impl GlobalEvent {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`](event_core::ErrorKind::Decode) when a member has another form.
    pub fn read(event_type: &str, body: &Value) -> Result<Self> {
        let body = Body::new(body, event_type)?;
        let change = match GlobalEventType::from(event_type) {
            GlobalEventType::ChangeSetCreated => GlobalChange::ChangeSetCreated(ChangeSetPushed {
                briefcase_id: body.number("BriefcaseId")?,
                change_set_id: body.text("ChangeSetId")?,
                change_set_index: body.number("ChangeSetIndex")?,
            }),
            GlobalEventType::CheckpointCreated => GlobalChange::CheckpointCreated(Checkpoint::read(&body)?),
            GlobalEventType::CheckpointV2Created => {
                GlobalChange::CheckpointV2Created(Checkpoint::read(&body)?)
            }
            GlobalEventType::HardIModelDelete => GlobalChange::HardIModelDelete,
            GlobalEventType::IModelCreated => GlobalChange::IModelCreated,
            GlobalEventType::NamedVersionCreated => GlobalChange::NamedVersionCreated(VersionCreated {
                version_id: body.text("VersionId")?,
                version_name: body.text("VersionName")?,
                change_set_id: body.optional("ChangeSetId")?,
            }),
            GlobalEventType::SoftIModelDelete => GlobalChange::SoftIModelDelete,
            GlobalEventType::Other(other) => GlobalChange::Unknown(other),
        };
        Ok(Self {
            imodel_id: body.text("iModelId")?,
            project_id: body.optional("ProjectId")?,
            context_id: body.optional("ContextId")?,
            context_type: body.number("ContextTypeId")?.map(ContextType::from),
            change,
        })
    }
}
