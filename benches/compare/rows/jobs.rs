//! Rows about jobs in worker processes.

use std::io;
use std::sync::{LazyLock, Mutex, mpsc};
use std::time::Instant;

use super::blocking::latency_outcome;
use super::{Outcome, Row, measure_body};
use crate::peers::Runtime;
use crate::peers::processes::{Floor, Pool, Procspawn, Recovery, Tenter, start_killer};
use crate::sample::{Metric, Sample, percentile};

/// Measures `row` on a pool of `workers` processes that belong to this one.
///
/// # Errors
///
/// - `Unsupported`: no pool of this runtime is measured in Rust, or none has the row.
/// - Whatever the pool's start reports.
pub(crate) fn measure(
    row: &Row,
    runtime: Runtime,
    workers: usize,
    ahead: usize,
    ops: usize,
) -> io::Result<Sample> {
    match runtime {
        Runtime::Tenter => measure_pool::<Tenter>(row, workers, ahead, ops),
        Runtime::Procspawn => measure_pool::<Procspawn>(row, workers, ahead, ops),
        Runtime::Floor => measure_pool::<Floor>(row, workers, ahead, ops),
        Runtime::Tokio | Runtime::Smol | Runtime::Python => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn measure_pool<P: Pool>(
    row: &Row,
    workers: usize,
    ahead: usize,
    ops: usize,
) -> io::Result<Sample> {
    let (body, workers): (fn(&mut P, usize) -> Outcome, usize) = match row.name {
        "job_noop" => (noop, workers),
        "job_noop_many" | "job_noop_many_2" | "job_noop_many_16" => (noop_many, workers),
        "job_1mib" => (echo, workers),
        // The next job would be another worker's.
        "job_recover" => (recover, 1),
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let mut pool = P::start(workers, ahead)?;
    Ok(measure_body(row, ops, |ops| body(&mut pool, ops), || None))
}

fn noop<P: Pool>(pool: &mut P, ops: usize) -> Outcome {
    latency_outcome(pool.noop(ops))
}

fn noop_many<P: Pool>(pool: &mut P, ops: usize) -> Outcome {
    let start = Instant::now();
    pool.noop_many(ops);
    let rate = ops as f64 / start.elapsed().as_secs_f64();
    Outcome { ops, extra: vec![(Metric::OpsPerSecond, rate)] }
}

fn echo<P: Pool>(pool: &mut P, ops: usize) -> Outcome {
    latency_outcome(pool.echo(ops))
}

fn recover<P: Pool>(pool: &mut P, ops: usize) -> Outcome {
    // One a process, the warm-up's too.
    static KILLED: LazyLock<Mutex<mpsc::Receiver<Instant>>> =
        LazyLock::new(|| Mutex::new(start_killer().expect("a socket of this process's own")));
    let killed = KILLED.lock().expect("one thread measures");
    let (mut errors, mut nexts) = (Vec::with_capacity(ops), Vec::with_capacity(ops));
    for Recovery { error_seen, next_done } in pool.recover(ops) {
        let killed = killed.recv().expect("the killer lives as long as its socket");
        errors.push((error_seen - killed).as_nanos() as u64);
        nexts.push((next_done - killed).as_nanos() as u64);
    }
    let mut outcome = Outcome::of(ops);
    outcome.extra.push((Metric::ErrorNs, percentile(&mut errors, 0.5)));
    outcome.extra.push((Metric::NextNs, percentile(&mut nexts, 0.5)));
    outcome
}
