//! The LIFO slot: the one task in front of a worker's queue.
//!
//! A task that is woken by the one that runs is put here and runs next, with its data still in
//! the cache. Others can take from it too, which they do only when its worker has been in one
//! poll for long: taking it at once would tear apart what the slot is there to keep together.

use std::ptr::{self, NonNull};

use crate::lifecycle::Notified;
use crate::lifecycle::cell::Header;
use crate::primitive::atomic::{AtomicPtr, Ordering};
use crate::primitive::seeded;

/// Room for one `Notified`, as one word.
pub(super) struct Slot(AtomicPtr<Header>);

impl Slot {
    /// An empty slot.
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts `task` in and gives back what was there. By the worker.
    #[inline]
    pub(super) fn put(&self, task: Notified) -> Option<Notified> {
        // ORDERING: Release. Pairs with Acquire in `take`. No Acquire: the task that was there
        // was put by this worker too.
        let order = if seeded::is("queue: put without Release") {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        let before = self.0.swap(task.into_raw().as_ptr(), order);
        // SAFETY: 1: the swap took the pointer out of the slot, for this thread alone.
        NonNull::new(before).map(|header| unsafe { Notified::from_raw(header) })
    }

    /// Takes the task. By the worker, or by a thief.
    #[inline]
    pub(super) fn take(&self) -> Option<Notified> {
        if self.is_empty() {
            return None;
        }
        // ORDERING: Acquire. Pairs with Release in `put`.
        let header = if seeded::is("queue: load the slot, then store") {
            let header = self.0.load(Ordering::Acquire);
            self.0.store(ptr::null_mut(), Ordering::Relaxed);
            header
        } else {
            self.0.swap(ptr::null_mut(), Ordering::Acquire)
        };
        // SAFETY: 1: the swap took the pointer out of the slot, for this thread alone.
        NonNull::new(header).map(|header| unsafe { Notified::from_raw(header) })
    }

    /// Whether there is nothing to take.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        // ORDERING: Relaxed. A hint: the worker sees its own `put`, and a thief comes again.
        self.0.load(Ordering::Relaxed).is_null()
    }
}
