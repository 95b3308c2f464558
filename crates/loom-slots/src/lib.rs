//! The reply slots of event-core, on loom's mutex instead of parking_lot's, explored in every order of their steps.
//!
//! The tests include the very file `event-core/src/correlator/slots.rs`. With `--cfg loom` tokio has no network, so
//! event-core itself cannot be built that way; here loom is a plain dependency, and no flag is needed. Each test says
//! how many executions it explored: `cargo nextest run -p loom-slots --no-capture`.
