//! What carries bytes, for both services: streams over TCP or in memory, and the server that answers on them.

mod carrier;
mod memory;
mod server;
mod socket;
mod valve;

/// Without TLS, nobody is anybody.
#[cfg(not(feature = "tls"))]
#[derive(Clone, Debug)]
pub(crate) enum Secure {}

pub use memory::MemoryStream;

#[cfg(feature = "tls")]
pub(crate) use crate::secure::Identity as Secure;
pub(crate) use server::{Door, Ending, Gate, Place, Server, Tasks, Trouble};
pub(crate) use socket::{ReadHalf, Socket, WriteHalf};
pub(crate) use valve::{Fate, Rate, Valve};
