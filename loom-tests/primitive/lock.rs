//! Mutex and condition variable, in the shape of `src/primitive/lock.rs`.
//!
//! The condition variable is built on parking, since loom's never times out. Here a wait times
//! out when a model lets time pass, and at no other moment.
//!
//! All threads of a model are coroutines on one real thread, and switch only at loom's own
//! operations. So std's locks and flags serve as plain memory here, and are never contended.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc as StdArc;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicBool as StdBool;
use std::time::Instant;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::Thread;

/// A mutual exclusion lock.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    mutex: loom::sync::Mutex<T>,
    /// Tells loom that an attempt to lock depends on the unlocking before it, which it does not
    /// think of by itself: the failure of an attempt would hardly be explored.
    attempts: AtomicUsize,
}

/// The right to the data of a [`Mutex`].
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: loom::sync::MutexGuard<'a, T>,
    attempted: bool,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { mutex: loom::sync::Mutex::new(value), attempts: AtomicUsize::new(0) }
    }

    pub(crate) fn into_inner(self) -> T {
        self.mutex.into_inner().unwrap()
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, guard: self.mutex.lock().unwrap(), attempted: false }
    }

    #[track_caller]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let guard = self.mutex.try_lock().ok()?;
        Some(MutexGuard { mutex: self, guard, attempted: true })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if self.attempted && !std::thread::panicking() {
            self.mutex.attempts.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Where threads wait for a change under a [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    /// Tells loom that waiting and notifying depend on each other. It is the last branch point
    /// before each: what follows it, up to the next, is one step.
    order: AtomicUsize,
    waiting: Waiting,
}

/// Who waits at one condition variable, first come first.
type Waiting = StdArc<StdMutex<VecDeque<StdArc<Waiter>>>>;

#[derive(Debug)]
struct Waiter {
    thread: Thread,
    timed: bool,
    notified: StdBool,
    timed_out: StdBool,
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[track_caller]
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.park(guard, false).0
    }

    /// Times out when the model calls [`let_time_pass`], whatever the deadline.
    #[track_caller]
    pub(crate) fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _deadline: Instant,
    ) -> (MutexGuard<'a, T>, bool) {
        self.park(guard, true)
    }

    pub(crate) fn notify_one(&self) {
        self.order.fetch_add(1, Ordering::Relaxed);
        if let Some(waiter) = self.waiting.lock().unwrap().pop_front() {
            waiter.wake();
        }
    }

    pub(crate) fn notify_all(&self) {
        self.order.fetch_add(1, Ordering::Relaxed);
        for waiter in self.waiting.lock().unwrap().drain(..) {
            waiter.wake();
        }
    }

    #[track_caller]
    fn park<'a, T>(&self, guard: MutexGuard<'a, T>, timed: bool) -> (MutexGuard<'a, T>, bool) {
        let waiter = StdArc::new(Waiter {
            thread: loom::thread::current(),
            timed,
            notified: StdBool::new(false),
            timed_out: StdBool::new(false),
        });
        if timed {
            // Before the other access: a branch point between registering and parking would be a
            // moment in which a wake is lost.
            CLOCK.order.fetch_add(1, Ordering::Relaxed);
        }
        self.order.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().unwrap().push_back(StdArc::clone(&waiter));
        if timed {
            CLOCK
                .sleeping
                .lock()
                .unwrap()
                .push((StdArc::clone(&self.waiting), StdArc::clone(&waiter)));
        }
        let mutex = guard.mutex;
        drop(guard);
        while !waiter.notified.load(Ordering::Relaxed) {
            loom::thread::park();
        }
        (mutex.lock(), waiter.timed_out.load(Ordering::Relaxed))
    }
}

impl Waiter {
    fn wake(&self) {
        self.notified.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// The waits of a run that have a deadline.
#[derive(Default)]
struct Clock {
    order: AtomicUsize,
    sleeping: StdMutex<Vec<(Waiting, StdArc<Waiter>)>>,
}

loom::lazy_static! {
    static ref CLOCK: Clock = Clock::default();
}

/// For models: every wait that is under way and has a deadline times out, unless it is notified
/// already.
pub(crate) fn let_time_pass() {
    CLOCK.order.fetch_add(1, Ordering::Relaxed);
    let sleeping = std::mem::take(&mut *CLOCK.sleeping.lock().unwrap());
    for (waiting, waiter) in sleeping {
        let mut waiting = waiting.lock().unwrap();
        let before = waiting.len();
        waiting.retain(|other| !StdArc::ptr_eq(other, &waiter));
        if waiting.len() < before {
            waiter.timed_out.store(true, Ordering::Relaxed);
            waiter.wake();
        }
    }
}

/// The spin lock promises what the mutex does.
pub(crate) type SpinLock<T> = Mutex<T>;
