//! libFuzzer on [`tenter_fuzz::timers`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tenter_fuzz::timers(input));
