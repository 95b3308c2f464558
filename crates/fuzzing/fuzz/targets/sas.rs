//! See `fuzzing::sas`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::sas::body(data));
