//! The workers and the monitor of a runtime: started together, waited for together, with those
//! that are started later to relieve workers that are stuck.

use std::cell::RefCell;
use std::io;
use std::sync::Arc as StdArc;
use std::time::{Duration, Instant};

use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::{Arc, contain_drop, thread};
use crate::scheduler::monitor::{self, BlockedHook};
use crate::scheduler::{Core, Worker, relief};

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
    list: Arc<List>,
}

/// What the threads keep until their very end, when the runtime may be gone.
struct List {
    state: Mutex<State>,
    /// Signalled when a thread leaves.
    left: Condvar,
}

struct State {
    running: usize,
    /// A shutdown has seen the last thread leave: no other is started.
    is_over: bool,
    /// Nobody comes for a handle any more.
    is_detached: bool,
    handles: Vec<thread::JoinHandle<()>>,
}

impl Threads {
    pub(super) fn new() -> Self {
        let state = State { running: 0, is_over: false, is_detached: false, handles: Vec::new() };
        Self { list: Arc::new(List { state: Mutex::new(state), left: Condvar::new() }) }
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
        Self::start_reliefs_with(handle, settings);
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

    /// Tells the scheduler how to start a relief worker.
    fn start_reliefs_with(handle: &Handle, settings: &Settings) {
        let settings = settings.clone();
        // What the scheduler keeps must not keep the runtime.
        let runtime = Arc::downgrade(handle.inner());
        handle.inner().shared.set_starter(Box::new(move |number| {
            let inner = runtime.upgrade().ok_or(io::ErrorKind::NotConnected)?;
            let (handle, settings) = (Handle::from_inner(inner.clone()), settings.clone());
            let name = format!("{}-relief-{number}", settings.name);
            inner.threads.forget_ended();
            inner.threads.start_one(name, settings.stack_bytes, move || {
                run_relief(&handle, &settings, number);
            })
        }));
    }

    /// Drops the handles of threads that have ended: reliefs come and go.
    fn forget_ended(&self) {
        self.list.state.lock().handles.retain(|thread| !thread.is_finished());
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
        let list = Arc::clone(&self.list);
        let mut state = list.state.lock();
        if state.is_over {
            return Err(io::ErrorKind::NotConnected.into());
        }
        // Counted before it can leave.
        state.running += 1;
        drop(state);
        let started = builder.spawn(move || {
            LEAVING.set(Some(Leaving(list)));
            run();
        });
        let mut state = self.list.state.lock();
        match started {
            Ok(_) if state.is_detached => {}
            Ok(thread) => state.handles.push(thread),
            Err(error) => {
                state.running -= 1;
                let text = format!("thread {name} not started: {error}");
                return Err(io::Error::new(error.kind(), text));
            }
        }
        Ok(())
    }

    /// Threads that have not ended.
    pub(super) fn running(&self) -> usize {
        self.list.state.lock().running
    }

    /// Waits until every thread has left, and joins them. `false` if `deadline` passes first.
    ///
    /// One of the threads may call this, from the destructor of a thread-local: it does not wait
    /// for itself.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> bool {
        let is_own = |leaving: &RefCell<Option<Leaving>>| match &*leaving.borrow() {
            Some(Leaving(list)) => Arc::ptr_eq(list, &self.list),
            None => false,
        };
        let own = usize::from(LEAVING.try_with(is_own).unwrap_or(false));
        let mut state = self.list.state.lock();
        // Ends: workers leave once the scheduler is closed and drained, or at the deadline.
        while state.running > own {
            match deadline {
                None => state = self.list.left.wait(state),
                Some(deadline) => {
                    let (guard, timed_out) = self.list.left.wait_until(state, deadline);
                    state = guard;
                    if timed_out && state.running > own {
                        return false;
                    }
                }
            }
        }
        state.is_over = true;
        let mut handles = std::mem::take(&mut state.handles);
        drop(state);
        if own > 0 {
            handles.retain(|handle| handle.thread().id() != thread::current().id());
        }
        for handle in handles {
            // At once: nothing of ours or of the user's is left to run on it. A worker contains
            // what its tasks throw; if it was killed all the same, its panic was printed, and
            // there is nothing left to do here.
            let _ended = handle.join();
        }
        true
    }

    /// Lets threads that have not ended go by themselves: nobody joins them. After the last
    /// [`Threads::wait`].
    ///
    /// Without it they would keep their stacks for as long as somebody has a handle of the runtime.
    pub(super) fn detach(&self) {
        let mut state = self.list.state.lock();
        state.is_detached = true;
        state.handles.clear();
    }
}

thread_local! {
    /// Set before anything else runs on a thread, and so dropped last: destructors of
    /// thread-locals, which may be the user's and take for ever, come before it.
    static LEAVING: RefCell<Option<Leaving>> = const { RefCell::new(None) };
}

/// Counts a thread out when it ends, whichever way.
struct Leaving(Arc<List>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.state.lock().running -= 1;
        self.0.left.notify_all();
    }
}

fn run_worker(handle: &Handle, settings: &Settings, core: Core) {
    let inner = handle.inner();
    let _entered = context::enter_own(inner);
    call(settings.on_start.as_ref());
    Worker::new(Arc::clone(&inner.shared), core).run();
    call(settings.on_stop.as_ref());
}

fn run_relief(handle: &Handle, settings: &Settings, number: usize) {
    let inner = handle.inner();
    let _entered = context::enter_own(inner);
    call(settings.on_start.as_ref());
    relief::run(&inner.shared, number);
    call(settings.on_stop.as_ref());
}

fn run_monitor(handle: &Handle, settings: &Settings) {
    let inner = handle.inner();
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
