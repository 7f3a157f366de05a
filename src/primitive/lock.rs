//! Mutex and condition variable: parking_lot's, in the shape that loom's can take too.
//!
//! Guards go by value through [`Condvar::wait`]. There is no poisoning: no code of users
//! runs under a lock that another thread waits for.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A mutual exclusion lock of one byte.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T: ?Sized>(parking_lot::Mutex<T>);

/// The right to the data of a [`Mutex`].
pub(crate) type MutexGuard<'a, T> = parking_lot::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    /// A new, open lock around `value`.
    pub(crate) const fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, waiting for it.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }

    /// Takes the lock if it is open.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
    }
}

/// Where threads wait for a change under a [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(parking_lot::Condvar);

impl Condvar {
    /// A condition variable with nobody waiting.
    pub(crate) const fn new() -> Self {
        Self(parking_lot::Condvar::new())
    }

    /// Releases the lock, waits for a notification, takes the lock again.
    pub(crate) fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(&mut guard);
        guard
    }

    /// Like [`Condvar::wait`], until `deadline` at the latest; `true` says that it passed.
    pub(crate) fn wait_until<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> (MutexGuard<'a, T>, bool) {
        let timed_out = self.0.wait_until(&mut guard, deadline).timed_out();
        (guard, timed_out)
    }

    /// Wakes one waiting thread.
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes every waiting thread.
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A lock for a few instructions that call nobody's code: a waiting thread spins, and after a
/// while yields.
///
/// Its release is a plain store, where [`Mutex`] needs a read-modify-write to learn of sleepers.
/// The list of tasks is locked twice in a task's life, and that store is 3 % of it.
#[derive(Debug, Default)]
pub(crate) struct SpinLock<T> {
    is_locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the cell stops the auto trait. The guard is the only way to it, and there is one at a
// time: Acquire when it is made, Release when it goes.
unsafe impl<T: Send> Sync for SpinLock<T> {}

/// Looks at a held lock before the waiting thread yields to others.
const SPINS_MAX: u32 = 64;

impl<T> SpinLock<T> {
    /// Takes the lock, spinning for it.
    #[inline]
    pub(crate) fn lock(&self) -> SpinGuard<'_, T> {
        // ORDERING: Acquire. Pairs with Release in `SpinGuard::drop`. Relaxed on failure:
        // nothing is read yet.
        if self
            .is_locked
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            self.lock_contended();
        }
        SpinGuard { lock: self }
    }

    #[cold]
    fn lock_contended(&self) {
        let mut spins = 0;
        // Ends: whoever holds the lock runs a few instructions and lets it go.
        // ORDERING: as in `lock`.
        while self
            .is_locked
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            if spins < SPINS_MAX {
                spins += 1;
                std::hint::spin_loop();
            } else {
                // The holder may be off its core.
                std::thread::yield_now();
            }
        }
    }
}

/// The right to the data of a [`SpinLock`].
#[derive(Debug)]
pub(crate) struct SpinGuard<'a, T> {
    lock: &'a SpinLock<T>,
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard is the lock, and borrowed shared.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is the lock, and borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // ORDERING: Release. Pairs with Acquire in `lock`: the next holder sees what this did.
        self.lock.is_locked.store(false, Ordering::Release);
    }
}
