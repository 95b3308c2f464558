//! The crate as a specification: the pure rooms against recordings, tables and random input, and the shell against a
//! scripted service in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs
)]

mod auth;
mod binary_random;
mod binary_table;
mod hub;
mod link;
mod lock_table;
#[cfg(feature = "reqwest")]
mod network;
mod outcome_table;
mod poll_random;
mod poll_table;
mod recorded;
mod settling;
mod stopping;
mod support;
