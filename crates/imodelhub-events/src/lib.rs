//! Client for iModelHub events.
//!
//! Subscriptions with a queue each, single reads, and listeners that long-poll in the background, renew their own
//! tokens and never end in silence. The program below runs as it is, against an iModelHub embedded in the same
//! process; put your service and credentials in its place.
//!
//! ```
//! use imodelhub_events::{AccessToken, Environment, EventType, HubEvent, IModelHubClient, IModelId};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = hub_emulator::Emulator::start().await?;
//! let environment = Environment::Url(emulator.imodelhub_url());
//! let client = IModelHubClient::builder(environment, AccessToken::bearer("jwt")).build()?;
//!
//! let imodel = IModelId::new("0a1b2c3d-1111-2222-3333-444455556666")?;
//! let subscription = client.create_subscription(&imodel, &[EventType::Version]).await?;
//! let listener = client
//!     .create_listener(&subscription)
//!     .handle(async |event: HubEvent| println!("received {}", event.event_type()))
//!     .await?;
//!
//! // Somebody creates a named version. An event is completed when it was handled.
//! emulator.publish_imodel_event(imodel.as_str(), "VersionEvent", None);
//! emulator.wait_for_imodelhub(|state| state.stats.completed == 1).await;
//!
//! drop(listener); // stops it
//! client.delete_subscription(&subscription).await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`IModelHubClient`] makes subscriptions and reads single events; [`AccessTokenProvider`] gives it fresh tokens.
//! - [`ListenerBuilder`] has the settings of listeners, [`ListenerState`] says where one stands.
//! - [`HubEvent`] is what arrives: [`IModelEvent`] or [`GlobalEvent`] with their fields, and always the raw body.
//! - With the feature `webhooks`, the module `webhooks` receives the events of the iTwin Platform, which succeed these.
//! - [`Error`] says what kind of failure it was, [`service_error`] what the service said about it.

mod client;
#[cfg(feature = "cloudevents")]
pub mod cloudevents;
mod environment;
mod event;
mod listener;
mod names;
mod queues;
mod reach;
mod service;
mod service_error;
mod token;
#[cfg(feature = "webhooks")]
pub mod webhooks;
mod wsg;

pub use client::{ClientBuilder, EventSubscription, IModelHubClient, LockedEvent};
pub use environment::Environment;
pub use event::{
    ChangeSetPushed, Checkpoint, CodeState, CodesUpdated, ContextType, EventType, GlobalChange, GlobalEvent,
    GlobalEventType, HubEvent, IModelEvent, LockLevel, LockType, LocksUpdated, VersionCreated,
};
pub use listener::{Listened, Listener, ListenerBuilder, ListenerState, ListenerStream, SubscriptionGap};
pub use names::{GlobalSubscriptionKey, IModelId};
pub use service_error::{ErrorClass, ErrorDetail, ServiceError, service_error};
pub use token::{AccessToken, AccessTokenProvider, SasToken};

pub use event_core::hub::DrainReport;
pub use event_core::network::{self, Proxy, ProxySetting};
pub use event_core::{DecodeError, Error, ErrorKind, IntoReply, Result, Retry, Secret};
#[cfg(feature = "journal")]
pub use event_journal as journal;
pub use transport_longpoll::HttpExchange;
pub use transport_longpoll::exchange::{Tls, TlsBackend};
pub use transport_longpoll::request::ReceiveMode;
