//! Many futures at once: all their results in order, or the first error.

use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::vec;

use crate::lifecycle::{JoinError, JoinHandle, Place, TaskState, budget};
use crate::runtime::Handle;

use super::members::Members;

/// Runs every future as a task, all at once, and returns their results in the order of the futures.
///
/// What `asyncio.gather(.., return_exceptions=True)` is: a future that panics does not end the
/// others, and its panic is the [`JoinError`] in its place. [`try_gather`] ends at the first error.
///
/// The futures are collected by the call; the tasks are spawned when it is first polled. A thousand
/// futures are a thousand tasks: a bound on how many run at once is a
/// [`Semaphore`](crate::sync::Semaphore) inside the futures. To run a few futures inside the
/// current task, which may borrow from it, there is [`join!`](crate::join).
///
/// # Panics
///
/// A poll panics outside a runtime, unless there are no futures.
///
/// # Cancel safety
///
/// Dropped while pending, the tasks are aborted and the results are lost; a panic among them is
/// reported to [`Builder::on_unobserved`](crate::Builder::on_unobserved).
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let squares = tenter::gather((1..=3).map(|n| async move { n * n })).await;
/// let squares: Vec<i32> = squares.into_iter().map(Result::unwrap).collect();
/// assert_eq!(squares, [1, 4, 9]);
/// # }).unwrap();
/// ```
#[track_caller]
pub fn gather<I>(futures: I) -> Gather<I::Item>
where
    I: IntoIterator<Item: Future<Output: Send + 'static> + Send + 'static>,
{
    let tasks = Spawning::new(futures);
    let results = Vec::with_capacity(tasks.left());
    Gather { tasks, results, ended: 0, is_done: false }
}

/// The output of a task, or the handle of one that has none (yet).
///
/// A panic stays in its task until everything is handed out: who drops the handle reports it.
type Outcome<T> = Result<T, JoinHandle<T>>;

/// Takes the output of a task that has ended, if there is one.
fn output_of<T>(mut handle: JoinHandle<T>, cx: &mut Context<'_>) -> Outcome<T> {
    match handle.poll_returned(cx) {
        Poll::Ready(Some(output)) => Ok(output),
        Poll::Ready(None) | Poll::Pending => Err(handle),
    }
}

/// Why a task that has ended has no output.
fn error_of<T>(mut handle: JoinHandle<T>) -> JoinError {
    // What is handed out is so at once, however much the caller may still do.
    let _lifted = budget::Lifted::new();
    match Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => error,
        Poll::Ready(Ok(_)) | Poll::Pending => unreachable!("{handle:?} ended without an output"),
    }
}

/// Futures that become tasks, some in each poll: as many as the task may do at once.
pub(super) struct Spawning<F> {
    futures: vec::IntoIter<F>,
    location: &'static Location<'static>,
}

impl<F> Spawning<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    #[track_caller]
    pub(super) fn new(futures: impl IntoIterator<Item = F>) -> Self {
        let futures = futures.into_iter().collect::<Vec<_>>().into_iter();
        Self { futures, location: Location::caller() }
    }

    /// Spawns what is left, and gives each handle to `take`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(JoinHandle<F::Output>),
    ) -> Poll<()> {
        if self.futures.as_slice().is_empty() {
            return Poll::Ready(());
        }
        let runtime = Handle::current();
        while !self.futures.as_slice().is_empty() {
            ready!(budget::poll_spend(cx)).made_progress();
            let future = self.futures.next().expect("there is one left");
            take(runtime.spawn_at(future, Place::new(self.location)));
        }
        self.futures = Vec::new().into_iter();
        Poll::Ready(())
    }
}

impl<F> Spawning<F> {
    pub(super) fn left(&self) -> usize {
        self.futures.as_slice().len()
    }
}

/// The future of [`gather`].
///
/// # Examples
///
/// ```
/// use std::future::{Ready, ready};
/// use tenter::task::{Gather, gather};
///
/// # tenter::run(async {
/// let both: Gather<Ready<i32>> = gather([ready(1), ready(2)]);
/// let both: Result<Vec<i32>, _> = both.await.into_iter().collect();
/// assert_eq!(both.unwrap(), [1, 2]);
/// # }).unwrap();
/// ```
#[must_use = "nothing is spawned unless it is awaited"]
pub struct Gather<F: Future> {
    tasks: Spawning<F>,
    /// In order. They are waited for one after the other: all have to end anyway, and so each is
    /// polled about once.
    results: Vec<Outcome<F::Output>>,
    /// How many were waited for.
    ended: usize,
    is_done: bool,
}

// No future is polled in here: each is moved to its task before.
impl<F: Future> Unpin for Gather<F> {}
impl<F: Future> UnwindSafe for Gather<F> {}
impl<F: Future> RefUnwindSafe for Gather<F> {}

impl<F> Future for Gather<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    type Output = Vec<Result<F::Output, JoinError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(!this.is_done, "`Gather` polled after it returned the results");
        ready!(this.tasks.poll(cx, |handle| this.results.push(Err(handle))));
        for result in &mut this.results[this.ended..] {
            if let Err(handle) = result {
                let charge = ready!(budget::poll_spend(cx));
                let returned = ready!(handle.poll_returned(cx));
                charge.made_progress();
                if let Some(output) = returned {
                    *result = Ok(output);
                }
            }
            this.ended += 1;
        }
        this.is_done = true;
        let results = mem::take(&mut this.results).into_iter();
        Poll::Ready(results.map(|result| result.map_err(error_of)).collect())
    }
}

impl<F: Future> Drop for Gather<F> {
    fn drop(&mut self) {
        let running = self.results.iter().filter_map(|result| result.as_ref().err());
        running.for_each(JoinHandle::abort);
    }
}

impl<F: Future> fmt::Debug for Gather<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather")
            .field("to_spawn", &self.tasks.left())
            .field("running", &self.results.len().saturating_sub(self.ended))
            .field("ended", &self.ended)
            .finish()
    }
}

/// Runs every future as a task, all at once, and returns their outputs in order; the first error
/// cancels the rest and waits until they have ended.
///
/// What `asyncio.gather` is, except that there the others run on after an error. A panic counts as
/// an error; so does a task that is cancelled, as all are when the runtime shuts down. For tasks that
/// are spawned one by one, from each other too, see [`task_group`](crate::task::task_group).
///
/// The futures are collected by the call; the tasks are spawned when it is first polled.
///
/// # Errors
///
/// - [`GatherError`], with the first error in time. What else failed before it was cancelled is in
///   [`GatherError::others`]; what others returned is dropped.
///
/// # Panics
///
/// A poll panics outside a runtime, unless there are no futures.
///
/// # Cancel safety
///
/// Dropped while pending, the tasks are aborted and the outputs and errors are lost; a panic among
/// them is reported to [`Builder::on_unobserved`](crate::Builder::on_unobserved).
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let parse = |text: &'static str| async move { text.parse::<i32>() };
/// assert_eq!(tenter::try_gather(["1", "2"].map(parse)).await.unwrap(), [1, 2]);
///
/// let error = tenter::try_gather(["1", "two"].map(parse)).await.unwrap_err();
/// assert_eq!(error.index(), 1);
/// assert_eq!(error.error().unwrap().to_string(), "invalid digit found in string");
/// # }).unwrap();
/// ```
#[track_caller]
pub fn try_gather<I, T, E>(futures: I) -> TryGather<I::Item, T, E>
where
    I: IntoIterator<Item: Future<Output = Result<T, E>> + Send + 'static>,
    T: Send + 'static,
    E: Send + 'static,
{
    let tasks = Spawning::new(futures);
    let mut members = Members::new();
    members.reserve(tasks.left());
    let mut outputs = Vec::new();
    outputs.resize_with(tasks.left(), || None);
    TryGather { tasks, members, outputs, failures: Vec::new(), is_done: false }
}

/// The future of [`try_gather`].
///
/// # Examples
///
/// ```
/// use std::future::{Ready, ready};
/// use tenter::task::{TryGather, try_gather};
///
/// # tenter::run(async {
/// type Answer = Result<i32, String>;
/// let both: TryGather<Ready<Answer>, i32, String> = try_gather([ready(Ok(1)), ready(Ok(2))]);
/// assert_eq!(both.await.unwrap(), [1, 2]);
/// # }).unwrap();
/// ```
#[must_use = "nothing is spawned unless it is awaited"]
pub struct TryGather<F, T, E> {
    tasks: Spawning<F>,
    members: Members<Result<T, E>>,
    /// In the order of the futures.
    outputs: Vec<Option<T>>,
    /// In the order of time.
    failures: Vec<Failure<E, JoinHandle<Result<T, E>>>>,
    is_done: bool,
}

/// The index of a future, and why it has no output. Until that is handed out, a handle that was not
/// looked at stands for a panic.
type Failure<E, J = JoinError> = (usize, Result<E, J>);

// No future is polled in here: each is moved to its task before.
impl<F, T, E> Unpin for TryGather<F, T, E> {}
impl<F, T, E> UnwindSafe for TryGather<F, T, E> {}
impl<F, T, E> RefUnwindSafe for TryGather<F, T, E> {}

impl<F, T, E> Future for TryGather<F, T, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    type Output = Result<Vec<T>, GatherError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(!this.is_done, "`TryGather` polled after it returned the outputs");
        ready!(this.tasks.poll(cx, |handle| this.members.insert(handle)));
        while let Some((index, handle)) = ready!(this.members.poll_handle(cx)) {
            this.note(index, output_of(handle, cx));
        }
        this.is_done = true;
        let outputs = mem::take(&mut this.outputs);
        Poll::Ready(if this.failures.is_empty() {
            Ok(outputs.into_iter().flatten().collect())
        } else {
            let failures = mem::take(&mut this.failures).into_iter();
            let failures = failures.map(|(index, failure)| (index, failure.map_err(error_of)));
            Err(GatherError { failures: failures.collect() })
        })
    }
}

impl<F, T, E> TryGather<F, T, E> {
    fn note(&mut self, index: usize, outcome: Outcome<Result<T, E>>) {
        let is_first = self.failures.is_empty();
        let failure = match outcome {
            Ok(Ok(output)) => {
                if is_first {
                    self.outputs[index] = Some(output);
                }
                return;
            }
            Ok(Err(error)) => Ok(error),
            // It does as it was told.
            Err(task) if task.state() == TaskState::Cancelled && !is_first => return,
            Err(task) => Err(task),
        };
        self.failures.push((index, failure));
        if is_first {
            self.members.abort_all();
            self.outputs = Vec::new();
        }
    }
}

impl<F, T, E> fmt::Debug for TryGather<F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryGather")
            .field("to_spawn", &self.tasks.left())
            .field("running", &self.members.len())
            .field("failed", &self.failures.len())
            .finish()
    }
}

/// Why [`try_gather`] has no outputs: which future failed first, and how, and which others did
/// before they were cancelled.
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let parse = |text: &'static str| async move { text.parse::<i32>() };
/// let error = tenter::try_gather(["1", "x"].map(parse)).await.unwrap_err();
/// assert_eq!(error.index(), 1);
/// assert!(!error.is_panic() && !error.is_cancelled());
/// assert_eq!(error.into_error().unwrap(), "x".parse::<i32>().unwrap_err());
/// # }).unwrap();
/// ```
pub struct GatherError<E> {
    /// In the order of time; there is at least one.
    failures: Vec<Failure<E>>,
}

impl<E> GatherError<E> {
    fn first(&self) -> &Failure<E> {
        &self.failures[0]
    }

    /// Which future failed first: its place among those that were given.
    #[must_use]
    pub fn index(&self) -> usize {
        self.first().0
    }

    /// The error that the first returned; `None` if it panicked or was cancelled.
    #[must_use]
    pub fn error(&self) -> Option<&E> {
        self.first().1.as_ref().ok()
    }

    /// The error of the first's task, if it panicked or was cancelled.
    #[must_use]
    pub fn join_error(&self) -> Option<&JoinError> {
        self.first().1.as_ref().err()
    }

    /// Whether the first panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.join_error().is_some_and(JoinError::is_panic)
    }

    /// Whether the first was cancelled, by the shutdown of the runtime.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.join_error().is_some_and(JoinError::is_cancelled)
    }

    /// The others that failed while they were being cancelled, in the order in which they did:
    /// which futures, and how.
    pub fn others(
        &self,
    ) -> impl ExactSizeIterator<Item = (usize, Result<&E, &JoinError>)> + use<'_, E> {
        self.failures[1..].iter().map(|(index, failure)| (*index, failure.as_ref()))
    }

    /// The error that the first returned.
    ///
    /// # Errors
    ///
    /// - The error of its task, if it panicked or was cancelled.
    pub fn into_error(mut self) -> Result<E, JoinError> {
        self.failures.swap_remove(0).1
    }

    /// Every failure in the order of time: which future, and the error that it returned or that of
    /// its task.
    #[must_use]
    pub fn into_failures(self) -> Vec<(usize, Result<E, JoinError>)> {
        self.failures
    }
}

impl<E: fmt::Display> fmt::Display for GatherError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "future {} failed: ", self.index())?;
        match &self.first().1 {
            Ok(error) => error.fmt(f)?,
            Err(error) => error.fmt(f)?,
        }
        match self.others().len() {
            0 => Ok(()),
            others => write!(f, " (and {others} more)"),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for GatherError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GatherError").field(&self.failures).finish()
    }
}

impl<E: Error> Error for GatherError<E> {
    /// That of the first error, whose own text is part of this one's.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error()?.source()
    }
}
