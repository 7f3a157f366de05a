//! A future that is not cancelled with who waits for it.

use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::lifecycle::{JoinError, JoinHandle, Place};
use crate::runtime::Handle;

/// Runs a future as a task that goes on if who waits for it is cancelled.
///
/// What `asyncio.shield` is: for the step in the middle that must not be left half done, such as a
/// commit, in code that a timeout or an abort may end anywhere. The task is spawned when this is
/// first polled: what is cancelled before that was not begun.
///
/// A task that goes on alone drops its output in the end, and its panic is reported to
/// [`Builder::on_unobserved`](crate::Builder::on_unobserved). The shutdown of the runtime cancels
/// it as any other.
///
/// # Errors
///
/// - [`JoinError`], if `future` panicked, or the runtime is shutting down.
///
/// # Panics
///
/// The first poll panics outside a runtime.
///
/// # Cancel safety
///
/// Cancel safe, once it was polled: `future` runs to its end by itself; only its output is lost.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenter::sync::channel;
/// use tenter::time::{sleep, timeout};
///
/// # tenter::run(async {
/// let (done, committed) = channel::bounded(1);
/// let commit = tenter::shield(async move {
///     sleep(Duration::from_millis(10)).await;
///     done.send("committed").await
/// });
/// assert!(timeout(Duration::from_millis(1), commit).await.is_err());
/// assert_eq!(committed.recv().await, Ok("committed"));
/// # }).unwrap();
/// ```
#[track_caller]
pub fn shield<F>(future: F) -> Shield<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    Shield { state: State::New(Some(future), Location::caller()) }
}

/// The future of [`shield`].
#[must_use = "nothing is spawned unless it is awaited"]
pub struct Shield<F: Future> {
    state: State<F>,
}

enum State<F: Future> {
    /// The future, until it is spawned.
    New(Option<F>, &'static Location<'static>),
    Running(JoinHandle<F::Output>),
}

// The future is not polled in here: it is moved to its task before.
impl<F: Future> Unpin for Shield<F> {}
impl<F: Future> UnwindSafe for Shield<F> {}
impl<F: Future> RefUnwindSafe for Shield<F> {}

impl<F> Future for Shield<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    type Output = Result<F::Output, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.state {
                State::Running(handle) => return Pin::new(handle).poll(cx),
                State::New(future, location) => {
                    let runtime = Handle::current();
                    let future = future.take().expect("it is taken as the state changes");
                    let place = Place::new(location);
                    self.state = State::Running(runtime.spawn_at(future, place));
                }
            }
        }
    }
}

impl<F: Future> fmt::Debug for Shield<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::New(_, location) => write!(f, "Shield(not spawned, from {location})"),
            State::Running(handle) => f.debug_tuple("Shield").field(handle).finish(),
        }
    }
}
