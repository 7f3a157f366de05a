//! A cell that sees when two threads are in it at once.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::lock::switch;

/// [`std::cell::UnsafeCell`]; the closures say how long an access lasts.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T: ?Sized> {
    /// All threads of a program are on one real thread, so this is plain memory.
    is_in_use: AtomicBool,
    cell: std::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { is_in_use: AtomicBool::new(false), cell: std::cell::UnsafeCell::new(value) }
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    #[track_caller]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        assert!(!self.is_in_use.swap(true, Relaxed), "two accesses to one cell overlap");
        let _access = Access(&self.is_in_use);
        // Those who may be in it too can come.
        switch();
        f(self.cell.get())
    }
}

/// Ends with the closure, also if that panics.
struct Access<'a>(&'a AtomicBool);

impl Drop for Access<'_> {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}
