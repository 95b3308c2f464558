//! Bridges over a real server and the emulated service, in real time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod bytes;
mod guide;
mod passing;
mod support;
mod takeover;
