//! The crate as a specification: codec, handshake and session against recordings, tables and random input, and the
//! shell against a scripted server in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs
)]

mod events_recorded;
mod handshake_random;
mod handshake_table;
mod packet_random;
mod packet_recorded;
mod packet_table;
mod session_random;
mod session_recorded;
mod session_table;
mod shell;
mod support;
mod tls;
