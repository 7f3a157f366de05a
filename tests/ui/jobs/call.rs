//! Calls that do not fit the function.

use tenter::jobs::{Call, ProcessPool};

#[tenter::job]
fn crunch(n: u64, seed: u32) -> u64 {
    n + u64::from(seed)
}

async fn calls(pool: ProcessPool) {
    let _ = crunch::job(1);
    let _ = crunch::job("1", 2);
    let _: Call<u32> = crunch::job(1, 2);
    let _ = pool.run(crunch(1, 2)).await;
}

fn main() {}
