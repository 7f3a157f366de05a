//! What the compiler says to who misuses `select!`, `join!` and `gather`.
//!
//! `TRYBUILD=overwrite` writes the texts anew; they are those of the compiler that checks this
//! crate.

#[test]
fn each_misuse_is_refused_with_a_text_that_tells_what_is_wrong() {
    trybuild::TestCases::new().compile_fail("tests/ui/task/*.rs");
}
