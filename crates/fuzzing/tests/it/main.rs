//! The bodies of the fuzz targets on stable Rust: over the corpus, and as property tests.

mod corpus;
mod properties;
mod support;
