//! The shipped locks, and a condition variable at which the program plays the other threads.

#[path = "../../src/primitive/lock.rs"]
mod shipped;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::play;

pub(crate) use shipped::{Mutex, MutexGuard, SpinLock};

/// Where played threads wait for a change under a [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    notified: AtomicBool,
}

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self { notified: AtomicBool::new(false) }
    }

    /// Lets the program go on as another thread, once. It may come back without a notification.
    pub(crate) fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.notified.store(false, Ordering::Relaxed);
        let is_woken = || self.notified.load(Ordering::Relaxed);
        MutexGuard::unlocked(&mut guard, || play::sleep(play::Bed::Condvar, &is_woken));
        guard
    }

    /// Nobody who has a deadline is played.
    pub(crate) fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _deadline: Instant,
    ) -> (MutexGuard<'a, T>, bool) {
        (guard, true)
    }

    pub(crate) fn notify_one(&self) {
        self.notified.store(true, Ordering::Relaxed);
    }

    pub(crate) fn notify_all(&self) {
        self.notify_one();
    }
}
