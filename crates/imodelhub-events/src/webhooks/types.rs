//! The names of the platform's events.

crate::event::words! {
    /// The types of events that a webhook can ask for. Those of the first version of the API, whose names end in
    /// `Event`, begin with `V1` here.
    WebhookEventType {
        /// An iModel was created.
        IModelCreated = "iModels.iModelCreated.v1",
        /// An iModel was deleted.
        IModelDeleted = "iModels.iModelDeleted.v1",
        /// A named version was created.
        NamedVersionCreated = "iModels.namedVersionCreated.v1",
        /// There are changes of an iModel that are ready to be processed. What its content holds is undocumented.
        ChangesReady = "iModels.changesReady.v1",
        /// A member was added to an iTwin.
        MemberAdded = "accessControl.memberAdded.v1",
        /// A member was removed from an iTwin.
        MemberRemoved = "accessControl.memberRemoved.v1",
        /// A member was given a role.
        RoleAssigned = "accessControl.roleAssigned.v1",
        /// A member was deprived of a role.
        RoleUnassigned = "accessControl.roleUnassigned.v1",
        /// An iModel was deleted.
        V1IModelDeleted = "iModelDeletedEvent",
        /// A named version was created.
        V1NamedVersionCreated = "NamedVersionCreatedEvent",
        /// A changeset was pushed. The platform has also spelt it `ChangesetPushedEvent`; case does not matter.
        V1ChangesetPushed = "ChangeSetPushedEvent",
        /// A group of changesets was closed as completed.
        V1ChangesetGroupCompleted = "ChangesetGroupCompletedEvent",
        /// There are changes of an iModel that are ready to be processed.
        V1ChangesReady = "ChangesReadyEvent",
    }
}
