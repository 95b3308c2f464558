//! The bodies of the fuzz targets on stable Rust: over the corpus, and as property tests.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod corpus;
mod properties;
mod support;
