//! Why a job has no result, and why a pool or a worker could not be started.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::call::{Call, NoItems};

/// Why a job has no result.
///
/// # Examples
///
/// ```
/// use tenter::jobs::{JobError, ProcessPool};
///
/// #[tenter::job]
/// fn checked(n: u32) -> u32 {
///     assert!(n < 10, "{n} is too much");
///     n
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::new().unwrap();
///     match pool.run(checked::job(12)).await {
///         Err(JobError::Panicked { message, .. }) => assert_eq!(message, "12 is too much"),
///         other => unreachable!("{other:?}"),
///     }
///     // The worker lives on.
///     assert_eq!(pool.run(checked::job(7)).await.unwrap(), 7);
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum JobError {
    /// The worker's process ended while it had the job.
    ///
    /// No other job is lost, and the worker is replaced. [`Call::idempotent`] has such a job run
    /// again.
    #[non_exhaustive]
    Died {
        /// The signal that killed it.
        signal: Option<i32>,
        /// What it exited with, if no signal killed it.
        code: Option<i32>,
        /// The last lines that it wrote to standard error; at most 4 KiB.
        stderr: String,
    },
    /// The job panicked. The worker lives on.
    #[non_exhaustive]
    Panicked {
        /// What the panic said.
        message: String,
        /// File, line and column.
        location: String,
        /// The backtrace, if [`Builder::backtrace`](super::Builder::backtrace) asked for it.
        backtrace: Option<String>,
    },
    /// The job ran for longer than its [`Call::timeout`], and its worker was killed.
    #[non_exhaustive]
    TimedOut {
        /// The timeout.
        after: Duration,
    },
    /// The job waited for longer than its [`Call::queue_timeout`], and was never started.
    #[non_exhaustive]
    QueueTimedOut {
        /// The timeout.
        after: Duration,
    },
    /// The pool or its runtime was shut down.
    Closed,
    /// Too many workers died one after the other, and the pool stopped starting new ones for a
    /// while; see [`Builder::breaker`](super::Builder::breaker).
    #[non_exhaustive]
    Broken {
        /// Deaths since a job was done.
        deaths: u32,
        /// The last lines that the last of them wrote to standard error; at most 4 KiB.
        stderr: String,
    },
    /// No worker could be started for the job.
    Spawn(SpawnError),
    /// The arguments or the result could not be encoded, or not be decoded again.
    #[non_exhaustive]
    Codec {
        /// What was wrong, and with which of them.
        message: String,
    },
    /// The arguments, the result or an item are larger than
    /// [`Builder::max_message`](super::Builder::max_message).
    #[non_exhaustive]
    TooLarge {
        /// Their size when encoded.
        bytes: u64,
        /// The most that the pool passes.
        limit: u64,
    },
    /// The worker sent what no worker sends, and was killed.
    #[non_exhaustive]
    Protocol {
        /// What was wrong.
        message: String,
    },
}

impl JobError {
    /// Whether the worker died while it had the job.
    #[must_use]
    pub fn is_died(&self) -> bool {
        matches!(self, Self::Died { .. })
    }

    /// Whether the job panicked.
    #[must_use]
    pub fn is_panicked(&self) -> bool {
        matches!(self, Self::Panicked { .. })
    }

    /// Whether the job was given up for its time: running or waiting.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::QueueTimedOut { .. })
    }

    /// Whether the pool, or its runtime, was shut down.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::TimedOut { .. } | Self::QueueTimedOut { .. } => io::ErrorKind::TimedOut,
            Self::Codec { .. } | Self::TooLarge { .. } => io::ErrorKind::InvalidData,
            Self::Spawn(error) => error.kind(),
            _ => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for JobError {
    /// One line, and the last lines of a dead worker's standard error. `{:#}` adds the backtrace
    /// of a panic.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Died { signal, code, stderr } => {
                write!(f, "{}{}", Ending { signal: *signal, code: *code }, LastLines(stderr))
            }
            Self::Panicked { message, location, backtrace } => {
                write!(f, "the job panicked at {location}: {message}")?;
                match backtrace {
                    Some(backtrace) if f.alternate() => write!(f, "\n{}", backtrace.trim_end()),
                    _ => Ok(()),
                }
            }
            Self::TimedOut { after } => write!(f, "the job ran for longer than {after:?}"),
            Self::QueueTimedOut { after } => {
                write!(f, "the job waited for a worker for longer than {after:?}")
            }
            Self::Closed => f.write_str("the pool was shut down"),
            Self::Broken { deaths, stderr } => write!(
                f,
                "the pool is broken: {deaths} workers died in a row without finishing a job{}",
                LastLines(stderr)
            ),
            Self::Spawn(error) => write!(f, "no worker for the job: {error}"),
            Self::Codec { message } => write!(f, "the job could not be passed on: {message}"),
            Self::TooLarge { bytes, limit } => {
                write!(f, "a message of {bytes} bytes is larger than the pool's limit of {limit}")
            }
            Self::Protocol { message } => {
                write!(f, "the worker sent what no worker sends: {message}")
            }
        }
    }
}

impl std::error::Error for JobError {}

impl From<SpawnError> for JobError {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}

impl From<JobError> for io::Error {
    fn from(error: JobError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// Why a pool could not be made, or a worker not be started.
///
/// # Examples
///
/// ```
/// use tenter::jobs::{ProcessPool, SpawnError};
///
/// match ProcessPool::builder().workers(0).build() {
///     Err(SpawnError::Invalid { option, .. }) => assert_eq!(option, "workers"),
///     other => unreachable!("{other:?}"),
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// A pool belongs to a runtime, and this thread is in none.
    NoRuntime,
    /// An option of the pool has a value that makes no sense.
    #[non_exhaustive]
    Invalid {
        /// The method of [`Builder`](super::Builder) that set it.
        option: &'static str,
        /// Which value, and what is allowed.
        message: String,
    },
    /// This process was started as a worker, and makes a pool instead: its `main` has no hook.
    HookNotCalled,
    /// This process is a worker of a worker of a worker, and so on: it makes no pool of its own.
    #[non_exhaustive]
    TooDeep {
        /// How many pools are above this process.
        depth: u32,
    },
    /// The worker is another build of this program: another protocol, or other jobs.
    DifferentBuild,
    /// The worker said nothing within [`Builder::start_timeout`](super::Builder::start_timeout).
    #[non_exhaustive]
    StartTimeout {
        /// The timeout.
        after: Duration,
    },
    /// The worker's process ended before it said that it is one.
    #[non_exhaustive]
    Exited {
        /// The signal that killed it.
        signal: Option<i32>,
        /// What it exited with, if no signal killed it.
        code: Option<i32>,
        /// The last lines that it wrote to standard error; at most 4 KiB.
        stderr: String,
    },
    /// A `#[tenter::job_init]` function of the worker panicked.
    #[non_exhaustive]
    Init {
        /// What the panic said, and where.
        message: String,
    },
    /// Two jobs of this program have the same name.
    #[non_exhaustive]
    DuplicateJob {
        /// The name.
        name: String,
    },
    /// The system refused a process, a socket or a descriptor.
    Io(Arc<io::Error>),
}

impl SpawnError {
    /// The refusal of an option's value; `message` begins with the option's name.
    pub(crate) fn invalid(option: &'static str, message: String) -> Self {
        Self::Invalid { option, message }
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Invalid { .. } => io::ErrorKind::InvalidInput,
            Self::StartTimeout { .. } => io::ErrorKind::TimedOut,
            Self::Io(error) => error.kind(),
            _ => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for SpawnError {
    /// One line, and the last lines of a dead worker's standard error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime => f.write_str(
                "a pool of worker processes belongs to a runtime, and this thread is in none: \
                 build it in async code, or while a `Runtime::enter` guard lives",
            ),
            Self::Invalid { message, .. } => f.write_str(message),
            Self::HookNotCalled => {
                write!(f, "this process was started as a worker, and makes a pool instead: {HINT}")
            }
            Self::TooDeep { depth } => write!(
                f,
                "this process is a worker with {depth} pools above it, and makes none of its own"
            ),
            Self::DifferentBuild => f.write_str(
                "the worker is another build of this program: its protocol or its jobs differ",
            ),
            Self::StartTimeout { after } => {
                write!(f, "the worker said nothing within {after:?}: {HINT}")
            }
            Self::Exited { signal, code, stderr } => {
                let ending = Ending { signal: *signal, code: *code };
                write!(f, "{ending} before it was ready: {HINT}{}", LastLines(stderr))
            }
            Self::Init { message } => write!(f, "a `#[tenter::job_init]` panicked: {message}"),
            Self::DuplicateJob { name } => write!(f, "two jobs are called {name}"),
            Self::Io(error) => write!(f, "no worker process could be started: {error}"),
        }
    }
}

impl std::error::Error for SpawnError {}

impl From<io::Error> for SpawnError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// What to look at if a program does not become a worker.
const HINT: &str = "its `main` needs `#[tenter::main]`, or `tenter::jobs::init()` as its first \
                    statement";

/// A job that [`ProcessPool::try_run`](super::ProcessPool::try_run) did not take, with the reason.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenter::jobs::ProcessPool;
///
/// #[tenter::job]
/// fn square(number: u32) -> u32 {
///     number * number
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::builder().workers(1).build().unwrap();
///     assert_eq!(pool.try_run(square::job(3)).unwrap().await.unwrap(), 9);
///
///     pool.shutdown(Duration::from_secs(5)).await;
///     let refused = pool.try_run(square::job(4)).unwrap_err();
///     assert!(refused.is_closed() && !refused.is_full());
///     assert_eq!(refused.to_string(), "the pool was shut down");
/// }
/// ```
pub struct TryRunError<R, T = NoItems> {
    call: Call<R, T>,
    reason: Reason,
}

#[derive(Clone, Copy, Debug)]
enum Reason {
    Full,
    Closed,
}

impl<R, T> TryRunError<R, T> {
    pub(crate) fn full(call: Call<R, T>) -> Self {
        Self { call, reason: Reason::Full }
    }

    pub(crate) fn closed(call: Call<R, T>) -> Self {
        Self { call, reason: Reason::Closed }
    }

    /// Whether [`Builder::max_queued`](super::Builder::max_queued) jobs wait already.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.reason, Reason::Full)
    }

    /// Whether the pool, or its runtime, was shut down.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.reason, Reason::Closed)
    }

    /// The job, to try again.
    pub fn into_call(self) -> Call<R, T> {
        self.call
    }
}

impl<R, T> fmt::Display for TryRunError<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Full => "the pool's queue is full",
            Reason::Closed => "the pool was shut down",
        })
    }
}

impl<R, T> fmt::Debug for TryRunError<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryRunError")
            .field("reason", &self.reason)
            .field("call", &self.call.name())
            .finish()
    }
}

impl<R, T> std::error::Error for TryRunError<R, T> {}

/// How a worker's process ended.
struct Ending {
    signal: Option<i32>,
    code: Option<i32>,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal, self.code) {
            (Some(signal), _) => match signal_name(signal) {
                Some(name) => write!(f, "the worker died by signal {signal} ({name})"),
                None => write!(f, "the worker died by signal {signal}"),
            },
            (None, Some(code)) => write!(f, "the worker exited with code {code}"),
            (None, None) => f.write_str("the worker died"),
        }
    }
}

/// What a dead worker left on standard error, as the end of a sentence.
struct LastLines<'a>(&'a str);

impl fmt::Display for LastLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.trim_end();
        if lines.is_empty() {
            return Ok(());
        }
        let gap = if lines.contains('\n') { '\n' } else { ' ' };
        write!(f, "; its last lines of standard error:{gap}{lines}")
    }
}

/// The signals that may end a process.
const SIGNALS: [(Signal, &str); 22] = [
    (Signal::HUP, "SIGHUP"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::ILL, "SIGILL"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::ABORT, "SIGABRT"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::KILL, "SIGKILL"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::PIPE, "SIGPIPE"),
    (Signal::ALARM, "SIGALRM"),
    (Signal::TERM, "SIGTERM"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::XFSZ, "SIGXFSZ"),
    (Signal::VTALARM, "SIGVTALRM"),
    (Signal::PROF, "SIGPROF"),
    (Signal::IO, "SIGIO"),
    (Signal::POWER, "SIGPWR"),
    (Signal::SYS, "SIGSYS"),
];

fn signal_name(number: i32) -> Option<&'static str> {
    SIGNALS.iter().find(|(signal, _)| signal.as_raw() == number).map(|(_, name)| *name)
}

const _: () = {
    const fn assert<T: Clone + Send + Sync + std::error::Error + 'static>() {}
    assert::<JobError>();
    assert::<SpawnError>();
};

#[cfg(test)]
mod tests {
    use super::*;

    fn died(signal: Option<i32>, code: Option<i32>, stderr: &str) -> JobError {
        JobError::Died { signal, code, stderr: stderr.to_owned() }
    }

    #[test]
    fn a_death_names_its_signal_and_shows_the_last_lines() {
        assert_eq!(died(Some(11), None, "").to_string(), "the worker died by signal 11 (SIGSEGV)");
        assert_eq!(died(Some(40), None, "").to_string(), "the worker died by signal 40");
        assert_eq!(
            died(None, Some(3), "out of cheese\n").to_string(),
            "the worker exited with code 3; its last lines of standard error: out of cheese"
        );
        assert_eq!(
            died(Some(9), None, "one\ntwo\n").to_string(),
            "the worker died by signal 9 (SIGKILL); its last lines of standard error:\none\ntwo"
        );
    }

    #[test]
    fn a_panic_shows_its_backtrace_when_asked() {
        let error = JobError::Panicked {
            message: "no".to_owned(),
            location: "a.rs:1:2".to_owned(),
            backtrace: Some("0: main\n".to_owned()),
        };
        assert_eq!(error.to_string(), "the job panicked at a.rs:1:2: no");
        assert_eq!(format!("{error:#}"), "the job panicked at a.rs:1:2: no\n0: main");
    }

    #[test]
    fn as_an_error_of_io_it_keeps_its_kind_and_itself() {
        let refused = SpawnError::from(io::Error::from(io::ErrorKind::PermissionDenied));
        let error = io::Error::from(JobError::from(refused));
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<JobError>());
        assert!(matches!(inner, Some(JobError::Spawn(SpawnError::Io(_)))), "{inner:?}");
        let late = JobError::TimedOut { after: Duration::from_secs(1) };
        assert_eq!(io::Error::from(late).kind(), io::ErrorKind::TimedOut);
    }
}
