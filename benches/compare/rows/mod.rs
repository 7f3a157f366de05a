//! The rows of the table: what each does, how often, and how it is measured.

use std::io;
use std::time::Instant;

use crate::clock::Usage;
use crate::load::Service;
use crate::peers::{Peer, Runtime, Smol, Tenter, Tokio, floor};
use crate::sample::{Metric, Sample};

pub(crate) mod blocking;
pub(crate) mod memory;
pub(crate) mod tasks;
pub(crate) mod tcp;
pub(crate) mod timers;

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What happens once per operation, for the reader of the table.
    pub(crate) what: &'static str,
    pub(crate) kind: Kind,
    /// Operations a round, and operations a round of `--quick`.
    pub(crate) ops: [usize; 2],
    /// What the ratio to tokio is taken of.
    pub(crate) metric: Metric,
    /// The ratio to tokio that is aimed at; 1 is as good as tokio, more is better. None where
    /// tokio's is zero, and so is the aim.
    pub(crate) target: Option<f64>,
}

/// How a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In one process, after a quarter of the work as warm-up.
    Warm,
    /// In one process that has done nothing before.
    Fresh,
    /// A server in one process, its load in another, with so many connections.
    Server(Service, usize),
}

/// What a row's body did.
pub(crate) struct Outcome {
    pub(crate) ops: usize,
    /// What only this row measures, or measures in its own way.
    pub(crate) extra: Vec<(Metric, f64)>,
}

impl Outcome {
    pub(crate) fn of(ops: usize) -> Outcome {
        Outcome { ops, extra: Vec::new() }
    }
}

/// Does so many operations on the runtime.
type Body<P> = fn(&P, usize) -> Outcome;

macro_rules! rows {
    ($($name:literal $kind:expr, $ops:expr, $metric:ident, $target:expr, $what:literal;)*) => {
        &[$(Row {
            name: $name,
            what: $what,
            kind: $kind,
            ops: $ops,
            metric: Metric::$metric,
            target: $target,
        }),*]
    };
}

pub(crate) const ROWS: &[Row] = rows! {
    "spawn_local" Kind::Warm, [400_000, 100_000], CpuNs, Some(3.0),
        "a task spawns a task and joins it, 10,000 at once";
    "spawn_remote" Kind::Warm, [400_000, 100_000], CpuNs, Some(2.5),
        "the same from one thread outside";
    "spawn_remote_multi" Kind::Warm, [400_000, 100_000], CpuNs, Some(2.5),
        "the same from four threads outside";
    "yield_many" Kind::Warm, [4_000_000, 1_000_000], CpuNs, Some(1.3),
        "one of 200 tasks yields";
    "ping_pong" Kind::Warm, [200_000, 50_000], CpuNs, Some(1.5),
        "a task spawns another and trades a oneshot each way with it, 1,000 at once";
    "chained_spawn" Kind::Warm, [1_000_000, 400_000], CpuNs, Some(2.5),
        "a task spawns the next and ends";
    "cross_wake" Kind::Warm, [200_000, 40_000], CpuNs, Some(1.7),
        "round trip between two tasks over two channels";
    "mpsc_contended" Kind::Warm, [1_000_000, 400_000], CpuNs, Some(1.4),
        "message from one of 8 tasks to one over a channel of 64";
    "fork_join" Kind::Warm, [524_256, 196_596], CpuNs, Some(2.2),
        "node of a binary tree of 32,767 tasks";
    "skewed" Kind::Warm, [20_000, 4_000], WallNs, Some(1.0),
        "CPU work spawned by one task, every 16th 50 times as long";
    "main_rpc" Kind::Warm, [40_000, 8_000], CpuNs, Some(5.0),
        "request and reply between the main future and a task";
    "timers_fire" Kind::Warm, [50_000, 10_000], CpuNs, Some(1.5),
        "a task sleeps until its own instant, all within 20 ms";
    "timers_cancel" Kind::Warm, [1_000_000, 400_000], CpuNs, Some(3.0),
        "a task polls a sleep once and drops it, 4 tasks";
    "blocking_noop" Kind::Warm, [50_000, 10_000], CpuNs, Some(3.0),
        "an empty closure on the blocking pool, 64 at once";
    "wake_latency" Kind::Warm, [1_000, 200], CpuNs, Some(1.7),
        "a thread outside wakes a task of an idle runtime";
    "tcp_echo_1" Kind::Server(Service::Echo, 1), [20_000, 3_000], CpuNs, Some(1.0),
        "request of 128 bytes and its echo, one connection";
    "tcp_echo_64" Kind::Server(Service::Echo, 64), [100_000, 16_000], CpuNs, Some(1.12),
        "the same over 64 connections";
    "tcp_echo_1000" Kind::Server(Service::Echo, 1000), [100_000, 12_000], CpuNs, Some(1.2),
        "the same over 1,000 connections";
    "tcp_stream" Kind::Server(Service::Sink, 4), [1_000, 200], CpuNs, Some(1.0),
        "MiB received over 4 connections";
    "tcp_churn" Kind::Server(Service::Churn, 16), [12_000, 2_000], CpuNs, Some(1.1),
        "connect, request, reply, close; 16 at once";
    "idle_cpu" Kind::Fresh, [1_000, 200], CpuNs, None,
        "second of a runtime idle for half a second, with 1,000 parked tasks and a timer";
    "bytes_per_task" Kind::Fresh, [1_000_000, 250_000], Bytes, Some(2.6),
        "resident memory of a parked task with a future of 16 bytes";
};

impl Row {
    pub(crate) fn find(name: &str) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.name == name)
    }

    /// Whether the row has a hand-written floor.
    pub(crate) fn has_floor(&self) -> bool {
        matches!(self.kind, Kind::Server(..)) || floor::body(self.name).is_some()
    }
}

/// Measures `row` on `runtime` in this process.
///
/// # Errors
///
/// - `Unsupported`: the row is a server's, or the floor does not have it.
/// - Whatever the runtime's start reports.
pub(crate) fn measure(
    row: &Row,
    runtime: Runtime,
    workers: usize,
    ops: usize,
) -> io::Result<Sample> {
    match runtime {
        Runtime::Tenter => measure_peer::<Tenter>(row, workers, ops),
        Runtime::Tokio => measure_peer::<Tokio>(row, workers, ops),
        Runtime::Smol => measure_peer::<Smol>(row, workers, ops),
        Runtime::Floor => {
            let body = floor::body(row.name).ok_or(io::ErrorKind::Unsupported)?;
            Ok(measure_body(row, ops, body, || None))
        }
    }
}

fn measure_peer<P: Peer>(row: &Row, workers: usize, ops: usize) -> io::Result<Sample> {
    let body = body::<P>(row.name).ok_or(io::ErrorKind::Unsupported)?;
    let peer = P::new(workers)?;
    let sample = measure_body(row, ops, |ops| body(&peer, ops), || peer.noop_wakes());
    // What ending a runtime costs is no row, and some have no end.
    std::mem::forget(peer);
    Ok(sample)
}

fn body<P: Peer>(name: &str) -> Option<Body<P>> {
    Some(match name {
        "spawn_local" => tasks::spawn_local::<P>,
        "spawn_remote" => tasks::spawn_remote::<P>,
        "spawn_remote_multi" => tasks::spawn_remote_multi::<P>,
        "yield_many" => tasks::yield_many::<P>,
        "ping_pong" => tasks::ping_pong::<P>,
        "chained_spawn" => tasks::chained_spawn::<P>,
        "cross_wake" => tasks::cross_wake::<P>,
        "mpsc_contended" => tasks::mpsc_contended::<P>,
        "fork_join" => tasks::fork_join::<P>,
        "skewed" => tasks::skewed::<P>,
        "main_rpc" => tasks::main_rpc::<P>,
        "timers_fire" => timers::fire::<P>,
        "timers_cancel" => timers::cancel::<P>,
        "blocking_noop" => blocking::noop::<P>,
        "wake_latency" => blocking::wake_latency::<P>,
        "idle_cpu" => memory::idle_cpu::<P>,
        "bytes_per_task" => memory::bytes_per_task::<P>,
        _ => return None,
    })
}

fn measure_body(
    row: &Row,
    ops: usize,
    body: impl Fn(usize) -> Outcome,
    noop_wakes: impl Fn() -> Option<u64>,
) -> Sample {
    if row.kind == Kind::Warm {
        body(ops / 4);
    }
    let noop_before = noop_wakes();
    let usage_before = Usage::of_process();
    let start = Instant::now();
    let outcome = body(ops);
    let wall = start.elapsed();
    let used = Usage::of_process() - usage_before;
    let noop_after = noop_wakes();

    let ops = outcome.ops as f64;
    let mut sample = Sample::default();
    // A fresh row's body also prepares what it measures.
    if row.kind == Kind::Warm {
        sample.set(Metric::WallNs, wall.as_nanos() as f64 / ops);
    }
    sample.set(Metric::CpuNs, used.cpu_ns as f64 / ops);
    sample.set(Metric::Switches, used.switches as f64 / ops);
    if let (Some(before), Some(after)) = (noop_before, noop_after) {
        sample.set(Metric::NoopWakes, (after - before) as f64 / ops);
    }
    for (metric, value) in outcome.extra {
        sample.set(metric, value);
    }
    sample
}

/// Runs `future` as a task of `peer` and waits for it in the main future.
fn in_task<P: Peer, T: Send + 'static>(
    peer: &P,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    peer.block_on(async { P::spawn(future).await })
}
