//! Webhooks of the iTwin Platform.

mod mutated;
mod payloads;
