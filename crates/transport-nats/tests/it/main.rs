//! The transport over real servers, in real time; and its mapping of topics, for any topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

mod bucket;
mod core_nats;
mod jetstream;
mod properties;
mod secure;
mod support;
