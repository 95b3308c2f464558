//! Events, subscription expressions, reply correlation, dispatch, and the seam that transports plug into.
//!
//! This crate knows no service, no socket and no HTTP. The names most programs need are at the top: [`Event`],
//! [`EventHub`], [`Subscription`], [`Delivery`], [`Expression`], [`Error`], [`Capabilities`]; the rest lives in
//! modules. Use it through a facade such as `ftrack-hub`, or directly over the bus in memory:
//!
//! ```
//! use event_core::{Event, EventHub, Json, memory::MemoryHub};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), event_core::Error> {
//! let bus = MemoryHub::new();
//! let studio = EventHub::builder(bus.transport()).connect().await?;
//! let farm = EventHub::builder(bus.transport()).connect().await?;
//!
//! // The farm answers every render request for shots.
//! farm.subscribe("topic=render.* and data.kind=shot")
//!     .handle(async |event: Event| Json(json!({"queued": event.data_value()["name"]})))
//!     .await?;
//!
//! // The studio asks and waits for the answer.
//! let event = Event::new("render.submit", &json!({"kind": "shot", "name": "sh010"}))?;
//! let reply = studio.request(event).await?;
//! assert_eq!(reply.data_value()["queued"], "sh010");
//! # studio.close().await;
//! # farm.close().await;
//! # Ok(())
//! # }
//! ```

mod correlator;
mod decode;
pub mod dialect;
pub mod dispatch;
mod error;
mod event;
pub mod expression;
mod handler;
pub mod hub;
pub mod memory;
mod names;
pub mod network;
mod outbox;
mod speaking;
mod subscription;
pub mod supervisor;
pub mod transport;

pub use decode::DecodeError;
pub use dialect::Dialect;
pub use dispatch::Overflow;
pub use error::{Error, ErrorKind, Result, Retry};
pub use event::{EnvelopeFields, Event, EventBuilder, EventReader, Field, RawJson};
pub use expression::Expression;
pub use handler::{IntoReply, Json};
pub use hub::{ConnectionState, Context, Delivery, EventHub, EventStream, Lifecycle, Subscription};
pub use names::{EventId, Secret, SubscriptionId, Topic};
pub use outbox::{Receipt, Resend};
pub use subscription::{Subscriber, SubscriptionSpec};
pub use transport::Capabilities;
