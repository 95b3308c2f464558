//! A scene for each fault, in a file of its number, and what they share in [`stage`].

mod f03_flapping;
mod resets;
pub(crate) mod stage;

use crate::fault::Fault;

/// Every fault, in the order of their numbers.
pub const FAULTS: &[Fault] = &[f03_flapping::FAULT, resets::FAULT];
