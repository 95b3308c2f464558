//! What both services share of misbehaving on demand: counts, seeded chance and the named defects.

mod bugginess;
mod chance;
mod count;
mod defect;

pub use bugginess::Bugginess;
pub use defect::Defect;

pub(crate) use bugginess::Buggy;
pub(crate) use chance::Chance;
pub(crate) use count::Fired;
pub(crate) use defect::Defects;
