//! What the command line says, and what `cargo test` says to every test binary.

use std::fmt::Display;
use std::process::exit;
use std::time::Duration;

/// What it is called among tests.
const NAME: &str = "stress";

const USAGE: &str =
    "usage: stress [--seconds N] [--seed N] [--program N] [--patience N] [--no-processes]

  --seconds N     how long random programs are run; 3 unless told
  --seed N        which programs; from the clock unless told
  --program N     this program alone, again and again, and print it first
  --patience N    seconds after which a program that is not done counts as hanging; 60 unless told
  --no-processes  without child processes and jobs

and the options of Rust's test harness, most of which change nothing.";

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) time: Duration,
    pub(crate) seed: Option<u64>,
    pub(crate) program: Option<u64>,
    pub(crate) patience: Duration,
    pub(crate) has_processes: bool,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Wish {
    Run(Arguments),
    /// Tell what tests there are.
    List,
    /// Tests of other names are asked for.
    Nothing,
}

/// Reads the command line; ends the process with code 2 if it makes no sense.
pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Wish {
    match parse(arguments) {
        Ok(wish) => wish,
        Err(complaint) => {
            eprintln!("{complaint}\n\n{USAGE}");
            exit(2)
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Wish, String> {
    let second = Duration::from_secs(1);
    let mut ours = Arguments {
        time: 3 * second,
        seed: None,
        program: None,
        patience: 60 * second,
        has_processes: true,
    };
    let (mut list, mut ignored_only, mut exact) = (false, false, false);
    let (mut filters, mut skips) = (Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        let mut value = || {
            let value = value.clone().or_else(|| arguments.next());
            value.ok_or_else(|| format!("{option} needs a value"))
        };
        match option {
            "--seconds" => ours.time = seconds(option, &value()?)?,
            "--patience" => ours.patience = seconds(option, &value()?)?,
            "--seed" => ours.seed = Some(number(option, &value()?)?),
            "--program" => ours.program = Some(number(option, &value()?)?),
            "--no-processes" => ours.has_processes = false,
            "--list" => list = true,
            "--ignored" => ignored_only = true,
            "--exact" => exact = true,
            "--skip" => skips.push(value()?),
            // The harness's, with a value and without.
            "--test-threads" | "--color" | "--format" | "--logfile" | "--shuffle-seed" | "-Z" => {
                drop(value()?);
            }
            "--nocapture"
            | "--no-capture"
            | "--show-output"
            | "--quiet"
            | "-q"
            | "--test"
            | "--bench"
            | "--include-ignored"
            | "--report-time"
            | "--ensure-time"
            | "--shuffle"
            | "--exclude-should-panic"
            | "--force-run-in-process" => {}
            "--help" | "-h" => {
                println!("{USAGE}");
                exit(0)
            }
            _ if option.starts_with('-') => return Err(format!("{argument} is no option")),
            _ => filters.push(argument),
        }
    }
    let matches = |filter: &String| if exact { NAME == filter } else { NAME.contains(&**filter) };
    let wanted = filters.is_empty() || filters.iter().any(matches);
    Ok(match () {
        () if list => Wish::List,
        () if wanted && !ignored_only && !skips.iter().any(matches) => Wish::Run(ours),
        () => Wish::Nothing,
    })
}

fn number(option: &str, text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| wrong(option, text, error))
}

fn seconds(option: &str, text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) => Err(wrong(option, text, "there is nothing to be done in no time")),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(error) => Err(wrong(option, text, error)),
    }
}

fn wrong(option: &str, text: &str, why: impl Display) -> String {
    format!("{option} {text}: {why}")
}
