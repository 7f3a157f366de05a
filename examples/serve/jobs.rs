//! `/hash/{n}` and `/crash`: what is computed in processes of its own.
//!
//! A loop without an `await` would keep a thread from its other tasks, and a crash would end the
//! server. In a worker process the one costs nobody anything, and the other one request.

use hyper::StatusCode;
use tenter::jobs::{JobError, ProcessPool, SpawnError};

use crate::page::{Response, text};

/// FNV-1a over the numbers below `rounds`, a word at a time.
#[tenter::job]
fn hash(rounds: u64) -> u64 {
    (0..rounds).fold(0xcbf2_9ce4_8422_2325, |hash: u64, number| {
        (hash ^ number).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Does what a bug in a C library would do.
#[tenter::job]
#[allow(unsafe_code)]
fn crash() {
    let nowhere = std::ptr::without_provenance_mut::<u8>(8);
    // SAFETY: There is none, on purpose. No page is mapped at the lowest addresses, so the write
    // changes nothing, and ends this process, which nobody shares, with SIGSEGV.
    unsafe { nowhere.write_volatile(0) };
}

/// Makes the pool: workers start as they are needed, up to one for each processor.
pub(crate) fn pool() -> Result<ProcessPool, SpawnError> {
    // A pool gives up when job after job kills its worker. Here one page does just that, and
    // whoever loads it again and again should not close the other for everybody.
    ProcessPool::builder().breaker(u32::MAX).build()
}

/// Answers `/hash/{n}`. A client that goes away drops this future, which stops the job.
pub(crate) async fn hash_page(pool: &ProcessPool, rounds: u64) -> Response {
    match pool.run(hash::job(rounds)).await {
        Ok(hash) => text(StatusCode::OK, format!("{hash:016x}")),
        Err(error) => failed(&error),
    }
}

/// Answers `/crash`: the error says how the worker died.
pub(crate) async fn crash_page(pool: &ProcessPool) -> Response {
    match pool.run(crash::job()).await {
        Ok(()) => text(StatusCode::OK, "still here"),
        Err(error) => failed(&error),
    }
}

fn failed(error: &JobError) -> Response {
    text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
