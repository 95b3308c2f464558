//! Events of the iTwin Platform, which sends them to a callback of yours: webhooks.
//!
//! [`WebhookEvent`] is what arrives, [`SigningKeys`] know whether the platform sent it.

mod content;
mod date;
mod delivery;
mod signature;
mod translate;
mod types;

pub use content::{ChangesetGroup, ChangesetPushed, IModelChange, Membership, NamedVersion, WebhookContent};
pub use date::read_date;
pub use delivery::WebhookEvent;
pub use signature::{SIGNATURE, SignatureError, SigningKeys};
pub use types::WebhookEventType;

pub(crate) use delivery::came_by_webhook;
pub(crate) use translate::{as_global_event, as_imodel_event};
