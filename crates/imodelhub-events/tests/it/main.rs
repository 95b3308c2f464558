//! The behaviours of imodelhub-events, seen from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs
)]

mod bodies;
mod client;
mod direct;
mod failures;
#[cfg(feature = "journal")]
mod journal;
mod leaving;
mod ledger;
mod listening;
mod proxied;
mod secure;
mod support;
#[cfg(feature = "webhooks")]
mod webhooks;
