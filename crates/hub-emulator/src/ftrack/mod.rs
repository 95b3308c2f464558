//! The ftrack side: what it can be made to do wrong is a [`Fault`], set by [`Faults`]. Everything else is on
//! [`Emulator`](crate::Emulator) and its [`Builder`](crate::Builder).
//!
//! Inside: `router` decides who gets what, `users` who may come in; `hub` is what all connections share
//! and where faults strike; `faults` says which do; `frame` is what is written; `http` answers
//! requests, `connection` is the life of one websocket, `link` what the hub has of it, and `outlet` the queue between
//! the two, which `rounds` and `writer` empty; `server` owns the listening socket and every task.

mod admin;
mod connection;
mod envelope;
mod faults;
mod frame;
mod http;
mod hub;
mod link;
mod outlet;
mod repeats;
mod rounds;
mod router;
mod server;
mod users;
#[cfg(feature = "inspector")]
mod watch;
mod writer;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use event_core::Event;

use crate::origin::Policy;

pub use faults::{Action, After, Fault, Faults, Malformed, Stage};

pub(crate) use hub::Hub;
pub(crate) use server::Server;
pub(crate) use users::Users;
#[cfg(feature = "inspector")]
pub(crate) use users::same_bytes;
#[cfg(feature = "inspector")]
pub(crate) use watch::{Became, Seen, Watch};

/// Every setting, checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) address: SocketAddr,
    pub(crate) users: Users,
    pub(crate) policy: Policy,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_frame: usize,
    pub(crate) queue_frames: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) repeat_window: Duration,
    pub(crate) repeat_ids: usize,
    pub(crate) max_connections: usize,
    pub(crate) max_subscriptions: usize,
    pub(crate) witness: Option<Witness>,
}

/// Sees every event that is taken.
#[derive(Clone)]
pub(crate) struct Witness(pub(crate) Arc<Seeing>);

type Seeing = dyn Fn(&Event, usize) + Send + Sync;

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness(..)")
    }
}
