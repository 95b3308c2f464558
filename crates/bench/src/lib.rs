//! How fast we are, measured: ours, theirs and the floor side by side, in one run.
//!
//! Every measured party is a process of its own: this program started again with a part to play (`roles`), or a script
//! in `foreign/` around an official client. They take turns, round by round; the medians count. Processor time is what
//! the operating system says of each process. `measure` has a file for each of the measurements (a) to (j), `figures`
//! the ratios and their targets, `table` and `chart` how they are shown, `roles/floor.rs` the floors.
//!
//! The program `bench-heap` counts bytes of the heap. The instructions of the hot paths are counted by the crate
//! `instructions`.

pub mod chart;
pub mod figures;
mod latency;
pub mod machine;
pub mod measure;
pub mod party;
mod payload;
pub mod roles;
pub mod stage;
pub mod table;
pub mod usage;
