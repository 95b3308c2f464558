//! Webhooks of the iTwin Platform.

mod deliveries;
#[cfg(feature = "journal")]
mod journal;
mod managed;
mod mutated;
mod payloads;
mod receiver;
mod refusals;
mod sending;
