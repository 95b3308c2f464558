//! What the service tells: typed events, with the raw one always at hand.

mod fields;
mod global;
mod imodel;
mod types;

#[cfg(feature = "webhooks")]
pub(crate) use fields::Body;
pub use global::{GlobalChange, GlobalEvent};
pub use imodel::{ChangeSetPushed, Checkpoint, CodesUpdated, IModelEvent, LocksUpdated, VersionCreated};
#[cfg(feature = "webhooks")]
pub(crate) use types::words;
pub use types::{CodeState, ContextType, EventType, GlobalEventType, LockLevel, LockType};

mod received;

pub use received::HubEvent;
