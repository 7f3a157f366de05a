//! libFuzzer on [`tenter_fuzz::word`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tenter_fuzz::word(input));
