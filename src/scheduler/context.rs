//! Which worker the current thread is, if it is one.

use std::cell::Cell;
use std::ptr;

use crate::primitive::{seeded, thread_local};

use super::{Shared, Worker};

thread_local! {
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };
}

/// Calls `f` with the worker that this thread is, if it is one of `shared`'s.
#[inline]
pub(super) fn with_worker_of<R>(shared: &Shared, f: impl FnOnce(Option<&Worker>) -> R) -> R {
    let pointer = WORKER.with(Cell::get);
    // SAFETY: `enter` put the pointer there; the worker is on this thread's stack, further up,
    // until the guard takes the pointer away. It is only ever borrowed shared.
    let worker = unsafe { pointer.as_ref() };
    f(worker.filter(|worker| ptr::eq(worker.shared(), shared)))
}

/// Whether this thread is running tasks, of whichever runtime.
pub(crate) fn is_worker() -> bool {
    !WORKER.with(Cell::get).is_null()
}

/// Makes this thread `worker` until the guard is dropped.
pub(super) fn enter(worker: &Worker) -> Entered<'_> {
    let outer = WORKER.with(|cell| cell.replace(worker));
    assert!(outer.is_null(), "a thread is one worker at a time");
    Entered { _worker: worker }
}

/// Runs `f`, which may block, with this thread being no worker (S11).
///
/// If it is one, what waits for it goes to the others first. In a waker that the driver calls it
/// stays one: the driver cannot be handed over.
pub(crate) fn aside<R>(f: impl FnOnce() -> R) -> R {
    let pointer = WORKER.with(Cell::get);
    // SAFETY: as in `with_worker_of`: `f` returns, or unwinds, before the guard of `enter` is
    // dropped, which is further up on the stack.
    let worker = unsafe { pointer.as_ref() };
    let Some(worker) = worker.filter(|worker| !worker.is_turning()) else { return f() };
    let _aside = Aside { worker, running: worker.step_aside() };
    if !seeded::is("aside: the thread stays a worker") {
        WORKER.with(|cell| cell.set(ptr::null()));
    }
    f()
}

/// A thread that is its worker again when this is dropped.
struct Aside<'a> {
    worker: &'a Worker,
    /// What it was running.
    running: u64,
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        // Whoever was entered meanwhile has been left.
        debug_assert!(!is_worker(), "a thread that stepped aside is another worker");
        WORKER.with(|cell| cell.set(self.worker));
        self.worker.come_back(self.running);
    }
}

/// Borrows the worker for as long as the thread-local points to it.
pub(super) struct Entered<'a> {
    _worker: &'a Worker,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        WORKER.with(|cell| cell.set(ptr::null()));
    }
}
