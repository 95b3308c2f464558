//! A durable inbox and outbox for the event SDK: a layer over any transport, on an embedded store (redb).
//!
//! What a link receives is on the disk before a durable handler sees it. Handlers of a name go on where they stopped,
//! after a lost connection and after a crash; what they fail at comes again with growing pauses, and is kept apart at
//! last. What is published is on the disk when the publish returns, and goes out in order with the next connection.
//!
//! A hub gets its journal by a layer; the facades have a method for it (`SessionBuilder::journal`,
//! `ClientBuilder::journal`, feature `journal`):
//!
//! ```
//! use std::sync::Arc;
//!
//! use event_core::{Event, EventHub, memory::MemoryHub};
//! use event_journal::{Config, Journal, Journaled, Start};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), event_core::Error> {
//! # let folder = tempfile::tempdir().map_err(|error| event_core::Error::new(event_core::ErrorKind::Storage, "test", error.to_string()))?;
//! # let path = folder.path().join("events.journal");
//! # let bus = MemoryHub::new();
//! let journal = Journal::open(path, Config::default()).await?;
//! let kept = journal.clone();
//! let hub = EventHub::builder(bus.transport())
//!     .layer(|transport, dialect| Journaled::over(transport, kept).dialect(Arc::clone(dialect)))
//!     .connect()
//!     .await?;
//!
//! let mut renders = hub.subscribe("topic=render.done").durable("archive").stream().await?;
//! hub.publish(Event::new("render.done", &"sh010")?).await?;
//! if let Some(delivery) = renders.next().await {
//!     let delivery = delivery?;
//!     println!("archived {}", delivery.event().data_value());
//!     // Without this it comes again.
//!     delivery.ack().await?;
//! }
//!
//! // Everything that came can be read again.
//! let mut replay = journal.replay(Start::Beginning).await?;
//! while let Some(record) = replay.next().await {
//!     println!("{:?}", record?);
//! }
//! # hub.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Delivery
//!
//! From the moment of receipt on, at least once. A service that keeps nothing for a client that is away loses what it
//! sends meanwhile; the journal then has a gap at that place, an event on [`GAP_TOPIC`], which every durable
//! subscription gets whose expression matches it, in its turn: `topic=ftrack.update or topic=event-journal.gap`. The
//! time from the last event to the next start of the process is a gap, too. Events that come again within the window
//! ([`Config::repeats`]), by their id, are dropped.
//!
//! Subscriptions that are not durable get what comes as it comes, after it is written. With
//! [`Guarantee::AtLeastOnce`](event_core::transport::Guarantee::AtLeastOnce) and no name they are settled like durable
//! ones, but their place ends with the link.
//!
//! # Publishing
//!
//! A publish returns when the event is on the disk: the confirmation is the journal's and not the service's. It is
//! sent in order, again after a lost connection (the service may get it twice, with one id), until it is acknowledged
//! or its time is up: [`Publish::timeout`](event_core::hub::Publish::timeout), else [`Config::outbox_expiry`]. What
//! expires or is refused is among [`Journal::unsent`]. Requests and replies are not kept: they go out at once or fail.
//!
//! # When it is written
//!
//! One thread writes. Everything that waits when it begins goes into one group, which is synced once
//! ([`Fsync`]); under load that is thousands of events, and alone it is one. The file opens after a crash at any point,
//! without a long repair. When the disk fails, events go on to those who are not durable, a
//! [`Problem`](event_core::transport::Inbound::Problem) tells of it, and what was not written is a gap; the file is
//! opened anew until writing works again.

mod config;
mod cursor;
mod dead_letters;
mod error;
mod export;
mod journal;
mod layer;
mod letters;
mod outbound;
mod record;
mod repeats;
mod replay;
mod retention;
mod store;
mod view;

/// The topic of gaps, as events: subscribe to it to learn where to resynchronise. Their data has `from` and `to`, in
/// milliseconds since 1970, and a `reason`.
pub const GAP_TOPIC: &str = "event-journal.gap";

pub use config::{Config, Fsync, Retention, RetryPolicy};
pub use cursor::Cause;
pub use error::StoreError;
pub use export::{Exported, export};
pub use journal::{Consumer, Journal, Start, Stats};
pub use layer::Journaled;
pub use letters::Letter;
pub use record::Record;
pub use replay::Replay;
pub use view::{LetterBox, Overview, View};
