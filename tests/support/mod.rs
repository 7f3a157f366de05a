//! What the tests share: a watchdog, gates, values that count their drops, child processes.

// Every test binary compiles this for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

mod child;
mod gate;
mod journal;
mod process;
mod tracked;

use std::any::type_name_of_val;
use std::cell::RefCell;
use std::env;
use std::io::{Write, stderr};
use std::panic::{Location, resume_unwind};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tenter::{Handle, Runtime};

pub(crate) use child::{Child, Running, expect_success};
pub(crate) use gate::{Gate, Holds, Pair};
pub(crate) use journal::{Journal, has_note, note, wait_for_note};
pub(crate) use process::{
    STACK, children, descriptors, eventfds, is_alive, is_stopped, kill, limit_addresses,
    memory_peak, process_state, socket, sockets, threads, threads_named, unlimit_addresses, until,
    wait_until, write_program,
};
pub(crate) use tracked::{Drops, Tracked};

/// The usual limit of a test: far beyond what it takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How long the dump of a test that hangs may take: it takes locks that may be what hangs.
const DUMP_LIMIT: Duration = Duration::from_secs(5);

thread_local! {
    /// The runtimes that the test of this thread is to be asked about.
    static WATCHED: RefCell<Option<Watched>> = const { RefCell::new(None) };
}

type Watched = Arc<Mutex<Vec<Handle>>>;

/// Runs a test's body. If it is not done after `limit` the process ends, with the test's name
/// and a dump of the tasks of every watched runtime.
pub(crate) fn within<T>(limit: Duration, body: impl FnOnce() -> T) -> T {
    let watched = Watched::default();
    let _watching = Watching {
        _alive: start_watchdog(test_name(&body), limit, Arc::clone(&watched)),
        outer: WATCHED.replace(Some(watched)),
    };
    body()
}

/// A watchdog for the rest of an async test: unless what this returns is dropped before `limit`,
/// the process ends as in [`within`].
#[must_use = "a watchdog that is dropped watches nothing"]
#[track_caller]
pub(crate) fn watchdog(limit: Duration) -> impl Sized {
    let name = match thread::current().name() {
        None | Some("main") => Location::caller().to_string(),
        Some(name) => name.to_owned(),
    };
    let watched = Watched::default();
    watched.lock().unwrap().extend(Handle::try_current());
    start_watchdog(name, limit, watched)
}

/// Runs `body` on a thread that is in no runtime, whatever thread this is, and waits for it.
pub(crate) fn apart<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(body).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// A runtime that the watchdog knows, with this many workers.
pub(crate) fn runtime(workers: usize) -> Runtime {
    let runtime = Runtime::builder().worker_threads(workers).build().expect("a runtime starts");
    watch(runtime.handle());
    runtime
}

/// A runtime whose only worker begins once the gate is open.
///
/// Until then nothing runs. That would not be so of a worker that a task holds: the monitor finds it
/// stuck, and relieves it.
pub(crate) fn runtime_that_begins_later() -> (Runtime, Gate) {
    let gate = Gate::new();
    let begins = gate.clone();
    let mut builder = Runtime::builder();
    builder.worker_threads(1).on_thread_start(move || begins.wait());
    let runtime = builder.build().expect("a runtime starts");
    watch(runtime.handle());
    (runtime, gate)
}

/// Whether this thread stands in for a worker that is kept waiting; on a busy machine the system may
/// do that to any, at any time.
pub(crate) fn is_relief() -> bool {
    thread::current().name().is_some_and(|name| name.contains("-relief-"))
}

/// Whether every task of the runtime waits for something.
pub(crate) fn is_suspended(runtime: &Runtime) -> bool {
    runtime.handle().tasks().iter().all(|task| task.to_string().ends_with("Suspended"))
}

/// Has the tasks of this runtime dumped if the test hangs. It keeps a handle until the test ends.
pub(crate) fn watch(handle: &Handle) {
    WATCHED.with_borrow(|watched| {
        let watched = watched.as_ref().expect("`watch` is for a thread that is `within` a limit");
        watched.lock().unwrap().push(handle.clone());
    });
}

/// Runs `body` on a new runtime with one worker, then with two, then with four.
pub(crate) fn for_each_worker_count(body: impl Fn(Runtime)) {
    for workers in [1, 2, 4] {
        println!("with {workers} workers");
        body(runtime(workers));
    }
}

/// The name of the test whose body this is: that of the function around the closure.
fn test_name<F>(body: &F) -> String {
    match thread::current().name() {
        // The harness runs tests on its main thread if it has but one.
        None | Some("main") => function_name(body),
        Some(name) => name.to_owned(),
    }
}

/// The path, in its crate, of the function that a closure stands in.
fn function_name<F>(closure: &F) -> String {
    let path = type_name_of_val(closure);
    let path = path.split("::{{closure}}").next().unwrap_or(path);
    let path = path.split_once("::").map_or(path, |(_crate, path)| path);
    // The body of a `#[tenter::test]` is a function of the test's name inside the test.
    match path.rsplit_once("::") {
        Some((outer, inner)) if outer.ends_with(inner) => outer.to_owned(),
        _ => path.to_owned(),
    }
}

/// Ends the watch of a test, whichever way it goes.
struct Watching {
    _alive: Sender<()>,
    outer: Option<Watched>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        WATCHED.set(self.outer.take());
    }
}

fn start_watchdog(name: String, limit: Duration, watched: Watched) -> Sender<()> {
    let limit = limit * slowdown();
    // Before that of the parent, which shows what this one says.
    let limit = if Child::is_this() { limit / 2 } else { limit };
    let (alive, ended) = mpsc::channel();
    let watchdog = move || {
        if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            // Not `eprintln`: the harness would keep it, and lose it with the process.
            let _ = writeln!(stderr(), "\n{name} hangs: it is not done after {limit:?}");
            let (done, dumped) = mpsc::channel();
            thread::spawn(move || {
                dump(&watched);
                done.send(())
            });
            let _ = dumped.recv_timeout(DUMP_LIMIT);
            std::process::abort();
        }
    };
    thread::Builder::new().name("watchdog".into()).spawn(watchdog).expect("a watchdog starts");
    alive
}

/// How many times slower than usual everything is, as under a sanitizer.
fn slowdown() -> u32 {
    env::var("TENTER_TEST_SLOWDOWN").map_or(1, |times| times.parse().expect("a number of times"))
}

fn dump(watched: &Watched) {
    for (index, handle) in watched.lock().unwrap().iter().enumerate() {
        let tasks = handle.tasks();
        let _ =
            writeln!(stderr(), "runtime {index}, {} tasks: {:?}", tasks.len(), handle.metrics());
        for task in tasks.iter().take(100) {
            let _ = writeln!(stderr(), "  {task}");
        }
    }
}
