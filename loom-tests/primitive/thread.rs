//! Threads: those of the engine, loom or shuttle, and for models a way to let the start of one fail.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use crate::engine;
pub(crate) use crate::engine::hint::spin_loop;
pub(crate) use crate::engine::thread::{JoinHandle, ThreadId, current, yield_now};

std::thread_local! {
    /// Starts that fail before one succeeds. All threads of a model are on one real thread.
    static FAILURES: Cell<usize> = const { Cell::new(0) };
    /// What the system says of every thread's waiting.
    static WAITING: Cell<Option<bool>> = const { Cell::new(None) };
}

/// [`std::thread::Builder`] on the engine's.
#[derive(Debug)]
pub(crate) struct Builder(engine::thread::Builder);

impl Builder {
    pub(crate) fn new() -> Self {
        Self(engine::thread::Builder::new())
    }

    pub(crate) fn name(self, name: String) -> Self {
        Self(self.0.name(name))
    }

    /// Ignored: these threads are coroutines with stacks of their own.
    pub(crate) fn stack_size(self, _bytes: usize) -> Self {
        self
    }

    pub(crate) fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // A start takes time, in which others run, and then may fail.
        yield_point();
        let failures = FAILURES.get();
        if failures > 0 {
            FAILURES.set(failures - 1);
            return Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                "no more threads, says the model",
            ));
        }
        self.0.spawn(f)
    }
}

/// For models: the next `n` starts of a thread fail.
pub(crate) fn fail_starts(n: usize) {
    FAILURES.set(n);
}

pub(crate) fn number() -> u64 {
    0
}

/// Time stands still here, so there is nothing to tell.
pub(crate) fn cpu_time(_number: u64) -> Option<Duration> {
    None
}

pub(crate) fn is_waiting(_number: u64) -> Option<bool> {
    WAITING.get()
}

/// For models: what the system says of every thread's waiting.
pub(crate) fn set_waiting(waiting: Option<bool>) {
    WAITING.set(waiting);
}

fn yield_point() {
    let point = engine::sync::atomic::AtomicUsize::new(0);
    point.load(engine::sync::atomic::Ordering::Relaxed);
}
