//! The deterministic fault suite: so far its [`Ledger`], which compares what was acknowledged with what was seen.

mod ledger;

pub use ledger::{Ledger, Verdict};
