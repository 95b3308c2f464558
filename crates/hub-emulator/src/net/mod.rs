//! What carries bytes, for both services: streams over TCP or in memory, and the server that answers on them.

mod memory;
mod server;
mod socket;
mod valve;

pub use memory::MemoryStream;

pub(crate) use server::{Door, Ending, Gate, Place, Server, Tasks, Trouble};
pub(crate) use socket::Socket;
pub(crate) use valve::{Fate, Rate, Valve};
