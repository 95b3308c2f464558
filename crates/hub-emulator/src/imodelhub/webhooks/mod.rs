//! Webhooks, as the iTwin Platform has them: kept by `registry`, told by `envelope`, sent by `delivery`, and made to go
//! wrong by `fault`.

mod delivery;
mod envelope;
mod fault;
mod post;
mod registry;

pub use fault::{WebhookAction, WebhookFault};

pub(crate) use delivery::Resending;
pub(super) use delivery::deliver;
pub(crate) use post::Poster;
pub(super) use registry::Webhooks;
