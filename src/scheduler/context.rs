//! Which worker the current thread is, if it is one.

use std::cell::Cell;
use std::ptr;

use crate::primitive::thread_local;

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

/// Borrows the worker for as long as the thread-local points to it.
pub(super) struct Entered<'a> {
    _worker: &'a Worker,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        WORKER.with(|cell| cell.set(ptr::null()));
    }
}
