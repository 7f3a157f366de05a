//! What a pool is made of, and the refusal of what it cannot be made of.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::ops::{RangeInclusive, RangeToInclusive};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::Handle;

use super::error::SpawnError;
use super::output::OutputLine;
use super::pool::ProcessPool;
use super::registry;
use super::worker::mark;

/// Workers of one pool at most: more than any machine has cores.
const WORKERS_MAX: usize = 4096;

/// Pools in pools at most.
const DEPTH_MAX: u32 = 4;

/// The least memory that a worker can start and do something in, in bytes.
const MEMORY_LIMIT_MIN: u64 = 16 << 20;

/// Less than a worker has before its first job, in bytes.
const RSS_MIN: u64 = 1 << 20;

/// Jobs sent ahead at most.
const SEND_AHEAD_MAX: usize = 1024;

/// The least bound of a message: what goes through the socket in one piece, in bytes.
const MESSAGE_MIN: usize = 64 << 10;

/// The largest bound of a message: a power of two that an allocation can have, in bytes.
const MESSAGE_MAX: usize = 1 << (usize::BITS - 2);

/// What the environment variables of the pool itself begin with.
const OWN_VARIABLES: &[u8] = b"TENTER_JOBS_";

/// Settings of a [`ProcessPool`].
///
/// [`Builder::build`] refuses a bad value and says which it is and what is allowed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenter::jobs::ProcessPool;
///
/// #[tenter::job]
/// fn niceness() -> String {
///     let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
///     stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().to_owned()
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::builder()
///         .workers(1..=4)
///         .idle_timeout(Some(Duration::from_secs(5)))
///         .niceness(10)
///         .build()
///         .unwrap();
///     assert_eq!(pool.run(niceness::job()).await.unwrap(), "10");
///
///     let refused = ProcessPool::builder().niceness(-5).build().unwrap_err();
///     assert!(refused.to_string().starts_with("niceness is -5"));
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    settings: Settings,
}

/// Every option, as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) hot_spare: bool,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_jobs: Option<u64>,
    pub(crate) max_rss: Option<u64>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) niceness: Option<i32>,
    /// In order; `None` takes the variable away.
    pub(crate) env: Vec<(OsString, Option<OsString>)>,
    /// Before `env`.
    pub(crate) env_clear: bool,
    /// Absolute, once checked.
    pub(crate) current_dir: Option<PathBuf>,
    /// Absolute, once checked.
    pub(crate) worker_exe: Option<PathBuf>,
    pub(crate) start_timeout: Duration,
    pub(crate) max_queued: usize,
    pub(crate) output: Output,
    pub(crate) send_ahead: usize,
    pub(crate) breaker: u32,
    pub(crate) max_message: usize,
    pub(crate) backtrace: bool,
}

/// What becomes of the workers' output.
#[derive(Clone)]
pub(crate) enum Output {
    /// Standard output is this process's own, standard error is passed on to it.
    Forward,
    /// Both go to a function, line by line.
    Capture(Sink),
}

/// Takes the lines of workers.
pub(crate) type Sink = Arc<dyn Fn(OutputLine<'_>) + Send + Sync>;

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// The default settings.
    pub fn new() -> Self {
        let settings = Settings {
            min: 0,
            max: num_cpus::get().clamp(1, WORKERS_MAX),
            hot_spare: false,
            idle_timeout: Some(Duration::from_secs(60)),
            max_jobs: None,
            max_rss: None,
            max_age: None,
            memory_limit: None,
            niceness: None,
            env: Vec::new(),
            env_clear: false,
            current_dir: None,
            worker_exe: None,
            start_timeout: Duration::from_secs(10),
            max_queued: 65_536,
            output: Output::Forward,
            send_ahead: 0,
            breaker: 16,
            max_message: 1 << 30,
            backtrace: false,
        };
        Self { settings }
    }

    /// Worker processes: `4` for always four, `1..=4` for one that is always there and three
    /// more on demand, `..=4` for none without work. Default: from none to the number of logical
    /// cores.
    ///
    /// At least 1 and at most 4096 at the upper end, which bounds how many have jobs at the same
    /// time. For a moment there is one process more: while one is replaced, and with a
    /// [`hot_spare`](Self::hot_spare).
    pub fn workers(&mut self, workers: impl IntoWorkers) -> &mut Self {
        (self.settings.min, self.settings.max) = workers.into_workers().into_inner();
        self
    }

    /// Whether one worker more than have work is kept ready, so that a job which comes when all
    /// are busy, or after a worker's death, waits for no start. Default: no.
    ///
    /// When as many have work as [`workers`](Self::workers) allows, it is one process more; it
    /// gets work when one of them is done or dead.
    pub fn hot_spare(&mut self, yes: bool) -> &mut Self {
        self.settings.hot_spare = yes;
        self
    }

    /// How long a worker beyond the lower bound of [`workers`](Self::workers) may be without a
    /// job before it is ended; `None` keeps it. Default: 60 s.
    ///
    /// Not zero.
    pub fn idle_timeout(&mut self, d: Option<Duration>) -> &mut Self {
        self.settings.idle_timeout = d;
        self
    }

    /// Jobs after which a worker is replaced. Default: no bound.
    ///
    /// At least 1. The new worker is started while the old one runs its last job.
    pub fn max_jobs(&mut self, jobs: u64) -> &mut Self {
        self.settings.max_jobs = Some(jobs);
        self
    }

    /// Resident memory, in bytes, above which a worker is replaced when it is done with its job.
    /// Default: no bound.
    ///
    /// At least 1 MiB. For a bound that no job can break there is
    /// [`memory_limit`](Self::memory_limit).
    pub fn max_rss(&mut self, bytes: u64) -> &mut Self {
        self.settings.max_rss = Some(bytes);
        self
    }

    /// Age, from when it is ready, at which a worker is replaced when it is done with its job.
    /// Default: no bound.
    ///
    /// Not zero.
    pub fn max_age(&mut self, d: Duration) -> &mut Self {
        self.settings.max_age = Some(d);
        self
    }

    /// Memory, in bytes, that a worker can have: heap, stacks of threads, and the like
    /// (`RLIMIT_DATA`). Default: that of this process.
    ///
    /// At least 16 MiB. A job that asks for more sees its allocation fail, which ends its worker:
    /// [`JobError::Died`](super::JobError::Died). Other workers are not harmed.
    pub fn memory_limit(&mut self, bytes: u64) -> &mut Self {
        self.settings.memory_limit = Some(bytes);
        self
    }

    /// Niceness of the workers, from 0 to 19: who is nicer leaves the processor to others. Default:
    /// that of this process, and it is never less.
    pub fn niceness(&mut self, niceness: i32) -> &mut Self {
        self.settings.niceness = Some(niceness);
        self
    }

    /// Sets an environment variable for the workers, which have this process's else.
    ///
    /// The name is not empty and has no `=` in it; neither has a NUL byte. What begins with
    /// `TENTER_JOBS_` is the pool's own.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        let value = Some(value.as_ref().to_owned());
        self.settings.env.push((name.as_ref().to_owned(), value));
        self
    }

    /// Takes an environment variable from the workers. Names are as in [`env`](Self::env).
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.settings.env.push((name.as_ref().to_owned(), None));
        self
    }

    /// Takes all environment variables from the workers, also those that [`env`](Self::env) set
    /// before.
    pub fn env_clear(&mut self) -> &mut Self {
        self.settings.env.clear();
        self.settings.env_clear = true;
        self
    }

    /// The directory that workers start in. Default: this process's.
    ///
    /// A relative path is one from this process's directory at [`build`](Self::build).
    pub fn current_dir(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.settings.current_dir = Some(path.as_ref().to_owned());
        self
    }

    /// The program that workers run. Default: this one, even if its file was replaced meanwhile.
    ///
    /// It must be of the same build, with the same jobs: this is for programs that cannot run
    /// themselves, such as a library in somebody else's process. A relative path is one from this
    /// process's directory at [`build`](Self::build); there is no search in `PATH`.
    pub fn worker_exe(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.settings.worker_exe = Some(path.as_ref().to_owned());
        self
    }

    /// How long a worker may take from its start until it is ready, with its
    /// [`job_init`](crate::job_init) functions. Default: 10 s.
    ///
    /// Not zero.
    pub fn start_timeout(&mut self, d: Duration) -> &mut Self {
        self.settings.start_timeout = d;
        self
    }

    /// Jobs at most that wait for a worker. Default: 65,536.
    ///
    /// At least 1. Beyond that [`run`](ProcessPool::run) waits for room, and
    /// [`try_run`](ProcessPool::try_run) hands the job back.
    pub fn max_queued(&mut self, jobs: usize) -> &mut Self {
        self.settings.max_queued = jobs;
        self
    }

    /// Has `f` called with each line that a worker writes to standard output or standard error.
    ///
    /// Without it standard output is that of this process, and what comes on standard error is
    /// passed on to this process's. `f` runs on a worker thread of the runtime: it must not
    /// block. While it runs, the worker process that wrote the line may have to wait with its next
    /// ones; memory is bounded, whatever it writes. A panic of `f` is contained.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use tenter::jobs::ProcessPool;
    ///
    /// #[tenter::job]
    /// fn greet(name: String) {
    ///     println!("hello {name}");
    /// }
    ///
    /// #[tenter::main]
    /// async fn main() {
    ///     let lines = Arc::new(Mutex::new(Vec::new()));
    ///     let sink = lines.clone();
    ///     let pool = ProcessPool::builder()
    ///         .capture_output(move |line| sink.lock().unwrap().push(line.line.to_vec()))
    ///         .build()
    ///         .unwrap();
    ///     pool.run(greet::job("Ada".into())).await.unwrap();
    ///     // Output comes by itself, some time around the result.
    ///     while lines.lock().unwrap().is_empty() {
    ///         tenter::yield_now().await;
    ///     }
    ///     assert_eq!(lines.lock().unwrap()[0], b"hello Ada");
    /// }
    /// ```
    pub fn capture_output(
        &mut self,
        f: impl Fn(OutputLine<'_>) + Send + Sync + 'static,
    ) -> &mut Self {
        self.settings.output = Output::Capture(Arc::new(f));
        self
    }

    /// Jobs that a busy worker is sent before it asks for them. Default: 0.
    ///
    /// At most 1024. For jobs of a few microseconds, which then do not wait for the way there and
    /// back; more than one or two give little. A job that was sent ahead waits behind the
    /// one before it even when another worker becomes idle; and when that is killed just as it ends, for
    /// its timeout or because its future was dropped, the kill may meet this one.
    pub fn send_ahead(&mut self, jobs: usize) -> &mut Self {
        self.settings.send_ahead = jobs;
        self
    }

    /// Deaths of workers in a row, without one job that was done between them, after which jobs
    /// fail with [`JobError::Broken`](super::JobError::Broken) instead of being tried. Default:
    /// 16.
    ///
    /// At least 1. Workers that the pool killed do not count. After a second one worker is tried
    /// again: its first job done ends the state, its death begins it anew. When workers cannot
    /// even be started and none is left, jobs fail in the same way, with
    /// [`JobError::Spawn`](super::JobError::Spawn).
    pub fn breaker(&mut self, deaths: u32) -> &mut Self {
        self.settings.breaker = deaths;
        self
    }

    /// Bytes at most of the arguments of one job, of its result and of an item, as they are sent.
    /// Default: 1 GiB.
    ///
    /// At least 64 KiB. It bounds what a worker gone wild can make this process allocate.
    pub fn max_message(&mut self, bytes: usize) -> &mut Self {
        self.settings.max_message = bytes;
        self
    }

    /// Whether panics of jobs come with a backtrace, which takes milliseconds. Default: no.
    pub fn backtrace(&mut self, yes: bool) -> &mut Self {
        self.settings.backtrace = yes;
        self
    }

    /// Makes the pool, in the runtime that this thread belongs to or has entered.
    ///
    /// Nothing waits for the workers to be up; if they cannot be started, jobs say so.
    ///
    /// # Errors
    ///
    /// - [`SpawnError::Invalid`] for a setting that makes no sense; it says which, and what is
    ///   allowed.
    /// - [`SpawnError::DuplicateJob`] if two jobs of this program have the same name.
    /// - [`SpawnError::HookNotCalled`] if this process was started as a worker, and `main` has no
    ///   hook that makes it one.
    /// - [`SpawnError::TooDeep`] in a worker that has four pools above it already.
    /// - [`SpawnError::NoRuntime`] outside a runtime.
    /// - [`SpawnError::Io`] for what the system refuses.
    pub fn build(&mut self) -> Result<ProcessPool, SpawnError> {
        let settings = self.settings.clone().checked()?;
        if let Some(name) = registry::duplicate() {
            return Err(SpawnError::DuplicateJob { name: name.to_owned() });
        }
        if mark::unconsumed() {
            return Err(SpawnError::HookNotCalled);
        }
        let depth = mark::depth();
        if depth >= DEPTH_MAX {
            return Err(SpawnError::TooDeep { depth });
        }
        let handle = Handle::try_current().ok_or(SpawnError::NoRuntime)?;
        ProcessPool::start(settings, handle)
    }
}

impl Settings {
    /// The settings with absolute paths, or the first that makes no sense.
    fn checked(mut self) -> Result<Self, SpawnError> {
        self.check_workers()?;
        self.check_recycling()?;
        self.check_limits()?;
        self.check_env()?;
        if let Some(path) = &mut self.current_dir {
            *path = directory(path).map_err(|error| bad_path("current_dir", path, &error))?;
        }
        if let Some(path) = &mut self.worker_exe {
            *path = program(path).map_err(|error| bad_path("worker_exe", path, &error))?;
        }
        Ok(self)
    }

    fn check_workers(&self) -> Result<(), SpawnError> {
        let (min, max) = (self.min, self.max);
        let refuse = |text: String| Err(SpawnError::invalid("workers", text));
        if max == 0 {
            return refuse("workers is 0: no job could ever run; at least 1 is needed".to_owned());
        }
        if min > max {
            return refuse(format!("workers is {min}..={max}, which is empty"));
        }
        if max > WORKERS_MAX {
            return refuse(format!("workers is {max}, more than {WORKERS_MAX}"));
        }
        if let Some(d) = self.idle_timeout {
            not_zero("idle_timeout", d, "a worker would go before its first job")?;
        }
        not_zero("start_timeout", self.start_timeout, "no worker is ready at once")
    }

    fn check_recycling(&self) -> Result<(), SpawnError> {
        if self.max_jobs == Some(0) {
            let text = "max_jobs is 0: no worker could have a job; at least 1 is needed";
            return Err(SpawnError::invalid("max_jobs", text.to_owned()));
        }
        if let Some(d) = self.max_age {
            not_zero("max_age", d, "a worker would be too old for its first job")?;
        }
        match self.max_rss {
            Some(bytes) => at_least("max_rss", bytes, RSS_MIN, "which a worker has from its start"),
            None => Ok(()),
        }
    }

    fn check_limits(&self) -> Result<(), SpawnError> {
        if let Some(bytes) = self.memory_limit {
            at_least("memory_limit", bytes, MEMORY_LIMIT_MIN, "which a worker needs to start")?;
        }
        if let Some(niceness) = self.niceness.filter(|niceness| !(0..=19).contains(niceness)) {
            let text = format!("niceness is {niceness}, not between 0 and 19");
            return Err(SpawnError::invalid("niceness", text));
        }
        if self.max_queued == 0 {
            let text = "max_queued is 0: no job could be taken; at least 1 is needed";
            return Err(SpawnError::invalid("max_queued", text.to_owned()));
        }
        if self.send_ahead > SEND_AHEAD_MAX {
            let text = format!("send_ahead is {}, more than {SEND_AHEAD_MAX}", self.send_ahead);
            return Err(SpawnError::invalid("send_ahead", text));
        }
        if self.breaker == 0 {
            let text = "breaker is 0: the pool would be broken from the start; at least 1 is \
                        needed";
            return Err(SpawnError::invalid("breaker", text.to_owned()));
        }
        if (MESSAGE_MIN..=MESSAGE_MAX).contains(&self.max_message) {
            return Ok(());
        }
        let bytes = self.max_message;
        let text =
            format!("max_message is {bytes} bytes, not between {MESSAGE_MIN} and {MESSAGE_MAX}");
        Err(SpawnError::invalid("max_message", text))
    }

    fn check_env(&self) -> Result<(), SpawnError> {
        for (name, value) in &self.env {
            let option = if value.is_some() { "env" } else { "env_remove" };
            let refuse = |why| {
                let text = format!("{option} has the variable name {name:?}, {why}");
                Err(SpawnError::invalid(option, text))
            };
            let bytes = name.as_bytes();
            if bytes.is_empty() {
                return refuse("which is empty");
            }
            if bytes.contains(&b'=') || bytes.contains(&0) {
                return refuse("which must have neither `=` nor NUL in it");
            }
            if bytes.starts_with(OWN_VARIABLES) {
                return refuse("which is the pool's own");
            }
            if let Some(value) = value.as_ref().filter(|value| value.as_bytes().contains(&0)) {
                let text = format!("env has the value {value:?} for {name:?}, with a NUL in it");
                return Err(SpawnError::invalid(option, text));
            }
        }
        Ok(())
    }
}

fn not_zero(option: &'static str, d: Duration, why: &str) -> Result<(), SpawnError> {
    if d > Duration::ZERO {
        Ok(())
    } else {
        Err(SpawnError::invalid(option, format!("{option} is 0: {why}; it must be longer")))
    }
}

fn at_least(option: &'static str, bytes: u64, min: u64, why: &str) -> Result<(), SpawnError> {
    if bytes >= min {
        Ok(())
    } else {
        let text = format!("{option} is {bytes} bytes, less than {min}, {why}");
        Err(SpawnError::invalid(option, text))
    }
}

/// The absolute path of a directory.
fn directory(path: &Path) -> io::Result<PathBuf> {
    if fs::metadata(path)?.is_dir() {
        absolute(path)
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}

/// The absolute path of a file that can be executed, as far as its mode tells.
fn program(path: &Path) -> io::Result<PathBuf> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else if metadata.permissions().mode() & 0o111 == 0 {
        Err(io::Error::other("it is not executable"))
    } else {
        absolute(path)
    }
}

fn bad_path(option: &'static str, path: &Path, error: &io::Error) -> SpawnError {
    let what = if option == "current_dir" { "a directory" } else { "a program" };
    SpawnError::invalid(option, format!("{option} is {path:?}, not {what}: {error}"))
}

/// A number of workers, or its bounds: see [`Builder::workers`].
pub trait IntoWorkers: sealed::Sealed {
    /// From the fewest to the most.
    #[doc(hidden)]
    fn into_workers(self) -> RangeInclusive<usize>;
}

mod sealed {
    use std::ops::{RangeInclusive, RangeToInclusive};

    pub trait Sealed {}

    impl Sealed for usize {}
    impl Sealed for RangeInclusive<usize> {}
    impl Sealed for RangeToInclusive<usize> {}
}

impl IntoWorkers for usize {
    fn into_workers(self) -> RangeInclusive<usize> {
        self..=self
    }
}

impl IntoWorkers for RangeInclusive<usize> {
    fn into_workers(self) -> RangeInclusive<usize> {
        self
    }
}

impl IntoWorkers for RangeToInclusive<usize> {
    fn into_workers(self) -> RangeInclusive<usize> {
        0..=self.end
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "Forward",
            Self::Capture(_) => "Capture",
        })
    }
}
