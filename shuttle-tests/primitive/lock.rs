//! Mutex and condition variable, in the shape of `src/primitive/lock.rs`.
//!
//! The condition variable is built on parking, since shuttle's never times out. Here a wait times
//! out when a program lets time pass, and at no other moment.
//!
//! All threads of a program are coroutines on one real thread, and switch only at shuttle's own
//! operations. So std's locks and flags serve as plain memory here. They are never contended,
//! since none is held over such an operation.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool as Flag, Ordering::Relaxed};
use std::sync::{Arc, Mutex as Plain, PoisonError};
use std::time::Instant;

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::{self, Thread};

/// A mutual exclusion lock.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

/// The right to the data of a [`Mutex`].
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: shuttle::sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // parking_lot's are not poisoned either.
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard { mutex: self, guard }
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(MutexGuard { mutex: self, guard }),
            Err(std::sync::TryLockError::Poisoned(guard)) => {
                Some(MutexGuard { mutex: self, guard: guard.into_inner() })
            }
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> std::ops::Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// Where threads wait for a change under a [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    waiting: Waiting,
}

/// Who waits at one condition variable.
type Waiting = Arc<Plain<VecDeque<Arc<Waiter>>>>;

#[derive(Debug)]
struct Waiter {
    thread: Thread,
    is_notified: Flag,
    is_timed_out: Flag,
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.park(guard, false).0
    }

    /// Times out when the program calls [`let_time_pass`], whatever the deadline.
    pub(crate) fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _deadline: Instant,
    ) -> (MutexGuard<'a, T>, bool) {
        self.park(guard, true)
    }

    /// Wakes one of those who wait, and nobody knows whom.
    pub(crate) fn notify_one(&self) {
        switch();
        let mut waiting = plain(&self.waiting);
        if waiting.is_empty() {
            return;
        }
        let chosen = thread_rng().gen_range(0..waiting.len());
        let waiter = waiting.remove(chosen);
        drop(waiting);
        waiter.iter().for_each(|waiter| waiter.wake());
    }

    pub(crate) fn notify_all(&self) {
        switch();
        let waiting = std::mem::take(&mut *plain(&self.waiting));
        waiting.iter().for_each(|waiter| waiter.wake());
    }

    fn park<'a, T>(&self, guard: MutexGuard<'a, T>, timed: bool) -> (MutexGuard<'a, T>, bool) {
        let waiter = Arc::new(Waiter {
            thread: thread::current(),
            is_notified: Flag::new(false),
            is_timed_out: Flag::new(false),
        });
        // Whoever does not take the lock can come between the last look and the wait.
        switch();
        plain(&self.waiting).push_back(Arc::clone(&waiter));
        if timed {
            plain(&TIMED.0).push((Arc::clone(&self.waiting), Arc::clone(&waiter)));
        }
        let mutex = guard.mutex;
        drop(guard);
        // Ends: with a notification, whose unparking may be of a wait before.
        while !waiter.is_notified.load(Relaxed) {
            thread::park();
        }
        (mutex.lock(), waiter.is_timed_out.load(Relaxed))
    }
}

impl Waiter {
    fn wake(&self) {
        self.is_notified.store(true, Relaxed);
        self.thread.unpark();
    }
}

/// The waits of a run that have a deadline.
#[derive(Default)]
struct Timed(Plain<Vec<(Waiting, Arc<Waiter>)>>);

shuttle::lazy_static! {
    static ref TIMED: Timed = Timed::default();
}

/// For programs: every wait that is under way and has a deadline times out, unless it is notified
/// already.
pub(crate) fn let_time_pass() {
    switch();
    let timed = std::mem::take(&mut *plain(&TIMED.0));
    for (waiting, waiter) in timed {
        let mut waiting = plain(&waiting);
        let before = waiting.len();
        waiting.retain(|other| !Arc::ptr_eq(other, &waiter));
        let times_out = waiting.len() < before;
        drop(waiting);
        if times_out {
            waiter.is_timed_out.store(true, Relaxed);
            waiter.wake();
        }
    }
}

/// Lets other threads run, or not.
pub(super) fn switch() {
    thread::sleep(std::time::Duration::ZERO);
}

fn plain<T>(mutex: &Plain<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.try_lock().expect("it is not held over a switch")
}

/// The spin lock promises what the mutex does.
pub(crate) type SpinLock<T> = Mutex<T>;
