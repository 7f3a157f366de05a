//! What several models need: a scheduler that only queues, futures to wait with, a way to block.

use std::panic::Location;
use std::pin::{Pin, pin};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool as Flag, AtomicUsize as Count, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use crate::lifecycle::owned::Owned;
use crate::lifecycle::{self, JoinHandle, Notified, Place, Schedule, UnobservedHook};
use crate::primitive::Arc;
use crate::primitive::cell::UnsafeCell;
use crate::primitive::deque::{Injector, Steal};
use crate::primitive::lock::{Condvar, Mutex};

/// A scheduler that queues what is due and runs it when the model says so.
pub(crate) struct Bench {
    queue: Injector<Notified>,
    owned: Owned,
    /// Set when a real scheduler could be freed.
    gone: Flag,
    /// Failures that nobody looked at.
    reports: std::sync::Arc<Count>,
}

impl Bench {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: Injector::new(),
            owned: Owned::new(1),
            gone: Flag::new(false),
            reports: std::sync::Arc::default(),
        })
    }

    /// A task that is bound and queued, unless the list is closed.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        let place = Place::new(Location::caller());
        // SAFETY: 1: models drop the bench last. 2: a model's threads are one thread. 3: by the
        // bound.
        let (notified, handle) =
            unsafe { lifecycle::new(future, NonNull::from(self), |_| 0, place) };
        if self.owned.bind(&notified) {
            self.queue.push(notified);
        } else {
            notified.refuse();
        }
        handle
    }

    pub(crate) fn owned(&self) -> &Owned {
        &self.owned
    }

    /// What was queued first.
    pub(crate) fn pop(&self) -> Option<Notified> {
        loop {
            match self.queue.steal() {
                Steal::Success(notified) => return Some(notified),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }

    /// Runs what is queued until nothing is, and returns how often it ran something.
    pub(crate) fn drain(&self) -> usize {
        std::iter::from_fn(|| self.pop()).map(Notified::run).count()
    }

    /// Reports of failures that nobody looked at.
    pub(crate) fn reports(&self) -> usize {
        self.reports.load(Relaxed)
    }

    /// From here on nobody may touch the scheduler (T5).
    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Relaxed);
    }

    fn assert_alive(&self) {
        assert!(!self.gone.load(Relaxed), "T5: a scheduler that is gone is touched");
    }
}

impl Schedule for Bench {
    fn schedule(&self, task: Notified) {
        self.assert_alive();
        self.queue.push(task);
    }

    fn yield_now(&self, task: Notified) {
        self.schedule(task);
    }

    fn release(&self, task: &lifecycle::cell::Header) -> bool {
        self.assert_alive();
        self.owned.release(task)
    }

    fn unobserved_hook(&self) -> UnobservedHook {
        let reports = std::sync::Arc::clone(&self.reports);
        std::sync::Arc::new(move |_| {
            reports.fetch_add(1, Relaxed);
        })
    }
}

/// A future that is ready once the gate is open.
pub(crate) struct Gate {
    state: Mutex<(bool, Option<Waker>)>,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new((false, None)) })
    }

    pub(crate) fn open(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.0 = true;
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn wait(this: &Arc<Self>) -> impl Future<Output = Tracked> + use<> {
        let gate = Arc::clone(this);
        let tracked = Tracked::new();
        std::future::poll_fn(move |cx| {
            let mut state = gate.state.lock();
            if state.0 {
                return Poll::Ready(tracked.clone());
            }
            let before = state.1.replace(cx.waker().clone());
            drop(state);
            drop(before);
            Poll::Pending
        })
    }
}

/// A value whose loss, or second drop, loom sees.
#[derive(Clone)]
pub(crate) struct Tracked(Arc<()>);

impl Tracked {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }

    /// Handles to this value, this one included.
    pub(crate) fn count(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

/// Whether a value was dropped, in a way that loom checks.
#[derive(Clone)]
pub(crate) struct Noted(Arc<Note>);

struct Note(UnsafeCell<bool>);

// SAFETY: loom checks that nobody reads what is being written.
unsafe impl Send for Note {}
// SAFETY: as above.
unsafe impl Sync for Note {}

/// Notes its drop.
pub(crate) struct NotesDrop(Noted);

impl Noted {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Note(UnsafeCell::new(false))))
    }

    /// The value.
    pub(crate) fn on_drop(&self) -> NotesDrop {
        NotesDrop(self.clone())
    }

    #[track_caller]
    pub(crate) fn check(&self) {
        // SAFETY: loom checks that nobody else is here.
        assert!(self.0.0.with_mut(|dropped| unsafe { *dropped }), "it is still there");
    }
}

impl Drop for NotesDrop {
    fn drop(&mut self) {
        // SAFETY: loom checks that nobody else is here.
        self.0.0.0.with_mut(|dropped| unsafe { *dropped = true });
    }
}

/// A future that leaves its waker here and is ready when told so.
#[derive(Default)]
pub(crate) struct Parked {
    waker: std::sync::Mutex<Option<Waker>>,
    polls: Count,
}

impl Parked {
    pub(crate) fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::default()
    }

    /// A clone of the waker that the task left at its first poll.
    pub(crate) fn waker(&self) -> Waker {
        self.waker.lock().unwrap().clone().expect("the task was polled")
    }

    /// Takes the waker away.
    pub(crate) fn take_waker(&self) -> Waker {
        self.waker.lock().unwrap().take().expect("the task was polled")
    }

    /// Takes the waker away, if the task left one.
    pub(crate) fn take_waker_if_any(&self) -> Option<Waker> {
        self.waker.lock().unwrap().take()
    }

    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Relaxed)
    }

    /// Is ready when `done` says so, which it asks at every poll.
    pub(crate) fn until<F: FnMut() -> bool>(
        self: &std::sync::Arc<Self>,
        mut done: F,
    ) -> impl Future<Output = ()> + use<F> {
        let parked = std::sync::Arc::clone(self);
        std::future::poll_fn(move |cx| {
            if parked.polls.fetch_add(1, Relaxed) == 0 {
                *parked.waker.lock().unwrap() = Some(cx.waker().clone());
            }
            if done() { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

/// What a thread blocks on; its waker holds one of loom's `Arc`s, so that a waker that is lost is
/// a leak.
pub(crate) struct Parker {
    notified: Mutex<bool>,
    changed: Condvar,
    wakes: Count,
}

impl Parker {
    pub(crate) fn new() -> Arc<Self> {
        let (notified, changed) = (Mutex::new(false), Condvar::new());
        Arc::new(Self { notified, changed, wakes: Count::new(0) })
    }

    pub(crate) fn waker(this: &Arc<Self>) -> Waker {
        Waker::from(std::sync::Arc::new(ParkerWaker(Arc::clone(this))))
    }

    pub(crate) fn wakes(&self) -> usize {
        self.wakes.load(Relaxed)
    }

    pub(crate) fn park(&self) {
        let mut notified = self.notified.lock();
        while !*notified {
            notified = self.changed.wait(notified);
        }
        *notified = false;
    }
}

struct ParkerWaker(Arc<Parker>);

impl Wake for ParkerWaker {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.wakes.fetch_add(1, Relaxed);
        *self.0.notified.lock() = true;
        self.0.changed.notify_one();
    }
}

/// Polls once with a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Runs a future on this thread, which sleeps between polls.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let parker = Parker::new();
    let waker = Parker::waker(&parker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => parker.park(),
        }
    }
}
