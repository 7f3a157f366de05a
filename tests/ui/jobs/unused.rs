//! A call that nobody runs.

#![deny(unused_must_use)]

#[tenter::job]
fn crunch(n: u64) -> u64 {
    n
}

fn main() {
    crunch::job(1);
}
