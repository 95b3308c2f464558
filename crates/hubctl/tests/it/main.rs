//! `hubctl` as a person uses it: every command against `hubctl serve`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod bridge;
mod broken;
mod following;
mod imodel;
mod journal;
mod scripts;
mod serve;
mod support;
