//! What must hold for any bytes that come off a wire.
//!
//! Each module has one `body(data)`, which panics when a property does not hold. Three things run the bodies: the
//! targets of `fuzz/` under libFuzzer (`cargo xtask fuzz`), property tests on stable Rust, and a test over every file
//! of `corpus/`, where the seeds come from recordings and each finding stays as a file.

pub mod binary_xml;
pub mod cloud_event;
pub mod event_json;
pub mod expression;
pub mod message;
pub mod packet;
pub mod sas;
pub mod session;

use std::borrow::Cow;

/// A body.
pub type Body = fn(&[u8]);

/// Every body by the name of its fuzz target and its folder in `corpus/`.
pub const BODIES: &[(&str, Body)] = &[
    ("packet", packet::body),
    ("session", session::body),
    ("expression", expression::body),
    ("event_json", event_json::body),
    ("binary_xml", binary_xml::body),
    ("sas", sas::body),
    ("message", message::body),
    ("cloud_event", cloud_event::body),
];

/// The bytes as text. What is not UTF-8 is replaced, so that no input is wasted.
fn text(data: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(data)
}
