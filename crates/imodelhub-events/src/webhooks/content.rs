//! What events say, as types: what is missing is `None` or empty, what has no field here is in `rest`. Pure.

use event_core::Result;
use serde_json::{Map, Value};

use super::types::WebhookEventType;
use crate::event::Body;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WebhookContent {
    /// An iModel was created.
    IModelCreated(IModelChange),
    /// An iModel was deleted.
    IModelDeleted(IModelChange),
    /// A named version was created.
    NamedVersionCreated(NamedVersion),
    /// There are changes that are ready to be processed. The members of the second version of the API are
    /// undocumented: they are here as they came.
    ChangesReady(Map<String, Value>),
    /// A member was added to an iTwin.
    MemberAdded(Membership),
    /// A member was removed from an iTwin.
    MemberRemoved(Membership),
    /// A member was given a role.
    RoleAssigned(Membership),
    /// A member was deprived of a role.
    RoleUnassigned(Membership),
    /// A changeset was pushed. Only in the first version of the API.
    ChangesetPushed(ChangesetPushed),
    /// A group of changesets was closed as completed. Only in the first version of the API.
    ChangesetGroupCompleted(ChangesetGroup),
    /// A type that this version does not know; its members are in the raw event.
    Unknown(String),
}

macro_rules! content {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $reader:ident $key:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Default)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Members that have no field here, as they came.
            pub rest: Map<String, Value>,
        }

        impl $name {
            fn read(body: &Body<'_>) -> Result<Self> {
                Ok(Self {
                    $($field: body.$reader($key)?,)*
                    rest: body.rest(&[$($key),*]),
                })
            }
        }
    };
}

content! {
    /// An iModel that was created or deleted.
    IModelChange {
        /// The iModel.
        imodel_id: String = text "imodelId",
        /// Who did it.
        user_id: Option<String> = optional "userId",
        /// The project it belongs to. Only in the first version of the API; the second one says
        /// [the iTwin](super::WebhookEvent::itwin_id).
        project_id: Option<String> = optional "projectId",
    }
}

content! {
    /// A named version that was created.
    NamedVersion {
        /// The version.
        version_id: String = text "versionId",
        /// Its name. The platform has left it out since 2023.
        version_name: Option<String> = optional "versionName",
        /// The iModel.
        imodel_id: String = text "imodelId",
        /// The changeset's id, a hash.
        changeset_id: Option<String> = optional "changesetId",
        /// Its place in the order of changesets; a text on the wire.
        changeset_index: Option<i64> = number "changesetIndex",
        /// Who did it.
        user_id: Option<String> = optional "userId",
        /// The project it belongs to. Only in the first version of the API.
        project_id: Option<String> = optional "projectId",
    }
}

content! {
    /// A member of an iTwin, and their role.
    Membership {
        /// The member.
        member_id: String = text "memberId",
        /// What kind of member it is, such as `User`.
        member_type: Option<String> = optional "memberType",
        /// The role, if the event is about one.
        role_id: Option<String> = optional "roleId",
        /// The role's name.
        role_name: Option<String> = optional "roleName",
        /// Who did it.
        event_created_by: Option<String> = optional "eventCreatedBy",
    }
}

content! {
    /// A changeset that was pushed.
    ChangesetPushed {
        /// The briefcase that pushed.
        briefcase_id: Option<i64> = number "briefcaseId",
        /// The changeset's id, a hash.
        changeset_id: String = text "changesetId",
        /// Its place in the order of changesets.
        changeset_index: Option<i64> = number "changesetIndex",
        /// The iModel.
        imodel_id: String = text "imodelId",
        /// The project it belongs to.
        project_id: Option<String> = optional "projectId",
    }
}

content! {
    /// A group of changesets that was closed as completed.
    ChangesetGroup {
        /// The last changeset's id, a hash.
        changeset_id: Option<String> = optional "changesetId",
        /// Its place in the order of changesets.
        changeset_index: Option<i64> = number "changesetIndex",
        /// The iModel.
        imodel_id: String = text "imodelId",
        /// The project it belongs to.
        project_id: Option<String> = optional "projectId",
    }
}

impl WebhookContent {
    /// Reads the `content` of an event.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`](event_core::ErrorKind::Decode) when a known type's member has another form; its source
    /// is a [`DecodeError`](crate::DecodeError) with the place.
    pub fn read(event_type: &str, content: &Value) -> Result<Self> {
        use WebhookEventType as Type;
        let known = match Type::from(event_type) {
            Type::Other(other) => return Ok(Self::Unknown(other)),
            known => known,
        };
        let body = Body::within("content", content, event_type)?;
        Ok(match known {
            Type::IModelCreated => Self::IModelCreated(IModelChange::read(&body)?),
            Type::IModelDeleted | Type::V1IModelDeleted => Self::IModelDeleted(IModelChange::read(&body)?),
            Type::NamedVersionCreated | Type::V1NamedVersionCreated => {
                Self::NamedVersionCreated(NamedVersion::read(&body)?)
            }
            Type::ChangesReady | Type::V1ChangesReady => Self::ChangesReady(body.rest(&[])),
            Type::MemberAdded => Self::MemberAdded(Membership::read(&body)?),
            Type::MemberRemoved => Self::MemberRemoved(Membership::read(&body)?),
            Type::RoleAssigned => Self::RoleAssigned(Membership::read(&body)?),
            Type::RoleUnassigned => Self::RoleUnassigned(Membership::read(&body)?),
            Type::V1ChangesetPushed => Self::ChangesetPushed(ChangesetPushed::read(&body)?),
            Type::V1ChangesetGroupCompleted => Self::ChangesetGroupCompleted(ChangesetGroup::read(&body)?),
            Type::Other(other) => Self::Unknown(other),
        })
    }
}
