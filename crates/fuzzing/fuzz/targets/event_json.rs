//! See `fuzzing::event_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::event_json::body(data));
