//! What [`slots`](super::slots) is built on. A crate that explores every order of its steps puts loom's in this place.

pub(super) use std::sync::Arc;

pub(super) use parking_lot::Mutex;
