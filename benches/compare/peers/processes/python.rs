//! Python's `concurrent.futures.ProcessPoolExecutor`, measured by a program in Python.

use std::process::{Command, Stdio};

const PYTHON: &str = "python3";
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compare/peers/processes/python.py");

/// Whether this machine has a Python with process pools.
pub(crate) fn exists() -> bool {
    let mut python = Command::new(PYTHON);
    python.args(["-c", "import concurrent.futures.process, multiprocessing.synchronize"]);
    python.stdin(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// A process that measures `row` as this program's own do, and prints the sample in JSON.
pub(crate) fn command(row: &str, workers: usize, ops: usize) -> Command {
    let mut python = Command::new(PYTHON);
    python.args([PROGRAM, row, &workers.to_string(), &ops.to_string()]);
    python
}
