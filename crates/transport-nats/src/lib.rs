//! NATS as a transport for [`event_core`]: past one machine.
//!
//! Topics are subjects ([`Subjects`]), what an expression says about topics becomes subject [`Filters`], and the rest is
//! matched where the events are. Over core NATS an event is delivered at most once, to everybody or to one of a queue
//! group; with [`JetStream`] it is kept by the servers and delivered at least once, under locks, with a delivery limit and
//! dead letters.
//!
//! ```no_run
//! use event_core::{Error, Event, EventHub};
//! use transport_nats::{JetStream, NatsTransport, NewStream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let transport = NatsTransport::builder(["nats://127.0.0.1:4222"])
//!     .jetstream(JetStream::new("EVENTS").create(NewStream::default()).delivery_limit(5).dead_letters("dead"))
//!     .build()?;
//! let hub = EventHub::builder(transport).connect().await?;
//!
//! // Every process that subscribes under this name takes part of the work. What one leaves, another gets.
//! hub.subscribe("topic=render.submitted and data.priority>=50")
//!     .durable("render-farm")
//!     .buffer(4, event_core::Overflow::DropOldest)
//!     .handle(async |event: Event| println!("render {}", event.data_value()))
//!     .await?;
//!
//! // Kept by the stream when this returns.
//! hub.publish(Event::new("render.submitted", &serde_json::json!({"shot": "sh010", "priority": 80}))?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Servers
//!
//! nats-server 2.9 or newer; tested with 2.9.10. For at least once it needs JetStream (`-js`).

mod address;
mod bucket;
mod credentials;
mod dial;
mod envelope;
mod errors;
mod filter;
mod jetstream;
mod link;
mod stats;
mod subject;
mod tls;
mod transport;

pub use bucket::{Bucket, Entry, NewBucket};
pub use credentials::Credentials;
pub use filter::Filters;
pub use jetstream::{JetStream, NewStream};
pub use stats::Stats;
pub use subject::{MAX_SUBJECT, SubjectError, Subjects};
pub use tls::Tls;
pub use transport::{NatsTransport, NatsTransportBuilder};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
