//! What a group failed with.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

use crate::lifecycle::{Id, JoinError, context};

/// Why a [`task_group`](super::task_group()) has no value: every failure in it, or that its time
/// was over.
///
/// There is at least one failure unless [`GroupError::is_timed_out`].
///
/// # Examples
///
/// ```
/// use tenter::task::Builder;
///
/// # tenter::run(async {
/// let error = tenter::task_group(async |group| {
///     Builder::new().name("parser").spawn_in(group, async { "x".parse::<u32>() });
///     Ok(())
/// })
/// .await
/// .unwrap_err();
/// assert_eq!(error.failures()[0].name(), Some("parser"));
/// assert!(error.to_string().contains("invalid digit"));
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct GroupError<E> {
    failures: Vec<Failure<E>>,
    is_timed_out: bool,
}

impl<E> GroupError<E> {
    pub(crate) fn new(failures: Vec<Failure<E>>, is_timed_out: bool) -> Self {
        debug_assert!(is_timed_out || !failures.is_empty(), "an error without a reason");
        Self { failures, is_timed_out }
    }

    /// What failed, in the order in which it did: the first is the one that cancelled the group,
    /// unless the group was cancelled before.
    #[must_use]
    pub fn failures(&self) -> &[Failure<E>] {
        &self.failures
    }

    /// The errors among the failures.
    pub fn errors(&self) -> impl Iterator<Item = &E> {
        self.failures.iter().filter_map(Failure::error)
    }

    /// The messages of the panics among the failures.
    pub fn panics(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().filter_map(Failure::panic_message)
    }

    /// Whether the deadline of [`TaskGroup::cancel_after`](super::TaskGroup::cancel_after) has
    /// passed before everything was done.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        self.is_timed_out
    }

    /// The failures, by value.
    #[must_use]
    pub fn into_failures(self) -> Vec<Failure<E>> {
        self.failures
    }

    /// The first failure; there is none if the group's time was over and nothing else.
    #[must_use]
    pub fn into_first(self) -> Option<Failure<E>> {
        self.failures.into_iter().next()
    }

    /// The first failure that is an error and no panic.
    #[must_use]
    pub fn into_first_error(self) -> Option<E> {
        self.failures.into_iter().find_map(|failure| failure.try_into_error().ok())
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_timed_out {
            f.write_str("the group's deadline has passed")?;
        }
        let separator = if self.is_timed_out { ", and " } else { "" };
        match &*self.failures {
            [] => Ok(()),
            [failure] => write!(f, "{separator}{failure}"),
            [first, others @ ..] => {
                write!(f, "{separator}{} tasks failed: {first}", self.failures.len())?;
                others.iter().try_for_each(|failure| write!(f, "; {failure}"))
            }
        }
    }
}

impl<E: Error + 'static> Error for GroupError<E> {
    /// The first failure's error.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failures.first()?.error().map(|error| error as _)
    }
}

impl<E: Error + Send + Sync + 'static> From<GroupError<E>> for io::Error {
    /// An error of the kind [`io::ErrorKind::TimedOut`] if the group's time was over.
    fn from(error: GroupError<E>) -> Self {
        let kind = if error.is_timed_out { io::ErrorKind::TimedOut } else { io::ErrorKind::Other };
        Self::new(kind, error)
    }
}

/// One failure in a group: an error that was returned, or a panic, and whose it is.
///
/// # Examples
///
/// ```
/// use tenter::task::Builder;
///
/// # tenter::run(async {
/// let error = tenter::task_group(async |group| {
///     Builder::new().name("parser").spawn_in(group, async { "x".parse::<u32>() });
///     Ok(())
/// })
/// .await
/// .unwrap_err();
/// let failure = error.into_first().unwrap();
/// assert_eq!(failure.name(), Some("parser"));
/// assert!(!failure.is_panic() && !failure.is_body());
/// // Which task, where it was spawned, and what happened to it.
/// println!("{failure}");
/// assert_eq!(failure.try_into_error().unwrap(), "x".parse::<u32>().unwrap_err());
/// # }).unwrap();
/// ```
pub struct Failure<E> {
    /// The task that failed; of a body, the one that ran it.
    pub(super) task: Option<Id>,
    name: Option<Box<str>>,
    location: &'static Location<'static>,
    is_body: bool,
    cause: Cause<E>,
}

/// What happened.
pub(crate) enum Cause<E> {
    Error(E),
    Panic {
        message: Box<str>,
        // The lock makes the failure `Sync`; it is never contended.
        payload: Mutex<Box<dyn Any + Send>>,
    },
}

impl<E> Cause<E> {
    pub(crate) fn panic(payload: Box<dyn Any + Send>) -> Self {
        let message = JoinError::panic_message(&*payload).into();
        Self::Panic { message, payload: Mutex::new(payload) }
    }
}

impl<E> Failure<E> {
    /// A failure of the task that this thread is running, in a group that was made at `group`.
    pub(crate) fn of_task(group: &'static Location<'static>, cause: Cause<E>) -> Self {
        let of_task = context::with_current(|task| {
            (task.id(), task.place().name().map(Into::into), task.place().location())
        });
        let (task, name, location) = match of_task {
            Some((id, name, location)) => (Some(id), name, location),
            // A task that could not be spawned, and panics as it is dropped for that.
            None => (None, None, group),
        };
        Self { task, name, location, is_body: false, cause }
    }

    /// A failure of the body of a group that was made at `group`.
    pub(crate) fn of_body(group: &'static Location<'static>, cause: Cause<E>) -> Self {
        let task = context::with_current(|task| task.id());
        Self { task, name: None, location: group, is_body: true, cause }
    }

    /// The task's id; `None` of the group's body.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        self.task.filter(|_| !self.is_body)
    }

    /// The task's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the task was spawned; of the body, where the group was made.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Whether it is the group's body that failed, rather than a task.
    #[must_use]
    pub fn is_body(&self) -> bool {
        self.is_body
    }

    /// Whether the task panicked, rather than returned an error.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panic { .. })
    }

    /// The error that was returned.
    #[must_use]
    pub fn error(&self) -> Option<&E> {
        match &self.cause {
            Cause::Error(error) => Some(error),
            Cause::Panic { .. } => None,
        }
    }

    /// The panic's message, or a text that says that it had none.
    #[must_use]
    pub fn panic_message(&self) -> Option<&str> {
        match &self.cause {
            Cause::Error(_) => None,
            Cause::Panic { message, .. } => Some(message),
        }
    }

    /// The error that was returned, by value.
    ///
    /// # Errors
    ///
    /// - The failure itself, if it is a panic.
    pub fn try_into_error(self) -> Result<E, Self> {
        match self.cause {
            Cause::Error(error) => Ok(error),
            Cause::Panic { .. } => Err(self),
        }
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Errors
    ///
    /// - The failure itself, if it is an error that was returned.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.cause {
            Cause::Panic { payload, .. } => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            Cause::Error(_) => Err(self),
        }
    }

    /// Whose failure it is, as the beginning of a sentence.
    fn fmt_subject(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_body {
            return write!(f, "the body of the group made at {}", self.location);
        }
        f.write_str("task")?;
        if let Some(id) = self.task {
            write!(f, " {id}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " '{name}'")?;
        }
        write!(f, " spawned at {}", self.location)
    }
}

impl<E: fmt::Debug> Failure<E> {
    /// What hooks are told.
    pub(crate) fn message(&self) -> String {
        match &self.cause {
            Cause::Error(error) => format!("{error:?}"),
            Cause::Panic { message, .. } => message.to_string(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_subject(f)?;
        match &self.cause {
            Cause::Error(error) => write!(f, " failed: {error}"),
            Cause::Panic { message, .. } => write!(f, " panicked: {message}"),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Failure");
        debug.field("id", &self.id()).field("name", &self.name);
        debug.field("location", &format_args!("{}", self.location));
        match &self.cause {
            Cause::Error(error) => debug.field("error", error),
            Cause::Panic { message, .. } => debug.field("panic", message),
        };
        debug.finish()
    }
}
