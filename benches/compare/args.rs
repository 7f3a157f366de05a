//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::load::{Load, Service};
use crate::peers::Runtime;
use crate::rows::{Group, ROWS, Row};

const ROUNDS: usize = 7;
const ROUNDS_QUICK: usize = 3;
const WORKERS: usize = 2;

/// What this process is to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Compare(Plan),
    /// Measure one row once and print the sample: a process of its own, for a fresh start.
    Sample {
        row: &'static Row,
        runtime: Runtime,
        workers: usize,
        ops: usize,
    },
    /// Be a server, for a row about one.
    Serve {
        service: Service,
        runtime: Runtime,
        workers: usize,
    },
    /// Be the load on a server.
    Load {
        load: Load,
        server: SocketAddr,
    },
    /// Be a worker process of the floor.
    Answer,
}

/// What is compared.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rows: Vec<&'static Row>,
    pub(crate) runtimes: Vec<Runtime>,
    pub(crate) workers: usize,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
}

impl Plan {
    /// The operations of one round of `row`.
    pub(crate) fn ops(&self, row: &Row) -> usize {
        row.ops[usize::from(self.quick)]
    }

    /// Who is compared in a group's rows.
    pub(crate) fn runtimes(&self, group: Group) -> impl Iterator<Item = Runtime> + '_ {
        group.runtimes().iter().copied().filter(|runtime| self.runtimes.contains(runtime))
    }
}

/// Reads the arguments after the program's name.
///
/// # Errors
///
/// - A message for the user: an unknown argument, row or runtime, or a value that is missing or
///   bad.
pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut args = args.peekable();
    match args.peek().map(String::as_str) {
        Some("--sample" | "--serve" | "--load" | "--answer") => parse_part(args),
        _ => parse_plan(args),
    }
}

fn parse_plan(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut plan = Plan {
        rows: ROWS.iter().collect(),
        runtimes: Runtime::ALL.to_vec(),
        workers: WORKERS,
        rounds: 0,
        quick: false,
        json: None,
        svg: None,
    };
    while let Some(arg) = args.next() {
        let (flag, attached) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        let mut value =
            || attached.clone().or_else(|| args.next()).ok_or(format!("{flag} needs a value"));
        match flag {
            "--help" | "-h" => return Ok(Command::Help),
            // What cargo adds.
            "--bench" => {}
            "--quick" => plan.quick = true,
            "--rows" => plan.rows = list(&value()?, "row", find_rows, row_names)?.concat(),
            "--runtimes" => {
                plan.runtimes = list(&value()?, "runtime", Runtime::from_name, runtime_names)?;
            }
            "--workers" => plan.workers = positive(flag, &value()?)?,
            "--rounds" => plan.rounds = positive(flag, &value()?)?,
            "--json" => plan.json = Some(value()?.into()),
            "--svg" => plan.svg = Some(value()?.into()),
            _ => return Err(format!("unknown argument {arg:?}")),
        }
    }
    if plan.rounds == 0 {
        plan.rounds = if plan.quick { ROUNDS_QUICK } else { ROUNDS };
    }
    Ok(Command::Compare(plan))
}

/// Items of a comma-separated list, each found by its name.
fn list<T>(
    text: &str,
    kind: &str,
    find: impl Fn(&str) -> Option<T>,
    names: impl Fn() -> String,
) -> Result<Vec<T>, String> {
    text.split(',')
        .map(|name| {
            find(name).ok_or_else(|| format!("unknown {kind} {name:?}; there are {}", names()))
        })
        .collect()
}

/// The row of that name, or all rows of the group.
fn find_rows(name: &str) -> Option<Vec<&'static Row>> {
    let group = Group::ALL.into_iter().find(|group| group.name() == name);
    match group {
        Some(group) => Some(ROWS.iter().filter(|row| row.group() == group).collect()),
        None => Row::find(name).map(|row| vec![row]),
    }
}

fn positive(flag: &str, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{flag} takes a number above zero, not {text:?}")),
    }
}

fn row_names() -> String {
    ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

fn runtime_names() -> String {
    Runtime::ALL.map(Runtime::name).join(", ")
}

/// The commands that a comparison gives to processes of its own; see [`Command::args`].
fn parse_part(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let part = args.next();
    let rest: Vec<String> = args.collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let bad = |what| format!("bad {what} in {rest:?}");
    match (part.as_deref(), rest.as_slice()) {
        (Some("--sample"), [row, runtime, workers, ops]) => Ok(Command::Sample {
            row: Row::find(row).ok_or_else(|| bad("row"))?,
            runtime: Runtime::from_name(runtime).ok_or_else(|| bad("runtime"))?,
            workers: number(workers)?,
            ops: number(ops)?,
        }),
        (Some("--serve"), [service, runtime, workers]) => Ok(Command::Serve {
            service: Service::from_name(service).ok_or_else(|| bad("service"))?,
            runtime: Runtime::from_name(runtime).ok_or_else(|| bad("runtime"))?,
            workers: number(workers)?,
        }),
        (Some("--load"), [service, server, connections, ops, pause_us]) => Ok(Command::Load {
            load: Load {
                service: Service::from_name(service).ok_or_else(|| bad("service"))?,
                connections: number(connections)?,
                ops: number(ops)?,
                pause: Duration::from_micros(number(pause_us)?),
            },
            server: number(server)?,
        }),
        (Some("--answer"), []) => Ok(Command::Answer),
        _ => Err(bad("number of arguments")),
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("bad value {text:?}"))
}

impl Command {
    /// The arguments that [`parse`] reads as this command, of those that a comparison gives.
    pub(crate) fn args(&self) -> Vec<String> {
        match self {
            Command::Sample { row, runtime, workers, ops } => {
                words(&[&"--sample", &row.name, &runtime.name(), workers, ops])
            }
            Command::Serve { service, runtime, workers } => {
                words(&[&"--serve", &service.name(), &runtime.name(), workers])
            }
            Command::Load { load, server } => words(&[
                &"--load",
                &load.service.name(),
                server,
                &load.connections,
                &load.ops,
                &load.pause.as_micros(),
            ]),
            Command::Answer => words(&[&"--answer"]),
            Command::Help | Command::Compare(_) => unreachable!("only a user gives {self:?}"),
        }
    }
}

fn words(words: &[&dyn ToString]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

/// What `--help` prints.
pub(crate) fn help() -> String {
    let mut text = format!(
        "Compares tenter with tokio, smol and the floor (written by hand, the least that works); its
pool of processes with procspawn, Python's ProcessPoolExecutor and the floor.

Usage: cargo bench --bench compare -- [options]

  --rows A,B        only these rows; runtimes, processes: all of that group
  --runtimes A,B    only these of {}
  --workers N       worker threads or processes of each (default {WORKERS})
  --rounds N        rounds, of which the medians are taken (default {ROUNDS})
  --quick           smaller rounds, and {ROUNDS_QUICK} of them: under a minute in all
  --json FILE       write every sample too
  --svg FILE        draw the ratios too
  --help            print this

RUSTFLAGS=\"--cfg tokio_unstable\" makes tokio count its no-op wakes.

Rows:
",
        runtime_names()
    );
    for row in ROWS {
        text.push_str(&format!("  {:<20}{}\n", row.name, row.what));
    }
    text
}
