//! Checks one size of the specification: `cargo run --release -p specs -- --workers 3 --pushers 2`.

use std::process::ExitCode;
use std::time::Instant;

use specs::idle::{BUGS, Idle};

const USAGE: &str =
    "usage: specs [--workers N] [--pushers N] [--pushes N] [--spawns N] [--events N]
             [--guest-tasks N] [--excuses] [--turns N] [--closes] [--batches]
             [--sequential] [--bug NAME] [--threads N]
       specs --bugs";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == ["--bugs"] {
        BUGS.iter().for_each(|bug| println!("{bug}"));
        return ExitCode::SUCCESS;
    }
    let Some((model, threads)) = parse(&args).filter(|(model, _)| model.fits()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    println!("{model:?}");
    let start = Instant::now();
    let report = specs::check(model, threads);
    let seconds = start.elapsed().as_secs_f64();
    println!("{} states, {} steps deep, {seconds:.1} s", report.states, report.depth);
    let Some((property, path)) = report.broken else {
        println!("every property holds in every state");
        return ExitCode::SUCCESS;
    };
    println!("not so: {property}");
    path.iter().for_each(|step| println!("    {step}"));
    ExitCode::FAILURE
}

/// The model, and on how many threads to check it.
fn parse(args: &[String]) -> Option<(Idle, usize)> {
    let (mut model, mut threads) = (Idle::new(2, 1), 1);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || args.next()?.parse::<u8>().ok();
        match arg.as_str() {
            "--workers" => model.workers = number()?,
            "--pushers" => model.pushers = number()?,
            "--pushes" => model.pushes = number()?,
            "--spawns" => model.spawns = number()?,
            "--events" => model.events = number()?,
            "--guest-tasks" => model.guest_tasks = number()?,
            "--turns" => model.turns = number()?,
            "--threads" => threads = usize::from(number()?.max(1)),
            "--excuses" => model.excuses = true,
            "--closes" => model.closes = true,
            "--batches" => model.batches = true,
            "--sequential" => model.is_relaxed = false,
            "--bug" => {
                let name = args.next()?;
                model.bug = BUGS.into_iter().find(|bug| bug == name)?;
            }
            _ => return None,
        }
    }
    Some((model, threads))
}
