//! Client for the ftrack event hub.
//!
//! Publish and subscribe to events of an ftrack server: full subscription expressions, targeted events, replies
//! correlated to the event they answer, priorities and stopping. The program below runs as it is, against a hub
//! embedded in the same process; put your server's address and credentials in its place.
//!
//! ```
//! use ftrack_hub::{Event, Json, Session};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = hub_emulator::Emulator::start().await?;
//! let session = Session::builder(emulator.ftrack_url(), "jane.doe", "api-key").build()?;
//! let hub = session.event_hub();
//! hub.connect().await?;
//!
//! // A handler's return value is sent back as the reply.
//! hub.subscribe("topic=my-company.some-topic")
//!     .handle(async |event: Event| {
//!         println!("received {}", event.data_value());
//!         Json(json!({"message": "Event acknowledged"}))
//!     })
//!     .await?;
//!
//! let event = Event::new("my-company.some-topic", &json!({"message": "Hello world!"}))?;
//! let reply = hub.publish_and_wait_for_reply(event).await?;
//! assert_eq!(reply.data_value()["message"], "Event acknowledged");
//! # hub.close().await;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "typed")]
pub mod actions;
#[cfg(feature = "cloudevents")]
pub mod cloudevents;
mod credentials;
mod dialect;
mod event_hub;
#[cfg(feature = "typed")]
pub mod events;
mod server_url;
mod session;
#[cfg(feature = "typed")]
pub mod updates;

pub use credentials::{CredentialProvider, Credentials};
pub use dialect::topics;
pub use event_hub::EventHub;
pub use server_url::ServerUrl;
pub use session::{Session, SessionBuilder};

pub use event_core::network::{self, Proxy, ProxySetting};
pub use event_core::supervisor::ReconnectPolicy;
pub use event_core::transport::{Gap, Guarantee};
pub use event_core::{
    ConnectionState, Context, Delivery, Error, ErrorKind, Event, EventBuilder, EventId, EventStream,
    Expression, Field, IntoReply, Json, Lifecycle, Overflow, RawJson, Receipt, Resend, Result, Retry, Secret,
    Subscriber, Subscription, SubscriptionId, Topic,
};
pub use event_core::{expression, hub};
#[cfg(feature = "journal")]
pub use event_journal as journal;
#[cfg(feature = "nats")]
pub use transport_nats as nats;
pub use transport_ws::dial;
pub use transport_ws::{Tls, TlsBackend};
