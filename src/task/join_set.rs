//! A set of tasks with outputs of one type.

use std::fmt;
use std::future::poll_fn;
use std::panic::{Location, RefUnwindSafe, UnwindSafe, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::lifecycle::{AbortHandle, Builder, Id, JoinError, JoinHandle, Place};
use crate::runtime::Handle;

use super::members::{Ended, Members};

/// A set of tasks, whose outputs are taken as they come.
///
/// The tasks run by themselves, all at once. What [`JoinSet::join_next`] returns is the result of
/// the task that ended first, whichever it is, at a cost that does not depend on how many are still
/// running. Dropping the set aborts its tasks; a panic that nobody has looked at by then is
/// reported to [`Builder::on_unobserved`](crate::Builder::on_unobserved).
///
/// For tasks that fail together, and a scope that they do not outlive, see
/// [`task_group`](crate::task::task_group), which is asyncio's `TaskGroup`. A set is what one
/// writes in asyncio with a `set` of tasks and `asyncio.wait(.., FIRST_COMPLETED)`.
///
/// It is a [`Stream`] of the results too, which ends whenever the set is empty and goes on when it
/// is not any more.
///
/// # Examples
///
/// ```
/// use tenter::JoinSet;
///
/// # tenter::run(async {
/// let mut set = JoinSet::new();
/// for n in 1..=10 {
///     set.spawn(async move { n * n });
/// }
/// let mut sum = 0;
/// while let Some(square) = set.join_next().await {
///     sum += square.unwrap();
/// }
/// assert_eq!(sum, 385);
/// # }).unwrap();
/// ```
#[must_use = "dropping a `JoinSet` aborts its tasks"]
pub struct JoinSet<T> {
    members: Members<T>,
}

// A panic can interrupt no change of the set: nothing of a user's runs in the middle of one.
impl<T> UnwindSafe for JoinSet<T> {}
impl<T> RefUnwindSafe for JoinSet<T> {}
impl<T> Unpin for JoinSet<T> {}

impl<T> JoinSet<T> {
    /// An empty set.
    pub fn new() -> Self {
        Self { members: Members::new() }
    }

    /// Tasks whose results were not taken, ended or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether every result was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Aborts every task; see [`JoinHandle::abort`].
    ///
    /// They stay in the set: [`JoinSet::join_next`] returns what became of each.
    pub fn abort_all(&self) {
        self.members.abort_all();
    }

    /// Takes every task out of the set and lets it go on by itself, as dropping its handle would.
    pub fn detach_all(&mut self) {
        self.members.detach_all();
    }

    fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        self.members.insert(handle);
        abort
    }
}

/// Waiting for tasks.
impl<T> JoinSet<T> {
    /// Waits until a task ends, takes it out of the set, and returns its output or why it has
    /// none; `None` if the set is empty.
    ///
    /// Results come in the order in which the tasks ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a result that was not returned stays in the set.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// [`JoinSet::join_next`], with the id of the task; an error has it [anyway](JoinError::id).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a result that was not returned stays in the set.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// The result of a task that has ended, if there is one: [`JoinSet::join_next`] that does not
    /// wait.
    #[must_use]
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.members.try_next().map(|ended| ended.result)
    }

    /// [`JoinSet::try_join_next`], with the id of the task.
    #[must_use]
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        self.members.try_next().map(with_id)
    }

    /// [`JoinSet::join_next`] for who writes a future by hand.
    ///
    /// Only the waker of the last call is woken. Each result costs one unit of the task's
    /// [budget](crate::task::consume_budget).
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.members.poll_next(cx).map(|ended| ended.map(|ended| ended.result))
    }

    /// [`JoinSet::join_next_with_id`] for who writes a future by hand.
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        self.members.poll_next(cx).map(|ended| ended.map(with_id))
    }

    /// Waits for every task and returns the outputs, in the order in which they came.
    ///
    /// # Panics
    ///
    /// If a task panicked it goes on with that panic, and if one was cancelled it panics; the
    /// other tasks are aborted then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the tasks are aborted, and the outputs that it has are lost.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(panic)) => resume_unwind(panic),
                Err(Err(cancelled)) => panic!("`join_all` of a set in which {cancelled}"),
            }
        }
        outputs
    }

    /// Aborts every task and waits until each has really ended.
    ///
    /// Outputs are dropped; a panic is reported to
    /// [`Builder::on_unobserved`](crate::Builder::on_unobserved).
    ///
    /// # Cancel safety
    ///
    /// Dropped while pending, the tasks stay aborted, and those that have not ended stay in the set.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        poll_fn(|cx| self.members.poll_discard(cx)).await;
    }
}

fn with_id<T>(ended: Ended<T>) -> Result<(Id, T), JoinError> {
    ended.result.map(|output| (ended.id, output))
}

/// Spawning tasks.
impl<T: Send + 'static> JoinSet<T> {
    /// Spawns a task into the set; see [`tenter::spawn`](crate::spawn).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.insert(crate::runtime::spawn(future))
    }

    /// Spawns a task of this runtime into the set.
    #[track_caller]
    pub fn spawn_on<F>(&mut self, future: F, runtime: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.insert(runtime.spawn(future))
    }

    /// Runs `f` on the blocking pool, and takes it into the set; see
    /// [`tenter::spawn_blocking`](crate::spawn_blocking).
    ///
    /// Aborting it cancels it while it is queued; once it runs, it runs to its end, and
    /// [`JoinSet::shutdown`] waits for that.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
    {
        self.insert(crate::runtime::spawn_blocking(f))
    }

    /// [`JoinSet::spawn_blocking`] on the pool of this runtime.
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, runtime: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
    {
        self.insert(runtime.spawn_blocking(f))
    }

    #[track_caller]
    fn spawn_all<I>(&mut self, futures: I)
    where
        I: IntoIterator<Item: Future<Output = T> + Send + 'static>,
    {
        let location = Location::caller();
        let runtime = Handle::current();
        for future in futures {
            self.insert(runtime.spawn_at(future, Place::new(location)));
        }
    }
}

impl Builder {
    /// Spawns a task into a set; see [`JoinSet::spawn`].
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenter::{JoinSet, task};
    ///
    /// # tenter::run(async {
    /// let mut set = JoinSet::new();
    /// task::Builder::new().name("greeter").spawn_into(&mut set, async { task::name() });
    /// assert_eq!(set.join_next().await.unwrap().unwrap().as_deref(), Some("greeter"));
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_into<F>(self, set: &mut JoinSet<F::Output>, future: F) -> AbortHandle
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        set.insert(self.spawn(future))
    }

    /// Runs `f` on the blocking pool, and takes it into a set; see [`JoinSet::spawn_blocking`].
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn_blocking_into<F, R>(self, set: &mut JoinSet<R>, f: F) -> AbortHandle
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        set.insert(self.spawn_blocking(f))
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinSet").field(&self.members).finish()
    }
}

impl<T> Stream for JoinSet<T> {
    type Item = Result<T, JoinError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_join_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

/// Spawns each future; panics outside a runtime.
impl<F> FromIterator<F> for JoinSet<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = Self::new();
        set.spawn_all(futures);
        set
    }
}

/// Spawns each future; panics outside a runtime.
impl<F> Extend<F> for JoinSet<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        self.spawn_all(futures);
    }
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<JoinSet<std::cell::Cell<u8>>>();
};
