//! Misbehaviour of the ftrack side on demand.
//!
//! A [`Fault`] is an [`Action`] towards connections to come: which of them, at which [`Stage`], and after how much. The
//! [`Faults`] handle takes them, fires actions at open connections, and counts what fired, by name.

mod acks;
mod action;
mod dial;
mod fault;
mod handle;
mod malformed;

pub use action::{Action, Stage};
pub use fault::{After, Fault};
pub use handle::Faults;
pub use malformed::Malformed;

pub(super) use acks::{Acks, Sent};
pub(super) use dial::{Dial, Flap, Pending};
