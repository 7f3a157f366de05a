//! The rows: an operation each.

use std::sync::mpsc;

use tenter::{Builder, Runtime};

use crate::clock;
use crate::cost::Cost;

mod driver;
mod tasks;
mod threads;

/// One operation, and how it is counted.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What `.ci/figures` is to look at.
    measures: &'static str,
    /// Operations of the shorter of two runs.
    count: usize,
    /// Threads of the blocking pool at most.
    closures: usize,
    /// Whether the clock goes.
    is_timed: bool,
    operate: fn(&Runtime, usize),
}

/// What only computes: as many instructions every time, and not one system call.
const COMPUTES: &str = "instructions,allocations,calls,switches";
/// What threads or the kernel do with each other, one step after the other.
const WAITS: &str = "allocations,calls,switches,noop_wakes";

const COMPUTING: Row = Row {
    name: "",
    measures: COMPUTES,
    count: 6_000,
    closures: 1,
    is_timed: false,
    operate: |_, _| (),
};
const WAITING: Row = Row { measures: WAITS, count: 200, ..COMPUTING };

pub(crate) const ROWS: &[Row] = &[
    Row { name: "spawn", operate: tasks::spawn, ..COMPUTING },
    Row { name: "spawn_await", operate: tasks::spawn_await, ..COMPUTING },
    Row { name: "spawn_remote", operate: tasks::spawn_remote, ..COMPUTING },
    Row { name: "yield", operate: tasks::yields, ..COMPUTING },
    Row { name: "long_polls", operate: tasks::long_polls, ..COMPUTING },
    Row { name: "ping_pong", operate: tasks::ping_pong, ..COMPUTING },
    Row { name: "chained_spawn", operate: tasks::chained_spawn, ..COMPUTING },
    Row { name: "cross_wake", operate: tasks::cross_wake, ..COMPUTING },
    Row { name: "mpsc", operate: tasks::mpsc, ..COMPUTING },
    Row { name: "fork_join", operate: tasks::fork_join, ..COMPUTING },
    Row { name: "cancel", operate: tasks::cancel, ..COMPUTING },
    Row { name: "join_set", operate: tasks::join_set, ..COMPUTING },
    Row { name: "group", operate: tasks::group, ..COMPUTING },
    Row { name: "main_rpc", operate: tasks::main_rpc, ..COMPUTING },
    Row { name: "block_on", operate: tasks::block_on, ..COMPUTING },
    Row { name: "timers_cancel", operate: driver::timers_cancel, ..COMPUTING },
    Row { name: "timers_fire", operate: driver::timers_fire, ..COMPUTING },
    Row { name: "timeout", operate: driver::timeouts, ..COMPUTING },
    // Two threads hand over to each other here, and which of them waits varies.
    Row {
        name: "spawn_blocking",
        operate: threads::spawn_blocking,
        measures: "calls,switches",
        ..COMPUTING
    },
    Row { name: "blocking_alone", operate: threads::blocking_alone, ..WAITING },
    // The thread outside pauses as often as it takes.
    Row {
        name: "wake",
        operate: threads::wake,
        measures: "allocations,calls,noop_wakes",
        ..WAITING
    },
    Row { name: "echo", operate: driver::echo, ..WAITING },
    Row { name: "sleep", operate: driver::sleep, is_timed: true, ..WAITING },
    Row { name: "file_read", operate: threads::file_read, ..WAITING },
    // How often threads that start and end wait for each other is the system's choice.
    Row {
        name: "child",
        operate: threads::child,
        measures: "allocations,calls_but_futex,futex,switches,noop_wakes",
        ..WAITING
    },
    Row {
        name: "start_stop",
        operate: threads::start_stop,
        measures: "allocations,calls_but_futex,futex",
        ..WAITING
    },
];

impl Row {
    /// Prints what `.ci/figures` has to know: name, count and measures.
    pub(crate) fn describe(&self) {
        println!("{} {} {}", self.name, self.count, self.measures);
    }

    /// Does the operation so many times and prints what that cost.
    pub(crate) fn run(&self, count: usize) {
        if !self.is_timed {
            clock::stop();
        }
        let runtime = Builder::new()
            .worker_threads(1)
            .max_blocking_threads(self.closures)
            .blocked_after(None)
            .build()
            .expect("a runtime starts");
        (self.operate)(&runtime, self.count / 10);
        let before = Cost::now(runtime.handle());
        (self.operate)(&runtime, count);
        before.print_since(runtime.handle());
    }
}

/// Runs `future` as a task on the one worker, and waits without being a part of the runtime.
fn on_worker<F>(runtime: &Runtime, future: F) -> F::Output
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let (done, end) = mpsc::sync_channel(1);
    let task = runtime.spawn(async move {
        done.send(future.await).expect("it is waited for");
    });
    let output = end.recv().expect("no row panics");
    futures_lite::future::block_on(task).expect("no row panics");
    output
}

/// `count` in parts of `size`, and the rest.
fn parts(count: usize, size: usize) -> impl Iterator<Item = usize> {
    (0..count).step_by(size).map(move |done| size.min(count - done))
}
