//! A cell whose accesses loom checks for overlap, whose drop is one of them, and whose loss is a
//! leak.

use loom::alloc::Track;

/// loom's cell; the closures say how long an access lasts.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T> {
    cell: loom::cell::UnsafeCell<T>,
    /// A task's memory is a plain box to loom; the cells in it tell when it is never freed.
    _track: Track<()>,
}

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { cell: loom::cell::UnsafeCell::new(value), _track: Track::new(()) }
    }

    #[track_caller]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        self.cell.with(f)
    }

    #[track_caller]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        self.cell.with_mut(f)
    }
}

impl<T> Drop for UnsafeCell<T> {
    fn drop(&mut self) {
        // Freeing is a write: what others did to the cell must have happened before.
        if !std::thread::panicking() {
            self.cell.with_mut(|_| ());
        }
    }
}
