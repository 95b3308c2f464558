//! See `fuzzing::binary_xml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::binary_xml::body(data));
