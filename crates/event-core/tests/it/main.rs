//! The behaviours of event-core, seen from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::format_collect,
    reason = "tests"
)]

mod events;
mod expressions;
mod hub_connection;
mod hub_credentials;
mod hub_cut_off;
mod hub_deadlines;
mod hub_drain;
mod hub_keyed;
#[cfg(feature = "metrics")]
mod hub_metrics;
mod hub_priority;
mod hub_publish;
mod hub_recovery;
mod hub_resubscribe;
mod hub_subscribe;
mod seam;
mod settlement;
mod support;
