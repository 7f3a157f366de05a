//! The rows of the table: what each does, how often, and how it is measured.

use std::io;
use std::time::Instant;

use crate::clock::Usage;
use crate::load::Service;
use crate::peers::{Peer, Runtime, Smol, Tenter, Tokio, floor};
use crate::sample::{Metric, Sample};

pub(crate) mod blocking;
pub(crate) mod files;
mod jobs;
pub(crate) mod memory;
pub(crate) mod tasks;
pub(crate) mod tcp;
pub(crate) mod timers;

use Target::{OfFloor, Open, Ratio, Value, Zero};

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What happens once per operation, for the reader of the table.
    pub(crate) what: &'static str,
    pub(crate) kind: Kind,
    /// Operations a round, and operations a round of `--quick`.
    pub(crate) ops: [usize; 2],
    /// What matters in the row, a line of the table each.
    pub(crate) goals: &'static [Goal],
}

/// A metric that matters, and what is aimed at.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) metric: Metric,
    pub(crate) target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// So many times better than the group's baseline; 1 is as good, more is better.
    Ratio(f64),
    /// None at all, as the baseline: there is no ratio.
    Zero,
    /// At most so many times the floor's.
    OfFloor(f64),
    /// This, or better.
    Value(f64),
    /// Nothing in particular: it is there to be seen beside the others.
    Open,
}

/// Rows that are compared with the same others, and reported in tables of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Runtimes,
    Processes,
}

impl Group {
    pub(crate) const ALL: [Group; 2] = [Group::Runtimes, Group::Processes];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Group::Runtimes => "runtimes",
            Group::Processes => "processes",
        }
    }

    /// Who is compared, in the order of a round.
    pub(crate) fn runtimes(self) -> &'static [Runtime] {
        match self {
            Group::Runtimes => &[Runtime::Tenter, Runtime::Tokio, Runtime::Smol, Runtime::Floor],
            Group::Processes => {
                &[Runtime::Tenter, Runtime::Procspawn, Runtime::Python, Runtime::Floor]
            }
        }
    }

    /// To whom ratios are taken.
    pub(crate) fn baseline(self) -> Runtime {
        match self {
            Group::Runtimes => Runtime::Tokio,
            Group::Processes => Runtime::Procspawn,
        }
    }
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
    /// On worker processes, after a quarter of the work as warm-up. So many jobs may be sent to a
    /// worker that is not done yet, which is `tenter`'s alone; 0 for a pool as it is.
    Jobs { ahead: usize },
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
    ($(
        $name:literal $kind:expr, $ops:expr, $($metric:ident $target:expr),+, $what:literal;
    )*) => {
        &[$(Row {
            name: $name,
            what: $what,
            kind: $kind,
            ops: $ops,
            goals: &[$(Goal { metric: Metric::$metric, target: $target }),+],
        }),*]
    };
}

pub(crate) const ROWS: &[Row] = rows! {
    "spawn_local" Kind::Warm, [400_000, 100_000], CpuNs Ratio(3.0),
        "a task spawns a task and joins it, 10,000 at once";
    "spawn_remote" Kind::Warm, [400_000, 100_000], CpuNs Ratio(2.5),
        "the same from one thread outside";
    "spawn_remote_multi" Kind::Warm, [400_000, 100_000], CpuNs Ratio(2.5),
        "the same from four threads outside";
    "yield_many" Kind::Warm, [4_000_000, 1_000_000], CpuNs Ratio(1.3),
        "one of 200 tasks yields";
    "ping_pong" Kind::Warm, [200_000, 50_000], CpuNs Ratio(1.5),
        "a task spawns another and trades a oneshot each way with it, 1,000 at once";
    "chained_spawn" Kind::Warm, [1_000_000, 400_000], CpuNs Ratio(2.5),
        "a task spawns the next and ends";
    "cross_wake" Kind::Warm, [200_000, 40_000], CpuNs Ratio(1.7),
        "round trip between two tasks over two channels";
    "mpsc_contended" Kind::Warm, [1_000_000, 400_000], CpuNs Ratio(1.4),
        "message from one of 8 tasks to one over a channel of 64";
    "fork_join" Kind::Warm, [524_256, 196_596], CpuNs Ratio(2.2),
        "node of a binary tree of 32,767 tasks";
    "skewed" Kind::Warm, [20_000, 4_000], WallNs Ratio(1.0),
        "CPU work spawned by one task, every 16th 50 times as long";
    "main_rpc" Kind::Warm, [40_000, 8_000], CpuNs Ratio(5.0),
        "request and reply between the main future and a task";
    "timers_fire" Kind::Warm, [50_000, 10_000], CpuNs Ratio(1.5),
        "a task sleeps until its own instant, all within 20 ms";
    "timers_cancel" Kind::Warm, [1_000_000, 400_000], CpuNs Ratio(3.0),
        "a task polls a sleep once and drops it, 4 tasks";
    "blocking_noop" Kind::Warm, [50_000, 10_000], CpuNs Ratio(3.0),
        "an empty closure on the blocking pool, 64 at once";
    "wake_latency" Kind::Warm, [1_000, 200], CpuNs Ratio(1.7),
        "a thread outside wakes a task of an idle runtime";
    "tcp_echo_1" Kind::Server(Service::Echo, 1), [20_000, 3_000], CpuNs Ratio(1.0),
        "request of 128 bytes and its echo, one connection";
    "tcp_echo_64" Kind::Server(Service::Echo, 64), [100_000, 16_000], CpuNs Ratio(1.12),
        "the same over 64 connections";
    "tcp_echo_1000" Kind::Server(Service::Echo, 1000), [100_000, 12_000], CpuNs Ratio(1.2),
        "the same over 1,000 connections";
    "tcp_stream" Kind::Server(Service::Sink, 4), [1_000, 200], CpuNs Ratio(1.0),
        "MiB received over 4 connections";
    "tcp_churn" Kind::Server(Service::Churn, 16), [12_000, 2_000], CpuNs Ratio(1.1),
        "connect, request, reply, close; 16 at once";
    "tail_with_offender" Kind::Server(Service::OneOffender, 64), [20_000, 6_400],
        P99Ns Ratio(1.0), P50Ns Open,
        "request and echo, each of 64 connections 100 times a second, while a task blocks its thread \
         for 100 ms in every 150";
    "tail_with_offenders" Kind::Server(Service::AllOffenders, 64), [20_000, 6_400],
        P99Ns Ratio(10.0), P50Ns Open,
        "the same while as many tasks as there are workers block theirs";
    "file_read_4k" Kind::Warm, [40_000, 8_000], CpuNs Ratio(1.5),
        "a file of 4 KiB is read whole, one after another";
    "file_read_1m" Kind::Warm, [2_000, 400], CpuNs Ratio(1.0),
        "the same, of 1 MiB";
    "file_pieces" Kind::Warm, [800, 160], CpuNs Ratio(3.0),
        "a file of 1 MiB is opened and read 8 KiB at a time";
    "file_copy_1g" Kind::Warm, [1_024, 64], CpuNs Ratio(1.0),
        "MiB of a file that is copied (1 GiB, or 64 MiB)";
    "idle_cpu" Kind::Fresh, [1_000, 200], CpuNs Zero,
        "second of a runtime idle for half a second, with 1,000 parked tasks and a timer";
    "bytes_per_task" Kind::Fresh, [1_000_000, 250_000], Bytes Ratio(2.6),
        "resident memory of a parked task with a future of 16 bytes";
    "job_noop" Kind::Jobs { ahead: 0 }, [10_000, 1_000], P50Ns OfFloor(1.6), P99Ns Open,
        "a job that does nothing, one after another; floor: 64 bytes over a socketpair and back";
    "job_noop_many" Kind::Jobs { ahead: 0 }, [50_000, 5_000], OpsPerSecond Value(100_000.0),
        "the same, 500 at once; floor: as before, a thread a worker";
    "job_noop_many_2" Kind::Jobs { ahead: 2 }, [100_000, 10_000], OpsPerSecond Open,
        "the same, 2 sent ahead to each worker; floor: 3 messages at once";
    "job_noop_many_16" Kind::Jobs { ahead: 16 }, [400_000, 40_000], OpsPerSecond Open,
        "the same, 16 sent ahead to each worker; floor: 17 messages at once";
    "job_1mib" Kind::Jobs { ahead: 0 }, [500, 60], P50Ns Value(450_000.0), P99Ns Open,
        "a job that takes and returns 1 MiB; floor: through shared memory, 2 copies each way, and \
         a message; procspawn: not as `Vec<u8>`, which is slower";
    "job_recover" Kind::Jobs { ahead: 0 }, [60, 9], ErrorNs Value(1e6), NextNs Value(3e6),
        "the only worker is killed during a job; that ends in an error, and the next is done";
};

impl Row {
    pub(crate) fn find(name: &str) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.name == name)
    }

    pub(crate) fn group(&self) -> Group {
        match self.kind {
            Kind::Warm | Kind::Fresh | Kind::Server(..) => Group::Runtimes,
            Kind::Jobs { .. } => Group::Processes,
        }
    }

    /// Whether `runtime` is compared in this row.
    pub(crate) fn has(&self, runtime: Runtime) -> bool {
        let has_row = match (self.kind, runtime) {
            (Kind::Warm | Kind::Fresh, Runtime::Floor) => floor::body(self.name).is_some(),
            // It has no tasks that could block it.
            (Kind::Server(service, _), Runtime::Floor) => service.offenders(1) == 0,
            (Kind::Jobs { ahead }, Runtime::Procspawn | Runtime::Python) => ahead == 0,
            _ => true,
        };
        has_row && self.group().runtimes().contains(&runtime)
    }
}

/// Measures `row` on `runtime` in this process.
///
/// # Errors
///
/// - `Unsupported`: the row is a server's, or the runtime does not have it.
/// - Whatever the runtime's start reports.
pub(crate) fn measure(
    row: &Row,
    runtime: Runtime,
    workers: usize,
    ops: usize,
) -> io::Result<Sample> {
    if let Kind::Jobs { ahead } = row.kind {
        return jobs::measure(row, runtime, workers, ahead, ops);
    }
    match runtime {
        Runtime::Tenter => measure_peer::<Tenter>(row, workers, ops),
        Runtime::Tokio => measure_peer::<Tokio>(row, workers, ops),
        Runtime::Smol => measure_peer::<Smol>(row, workers, ops),
        Runtime::Floor => {
            let body = floor::body(row.name).ok_or(io::ErrorKind::Unsupported)?;
            Ok(measure_body(row, ops, body, || None))
        }
        Runtime::Procspawn | Runtime::Python => Err(io::ErrorKind::Unsupported.into()),
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
        "file_read_4k" => files::read_4k::<P>,
        "file_read_1m" => files::read_1m::<P>,
        "file_pieces" => files::pieces::<P>,
        "file_copy_1g" => files::copy::<P>,
        "idle_cpu" => memory::idle_cpu::<P>,
        "bytes_per_task" => memory::bytes_per_task::<P>,
        _ => return None,
    })
}

fn measure_body(
    row: &Row,
    ops: usize,
    mut body: impl FnMut(usize) -> Outcome,
    noop_wakes: impl Fn() -> Option<u64>,
) -> Sample {
    let warm = row.kind != Kind::Fresh;
    if warm {
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
    if warm {
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
