//! What a body has in its hands.

use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use crate::lifecycle::Builder;
use crate::primitive::Arc;
use crate::runtime::Handle;

use super::child::{Child, Closure, Ticket};
use super::context;
use super::error::GroupError;
use super::handle::GroupHandle;
use super::inner::Inner;
use super::scope;

/// Runs `body` with a group to spawn tasks into, and returns when every task of it has ended.
///
/// That holds on every path: of tasks that returned, failed, panicked or were cancelled, and of
/// those in groups inside this one, neither the futures nor the outputs that nobody took are left
/// when this returns. A task or closure that does not come to its end is waited for, and after a
/// second reported.
///
/// - The first task that returns `Err` or panics cancels all others and the body, which is dropped
///   at its await point. So does an `Err` of the body.
/// - A panic of the body cancels the tasks, and goes on once they have ended.
/// - A task that is cancelled, by [`TaskGroup::cancel`], [`GroupHandle::abort`] or a shutdown, is no
///   failure.
///
/// The [module's page](crate::task::group) has the whole protocol, beside those of asyncio's
/// `TaskGroup` and trio's nursery.
///
/// # Errors
///
/// - [`GroupError`] with every failure, the first one first: errors and panics of tasks, and the
///   body's error.
/// - [`GroupError::is_timed_out`] if [`TaskGroup::cancel_after`] was called, and its time was over
///   before everything was done.
///
/// # Panics
///
/// Panics if the body panics, with its panic; failures of tasks then go to
/// [`Builder::on_unobserved`](crate::Builder::on_unobserved).
///
/// # Cancel safety
///
/// Dropped while pending, it aborts every task at once and waits for none: that is left to the group
/// around this one, if there is one, and to the runtime's shutdown. Failures that nobody can take
/// any more go to [`Builder::on_unobserved`](crate::Builder::on_unobserved). So
/// [`time::timeout`](crate::time::timeout()) around a group leaves tasks behind for a moment;
/// [`TaskGroup::cancel_after`] does not.
///
/// # Examples
///
/// ```
/// use std::io;
///
/// async fn fetch(page: u32) -> io::Result<String> {
///     if page == 3 { Err(io::Error::other("no such page")) } else { Ok(format!("page {page}")) }
/// }
///
/// # tenter::run(async {
/// let both = tenter::task_group(async |group| {
///     let one = group.spawn(fetch(1));
///     let two = group.spawn(fetch(2));
///     Ok([one.await?, two.await?])
/// })
/// .await;
/// assert_eq!(both.unwrap(), ["page 1", "page 2"]);
///
/// let error = tenter::task_group(async |group| {
///     (1..=3).for_each(|page| drop(group.spawn(fetch(page))));
///     Ok(())
/// })
/// .await
/// .unwrap_err();
/// assert_eq!(error.into_first_error().unwrap().to_string(), "no such page");
/// # }).unwrap();
/// ```
#[track_caller]
pub fn task_group<T, E, B>(body: B) -> impl Future<Output = Result<T, GroupError<E>>>
where
    B: AsyncFnOnce(&TaskGroup<E>) -> Result<T, E>,
    E: fmt::Debug + Send + 'static,
{
    let location = Location::caller();
    async move {
        let outer = context::enclosing();
        let group = TaskGroup { inner: Inner::new(outer.as_ref(), location) };
        drop(outer);
        // The call itself is the user's code too.
        scope::run(&group.inner, async { body(&group).await }).await
    }
}

/// A group of tasks that end before [`task_group`] returns.
///
/// Clones are the same group, for tasks that spawn others into it. A group that has ended takes no
/// task: what is spawned then is dropped without having run, on a worker, and its handle reports
/// that it was cancelled; so it is, while it lasts, with one that was cancelled.
///
/// # Examples
///
/// ```
/// use std::io;
/// use tenter::task::TaskGroup;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let total = tenter::task_group(async |group: &TaskGroup<io::Error>| {
///         let same = group.clone();
///         let outer = group.spawn(async move {
///             // A task that spawns another one into its group.
///             let inner = same.spawn(async { Ok(40) });
///             Ok(inner.await? + 2)
///         });
///         Ok(outer.await?)
///     })
///     .await?;
///     assert_eq!(total, 42);
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
pub struct TaskGroup<E> {
    inner: Arc<Inner<E>>,
}

impl<E> UnwindSafe for TaskGroup<E> {}
impl<E> RefUnwindSafe for TaskGroup<E> {}

impl<E> TaskGroup<E> {
    /// Aborts every task of the group, those to come as well; the body goes on.
    ///
    /// What was cancelled is no failure: if the body returns a value, so does [`task_group`]. The
    /// body hears of it by [`TaskGroup::cancelled`] and [`TaskGroup::is_cancelled`]. (asyncio's
    /// `TaskGroup.cancel` and trio's `CancelScope.cancel` end the body too: here that is a `return`.)
    pub fn cancel(&self) {
        self.inner.ledger.cancel();
    }

    /// Gives the group this much time from now: a cancel scope with a deadline.
    ///
    /// When it is over the tasks are aborted and the body is dropped at its await point; when all of
    /// them have ended [`task_group`] returns an error with [`GroupError::is_timed_out`]. A later
    /// call replaces the deadline; a duration that the clock cannot add takes it away.
    ///
    /// A shutdown of the runtime is the end of all time.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::pending;
    /// use std::time::Duration;
    ///
    /// # tenter::run(async {
    /// let result = tenter::task_group(async |group| {
    ///     group.cancel_after(Duration::from_millis(1));
    ///     group.spawn(pending::<Result<(), String>>());
    ///     Ok(())
    /// })
    /// .await;
    /// assert!(result.unwrap_err().is_timed_out());
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn cancel_after(&self, duration: Duration) {
        // For its panic.
        drop(Handle::current());
        self.inner.ledger.set_deadline(Instant::now().checked_add(duration));
    }

    /// Whether the group was cancelled: by a call, a failure, its deadline, or because its future
    /// was dropped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.ledger.is_cancelled()
    }

    /// Waits until the group is cancelled: for a body that wants to end then, and for closures'
    /// watchers. It waits for ever if the group ends without.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn cancelled(&self) {
        self.inner.ledger.cancelled().await;
    }

    /// Tasks and closures that have not ended; those of groups inside this one do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.ledger.len()
    }

    /// Whether every task has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<E: fmt::Debug + Send + 'static> TaskGroup<E> {
    /// Spawns `future` as a task of the group.
    ///
    /// Its `Err` and its panic are failures of the group; the handle is for the output. For a task
    /// with a name see [`Builder::spawn_in`].
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn<U, F>(&self, future: F) -> GroupHandle<U>
    where
        F: Future<Output = Result<U, E>> + Send + 'static,
        U: Send + 'static,
    {
        self.spawn_with(Builder::new(), future)
    }

    /// Runs `f`, which may block, on a thread of the blocking pool, as a part of the group.
    ///
    /// A closure that has started runs to its end, whatever happens to the group, which waits for
    /// it.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn_blocking<U, F>(&self, f: F) -> GroupHandle<U>
    where
        F: FnOnce() -> Result<U, E> + Send + 'static,
        U: Send + 'static,
    {
        self.spawn_blocking_with(Builder::new(), f)
    }

    #[track_caller]
    fn spawn_with<U, F>(&self, builder: Builder, future: F) -> GroupHandle<U>
    where
        F: Future<Output = Result<U, E>> + Send + 'static,
        U: Send + 'static,
    {
        let (ticket, admission) = Ticket::new(&self.inner);
        let slot = ticket.slot();
        let join = builder.spawn(Child::new(future, ticket));
        match admission {
            Some(admission) => admission.admit(join.abort_handle()),
            None => join.abort(),
        }
        GroupHandle::new(join, slot)
    }

    #[track_caller]
    fn spawn_blocking_with<U, F>(&self, builder: Builder, f: F) -> GroupHandle<U>
    where
        F: FnOnce() -> Result<U, E> + Send + 'static,
        U: Send + 'static,
    {
        let (ticket, admission) = Ticket::new(&self.inner);
        let slot = ticket.slot();
        let closure = Closure::new(f, ticket);
        let join = builder.spawn_blocking(move || closure.call());
        match admission {
            Some(admission) => admission.admit(join.abort_handle()),
            None => join.abort(),
        }
        GroupHandle::new(join, slot)
    }
}

impl Builder {
    /// Spawns `future` as a task of `group`; see [`TaskGroup::spawn`].
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn_in<U, E, F>(self, group: &TaskGroup<E>, future: F) -> GroupHandle<U>
    where
        F: Future<Output = Result<U, E>> + Send + 'static,
        U: Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        group.spawn_with(self, future)
    }

    /// Runs `f` on the blocking pool as a part of `group`; see [`TaskGroup::spawn_blocking`].
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn_blocking_in<U, E, F>(self, group: &TaskGroup<E>, f: F) -> GroupHandle<U>
    where
        F: FnOnce() -> Result<U, E> + Send + 'static,
        U: Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        group.spawn_blocking_with(self, f)
    }
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("location", &format_args!("{}", self.inner.location))
            .field("len", &self.len())
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}
