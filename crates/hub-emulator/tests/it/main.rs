//! The emulator over real sockets, in real time: waiting is on conditions, never for a while.

mod admin;
mod ends;
mod handshake;
mod lifecycle;
mod packets;
mod pages;
mod program;
mod routing;
mod support;
