//! What `job!` can not make a function of.

use tenter::jobs::job;

fn main() {
    let _ = job!(|n| -> u64 { n * 2 });
    let _ = job!(move |n: u64| -> u64 { n * 2 });
    let _ = job!(async |n: u64| -> u64 { n * 2 });
    let _ = job!(|n: &mut u64| *n *= 2);
    let _ = job!(|n: &u64| -> &u64 { n });
    let _ = job!(main);
    let _ = job!();
}
