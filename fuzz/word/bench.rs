//! A scheduler that queues.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::world;
use crate::lifecycle::cell::Header;
use crate::lifecycle::owned::Owned;
use crate::lifecycle::{Notified, Schedule, UnobservedHook};
use crate::primitive::lock::Mutex;

/// What is due, what is bound, and what was told of.
pub(super) struct Bench {
    pub(super) queue: Mutex<VecDeque<Notified>>,
    pub(super) owned: Owned,
    pub(super) cancelled: AtomicUsize,
    pub(super) reports: Arc<AtomicUsize>,
}

impl Bench {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            queue: Mutex::default(),
            owned: Owned::new(shards),
            cancelled: AtomicUsize::new(0),
            reports: Arc::default(),
        }
    }

    /// The ids of what is due, in order.
    pub(super) fn queued(&self) -> Vec<u64> {
        self.queue.lock().iter().map(|task| task.header().id().as_u64()).collect()
    }
}

impl Schedule for Bench {
    fn schedule(&self, task: Notified) {
        self.queue.lock().push_back(task);
    }

    fn yield_now(&self, task: Notified) {
        self.schedule(task);
    }

    fn release(&self, task: &Header) -> bool {
        let world = world();
        let number = world.number_of(task.id().as_u64());
        let was_bound = world.machine.borrow().tasks[number].is_bound;
        assert_eq!(self.owned.release(task), was_bound, "in the list");
        // No code of users comes between this and arrow 3.
        world.machine.borrow_mut().complete(number);
        was_bound
    }

    fn note_cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
    }

    fn unobserved_hook(&self) -> UnobservedHook {
        let reports = Arc::clone(&self.reports);
        Arc::new(move |_| {
            reports.fetch_add(1, Relaxed);
        })
    }
}
