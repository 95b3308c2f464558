//! Misbehaviour on demand.

mod action;
mod dial;
mod fault;
mod handle;

pub use action::Action;
pub use fault::Fault;
pub use handle::Faults;

pub(super) use dial::{Dial, Hit};
