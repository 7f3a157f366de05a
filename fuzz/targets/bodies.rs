//! libFuzzer on [`tenter_fuzz::bodies`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tenter_fuzz::bodies(input));
