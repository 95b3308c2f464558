//! The emulator over real sockets, in real time; and in memory, in paused time. Waiting is on conditions, never for a
//! while.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test helpers may panic")]

mod admin;
mod bugginess;
mod clock;
mod defects;
mod ends;
mod fault_admin;
mod faults;
mod handshake;
mod imodelhub;
mod in_memory;
#[cfg(feature = "inspector")]
mod inspector;
mod lifecycle;
mod packets;
mod pages;
mod program;
mod routing;
mod support;
