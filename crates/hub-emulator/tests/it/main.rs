//! The emulator over real sockets, in real time; and its iModelHub side in paused time too. Waiting is on conditions,
//! never for a while.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test helpers may panic")]

mod admin;
mod ends;
mod handshake;
mod imodelhub;
mod lifecycle;
mod packets;
mod pages;
mod program;
mod routing;
mod support;
