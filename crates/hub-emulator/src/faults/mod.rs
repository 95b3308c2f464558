//! What both services share of misbehaving on demand: counts, seeded chance and the named defects.

mod admin;
mod bugginess;
mod chance;
mod count;
mod defect;

pub use bugginess::Bugginess;
pub use defect::Defect;

pub(crate) use admin::{Turned, routes};
pub(crate) use bugginess::Buggy;
pub(crate) use chance::Chance;
pub(crate) use count::Fired;
pub(crate) use defect::Defects;
