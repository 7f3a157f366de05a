//! What the compiler says to who misuses the macros of `tenter::jobs`.
//!
//! `TRYBUILD=overwrite` writes the texts anew; they are those of the compiler that checks this
//! crate.
#![cfg(all(feature = "jobs", target_os = "linux"))]

#[test]
fn each_misuse_is_refused_with_a_text_that_tells_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/ui/jobs/*.rs");
}
