//! Items that can not be sent back.

use std::time::Instant;

#[tenter::job(emits = Instant)]
fn emits_a_type_without_serde() {}

#[tenter::job(emits = std::thread::Thread)]
fn emits_a_handle() {}

fn main() {}
