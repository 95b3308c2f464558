//! Event hubs for tests: the official clients of ftrack and iModelHub, and ours, connect to them as they are.
//!
//! The ftrack side speaks what its clients speak (a Socket.IO 0.9 handshake, then a websocket), routes events by
//! subscription and target, acknowledges and beats. The iModelHub side keeps event subscriptions with a queue each,
//! read over HTTP long polling ([`imodelhub`]). Both can misbehave on demand, stop, and come back on the same port.
//! They listen on loopback addresses, hold everything in memory and need no account.
//!
//! ```
//! use hub_emulator::Emulator;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = Emulator::builder().user("ann", "her-key").start().await?;
//!
//! // A client would take `emulator.ftrack_url()`. This is the first thing it says:
//! let mut client = tokio::net::TcpStream::connect(emulator.ftrack_addr()).await?;
//! let request = "GET /socket.io/1/?api_user=ann&api_key=her-key HTTP/1.1\r\n\
//!                Host: localhost\r\nConnection: close\r\n\r\n";
//! client.write_all(request.as_bytes()).await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with(":60:60:websocket"));
//!
//! // Tests wait for conditions instead of sleeping.
//! let state = emulator.wait_for(|state| state.pending_handshakes == 1).await;
//! assert_eq!(state.stats.handshakes, 1);
//! # Ok(())
//! # }
//! ```
//!
//! The iModelHub side the same way:
//!
//! ```
//! use hub_emulator::Emulator;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = Emulator::builder().access_token("jwt").start().await?;
//! let url = emulator.imodelhub_url();    // give it to a client, as that of an iModelBank
//! # let _ = url;
//! let imodel = "8585af91-74e6-4159-a172-dbb08f66d0fd";
//! assert_eq!(emulator.publish_imodel_event(imodel, "VersionEvent", None), 0);    // nobody subscribed yet
//! emulator.advance(std::time::Duration::from_secs(3_600));    // locks, tokens and idle subscriptions end now
//! assert_eq!(emulator.imodelhub_state().queued(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! With [`Builder::tls`] both sides speak TLS, and [`Proxy`] is a proxy to put in front of them.
//!
//! # What it is not
//!
//! No REST API of ftrack, no entities, no `xhr-polling`, no permissions, nothing on disk. Events for an ftrack
//! client that is away are lost, as on the real hub. Where the measured server is broken (frames of exactly
//! 65,536 bytes, the receive counter that kicks busy publishers), the emulator is not; where it is strict, the
//! emulator is too: websocket pings get no answer, `5::{..}` is ignored, a session id is good for one websocket.
//! Of iModelHub there are events only: no briefcases, change sets, locks or codes, and no iModel has to be created.

mod builder;
mod clock;
mod emulator;
mod error;
mod faults;
pub mod ftrack;
mod guard;
pub mod imodelhub;
mod in_memory;
#[cfg(feature = "inspector")]
pub mod inspector;
mod misbehaving;
mod net;
mod origin;
mod proxy;
#[cfg(feature = "tls")]
mod secure;
mod state;

pub use builder::Builder;
pub use emulator::Emulator;
pub use error::{Error, ErrorKind};
pub use faults::{Bugginess, Defect};
pub use in_memory::{FtrackDialer, IModelHubExchange};
pub use net::MemoryStream;
pub use proxy::{Passage, PassageEnd, Proxy, ProxyBuilder, ProxyFault, ProxyProtocol};
#[cfg(feature = "tls")]
pub use secure::TlsCertificate;
pub use state::{ConnectionInfo, Published, State, Stats, SubscriptionInfo};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
