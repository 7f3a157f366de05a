//! Why a task has no output.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Mutex;

use super::id::Id;

/// The error of a task that was cancelled, that panicked, or whose error its group keeps.
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let task = tenter::spawn(async { "x".parse::<u32>().unwrap() });
/// let error = task.await.unwrap_err();
/// assert!(error.is_panic());
/// assert!(error.to_string().contains("InvalidDigit"), "{error}");
/// # }).unwrap();
/// ```
pub struct JoinError {
    id: Id,
    cause: Cause,
}

enum Cause {
    Cancelled,
    // The lock makes the error `Sync`; it is never contended.
    Panic(Mutex<Box<dyn Any + Send>>),
    Failed,
}

impl JoinError {
    pub(crate) fn cancelled(id: Id) -> Self {
        Self { id, cause: Cause::Cancelled }
    }

    pub(crate) fn failed(id: Id) -> Self {
        Self { id, cause: Cause::Failed }
    }

    pub(crate) fn panic(id: Id, payload: Box<dyn Any + Send>) -> Self {
        Self { id, cause: Cause::Panic(Mutex::new(payload)) }
    }

    /// Whether the task was aborted, or refused because the runtime was shutting down.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause, Cause::Cancelled)
    }

    /// Whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panic(_))
    }

    /// Whether the task returned an error, which its [`TaskGroup`](crate::task::TaskGroup) keeps:
    /// it is in the [`GroupError`](crate::task::GroupError).
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self.cause, Cause::Failed)
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// Panics if the task did not panic; [`JoinError::try_into_panic`] does not.
    #[must_use]
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("`into_panic` of a task that did not panic: {error}"),
        }
    }

    /// The panic's payload.
    ///
    /// # Errors
    ///
    /// - The error itself, if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.cause {
            Cause::Panic(payload) => {
                Ok(payload.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
            }
            Cause::Cancelled | Cause::Failed => Err(self),
        }
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// The text of a panic, as the panic hook prints it.
    pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
        message(payload)
    }
}

/// The text of a panic, as the panic hook prints it.
pub(super) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a panic whose payload is no text"
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Cancelled => write!(f, "task {} was cancelled", self.id),
            Cause::Failed => write!(f, "task {} failed, and its group has the error", self.id),
            Cause::Panic(payload) => {
                let payload = payload.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                write!(f, "task {} panicked: {}", self.id, message(&**payload))
            }
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Cancelled => write!(f, "JoinError::Cancelled({:?})", self.id),
            Cause::Failed => write!(f, "JoinError::Failed({:?})", self.id),
            Cause::Panic(payload) => {
                let payload = payload.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                write!(f, "JoinError::Panic({:?}, {:?})", self.id, message(&**payload))
            }
        }
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(error)
    }
}
