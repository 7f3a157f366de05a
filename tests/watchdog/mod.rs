//! A limit on the time of a test: one that hangs fails with its name, and takes the process along.

use std::io::{Write, stderr};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;
use std::{env, process, thread};

/// Ends the process if it is not dropped in time.
#[must_use = "a watchdog that is dropped watches nothing"]
pub(crate) struct Watchdog {
    _alive: Sender<()>,
}

/// Starts a watchdog for the test of the current thread; `at_end` runs before it ends the process.
pub(crate) fn start(limit: Duration, at_end: impl FnOnce() + Send + 'static) -> Watchdog {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    // How many times slower than usual everything is, as under a sanitizer.
    let slowdown = env::var("TENTER_TEST_SLOWDOWN");
    let limit = limit * slowdown.map_or(1, |times| times.parse().expect("a number of times"));
    let (alive, dropped) = mpsc::channel();
    thread::spawn(move || {
        if dropped.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            // Not `eprintln`: the harness would keep it, and lose it with the process.
            let _ = writeln!(stderr(), "\n{name} hangs: it is not done after {limit:?}");
            at_end();
            process::exit(101);
        }
    });
    Watchdog { _alive: alive }
}
