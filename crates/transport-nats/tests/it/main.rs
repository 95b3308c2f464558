//! The transport over real servers, in real time; and its mapping of topics, for any topic.

mod core_nats;
mod properties;
mod support;
