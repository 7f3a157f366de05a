//! Compares `tenter` with tokio, the smol stack and a hand-written floor, and its worker processes
//! with procspawn, Python's and a floor: the same rows, the same number of workers, every sample in
//! a fresh process, all by turns.
//!
//! `cargo bench --bench compare -- --help` lists the options and rows. A comparison starts itself
//! again for each sample, each server and each load; see [`args::Command`].

use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{io, thread};

use args::{Command, Plan};
use peers::Runtime;
use peers::processes::python;
use rows::Row;

mod args;
mod clock;
#[forbid(unsafe_code)]
mod load;
#[forbid(unsafe_code)]
mod oneshot;
#[forbid(unsafe_code)]
mod peers;
#[forbid(unsafe_code)]
mod report;
#[forbid(unsafe_code)]
mod rows;
#[forbid(unsafe_code)]
mod run;
#[forbid(unsafe_code)]
mod sample;
mod shared;

/// After which a part of a comparison has failed: a hang is a failure that is told.
const PART_MAX: Duration = Duration::from_secs(60);
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    // Neither returns in a worker process of its own.
    tenter::jobs::init();
    procspawn::init();
    let command = match args::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("compare: {message}\nTry --help.");
            return ExitCode::from(USAGE_ERROR);
        }
    };
    match run_command(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_command(command: Command) -> io::Result<ExitCode> {
    match command {
        Command::Help => print!("{}", args::help()),
        Command::Compare(plan) => return compare(plan),
        Command::Sample { row, runtime, workers, ops } => {
            start_watchdog();
            rows::measure(row, runtime, workers, ops)?.print();
        }
        Command::Serve { service, runtime, workers } => {
            start_watchdog();
            rows::tcp::serve(service, runtime, workers)?;
        }
        Command::Load { load, server } => {
            start_watchdog();
            load::run(load, server)?;
        }
        Command::Answer => peers::processes::floor::answer()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the rows and reports; a failed sample does not keep the others from the table.
fn compare(mut plan: Plan) -> io::Result<ExitCode> {
    leave_out_what_is_not_here(&mut plan);
    let plan = &plan;
    let mut rows = Vec::new();
    for (index, row) in plan.rows.iter().enumerate() {
        let start = Instant::now();
        rows.push(run::compare(plan, row));
        let (done, all) = (index + 1, plan.rows.len());
        eprintln!("{done}/{all} {} ({:.1} s)", row.name, start.elapsed().as_secs_f64());
    }
    print!("{}", report::markdown(plan, &rows));
    if let Some(path) = &plan.json {
        std::fs::write(path, report::json(plan, &rows))?;
    }
    if let Some(path) = &plan.svg {
        std::fs::write(path, report::svg(plan, &rows))?;
    }
    let failed = rows.iter().flat_map(|row| &row.results).any(|result| result.failure.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn leave_out_what_is_not_here(plan: &mut Plan) {
    let measured = |row: &&Row| row.has(Runtime::Python);
    if plan.rows.iter().any(measured)
        && plan.runtimes.contains(&Runtime::Python)
        && !python::exists()
    {
        eprintln!("there is no python3 with process pools: left out");
        plan.runtimes.retain(|&runtime| runtime != Runtime::Python);
    }
}

fn start_watchdog() {
    thread::spawn(|| {
        thread::sleep(PART_MAX);
        eprintln!("no end after {PART_MAX:?}");
        std::process::exit(1);
    });
}
