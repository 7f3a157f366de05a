//! The handle to a task of a group.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::lifecycle::{AbortHandle, Id, JoinError, JoinHandle, TaskState, budget};
use crate::primitive::Arc;

use super::child::{Outcome, Slot};

/// A handle to a task of a [`TaskGroup`](super::TaskGroup): a future of what it returns.
///
/// Dropping it changes nothing for the task, which is the group's. The error of a task that failed
/// is the group's too: the handle says so with [`JoinError::is_failed`]. A task that panicked
/// gives [`JoinError::is_panic`] with the panic's message as payload; the payload itself is in the
/// [`GroupError`](super::GroupError).
///
/// # Panics
///
/// Polling it again after it returned an output panics.
///
/// # Cancel safety
///
/// Awaiting `&mut handle` is cancel safe: an output not yet taken stays where it is.
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let sum = tenter::task_group(async |group| {
///     let [one, two] = [1, 2].map(|n| group.spawn(async move { Ok::<u32, String>(n) }));
///     // A task that fails ends this body: what is left for `unwrap` is who aborts a handle.
///     Ok(one.await.unwrap() + two.await.unwrap())
/// })
/// .await;
/// assert_eq!(sum.unwrap(), 3);
/// # }).unwrap();
/// ```
pub struct GroupHandle<U> {
    join: JoinHandle<()>,
    slot: Arc<Slot<U>>,
    is_taken: bool,
}

impl<U> Unpin for GroupHandle<U> {}
impl<U> UnwindSafe for GroupHandle<U> {}
impl<U> RefUnwindSafe for GroupHandle<U> {}

impl<U> GroupHandle<U> {
    pub(super) fn new(join: JoinHandle<()>, slot: Arc<Slot<U>>) -> Self {
        Self { join, slot, is_taken: false }
    }

    /// Cancels this task of the group, at its next await point.
    ///
    /// That is no failure: the others go on.
    pub fn abort(&self) {
        self.join.abort();
    }

    /// Whether the task has ended, in whichever way: of its future nothing is left.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.is_taken || self.slot.peek(|_| ()).is_some() || self.join.is_finished()
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.join.id()
    }

    /// The task's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.join.name()
    }

    /// What the task is doing now. It may do something else by the time the answer is looked at.
    #[must_use]
    pub fn state(&self) -> TaskState {
        let ended = self.slot.peek(|outcome| match outcome {
            Outcome::Cancelled => TaskState::Cancelled,
            Outcome::Returned(_) | Outcome::Failed | Outcome::Panicked(_) => TaskState::Completed,
        });
        ended.unwrap_or_else(|| self.join.state())
    }

    /// A handle that can abort the task, for someone who does not wait for it.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        self.join.abort_handle()
    }

    fn result(&self, outcome: Outcome<U>) -> Result<U, JoinError> {
        match outcome {
            Outcome::Returned(output) => Ok(output),
            Outcome::Failed => Err(JoinError::failed(self.id())),
            Outcome::Panicked(message) => Err(JoinError::panic(self.id(), Box::new(message))),
            Outcome::Cancelled => Err(JoinError::cancelled(self.id())),
        }
    }
}

impl<U> Future for GroupHandle<U> {
    type Output = Result<U, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.is_taken, "`GroupHandle` polled after it returned the task's output");
        if self.slot.peek(|_| ()).is_some() {
            // A task that has left its group has ended for everybody, though its last poll may
            // still be on its way out.
            ready!(budget::poll_spend(cx)).made_progress();
        } else {
            // How it ended is in the slot; aborted before its first poll, too.
            let _ended = ready!(Pin::new(&mut self.join).poll(cx));
        }
        self.is_taken = true;
        let outcome = self.slot.take().unwrap_or(Outcome::Cancelled);
        Poll::Ready(self.result(outcome))
    }
}

impl<U> Drop for GroupHandle<U> {
    fn drop(&mut self) {
        self.slot.abandon();
    }
}

impl<U> fmt::Debug for GroupHandle<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupHandle").field(&self.join).finish()
    }
}
