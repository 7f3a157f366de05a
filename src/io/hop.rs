//! One call on the blocking pool, as a future.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::lifecycle::{JoinHandle, Place};
use crate::runtime::Handle;

const CANCELLED: &str =
    "the call was cancelled: the runtime was shut down, or had no thread left to do it";

/// What the end of the runtime does about a call that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It waits: the call ends by itself, soon.
    Waits,
    /// It does not: the call may wait for somebody who never comes.
    Abandons,
}

/// A call that runs, or is to run, on the blocking pool.
///
/// Dropped, it is cancelled if it has not started; else it runs to its end, and what it returns is
/// dropped there.
#[must_use = "dropping it cancels the call if it has not started"]
pub(crate) struct Hop<R> {
    /// Gone in [`Hop::detach`] alone.
    handle: Option<JoinHandle<io::Result<R>>>,
}

impl<R: Send + 'static> Hop<R> {
    /// Queues `f` on the current runtime's pool.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub(crate) fn new(exit: Exit, f: impl FnOnce() -> io::Result<R> + Send + 'static) -> Hop<R> {
        Hop::at(exit, Place::new(Location::caller()), f)
    }

    /// [`Hop::new`] of a call that may have a name.
    #[track_caller]
    pub(crate) fn at(
        exit: Exit,
        place: Place,
        f: impl FnOnce() -> io::Result<R> + Send + 'static,
    ) -> Hop<R> {
        let runtime = Handle::current();
        let handle = match exit {
            Exit::Waits => runtime.spawn_blocking_at(f, place),
            Exit::Abandons => runtime.spawn_abandonable(f, place),
        };
        Hop { handle: Some(handle) }
    }

    /// Lets the call happen, whoever waits for it.
    pub(crate) fn detach(mut self) {
        if let Some(handle) = self.handle.take() {
            handle.detach();
        }
    }
}

impl<R> Future for Hop<R> {
    type Output = io::Result<R>;

    /// Polls for what the call returns, or for the error that it was cancelled before: the runtime
    /// was shut down, or the system had no thread for it, of which [`report`](crate::runtime::report)
    /// told why.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        let Some(handle) = &mut self.handle else {
            unreachable!("a call that is detached is gone")
        };
        Poll::Ready(match ready!(Pin::new(handle).poll(cx)) {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(payload) => resume_unwind(payload),
                Err(_) => Err(io::Error::other(CANCELLED)),
            },
        })
    }
}

impl<R> Drop for Hop<R> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

impl<R> fmt::Debug for Hop<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hop").finish_non_exhaustive()
    }
}
