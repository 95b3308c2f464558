//! Events of one iModel, with their fields.

use event_core::Result;
use serde_json::Value;

use super::fields::Body;
use super::types::{CodeState, EventType, LockLevel, LockType};

/// What happened to an iModel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IModelEvent {
    /// All codes of a briefcase were deleted.
    AllCodesDeleted {
        /// The briefcase.
        briefcase_id: Option<i64>,
    },
    /// All locks of a briefcase were deleted.
    AllLocksDeleted {
        /// The briefcase.
        briefcase_id: Option<i64>,
    },
    /// A briefcase was deleted.
    BriefcaseDeleted {
        /// The briefcase.
        briefcase_id: Option<i64>,
    },
    /// A changeset was pushed.
    ChangeSetPostPush(ChangeSetPushed),
    /// A push has started.
    ChangeSetPrePush,
    /// A checkpoint was created.
    CheckpointCreated(Checkpoint),
    /// A checkpoint of the second version was created.
    CheckpointV2Created(Checkpoint),
    /// Codes were updated.
    Code(CodesUpdated),
    /// The iModel was deleted; its subscriptions follow five minutes later.
    IModelDeleted,
    /// Locks were updated.
    Lock(LocksUpdated),
    /// A named version was created.
    Version(VersionCreated),
    /// A type that this version does not know; its body is in the raw event.
    Unknown(String),
}

/// A changeset that was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ChangeSetPushed {
    /// The briefcase that pushed.
    pub briefcase_id: Option<i64>,
    /// The changeset's id, a hash.
    pub change_set_id: String,
    /// Its place in the order of changesets.
    pub change_set_index: Option<i64>,
}

/// A checkpoint that was created.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The place of its changeset in the order of changesets.
    pub change_set_index: Option<i64>,
    /// Its changeset.
    pub change_set_id: String,
    /// The named version it was made for, if it was made for one.
    pub version_id: Option<String>,
}

/// Codes that were updated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodesUpdated {
    /// The briefcase that updated them.
    pub briefcase_id: Option<i64>,
    /// Their scope.
    pub code_scope: String,
    /// Their specification, a hexadecimal id such as `0xff`.
    pub code_spec_id: String,
    /// Their new state; `None` if the service left it out.
    pub state: Option<CodeState>,
    /// The codes.
    pub values: Vec<String>,
}

/// Locks that were updated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocksUpdated {
    /// The briefcase that updated them.
    pub briefcase_id: Option<i64>,
    /// What they are on.
    pub lock_type: LockType,
    /// How they are held now.
    pub lock_level: LockLevel,
    /// The objects, hexadecimal ids such as `0x115`.
    pub object_ids: Vec<String>,
    /// The changeset with which they were released, if they were.
    pub released_with_change_set: Option<String>,
}

/// A named version that was created.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VersionCreated {
    /// Its id.
    pub version_id: String,
    /// Its name.
    pub version_name: String,
    /// Its changeset; `None` for the baseline.
    pub change_set_id: Option<String>,
}

impl IModelEvent {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`](event_core::ErrorKind::Decode) when a known type's member has another form.
    pub fn read(event_type: &str, body: &Value) -> Result<Self> {
        let known = match EventType::from(event_type) {
            EventType::Other(other) => return Ok(Self::Unknown(other)),
            known => known,
        };
        let body = Body::new(body, event_type)?;
        let briefcase_id = || body.number("BriefcaseId");
        Ok(match known {
            EventType::AllCodesDeleted => Self::AllCodesDeleted { briefcase_id: briefcase_id()? },
            EventType::AllLocksDeleted => Self::AllLocksDeleted { briefcase_id: briefcase_id()? },
            EventType::BriefcaseDeleted => Self::BriefcaseDeleted { briefcase_id: briefcase_id()? },
            EventType::ChangeSetPostPush => Self::ChangeSetPostPush(ChangeSetPushed {
                briefcase_id: briefcase_id()?,
                change_set_id: body.text("ChangeSetId")?,
                change_set_index: body.number("ChangeSetIndex")?,
            }),
            EventType::ChangeSetPrePush => Self::ChangeSetPrePush,
            EventType::CheckpointCreated => Self::CheckpointCreated(Checkpoint::read(&body)?),
            EventType::CheckpointV2Created => Self::CheckpointV2Created(Checkpoint::read(&body)?),
            EventType::Code => Self::Code(CodesUpdated {
                briefcase_id: briefcase_id()?,
                code_scope: body.text("CodeScope")?,
                code_spec_id: body.text("CodeSpecId")?,
                state: body.number("State")?.map(CodeState::from),
                values: body.texts("Values")?,
            }),
            EventType::IModelDeleted => Self::IModelDeleted,
            EventType::Lock => Self::Lock(LocksUpdated {
                briefcase_id: briefcase_id()?,
                lock_type: LockType::from(&*body.text("LockType")?),
                lock_level: LockLevel::from(&*body.text("LockLevel")?),
                object_ids: body.texts("ObjectIds")?,
                released_with_change_set: body.optional("ReleasedWithChangeSet")?,
            }),
            EventType::Version => Self::Version(VersionCreated {
                version_id: body.text("VersionId")?,
                version_name: body.text("VersionName")?,
                change_set_id: body.optional("ChangeSetId")?,
            }),
            EventType::Other(other) => Self::Unknown(other),
        })
    }
}

impl Checkpoint {
    pub(super) fn read(body: &Body<'_>) -> Result<Self> {
        Ok(Self {
            change_set_index: body.number("ChangeSetIndex")?,
            change_set_id: body.text("ChangeSetId")?,
            version_id: body.optional("VersionId")?,
        })
    }
}
