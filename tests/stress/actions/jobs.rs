//! Worker processes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::future::zip;
use tenter::jobs::{JobError, ProcessPool};
use tenter::time::timeout;

use crate::plan::JobsEnd;
use crate::random::{Pattern, Random};
use crate::world::Ctx;
use crate::{ensure, verdict};

#[tenter::job]
fn doubles(number: u64) -> u64 {
    number * 2
}

#[tenter::job]
fn reverses(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reverse();
    bytes
}

#[tenter::job]
fn panics() {
    panic!("as it must");
}

#[tenter::job]
fn exits(code: i32) {
    std::process::exit(code);
}

#[tenter::job]
fn never_ends() {
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

pub(super) async fn runs_jobs(ctx: Ctx, seed: u64, calls: u8, workers: u8, end: JobsEnd) {
    ctx.world.has_children.store(true, Ordering::Relaxed);
    let mut random = Random::new(seed);
    // Deaths are no reason to give up.
    let built = ProcessPool::builder().workers(usize::from(workers)).breaker(u32::MAX).build();
    let pool = match built {
        Ok(pool) => pool,
        Err(error) => {
            ensure!(ctx.is_ending(), "no worker processes: {error}");
            return;
        }
    };
    for _ in 0..calls.div_ceil(2) {
        let (one, other) = (random.next(), random.next());
        zip(runs_job(&ctx, &pool, one), runs_job(&ctx, &pool, other)).await;
    }
    if let JobsEnd::Shutdown = end {
        let report = pool.shutdown(Duration::from_secs(3600)).await;
        ensure!(report.killed == 0 || ctx.is_ending(), "a pool without jobs: {report:?}");
        ensure!(pool.workers().is_empty(), "a worker outlives its pool");
    }
}

async fn runs_job(ctx: &Ctx, pool: &ProcessPool, seed: u64) {
    let mut random = Random::new(seed);
    let wrong: Option<JobError> = match random.below(6) {
        0 | 1 => match pool.run(doubles::job(seed / 2)).await {
            Ok(doubled) => {
                ensure!(doubled == seed / 2 * 2, "a job doubles to {doubled}");
                None
            }
            Err(error) => Some(error),
        },
        2 => {
            let mut bytes = Pattern::new(seed).take(random.skewed(200_000) as usize);
            match pool.run(reverses::job(bytes.clone())).await {
                Ok(reversed) => {
                    bytes.reverse();
                    ensure!(reversed == bytes, "a job gives back other bytes");
                    None
                }
                Err(error) => Some(error),
            }
        }
        3 => pool.run(panics::job()).await.err().filter(|error| !error.is_panicked()),
        4 => pool.run(exits::job(3)).await.err().filter(|error| !error.is_died()),
        _ => {
            let limit = Duration::from_micros(random.below(3000));
            match random.one_in(2) {
                true => {
                    let call = never_ends::job().timeout(limit);
                    pool.run(call).await.err().filter(|error| !error.is_timed_out())
                }
                // Dropped: the worker that runs it is killed.
                false => {
                    timeout(limit, pool.run(never_ends::job())).await.ok().and_then(Result::err)
                }
            }
        }
    };
    match wrong {
        None => {}
        Some(error) if ctx.is_ending() && (error.is_closed() || error.is_died()) => {}
        Some(error) => verdict::violation(format_args!("a job ends with {error:?}")),
    }
}
