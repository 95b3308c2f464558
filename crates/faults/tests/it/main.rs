//! Tests of the fault suite.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod ledger;
mod resets;
