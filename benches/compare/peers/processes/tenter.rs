//! `tenter::jobs` itself, awaited in tasks.

use std::hint::black_box;
use std::io;
use std::process;
use std::time::Instant;

use tenter::jobs::ProcessPool;

use super::{IN_FLIGHT, MIB, Pool, Recovery};

#[tenter::job]
fn noop() {}

#[tenter::job]
fn echo(bytes: Vec<u8>) -> Vec<u8> {
    black_box(bytes)
}

#[tenter::job]
fn hang(parent: u32) {
    super::hang(parent);
}

pub(crate) struct Tenter {
    pool: ProcessPool,
    runtime: tenter::Runtime,
}

impl Pool for Tenter {
    fn start(workers: usize, ahead: usize) -> io::Result<Tenter> {
        let runtime = tenter::Runtime::builder().worker_threads(workers).build()?;
        let mut builder = ProcessPool::builder();
        builder.workers(workers..=workers);
        if ahead > 0 {
            builder.send_ahead(ahead);
        }
        let pool = runtime.block_on(async { builder.build() }).map_err(io::Error::other)?;
        Ok(Tenter { pool, runtime })
    }

    fn noop(&mut self, jobs: usize) -> Vec<u64> {
        let pool = self.pool.clone();
        self.in_task(async move {
            let mut latencies = Vec::with_capacity(jobs);
            for _ in 0..jobs {
                let start = Instant::now();
                pool.run(noop::job()).await.expect("a job that does nothing");
                latencies.push(start.elapsed().as_nanos() as u64);
            }
            latencies
        })
    }

    fn noop_many(&mut self, jobs: usize) {
        let pool = self.pool.clone();
        self.in_task(async move {
            let each = jobs.div_ceil(IN_FLIGHT);
            let tasks: Vec<_> =
                (0..IN_FLIGHT).map(|_| tenter::spawn(noop_often(pool.clone(), each))).collect();
            for task in tasks {
                task.await.expect("no job fails");
            }
        });
    }

    fn echo(&mut self, jobs: usize) -> Vec<u64> {
        let pool = self.pool.clone();
        self.in_task(async move {
            let mut bytes = vec![7; MIB];
            let mut latencies = Vec::with_capacity(jobs);
            for _ in 0..jobs {
                let start = Instant::now();
                let job = pool.run(echo::job(bytes));
                bytes = job.await.expect("a job that returns its argument");
                latencies.push(start.elapsed().as_nanos() as u64);
                assert_eq!(bytes.len(), MIB);
            }
            latencies
        })
    }

    fn recover(&mut self, jobs: usize) -> Vec<Recovery> {
        let pool = self.pool.clone();
        self.in_task(async move {
            let mut recoveries = Vec::with_capacity(jobs);
            for _ in 0..jobs {
                pool.run(hang::job(process::id())).await.expect_err("its worker is killed");
                let error_seen = Instant::now();
                pool.run(noop::job()).await.expect("the pool has another worker");
                recoveries.push(Recovery { error_seen, next_done: Instant::now() });
            }
            recoveries
        })
    }
}

impl Tenter {
    /// Runs `future` as a task and waits for it in the main future.
    fn in_task<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let joined = self.runtime.block_on(async { tenter::spawn(future).await });
        joined.expect("no row panics or aborts")
    }
}

async fn noop_often(pool: ProcessPool, jobs: usize) {
    for _ in 0..jobs {
        pool.run(noop::job()).await.expect("a job that does nothing");
    }
}
