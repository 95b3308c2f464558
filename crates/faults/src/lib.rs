//! The faults that the SDK survives, each with its figures.
//!
//! [`FAULTS`] is the table: what goes wrong, what must hold, and a scene that makes it go wrong and looks. A scene with
//! [`Clock::Paused`] runs on one thread, in memory, in tokio's paused time, so a seed gives the same run every time; one
//! with [`Clock::Real`] needs sockets or the machine's memory and says so. [`Ledger`] compares what was acknowledged
//! with what was seen.
//!
//! ```
//! let fault = faults::FAULTS.iter().find(|fault| fault.id == "F3").unwrap();
//! let figures = fault.run(faults::Run::small(1)).unwrap();
//! assert!(!figures.is_empty());
//! ```

mod bridge_child;
mod capture;
mod dice;
mod fault;
mod figures;
mod ledger;
#[cfg(test)]
mod ledger_tests;
mod marks;
pub mod mixed;
mod process;
mod scenes;
mod slope;
pub mod soak;

pub use bridge_child::bridge_child;
pub use fault::{Clock, Fault, Playing, Run, Size};
pub use figures::{Broken, Figures, ensure};
pub use ledger::{Ledger, Verdict};
pub use marks::{MARK, Needles, marked};
pub use process::{descriptors, resident};
pub use scenes::{FAULTS, work_if_asked};
pub use slope::slope;
