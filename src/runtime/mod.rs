//! The runtime: made, reached, watched and ended.
//!
//! A [`Runtime`] owns the threads; a [`Handle`] reaches what they share.
//!
//! | to | use |
//! |---|---|
//! | run one future, on default settings | [`run`], or `#[tenter::main]` |
//! | choose the settings | [`Builder`] |
//! | run a future on this thread, in a runtime that goes on afterwards | [`Runtime::block_on`] |
//! | spawn from a thread that is none of the runtime's | [`Handle::spawn`], [`Runtime::enter`] |
//! | count what it does, list what it runs | [`Handle::metrics`], [`Handle::tasks`] |
//! | hear of failures that nobody looks at, and of polls that block | [`Builder::on_unobserved`], [`Builder::blocked_after`] |
//! | end it within a time, and hear what would not stop | [`Runtime::shutdown`], [`ShutdownReport`] |
//!
//! A runtime that is dropped, as that of [`run`] is, cancels its tasks, waits for the closures that
//! have started, and says after a second which they are.
//!
//! ```
//! use std::time::Duration;
//!
//! let runtime = tenter::Builder::new().worker_threads(2).build()?;
//! let task = runtime.spawn(std::future::pending::<()>());
//! assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
//! assert_eq!(runtime.handle().metrics().live_tasks(), 1);
//!
//! let report = runtime.shutdown(Duration::from_secs(5));
//! assert!(report.is_clean(), "{report}");
//! assert_eq!(report.cancelled(), 1);
//! assert!(task.is_finished());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! In the house it is the parts made into one thing: the only room that sees them all. How a
//! runtime ends, step by step, is in `shutdown.rs`.

#[forbid(unsafe_code)]
mod abandonable;
mod blocking;
#[forbid(unsafe_code)]
mod builder;
#[forbid(unsafe_code)]
mod children;
pub(crate) mod context;
#[forbid(unsafe_code)]
mod detached;
#[forbid(unsafe_code)]
mod handle;
#[forbid(unsafe_code)]
mod metrics;
#[forbid(unsafe_code)]
mod reports;
#[forbid(unsafe_code)]
mod shutdown;
#[forbid(unsafe_code)]
mod spawn;
#[forbid(unsafe_code)]
mod threads;

use std::io;
use std::time::Duration;

pub use crate::lifecycle::Unobserved;
pub use builder::Builder;
pub(crate) use children::ChildEntry;
pub use children::ChildInfo;
pub use context::EnterGuard;
pub use detached::spawn_detached;
pub use handle::Handle;
pub use metrics::{RuntimeMetrics, TaskInfo};
pub(crate) use reports::report;
pub use shutdown::ShutdownReport;

use crate::lifecycle::JoinHandle;

pub use spawn::{block_in_place, run, spawn, spawn_blocking, yield_now};

/// A runtime: worker threads, a driver for I/O and time, and a pool for work that may block.
///
/// Dropping it cancels every task, drops its future on a thread of the runtime, joins the
/// workers, and waits for the blocking closures that have started. Those that have not are
/// cancelled. What detached tasks returned is dropped by then, also by a thread in `block_on`. After
/// a second of waiting it says, once, which tasks and closures it waits for, with names and spawn
/// places, or how many threads, where it would report a failure; [`Runtime::shutdown`] waits for as
/// long as it is told. Dropped on one of its own threads, it does all of this but the waiting.
///
/// # Examples
///
/// ```
/// let runtime = tenter::Runtime::builder().worker_threads(2).build()?;
/// let answer = runtime.block_on(async {
///     let task = tenter::spawn(async { 6 * 7 });
///     task.await.unwrap()
/// });
/// assert_eq!(answer, 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
    /// Set by the calls that have ended it already.
    is_shut_down: bool,
}

impl Runtime {
    /// A runtime with the default settings; see [`Builder`].
    ///
    /// # Errors
    ///
    /// - `InvalidInput` if `TENTER_WORKERS` is set and is no number of threads.
    /// - What the system says if it gives no thread or no descriptor.
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// A builder with the default settings.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn from_handle(handle: Handle) -> Self {
        Self { handle, is_shut_down: false }
    }

    /// Runs `future` to its end on this thread, which is a worker meanwhile.
    ///
    /// While the future waits, the thread runs the tasks that it spawned or woke itself: a request
    /// to a task and its answer so stay on one thread. Others' tasks it leaves to the workers, and
    /// all of them if tasks blocked their threads lately. Any number of threads may be in `block_on`
    /// of one runtime; from the fifth on, and inside a task, a closure or the scope of a task local,
    /// they run their future alone, and what it spawns goes to the workers.
    ///
    /// So a task that the future spawned, and that blocks its thread, may hold up the future, which
    /// no relief worker can take over: what must not wait is better off in a task of its own. A lock
    /// of `std` that is held around this call must not be one that the future's tasks take.
    ///
    /// # Panics
    ///
    /// Panics on a thread that is running tasks already, of whichever runtime; and if `future`
    /// panics, with its panic.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Spawns `future` onto the runtime; see [`tenter::spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs `f` on the blocking pool; see [`tenter::spawn_blocking`](crate::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.handle.spawn_blocking(f)
    }

    /// The handle, which can be cloned and sent anywhere.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Makes this the runtime that [`tenter::spawn`](crate::spawn) and the like use on this
    /// thread, until the guard is dropped.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Shuts down as dropping does, waits for at most `grace`, and tells what would not stop.
    ///
    /// What is left after `grace` goes on by itself: its threads end when it does. A grace that
    /// the clock cannot express, such as [`Duration::MAX`], is as long as it takes.
    pub fn shutdown(mut self, grace: Duration) -> ShutdownReport {
        self.is_shut_down = true;
        shutdown::shutdown(self.handle.inner(), Some(grace))
    }

    /// Shuts down without waiting for anything.
    pub fn shutdown_background(self) {
        let _report = self.shutdown(Duration::ZERO);
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !self.is_shut_down {
            shutdown::shutdown(self.handle.inner(), None);
        }
    }
}
