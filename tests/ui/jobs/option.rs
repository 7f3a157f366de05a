//! Options that do not exist, or without what they need.

#[tenter::job(timeout = 5)]
fn has_no_such_option() {}

#[tenter::job(emits)]
fn says_not_what_it_emits() {}

#[tenter::job(emits = u8, emits = u16)]
fn emits_twice() {}

#[tenter::job("emits")]
fn has_a_text() {}

#[tenter::job(crate = 7)]
fn has_no_path() {}

#[tenter::job(emits = u8 crate = tenter)]
fn has_no_comma() {}

fn main() {}
