//! One list of behaviours that every transport is judged by.
//!
//! [`BEHAVIOURS`] says for each behaviour which capability it needs, what must hold with it, and what must hold
//! without: mostly that asking for it answers `Unsupported`, never silence. Each transport of
//! [`subjects::TRANSPORTS`] is judged by all of them, one test for each pair, such as `ws::publish_is_acknowledged`.
//! A new transport joins by one line there, with a [`Subject`]: the transport, and a hand on its service.
//! `cargo run -p conformance` prints the whole as a table.
//!
//! ```
//! use conformance::{BEHAVIOURS, Need, subjects};
//!
//! assert!(BEHAVIOURS.len() > 40);
//! assert!(BEHAVIOURS.iter().any(|behaviour| behaviour.need == Need::Credit));
//! assert!(subjects::TRANSPORTS.iter().any(|entry| entry.name == "longpoll"));
//! ```

mod behaviour;
mod behaviours;
mod judge;
mod rig;
mod subject;
pub mod subjects;
mod table;
mod verdict;

pub use behaviour::{BEHAVIOURS, Behaviour, Body, Need};
pub use judge::{Judgement, judge};
pub use subject::{Bench, Entry, Layered, Make, OTHER_TOPIC, Subject, TOPIC, Tool};
pub use table::Table;
pub use verdict::{Broken, Verdict};
