//! One call of a job: which function, its arguments, and how it is to be run.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{Body, Decoder, Encoder};
use super::registry::{Entry, RunError};

/// A job with its arguments, which a [`ProcessPool`](super::ProcessPool) runs.
///
/// `crunch::job(..)` makes one for a function `crunch` under [`#[tenter::job]`](crate::job), and so
/// does a function value of [`job!`](super::job). The arguments are encoded then; nothing runs yet.
/// The methods say how the job is to be run, and a clone can be run again.
///
/// `R` is what the function returns, `T` the type of the items that it emits on the way.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use tenter::jobs::{Call, Priority};
///
/// #[tenter::job]
/// fn crunch(n: u64, seed: u32) -> u64 {
///     n + u64::from(seed)
/// }
///
/// let call: Call<u64> = crunch::job(10, 7).timeout(Duration::from_secs(5)).priority(Priority::Low);
/// assert!(call.name().ends_with("::crunch"));
/// // It is an ordinary function as well.
/// assert_eq!(crunch(10, 7), 17);
/// ```
#[must_use = "a call does nothing until a pool runs it"]
pub struct Call<R, T = NoItems> {
    entry: &'static Entry,
    /// The arguments, or why they can not be encoded, which whoever runs the call is told.
    body: Result<Arc<Body>, String>,
    options: Options,
    /// It comes from the function, and holds neither.
    types: PhantomData<fn() -> (R, T)>,
}

impl<R, T> Call<R, T> {
    /// What the attribute's expansion calls.
    #[doc(hidden)]
    pub fn __new(entry: &'static Entry, arguments: Encoder) -> Call<R, T> {
        let body = arguments.finish().map(Arc::new);
        Call { entry, body, options: Options::default(), types: PhantomData }
    }

    /// The job's name: its function's path, `crate::module::function`.
    ///
    /// # Examples
    ///
    /// ```
    /// #[tenter::job]
    /// fn nothing() {}
    ///
    /// assert!(nothing::job().name().ends_with("::nothing"));
    /// ```
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// Bounds how long the job may run: then its worker is killed, and the job ends with
    /// [`JobError::TimedOut`](super::JobError::TimedOut).
    ///
    /// The time that it waits in the queue does not count; see [`Call::queue_timeout`]. There is no
    /// bound by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tenter::jobs::{JobError, ProcessPool};
    ///
    /// #[tenter::job]
    /// fn spin() {
    ///     loop {}
    /// }
    ///
    /// #[tenter::main]
    /// async fn main() {
    ///     let pool = ProcessPool::new().unwrap();
    ///     let outcome = pool.run(spin::job().timeout(Duration::from_millis(20))).await;
    ///     assert!(matches!(outcome, Err(JobError::TimedOut { .. })));
    /// }
    /// ```
    pub fn timeout(mut self, after: Duration) -> Self {
        self.options.timeout = Some(after);
        self
    }

    /// Asks the job to stop once it has run this long: [`jobs::cancelled`](super::cancelled) is
    /// true from then on. A job that does not look goes on, until [`Call::timeout`] ends it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tenter::jobs::{self, ProcessPool};
    ///
    /// #[tenter::job]
    /// fn count() -> u64 {
    ///     let mut count = 0;
    ///     while !jobs::cancelled() {
    ///         count += 1;
    ///     }
    ///     count
    /// }
    ///
    /// #[tenter::main]
    /// async fn main() {
    ///     let pool = ProcessPool::new().unwrap();
    ///     let count = pool.run(count::job().soft_timeout(Duration::from_millis(20))).await;
    ///     assert!(count.unwrap() > 0);
    /// }
    /// ```
    pub fn soft_timeout(mut self, after: Duration) -> Self {
        self.options.soft_timeout = Some(after);
        self
    }

    /// Bounds how long the job may wait for a worker: then it never runs, and ends with
    /// [`JobError::QueueTimedOut`](super::JobError::QueueTimedOut).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// #[tenter::job]
    /// fn thumbnail(picture: &[u8]) -> Vec<u8> {
    ///     picture.iter().step_by(100).copied().collect()
    /// }
    ///
    /// let call = thumbnail::job(&[0; 5000]).queue_timeout(Duration::from_secs(2));
    /// # drop(call);
    /// ```
    pub fn queue_timeout(mut self, after: Duration) -> Self {
        self.options.queue_timeout = Some(after);
        self
    }

    /// Says which waiting jobs this one goes before; [`Priority::Normal`] by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenter::jobs::Priority;
    ///
    /// #[tenter::job]
    /// fn tidy_up() {}
    ///
    /// let call = tidy_up::job().priority(Priority::Low);
    /// # drop(call);
    /// ```
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = priority;
        self
    }

    /// Declares that the job may run more than once: if its worker dies, it runs again, at most
    /// `retries` times. Without this a job is never started twice. A job that emits items is not
    /// run again once one has arrived.
    ///
    /// # Examples
    ///
    /// ```
    /// #[tenter::job]
    /// fn parse(untrusted: &[u8]) -> usize {
    ///     untrusted.len()
    /// }
    ///
    /// let call = parse::job(b"maybe a bomb").idempotent(2);
    /// # drop(call);
    /// ```
    pub fn idempotent(mut self, retries: u32) -> Self {
        self.options.retries = retries;
        self
    }

    /// Lets the job go on if the future that waits for it is dropped. Without this a job that
    /// waits is then taken from the queue, and one that runs is killed with its worker.
    ///
    /// # Examples
    ///
    /// ```
    /// #[tenter::job]
    /// fn write_report() {}
    ///
    /// let call = write_report::job().detach();
    /// # drop(call);
    /// ```
    pub fn detach(mut self) -> Self {
        self.options.detached = true;
        self
    }

    /// Calls `f` with what the job says by [`jobs::progress`](super::progress): the newest value,
    /// while older ones may be skipped. A later call of this method replaces `f`.
    ///
    /// It is called on a runtime's worker thread, and must not block.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenter::jobs::{self, ProcessPool};
    ///
    /// #[tenter::job]
    /// fn halves() {
    ///     jobs::progress(0.5);
    ///     jobs::progress(1.0);
    /// }
    ///
    /// #[tenter::main]
    /// async fn main() {
    ///     let pool = ProcessPool::new().unwrap();
    ///     let call = halves::job().on_progress(|done| println!("{:.0} %", done * 100.0));
    ///     pool.run(call).await.unwrap();
    /// }
    /// ```
    pub fn on_progress(mut self, f: impl Fn(f64) + Send + Sync + 'static) -> Self {
        self.options.progress = Some(Arc::new(f));
        self
    }

    /// The job, its arguments, and how it is to be run.
    pub(crate) fn into_parts(self) -> (&'static Entry, Result<Arc<Body>, String>, Options) {
        (self.entry, self.body, self.options)
    }

    /// Puts together again what [`Call::into_parts`] took apart.
    pub(crate) fn from_parts(
        entry: &'static Entry,
        body: Result<Arc<Body>, String>,
        options: Options,
    ) -> Call<R, T> {
        Call { entry, body, options, types: PhantomData }
    }
}

impl<R, T> Clone for Call<R, T> {
    fn clone(&self) -> Self {
        Call::from_parts(self.entry, self.body.clone(), self.options.clone())
    }
}

impl<R, T> fmt::Debug for Call<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.name())
            .field("arguments", &self.body)
            .field("options", &self.options)
            .finish()
    }
}

/// Which waiting job is run first; among those of one priority it is the one that waits longest.
///
/// # Examples
///
/// ```
/// use tenter::jobs::{Priority, ProcessPool};
///
/// #[tenter::job]
/// fn square(number: u32) -> u32 {
///     number * number
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::builder().workers(1).build().unwrap();
///     // Somebody looks at the second; the first can wait.
///     let background = pool.run(square::job(3).priority(Priority::Low));
///     let urgent = pool.run(square::job(4).priority(Priority::High));
///     let (background, urgent) = tenter::join!(background, urgent);
///     assert_eq!((background.unwrap(), urgent.unwrap()), (9, 16));
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Priority {
    /// Before all others.
    High,
    /// What a job has if nothing else is said.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

/// The items of a job that emits none: there is no such value.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NoItems {}

/// How a job is to be run.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) timeout: Option<Duration>,
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) queue_timeout: Option<Duration>,
    pub(crate) priority: Priority,
    /// How often the job may run again after its worker's death.
    pub(crate) retries: u32,
    /// It goes on without its future.
    pub(crate) detached: bool,
    pub(crate) progress: Option<Arc<dyn Fn(f64) + Send + Sync>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("timeout", &self.timeout)
            .field("soft_timeout", &self.soft_timeout)
            .field("queue_timeout", &self.queue_timeout)
            .field("priority", &self.priority)
            .field("retries", &self.retries)
            .field("detached", &self.detached)
            .field("on_progress", &self.progress.is_some())
            .finish()
    }
}

/// What can be an argument of a job, by value.
///
/// The attribute's expansion names these traits, so that a type that does not have them is told
/// what is missing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can not be an argument of a job",
    label = "can not be sent to a worker process",
    note = "an argument is sent as bytes: its type implements `serde::Serialize` and \
            `serde::de::DeserializeOwned`, and borrows nothing inside",
    note = "for a type of your own: `#[derive(serde::Serialize, serde::Deserialize)]`"
)]
pub trait Argument: Sized {
    /// Appends it to the arguments.
    fn encode(self, arguments: &mut Encoder);

    /// Reads it from the arguments.
    ///
    /// # Errors
    ///
    /// - [`RunError::Arguments`] if it does not come next.
    fn decode(arguments: &mut Decoder) -> Result<Self, RunError>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> Argument for T {
    fn encode(self, arguments: &mut Encoder) {
        arguments.encode(self);
    }

    fn decode(arguments: &mut Decoder) -> Result<Self, RunError> {
        Ok(arguments.decode()?)
    }
}

/// What can be an argument of a job behind a `&`: the worker decodes the owned form, and lends it.
#[diagnostic::on_unimplemented(
    message = "`&{Self}` can not be an argument of a job",
    label = "can not be sent to a worker process",
    note = "an argument behind a reference is sent as bytes, and the worker lends the job its own \
            copy: its type implements `Clone` (or `ToOwned`), `serde::Serialize` and \
            `serde::de::DeserializeOwned`, and borrows nothing inside",
    note = "for a type of your own: `#[derive(Clone, serde::Serialize, serde::Deserialize)]`"
)]
pub trait SharedArgument {
    /// Appends it to the arguments.
    fn encode(&self, arguments: &mut Encoder);

    /// Reads its owned form from the arguments.
    ///
    /// # Errors
    ///
    /// - [`RunError::Arguments`] if it does not come next.
    fn decode(arguments: &mut Decoder) -> Result<Lent<Self>, RunError>;
}

#[diagnostic::do_not_recommend]
impl<T> SharedArgument for T
where
    T: Serialize + ToOwned + ?Sized + 'static,
    T::Owned: DeserializeOwned + 'static,
{
    fn encode(&self, arguments: &mut Encoder) {
        arguments.encode_ref(self);
    }

    fn decode(arguments: &mut Decoder) -> Result<Lent<T>, RunError> {
        Ok(Lent(Box::new(arguments.decode::<T::Owned>()?)))
    }
}

/// What a job gets a reference into. Its owner's type is not named: of a type that has none, that
/// would be a second error.
pub struct Lent<T: ?Sized>(Box<dyn Borrow<T>>);

impl<T: ?Sized> Lent<T> {
    /// What the job gets.
    #[must_use]
    pub fn lend(&self) -> &T {
        (*self.0).borrow()
    }
}

impl<T: ?Sized> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

/// What can be the result of a job.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can not be the result of a job",
    label = "can not be sent back from a worker process",
    note = "a result is sent as bytes: its type implements `serde::Serialize` and \
            `serde::de::DeserializeOwned`, is `Send`, and borrows nothing",
    note = "for a type of your own: `#[derive(serde::Serialize, serde::Deserialize)]`; for an \
            error of somebody else's, return its text"
)]
pub trait Output: Sized {
    /// The bytes of the result.
    ///
    /// # Errors
    ///
    /// - [`RunError::Output`] if it can not be written.
    fn encode(self) -> Result<Body, RunError>;
}

#[diagnostic::do_not_recommend]
impl<R: Serialize + DeserializeOwned + Send + 'static> Output for R {
    fn encode(self) -> Result<Body, RunError> {
        Body::of(self).map_err(RunError::Output)
    }
}

/// What a job can emit.
#[diagnostic::on_unimplemented(
    message = "a job can not emit `{Self}`",
    label = "can not be sent back from a worker process",
    note = "an item is sent as bytes: its type implements `serde::Serialize` and \
            `serde::de::DeserializeOwned`, is `Send`, and borrows nothing",
    note = "for a type of your own: `#[derive(serde::Serialize, serde::Deserialize)]`"
)]
pub trait Item {
    /// The name by which `emit` knows the type.
    #[must_use]
    fn type_name() -> &'static str;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Item for T {
    fn type_name() -> &'static str {
        std::any::type_name::<T>()
    }
}

/// Makes a job of a function without a name, for a place without an item of its own.
///
/// It takes what looks like a closure with the types of its arguments and of its result, and
/// evaluates to a function `fn(arguments..) -> Call<R>`. It is no closure: nothing is captured, as a
/// worker process has none of this one's variables. What [`#[tenter::job]`](crate::job) says of
/// arguments and results holds here too; the result's type is `()` if none is given. The job's name
/// is made of the module and the place in it.
///
/// # Examples
///
/// ```
/// use tenter::jobs::{self, ProcessPool};
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::new().unwrap();
///     let double = jobs::job!(|n: u64| -> u64 { n * 2 });
///     assert_eq!(pool.run(double(21)).await.unwrap(), 42);
/// }
/// ```
///
/// A variable from outside does not compile; it becomes an argument:
///
/// ```compile_fail
/// let factor = 2;
/// let scale = tenter::jobs::job!(|n: u64| -> u64 { n * factor });
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __job {
    ($($closure:tt)*) => {
        $crate::jobs::__private::job_closure! { $crate, $($closure)* }
    };
}

#[doc(inline)]
pub use __job as job;
