//! Mutex and condition variable, in the shape of `src/primitive/lock.rs`.
//!
//! The condition variable is built on parking, since loom's never times out. Here a wait times
//! out when a model lets time pass, and at no other moment.
//!
//! All threads of a model are coroutines on one real thread, and switch only at loom's own
//! operations. So std's locks and flags serve as plain memory here, and are never contended.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc as StdArc;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicBool as StdBool;
use std::time::Instant;

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread::Thread;

use super::weaken::{self, Part};

/// A mutual exclusion lock.
///
/// One mutex is either locked or tried, which models assert. loom's own `try_lock` would not do:
/// once a thread is about to try, and another gets the lock first, it waits for that one.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    mutex: loom::sync::Mutex<T>,
    /// An attempt has succeeded, and its guard lives.
    tried: AtomicBool,
    is_tried: StdBool,
}

/// The right to the data of a [`Mutex`].
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// `None` as it is dropped.
    guard: Option<loom::sync::MutexGuard<'a, T>>,
    tried: bool,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            mutex: loom::sync::Mutex::new(value),
            tried: AtomicBool::new(false),
            is_tried: StdBool::new(false),
        }
    }

    pub(crate) fn into_inner(self) -> T {
        self.mutex.into_inner().unwrap()
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        assert!(!self.is_tried.load(Ordering::Relaxed), "a mutex that is tried is locked");
        MutexGuard { mutex: self, guard: Some(self.mutex.lock().unwrap()), tried: false }
    }

    /// Fails, as parking_lot's may, where the last unlocking is not seen yet.
    #[track_caller]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.is_tried.store(true, Ordering::Relaxed);
        if self.tried.load(Ordering::Relaxed) {
            return None;
        }
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        self.tried.compare_exchange(false, true, acquire, relaxed).ok()?;
        Some(MutexGuard { mutex: self, guard: Some(self.mutex.lock().unwrap()), tried: true })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("it is not dropped")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("it is not dropped")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.guard.take());
        if self.tried && !std::thread::panicking() {
            self.mutex.tried.store(false, Ordering::Release);
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

    #[track_caller]
    pub(crate) fn notify_one(&self) {
        if weaken::loses(Part::Notify) {
            return;
        }
        self.order.fetch_add(1, Ordering::Relaxed);
        if let Some(waiter) = self.waiting.lock().unwrap().pop_front() {
            waiter.wake();
        }
    }

    #[track_caller]
    pub(crate) fn notify_all(&self) {
        if weaken::loses(Part::Notify) {
            return;
        }
        let most = if weaken::loses(Part::All) { 1 } else { usize::MAX };
        self.order.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.waiting.lock().unwrap();
        let woken = waiting.len().min(most);
        for waiter in waiting.drain(..woken) {
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
        if end_for_nothing() {
            self.waiting.lock().unwrap().retain(|other| !StdArc::ptr_eq(other, &waiter));
            return (mutex.lock(), false);
        }
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

std::thread_local! {
    /// Waits that end for nothing. All threads of a model are on one real thread.
    static FOR_NOTHING: Cell<usize> = const { Cell::new(0) };
}

/// For models: the next `n` waits end with nobody's notification, as the system may end them.
pub(crate) fn end_waits_for_nothing(n: usize) {
    FOR_NOTHING.set(n);
}

fn end_for_nothing() -> bool {
    let left = FOR_NOTHING.get();
    FOR_NOTHING.set(left.saturating_sub(1));
    left > 0
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
