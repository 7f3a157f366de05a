//! What can be cloned and sent anywhere to reach a runtime.

use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};

use crate::blocking::Pool;
use crate::driver::Driver;
use crate::lifecycle::{JoinHandle, Place, Schedule, UnobservedHook};
use crate::primitive::Arc;
use crate::scheduler::{self, Shared};

use super::blocking::{self, Closure, Closures};
use super::children::Children;
use super::context::{self, EnterGuard};
use super::metrics::{RuntimeMetrics, TaskInfo};
use super::threads::Threads;

/// A reference to a runtime. Clones are cheap, and may outlive the runtime: what is spawned then
/// reports that it was cancelled.
///
/// # Examples
///
/// ```
/// use std::thread;
///
/// let runtime = tenter::Runtime::new()?;
/// let handle = runtime.handle().clone();
/// // A thread that has nothing to do with the runtime.
/// let thread = thread::spawn(move || {
///     let task = handle.spawn(async { 6 * 7 });
///     handle.block_on(task)
/// });
/// assert_eq!(thread.join().unwrap().unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

/// The parts of a runtime.
pub(crate) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Pool<Closure>,
    pub(super) closures: Closures,
    pub(super) threads: Threads,
    pub(super) children: Children,
}

impl UnwindSafe for Handle {}
impl RefUnwindSafe for Handle {}

impl Handle {
    pub(super) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The runtime that this thread belongs to, or has entered.
    ///
    /// # Panics
    ///
    /// Panics if there is none; [`Handle::try_current`] does not.
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        match Self::try_current() {
            Some(handle) => handle,
            None => context::panic_outside(),
        }
    }

    /// The runtime that this thread belongs to, or has entered, if there is one.
    #[must_use]
    pub fn try_current() -> Option<Self> {
        context::current()
    }

    /// Spawns `future` onto the runtime; see [`tenter::spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_at(future, Place::new(Location::caller()))
    }

    /// [`Handle::spawn`] of a task that may have a name.
    #[inline]
    pub(crate) fn spawn_at<F>(&self, future: F, place: Place) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.inner.shared.spawn(future, place)
    }

    /// Runs `f` on the blocking pool; see [`tenter::spawn_blocking`](crate::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.spawn_blocking_at(f, Place::new(Location::caller()))
    }

    /// [`Handle::spawn_blocking`] of a closure that may have a name.
    pub(crate) fn spawn_blocking_at<F, R>(&self, f: F, place: Place) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        blocking::spawn(&self.inner, f, place)
    }

    /// [`Handle::spawn_blocking`] of a closure that the end of the runtime does not wait for once
    /// it runs, for calls that nobody can interrupt: name look-ups, reads from a terminal.
    ///
    /// The handle reports that it was cancelled as soon as it is aborted or the runtime ends. The
    /// thread ends when `f` does; `f` is in no runtime, and keeps none.
    pub(crate) fn spawn_abandonable<F, R>(&self, f: F, place: Place) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        blocking::spawn_abandonable(&self.inner, f, place)
    }

    /// Whom to tell of a failure that nobody looks at.
    pub(crate) fn unobserved_hook(&self) -> UnobservedHook {
        self.inner.shared.unobserved_hook()
    }

    /// Runs `future` to its end on this thread; see [`Runtime::block_on`](super::Runtime).
    ///
    /// After the runtime was shut down it still runs `future`, with no workers, no I/O and no
    /// timers left.
    ///
    /// # Panics
    ///
    /// Panics on a thread that is running tasks already, of whichever runtime; and if `future`
    /// panics, with its panic.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        assert!(
            !scheduler::context::is_worker(),
            "`block_on` on a thread that runs tasks: it would stand still, and the tasks behind \
             it. Use `.await` here, or call `block_on` inside `spawn_blocking`"
        );
        let _entered = context::enter_own(&self.inner);
        let enter = || context::enter_own_again(&self.inner);
        scheduler::guest::block_on(&self.inner.shared, future, enter)
    }

    /// Makes this the runtime that [`tenter::spawn`](crate::spawn) and the like use on this
    /// thread, until the guard is dropped.
    pub fn enter(&self) -> EnterGuard<'_> {
        context::enter(self)
    }

    /// What the runtime did so far, and what it has to do.
    #[must_use]
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::of(&self.inner)
    }

    /// Every task and closure that has not ended: a dump for who wonders why a program stands
    /// still.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskInfo> {
        TaskInfo::of_all(&self.inner)
    }

    /// The driver, for sources and timers.
    pub(crate) fn driver(&self) -> &Arc<Driver> {
        self.inner.shared.driver()
    }

    /// Calls `f` with the current runtime's driver and this thread's shard of its timers.
    ///
    /// Timers are set more often than handles are cloned: this touches no count.
    #[inline]
    pub(crate) fn with_timers<R>(f: impl FnOnce(&Driver, usize) -> R) -> Option<R> {
        context::with_current(|inner| f(inner.shared.driver(), inner.shared.timer_shard()))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("workers", &self.inner.shared.workers())
            .field("tasks", &self.inner.shared.owned().len())
            .finish_non_exhaustive()
    }
}
