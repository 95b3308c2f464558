//! What events are about: one iModel, or all of them.

use super::ids::is_guid;

/// The global events' place on the bus.
const GLOBAL_PATH: &str = "imodelhubglobalevents";

/// Where events are published, and what a subscription belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    /// One iModel's events; its id in lower case.
    IModel(String),
    /// The events about all iModels.
    Global,
}

impl Topic {
    /// An iModel's topic; `None` when the id is not a GUID.
    pub(crate) fn imodel(id: &str) -> Option<Self> {
        is_guid(id).then(|| Self::IModel(id.to_ascii_lowercase()))
    }

    /// The topic of a place on the bus, whatever its case.
    pub(super) fn from_path(path: &str) -> Option<Self> {
        if path.eq_ignore_ascii_case(GLOBAL_PATH) { Some(Self::Global) } else { Self::imodel(path) }
    }

    /// Its place on the bus.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::IModel(id) => id,
            Self::Global => GLOBAL_PATH,
        }
    }
}
