//! libFuzzer on [`tenter_fuzz::queue`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tenter_fuzz::queue(input));
