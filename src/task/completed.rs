//! Many futures at once: each result as soon as it is there.

use std::fmt;
use std::future::poll_fn;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::lifecycle::JoinError;

use super::gather::Spawning;
use super::members::Members;

/// Runs every future as a task, all at once, and yields the results as they come, each with the
/// index of its future.
///
/// What `asyncio.as_completed` is. Results come in the order in which the tasks ended. A panic is
/// the [`JoinError`] of its future, and does not end the others.
///
/// The futures are collected by the call; the tasks are spawned when the stream is first polled.
///
/// # Panics
///
/// A poll panics outside a runtime, unless there are no futures.
///
/// # Cancel safety
///
/// Waiting for the next result is cancel safe. Dropping the stream aborts the tasks that are
/// running; a panic that was not taken is reported to
/// [`Builder::on_unobserved`](crate::Builder::on_unobserved).
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let mut squares = tenter::as_completed((0..3).map(|n| async move { n * n }));
/// while let Some((index, square)) = squares.next().await {
///     assert_eq!(square.unwrap(), index * index);
/// }
/// # }).unwrap();
/// ```
#[track_caller]
pub fn as_completed<I>(futures: I) -> AsCompleted<I::Item>
where
    I: IntoIterator<Item: Future<Output: Send + 'static> + Send + 'static>,
{
    let tasks = Spawning::new(futures);
    let mut members = Members::new();
    members.reserve(tasks.left());
    AsCompleted { tasks, members }
}

/// The stream of [`as_completed`].
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let mut squares = tenter::as_completed((0..3).map(|n| async move { n * n }));
/// assert_eq!(squares.len(), 3);
/// let (index, square) = squares.next().await.unwrap();
/// assert_eq!(square.unwrap(), index * index);
/// assert_eq!(squares.len(), 2);
/// # }).unwrap();
/// ```
#[must_use = "nothing is spawned unless it is polled"]
pub struct AsCompleted<F: Future> {
    tasks: Spawning<F>,
    members: Members<F::Output>,
}

// No future is polled in here: each is moved to its task before.
impl<F: Future> Unpin for AsCompleted<F> {}
impl<F: Future> UnwindSafe for AsCompleted<F> {}
impl<F: Future> RefUnwindSafe for AsCompleted<F> {}

impl<F> AsCompleted<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    /// Waits for the next result; `None` says that all were taken.
    ///
    /// # Panics
    ///
    /// Panics as a poll of the [stream](as_completed) does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a result that was not returned stays in the stream.
    pub async fn next(&mut self) -> Option<(usize, Result<F::Output, JoinError>)> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<F: Future> AsCompleted<F> {
    /// Results that are still to come.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.left() + self.members.len()
    }

    /// Whether all results were taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<F> Stream for AsCompleted<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    type Item = (usize, Result<F::Output, JoinError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        ready!(this.tasks.poll(cx, |handle| this.members.insert(handle)));
        let ended = ready!(this.members.poll_next(cx));
        Poll::Ready(ended.map(|ended| (ended.slot, ended.result)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<F: Future> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("to_spawn", &self.tasks.left())
            .field("running", &self.members.len())
            .finish()
    }
}
