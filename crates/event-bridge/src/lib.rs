//! A bridge between an event service and NATS JetStream: past one machine, without leaving anybody behind.
//!
//! What the service publishes goes into a stream; what workers publish behind NATS goes to the service, replies among it, so
//! that a worker can answer an action. Of several bridges of one name one is active; when it dies, another takes over and
//! tells in the stream which stretch of time may be missing.
//!
//! ```no_run
//! use event_bridge::Bridge;
//! use ftrack_hub::nats::{JetStream, NatsTransport, NewStream};
//! use ftrack_hub::Session;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ftrack_hub::Error> {
//! let nats = NatsTransport::builder(["nats://n1:4222", "nats://n2:4222", "nats://n3:4222"])
//!     .jetstream(JetStream::new("EVENTS").create(NewStream::default().replicas(3)));
//! let bridge = Bridge::builder("ftrack", || Ok(Session::from_env()?.build()?.event_hub().engine().clone()), nats)
//!     .lease_replicas(3)
//!     .start()?;
//!
//! let mut reports = bridge.reports();
//! while let Some(report) = reports.next().await {
//!     println!("{report:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Delivery
//!
//! Events are passed on byte for byte, with their ids. An event of a stream is settled after the service acknowledged it, an
//! event of a queue after the stream has it. Of a service that keeps nothing, as ftrack's does, what came while no bridge
//! was connected is missing: a gap, an event on [`GAP_TOPIC`] with `from` and `to` in milliseconds since 1970 and a `reason`.
//! A term begins with such an event unless there was none before; it spans what the bridge before had received and not stored.
//!
//! # Recovery
//!
//! The lease is a value in the bucket `KV_<name>` that lapses. A holder that cannot renew it stops before it does, counted
//! from the moment at which it asked; so no two are active, whatever the network does. A bridge that is drained gives the
//! lease back, and the next one goes on at once. One that cannot reach the service for a while gives it back, too.
//!
//! # Circles
//!
//! What a bridge brings into the stream is marked in a header with its name, and no bridge of that name takes it out again.
//! What a bridge brings to the service comes from there again, and is known by its id. If that was forgotten, between two
//! bridges, the stream knows the id.

mod account;
mod active;
mod bridge;
mod dialect;
mod echoes;
mod keeper;
mod lease;
mod report;
mod shared;
mod watching;

pub use account::Gap;
pub use bridge::{Bridge, BridgeBuilder};
/// What `service` makes.
pub use event_core::EventHub as Hub;
pub use report::{Report, Reports, Stats, Told};

/// The topic of events that tell of a gap.
pub const GAP_TOPIC: &str = "event-bridge.gap";
