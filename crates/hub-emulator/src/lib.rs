//! An event hub for tests: ftrack's official clients, and ours, connect to it as they are.
//!
//! It speaks what the hub's clients speak (a Socket.IO 0.9 handshake, then a websocket), routes events by
//! subscription and target, acknowledges, beats, and can misbehave on demand: put clients out, cut them, stop and
//! come back on the same port. It listens on a loopback address, holds everything in memory and needs no account.
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
//! # What it is not
//!
//! No REST API of ftrack, no entities, no `xhr-polling`, no TLS, no permissions, nothing on disk. Events for a
//! client that is away are lost, as on the real hub. Where the measured server is broken (frames of exactly
//! 65,536 bytes, the receive counter that kicks busy publishers), the emulator is not; where it is strict, the
//! emulator is too: websocket pings get no answer, `5::{..}` is ignored, a session id is good for one websocket.

mod builder;
mod emulator;
mod error;
mod ftrack;
mod guard;
pub mod imodelhub;
mod origin;
mod server;
mod state;

pub use builder::Builder;
pub use emulator::Emulator;
pub use error::{Error, ErrorKind};
pub use state::{ConnectionInfo, Published, State, Stats, SubscriptionInfo};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
