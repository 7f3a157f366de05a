//! The workers and the monitor of a runtime: started together, waited for together.

use std::io;
use std::sync::Arc as StdArc;
use std::time::{Duration, Instant};

use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::{Arc, contain_drop, thread};
use crate::scheduler::monitor::{self, BlockedHook};
use crate::scheduler::{Core, Worker};

use super::context;
use super::handle::Handle;

/// What runs on each thread, at its start or end.
pub(super) type Callback = StdArc<dyn Fn() + Send + Sync>;

/// What the threads of a runtime have in common.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) stack_bytes: Option<usize>,
    pub(super) on_start: Option<Callback>,
    pub(super) on_stop: Option<Callback>,
    pub(super) blocked_after: Option<Duration>,
    pub(super) blocked: BlockedHook,
}

/// The worker threads that have not been joined.
pub(super) struct Threads {
    state: Mutex<State>,
    /// Signalled when a thread leaves.
    left: Condvar,
}

struct State {
    running: usize,
    handles: Vec<thread::JoinHandle<()>>,
}

impl Threads {
    pub(super) fn new() -> Self {
        let state = State { running: 0, handles: Vec::new() };
        Self { state: Mutex::new(state), left: Condvar::new() }
    }

    /// Starts a worker thread for each core, and the monitor.
    ///
    /// # Errors
    ///
    /// - What the system says to the first thread it refuses; those before it run.
    pub(super) fn start(
        &self,
        handle: &Handle,
        settings: &Settings,
        cores: Vec<Core>,
    ) -> io::Result<()> {
        for (index, core) in cores.into_iter().enumerate() {
            let (handle, settings) = (handle.clone(), settings.clone());
            let name = format!("{}-{index}", settings.name);
            self.start_one(name, settings.stack_bytes, move || {
                run_worker(&handle, &settings, core);
            })?;
        }
        let (handle, settings) = (handle.clone(), settings.clone());
        self.start_one(format!("{}-monitor", settings.name), None, move || {
            run_monitor(&handle, &settings);
        })
    }

    fn start_one(
        &self,
        name: String,
        stack_bytes: Option<usize>,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let mut builder = thread::Builder::new().name(name.clone());
        if let Some(bytes) = stack_bytes {
            builder = builder.stack_size(bytes);
        }
        // Counted before it can leave.
        self.state.lock().running += 1;
        let started = builder.spawn(run);
        let mut state = self.state.lock();
        match started {
            Ok(thread) => state.handles.push(thread),
            Err(error) => {
                state.running -= 1;
                let text = format!("thread {name} not started: {error}");
                return Err(io::Error::new(error.kind(), text));
            }
        }
        Ok(())
    }

    /// Waits until every worker has left, and joins them. `false` if `deadline` passes first.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        // Ends: workers leave once the scheduler is closed and drained, or at the deadline.
        while state.running > 0 {
            match deadline {
                None => state = self.left.wait(state),
                Some(deadline) => {
                    let (guard, timed_out) = self.left.wait_until(state, deadline);
                    state = guard;
                    if timed_out && state.running > 0 {
                        return false;
                    }
                }
            }
        }
        let handles = std::mem::take(&mut state.handles);
        drop(state);
        for handle in handles {
            // A worker contains what its tasks throw; if it was killed all the same, its panic
            // was printed, and there is nothing left to do here.
            let _ended = handle.join();
        }
        true
    }

    fn leave(&self) {
        self.state.lock().running -= 1;
        self.left.notify_all();
    }
}

/// Counts a worker out when its thread ends, whichever way.
struct Leaving<'a>(&'a Threads);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

fn run_worker(handle: &Handle, settings: &Settings, core: Core) {
    let inner = handle.inner();
    let _leaving = Leaving(&inner.threads);
    let _entered = context::enter_own(inner);
    call(settings.on_start.as_ref());
    Worker::new(Arc::clone(&inner.shared), core).run();
    call(settings.on_stop.as_ref());
}

fn run_monitor(handle: &Handle, settings: &Settings) {
    let inner = handle.inner();
    let _leaving = Leaving(&inner.threads);
    // It turns the driver, and so calls wakers, which may be anybody's.
    let _entered = context::enter_own(inner);
    monitor::run(&inner.shared, settings.blocked_after, &settings.blocked);
}

fn call(callback: Option<&Callback>) {
    if let Some(f) = callback {
        // The panic was printed by the panic hook; the thread goes on.
        contain_drop(|| f());
    }
}
