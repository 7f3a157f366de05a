//! Does an operation of `tenter` so many times that what it costs can be counted.
//!
//! `figures ROW COUNT` warms a runtime up, does the row's operation COUNT times, and prints what it
//! has counted itself. The rest is counted from outside, by `.ci/figures`, which lets it run with
//! COUNT and with twice as many: the difference has no start in it, and no end.
//!
//! Nothing here depends on how fast the machine is: see [`clock`], and the text of each row.

use std::process::ExitCode;

use rows::{ROWS, Row};

mod allocations;
mod clock;
#[forbid(unsafe_code)]
mod cost;
#[path = "../compare/oneshot.rs"]
#[forbid(unsafe_code)]
mod oneshot;
#[forbid(unsafe_code)]
mod rows;

const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--list"] => ROWS.iter().for_each(Row::describe),
        [name, count] => {
            let row = ROWS.iter().find(|row| row.name == *name);
            let (Some(row), Ok(count)) = (row, count.parse()) else { return refuse() };
            row.run(count);
        }
        _ => return refuse(),
    }
    ExitCode::SUCCESS
}

fn refuse() -> ExitCode {
    eprintln!("usage: figures ROW COUNT | figures --list");
    ExitCode::from(USAGE_ERROR)
}
