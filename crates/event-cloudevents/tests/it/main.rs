//! Events to CloudEvents and back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod errors;
mod generated;
mod judge;
mod members;
mod random;
mod spec;
