//! libFuzzer on [`tenter_fuzz::frames`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    tenter_fuzz::frames(input);
});
