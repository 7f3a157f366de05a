//! The rounds: every sample in a fresh process, the runtimes by turns.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdout, Stdio};
use std::time::Duration;

use crate::args::{Command, Plan};
use crate::clock::Usage;
use crate::load::{Load, Service};
use crate::peers::Runtime;
use crate::peers::processes::python;
use crate::rows::{Goal, Kind, Row, Target};
use crate::sample::{Metric, Sample};

const TRACED_WAKES: usize = 400;
const TRACED_REQUESTS: usize = 1_200;
const TRACED_MEBIBYTES: usize = 100;
const TRACED_JOBS: usize = 1_000;
const TRACED_RECOVERIES: usize = 12;
/// Between the requests of a client that is alone with a traced server.
const TRACED_PAUSE: Duration = Duration::from_millis(1);

/// What all rounds of one row came to.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) row: &'static Row,
    /// In the plan's order; only runtimes that have the row.
    pub(crate) results: Vec<RuntimeResult>,
}

#[derive(Debug)]
pub(crate) struct RuntimeResult {
    pub(crate) runtime: Runtime,
    pub(crate) samples: Vec<Sample>,
    pub(crate) medians: Sample,
    /// Why a sample, and with it this runtime's part of the row, failed.
    pub(crate) failure: Option<String>,
}

impl Compared {
    pub(crate) fn median(&self, runtime: Runtime, metric: Metric) -> Option<f64> {
        self.result(runtime)?.medians.value(metric)
    }

    /// How many times better than the group's baseline `runtime` is.
    pub(crate) fn ratio(&self, runtime: Runtime, metric: Metric) -> Option<f64> {
        self.times_better(runtime, self.row.group().baseline(), metric)
    }

    /// How many times the floor's `runtime`'s is: more is worse, of rates too.
    pub(crate) fn of_floor(&self, runtime: Runtime, metric: Metric) -> Option<f64> {
        self.times_better(Runtime::Floor, runtime, metric)
    }

    /// All but rates are better when less.
    fn times_better(&self, runtime: Runtime, than: Runtime, metric: Metric) -> Option<f64> {
        let others = self.median(than, metric)?;
        let own = self.median(runtime, metric)?;
        let ratio = if metric.is_rate() { own / others } else { others / own };
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }

    /// Whether `tenter` meets a goal's target, if both are known.
    pub(crate) fn meets(&self, goal: &Goal) -> Option<bool> {
        let own = || self.median(Runtime::Tenter, goal.metric);
        match goal.target {
            Target::Ratio(least) => Some(self.ratio(Runtime::Tenter, goal.metric)? >= least),
            Target::OfFloor(most) => Some(self.of_floor(Runtime::Tenter, goal.metric)? <= most),
            Target::Value(least) if goal.metric.is_rate() => Some(own()? >= least),
            Target::Value(most) => Some(own()? <= most),
            Target::Zero | Target::Open => None,
        }
    }

    pub(crate) fn result(&self, runtime: Runtime) -> Option<&RuntimeResult> {
        self.results.iter().find(|result| result.runtime == runtime)
    }
}

/// Runs every round of `row`.
pub(crate) fn compare(plan: &Plan, row: &'static Row) -> Compared {
    let runtimes = plan.runtimes(row.group());
    let mut results: Vec<_> =
        runtimes.filter(|&runtime| row.has(runtime)).map(RuntimeResult::new).collect();
    for _ in 0..plan.rounds {
        for result in &mut results {
            result.add(row, sample(row, result.runtime, plan.workers, plan.ops(row)));
        }
    }
    let counted = counts_system_calls(row) && strace_works();
    for result in &mut results {
        result.medians = Sample::medians(&result.samples);
        // Not Python's, whose start and end are not told from the rest.
        if !counted || result.failure.is_some() || result.runtime == Runtime::Python {
            continue;
        }
        match system_calls(row, result.runtime, plan.workers) {
            Ok(calls) => result.medians.set(Metric::Syscalls, calls),
            Err(error) => eprintln!("{}: {}: {error}", row.name, result.runtime.name()),
        }
    }
    Compared { row, results }
}

impl RuntimeResult {
    fn new(runtime: Runtime) -> RuntimeResult {
        let (samples, medians) = (Vec::new(), Sample::default());
        RuntimeResult { runtime, samples, medians, failure: None }
    }

    fn add(&mut self, row: &Row, sample: io::Result<Sample>) {
        match sample {
            Ok(sample) => self.samples.push(sample),
            Err(error) => {
                eprintln!("{}: {}: {error}", row.name, self.runtime.name());
                self.failure = Some(error.to_string());
            }
        }
    }
}

fn sample(row: &'static Row, runtime: Runtime, workers: usize, ops: usize) -> io::Result<Sample> {
    match row.kind {
        Kind::Jobs { .. } if runtime == Runtime::Python => {
            let mut part = Part::spawn(python::command(row.name, workers, ops))?;
            let text = part.rest()?;
            part.end()?;
            Sample::parse_json(&text)
        }
        Kind::Warm | Kind::Fresh | Kind::Jobs { .. } => {
            let command = Command::Sample { row, runtime, workers, ops };
            let mut part = Part::start(&command, None)?;
            let text = part.rest()?;
            part.end()?;
            Sample::parse(&text)
        }
        Kind::Server(service, connections) => {
            let mut server = Server::start(service, runtime, workers, None)?;
            let pause = Duration::ZERO;
            let sample = server.load(Load { service, connections, ops, pause })?;
            server.part.end()?;
            Ok(sample)
        }
    }
}

/// Rows whose every operation ends in the kernel, and where the count is a matter of design.
fn counts_system_calls(row: &Row) -> bool {
    match row.kind {
        Kind::Server(service, _) => service.offenders(1) == 0,
        Kind::Jobs { .. } => true,
        Kind::Warm | Kind::Fresh => row.name == "wake_latency",
    }
}

fn strace_works() -> bool {
    let mut strace = process::Command::new("strace");
    strace.args(["-f", "true"]).stderr(Stdio::null());
    strace.status().is_ok_and(|status| status.success())
}

/// System calls of an operation, in a run of its own that is slower for being watched.
fn system_calls(row: &'static Row, runtime: Runtime, workers: usize) -> io::Result<f64> {
    let log = std::env::temp_dir().join(format!("tenter-compare-{}.strace", process::id()));
    let ops = match row.kind {
        Kind::Warm | Kind::Fresh | Kind::Jobs { .. } => {
            let ops = traced_ops(row);
            let mut part =
                Part::start(&Command::Sample { row, runtime, workers, ops }, Some(&log))?;
            part.rest()?;
            part.end()?;
            ops
        }
        Kind::Server(service, connections) => {
            // A reply so late as under strace is never waited for, unless the client rests.
            let (ops, pause) = match (service, connections) {
                (Service::Sink, _) => (TRACED_MEBIBYTES, Duration::ZERO),
                (_, 1) => (TRACED_WAKES, TRACED_PAUSE),
                _ => (TRACED_REQUESTS, Duration::ZERO),
            };
            let mut server = Server::start(service, runtime, workers, Some(&log))?;
            server.load(Load { service, connections, ops, pause })?;
            server.part.end()?;
            ops
        }
    };
    let calls = count_calls(&fs::read_to_string(&log)?);
    fs::remove_file(&log)?;
    let calls = calls.ok_or_else(|| io::Error::other("strace saw no measurement"))?;
    Ok(calls as f64 / ops as f64)
}

fn traced_ops(row: &Row) -> usize {
    match row.name {
        "wake_latency" | "job_noop" => TRACED_WAKES,
        "job_1mib" => TRACED_MEBIBYTES,
        "job_recover" => TRACED_RECOVERIES,
        _ => TRACED_JOBS,
    }
}

/// The calls that strace logged between the two that [`Usage::of_process`] makes.
fn count_calls(log: &str) -> Option<usize> {
    const MARK: &str = "getrusage(RUSAGE_SELF";
    let mut lines = log.lines().skip_while(|line| !line.contains(MARK)).skip(1);
    let mut calls = 0;
    loop {
        let line = lines.next()?;
        if line.contains(MARK) {
            return Some(calls);
        }
        // `PID name(..`, and not `PID <... name resumed>..` or `PID +++ exited`.
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        calls += usize::from(call.starts_with(|c: char| c.is_ascii_alphabetic()));
    }
}

/// A process that does one part of the work, of this program or Python's. Killed if it is not ended.
struct Part {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Part {
    /// Starts it, under strace if there is a file for its log.
    fn start(command: &Command, log: Option<&Path>) -> io::Result<Part> {
        let program = std::env::current_exe()?;
        let mut process = match log {
            Some(log) => traced(program, log),
            None => process::Command::new(program),
        };
        process.args(command.args());
        Part::spawn(process)
    }

    fn spawn(mut process: process::Command) -> io::Result<Part> {
        let mut child = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().expect("standard output is piped");
        Ok(Part { child, stdout: BufReader::new(stdout) })
    }

    fn send_line(&mut self) -> io::Result<()> {
        self.child.stdin.as_mut().expect("standard input is piped").write_all(b"\n")
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        match line.strip_suffix('\n') {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::Error::other(format!("the process ended early, after {line:?}"))),
        }
    }

    fn rest(&mut self) -> io::Result<String> {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text)?;
        Ok(text)
    }

    fn end(mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("the process ended with {status}")))
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Both do nothing, or fail, if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The pause between wakes is the bench's own, so its call is not counted.
fn traced(program: PathBuf, log: &Path) -> process::Command {
    let mut strace = process::Command::new("strace");
    strace.args(["-f", "-s", "0", "-e", "trace=!clock_nanosleep", "-o"]).arg(log).arg(program);
    strace
}

/// A server's process.
struct Server {
    part: Part,
    address: std::net::SocketAddr,
}

impl Server {
    fn start(
        service: Service,
        runtime: Runtime,
        workers: usize,
        log: Option<&Path>,
    ) -> io::Result<Server> {
        let mut part = Part::start(&Command::Serve { service, runtime, workers }, log)?;
        let line = part.line()?;
        let address = line.parse().map_err(|_| io::Error::other(format!("no address: {line}")))?;
        Ok(Server { part, address })
    }

    /// Loads the server from another process, and joins what both measured.
    fn load(&mut self, load: Load) -> io::Result<Sample> {
        let mut part = Part::start(&Command::Load { load, server: self.address }, None)?;
        part.line()?;
        let (before, noop_before) = self.usage()?;
        part.send_line()?;
        let mut sample = Sample::parse(&part.rest()?)?;
        part.end()?;
        let (after, noop_after) = self.usage()?;

        let used = after - before;
        let ops = load.ops as f64;
        sample.set(Metric::CpuNs, used.cpu_ns as f64 / ops);
        sample.set(Metric::Switches, used.switches as f64 / ops);
        if let (Some(before), Some(after)) = (noop_before, noop_after) {
            sample.set(Metric::NoopWakes, (after - before) as f64 / ops);
        }
        Ok(sample)
    }

    /// What the server has used so far, and its no-op wakes if it counts them.
    fn usage(&mut self) -> io::Result<(Usage, Option<u64>)> {
        self.part.send_line()?;
        let line = self.part.line()?;
        let bad = || io::Error::other(format!("no usage: {line}"));
        let mut words = line.split(' ');
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let cpu_ns = number().ok_or_else(bad)?;
        let switches = number().ok_or_else(bad)?;
        Ok((Usage { cpu_ns, switches }, number()))
    }
}
