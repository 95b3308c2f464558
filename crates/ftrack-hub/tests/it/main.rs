//! The facade end to end: sessions over loopback sockets, against the embedded hub or a scripted server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[cfg(feature = "typed")]
mod actions;
mod connecting;
mod defects;
#[cfg(feature = "journal")]
mod journal;
mod leaving;
mod misbehaving;
#[cfg(feature = "nats")]
mod nats;
mod proxied;
mod publishing;
mod recovering;
mod replying;
mod scripted;
mod secrets;
mod secure;
mod stopping;
mod story;
mod story_compare;
mod story_read;
mod subscribing;
mod support;
mod targeting;
#[cfg(feature = "typed")]
mod typed_payloads;
#[cfg(feature = "typed")]
mod typed_subscribing;
#[cfg(feature = "typed")]
mod updates;
mod wire;
