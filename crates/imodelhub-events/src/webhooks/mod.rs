//! Webhooks of the iTwin Platform, which succeed the events of iModelHub: the platform sends events to a callback of
//! yours.
//!
//! - [`WebhookReceiver`] takes them where a program serves HTTP, and gives them to the same
//!   [listeners](crate::Listener) that a queue has.
//! - [`WebhookEvent`] is what arrives, [`WebhookContent`] what it says, with its members as types.
//! - [`WebhookClient`] creates, activates and deletes webhooks.
//! - [`SigningKeys`] know whether the platform sent a body.

mod content;
mod date;
mod delivery;
mod gate;
mod listener;
mod manage;
mod receiver;
mod refusal;
mod rest;
mod rules;
mod service;
mod signature;
mod translate;
mod transport;
mod types;
mod window;

pub use content::{ChangesetGroup, ChangesetPushed, IModelChange, Membership, NamedVersion, WebhookContent};
pub use date::read_date;
pub use delivery::WebhookEvent;
pub use listener::WebhookListenerBuilder;
pub use manage::{CreatedWebhook, NewWebhook, Webhook, WebhookClient, WebhookClientBuilder, WebhookScope};
pub use receiver::{Acknowledge, ReceiverBuilder, WebhookReceiver};
pub use refusal::{ReceiverStats, Refusal};
pub use service::WebhookService;
pub use signature::{SIGNATURE, SignatureError, SigningKeys};
pub use transport::WebhookTransport;
pub use types::WebhookEventType;

pub(crate) use delivery::came_by_webhook;
pub(crate) use translate::{as_global_event, as_imodel_event};
