//! The free functions, on the current runtime.

use std::future::poll_fn;
use std::io;
use std::panic::Location;
use std::task::Poll;

use crate::lifecycle::{Builder as TaskBuilder, JoinHandle, Place, budget};
use crate::scheduler;

use super::{Handle, Runtime, blocking, context};

/// Runs `future` on a runtime with the default settings, and shuts it down.
///
/// What `asyncio.run` is: tasks that are left when `future` ends are cancelled. It returns when
/// they are gone and the blocking closures that had started have ended, as dropping a
/// [`Runtime`] does, and tells after a second what it waits for.
///
/// # Errors
///
/// - Those of [`Runtime::new`].
///
/// # Panics
///
/// Panics on a thread that is running tasks already; and if `future` panics, with its panic.
///
/// # Examples
///
/// ```
/// let answer = tenter::run(async { tenter::spawn(async { 42 }).await.unwrap() })?;
/// assert_eq!(answer, 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn run<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(Runtime::new()?.block_on(future))
}

/// Spawns `future` onto the current runtime and returns a handle to its output.
///
/// The task is due at once, awaited or not. Dropping the handle detaches the task;
/// [`JoinHandle::abort`] cancels it. After a shutdown began, the future is dropped at
/// once, on this thread, and the handle reports that the task was cancelled.
///
/// # Panics
///
/// Panics outside a runtime; [`Handle::try_current`] tells without panicking.
///
/// # Examples
///
/// ```
/// tenter::run(async {
///     let task = tenter::spawn(async { "done" });
///     assert_eq!(task.await.unwrap(), "done");
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[inline]
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_at(future, Place::new(Location::caller()))
}

#[inline]
#[track_caller]
pub(super) fn spawn_at<F>(future: F, place: Place) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match context::with_current(|inner| inner.shared.spawn(future, place)) {
        Some(handle) => handle,
        None => context::panic_outside(),
    }
}

/// Runs `f`, which may block, on a thread of the blocking pool.
///
/// What `asyncio.to_thread` is. For system calls that wait and for computations of more than
/// some 100 µs; up to
/// [`max_blocking_threads`](crate::Builder::max_blocking_threads) of them run at once, others
/// wait in a queue. Aborting it cancels it while it is queued: it is dropped when it comes to the
/// front. Once it runs, it runs to its end.
///
/// # Panics
///
/// Panics outside a runtime; [`Handle::try_current`] tells without panicking.
///
/// # Examples
///
/// ```
/// tenter::run(async {
///     let sum = tenter::spawn_blocking(|| (1..=100).sum::<u32>());
///     assert_eq!(sum.await.unwrap(), 5050);
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    Handle::current().spawn_blocking(f)
}

/// Runs `f`, which may block, on this thread, and lets others run the tasks that it would have run.
///
/// What is queued behind the current task goes to other workers before `f` is called, and one of
/// them is awake; if all are busy, a relief worker starts. So nothing waits for `f` but the
/// current task, its other branches included: what is joined or selected with this call in one
/// task stands still meanwhile.
///
/// `f` may borrow from the task, and may call [`Handle::block_on`]. It keeps the task's id, name
/// and task-locals, and has no budget. It cannot be cancelled: an abort takes effect when the task
/// waits next, and a shutdown waits for `f` as it does for any poll. Prefer [`spawn_blocking`] for
/// work that can be sent to another thread: there the task that waits for it can be cancelled,
/// and is not held up. At most 64 relief workers run at once; beyond that `f` blocks its worker.
///
/// On a thread that runs no tasks it just calls `f`.
///
/// # Panics
///
/// Panics if `f` panics, with its panic.
///
/// # Examples
///
/// ```
/// tenter::run(async {
///     let mut lines = vec!["b", "a"];
///     // Borrows what it works on, as `spawn_blocking` cannot.
///     tenter::task::block_in_place(|| lines.sort());
///     assert_eq!(lines, ["a", "b"]);
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn block_in_place<R>(f: impl FnOnce() -> R) -> R {
    let _lifted = budget::Lifted::new();
    scheduler::context::aside(f)
}

/// Lets other tasks run: comes back after those that wait in this worker's queue already.
///
/// What `asyncio.sleep(0)` is.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost.
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let task = tenter::spawn(async { 6 * 7 });
/// while !task.is_finished() {
///     tenter::yield_now().await;
/// }
/// assert_eq!(task.await.unwrap(), 42);
/// # }).unwrap();
/// ```
pub async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        budget::yield_behind_others(cx);
        Poll::Pending
    })
    .await;
}

impl TaskBuilder {
    /// Spawns `future` onto the current runtime; see [`tenter::spawn`](crate::spawn).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn_at(future, self.into_place(Location::caller()))
    }

    /// Runs `f` on the blocking pool; see [`tenter::spawn_blocking`](crate::spawn_blocking).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn_blocking<F, R>(self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let place = self.into_place(Location::caller());
        blocking::spawn(Handle::current().inner(), f, place)
    }
}
