//! The public face of the journal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

mod layer;
mod store;
mod support;
mod view;
