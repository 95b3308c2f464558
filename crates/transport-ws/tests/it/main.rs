//! The pure part of the crate as a specification: codec, handshake and session against recordings, tables and
//! random input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod handshake_random;
mod handshake_table;
mod packet_random;
mod packet_recorded;
mod packet_table;
mod session_random;
mod session_recorded;
mod session_table;
mod support;
