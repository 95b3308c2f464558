//! See `fuzzing::cloud_event`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::cloud_event::body(data));
