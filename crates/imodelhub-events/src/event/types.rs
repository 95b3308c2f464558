//! The names of events, and the words inside them.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A word that this version does not know, as the service spells it.
            Other(String),
        }

        impl $name {
            /// Every word that this version knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),*];

            /// The service's spelling.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            /// Case does not matter; an unknown word is kept.
            fn from(text: &str) -> Self {
                $(if text.eq_ignore_ascii_case($text) {
                    return Self::$variant;
                })*
                Self::Other(text.to_owned())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

#[cfg(feature = "webhooks")]
pub(crate) use words;

words! {
    /// The types of events of one iModel.
    EventType {
        /// All codes of a briefcase were deleted.
        AllCodesDeleted = "AllCodesDeletedEvent",
        /// All locks of a briefcase were deleted.
        AllLocksDeleted = "AllLocksDeletedEvent",
        /// A briefcase was deleted.
        BriefcaseDeleted = "BriefcaseDeletedEvent",
        /// A changeset was pushed.
        ChangeSetPostPush = "ChangeSetPostPushEvent",
        /// A push has started.
        ChangeSetPrePush = "ChangeSetPrePushEvent",
        /// A checkpoint was created.
        CheckpointCreated = "CheckpointCreatedEvent",
        /// A checkpoint of the second version was created.
        CheckpointV2Created = "CheckpointV2CreatedEvent",
        /// Codes were updated. Chatty: every code is listed.
        Code = "CodeEvent",
        /// The iModel was deleted.
        IModelDeleted = "iModelDeletedEvent",
        /// Locks were updated. Chatty: every lock is listed.
        Lock = "LockEvent",
        /// A named version was created.
        Version = "VersionEvent",
    }
}

words! {
    /// The types of events of the whole service.
    GlobalEventType {
        /// A changeset was created.
        ChangeSetCreated = "ChangeSetCreatedEvent",
        /// A checkpoint was created.
        CheckpointCreated = "CheckpointCreatedEvent",
        /// A checkpoint of the second version was created.
        CheckpointV2Created = "CheckpointV2CreatedEvent",
        /// An iModel was deleted for good.
        HardIModelDelete = "HardiModelDeleteEvent",
        /// An iModel was created.
        IModelCreated = "iModelCreatedEvent",
        /// A named version was created.
        NamedVersionCreated = "NamedVersionCreatedEvent",
        /// An iModel was marked as deleted.
        SoftIModelDelete = "SoftiModelDeleteEvent",
    }
}

words! {
    /// What a lock is on.
    LockType {
        /// The whole database.
        Db = "Db",
        /// A model.
        Model = "Model",
        /// An element.
        Element = "Element",
        /// The schemas.
        Schemas = "Schemas",
        /// The code specifications.
        CodeSpecs = "CodeSpecs",
    }
}

words! {
    /// How a lock is held.
    LockLevel {
        /// Not.
        None = "None",
        /// By several.
        Shared = "Shared",
        /// By one.
        Exclusive = "Exclusive",
    }
}

/// The state of a code; a number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodeState {
    /// 0: free.
    Available,
    /// 1: taken, not used yet.
    Reserved,
    /// 2: in use.
    Used,
    /// 3: not to be used any more.
    Retired,
    /// A number that this version does not know.
    Other(i64),
}

impl From<i64> for CodeState {
    fn from(number: i64) -> Self {
        match number {
            0 => Self::Available,
            1 => Self::Reserved,
            2 => Self::Used,
            3 => Self::Retired,
            other => Self::Other(other),
        }
    }
}

/// The kind of context that an iModel belongs to; a number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContextType {
    /// 1.
    Team,
    /// 2.
    Asset,
    /// 3.
    Project,
    /// 0, or a number that this version does not know.
    Unknown(i64),
}

impl From<i64> for ContextType {
    fn from(number: i64) -> Self {
        match number {
            1 => Self::Team,
            2 => Self::Asset,
            3 => Self::Project,
            other => Self::Unknown(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case_written_as_the_service_does_and_kept_if_unknown() {
        assert_eq!(EventType::KNOWN.len(), 11);
        assert_eq!(GlobalEventType::KNOWN.len(), 7);
        for known in EventType::KNOWN {
            assert_eq!(EventType::from(known.as_str().to_lowercase().as_str()), *known);
        }
        assert_eq!(EventType::from("iModelDeletedEvent"), EventType::IModelDeleted);
        assert_eq!(EventType::from("NewEvent").as_str(), "NewEvent");
        assert_eq!(LockType::from("element"), LockType::Element);
        assert_eq!((CodeState::from(3), CodeState::from(9)), (CodeState::Retired, CodeState::Other(9)));
    }
}
