//! What a runtime is made of, and the refusal of what it cannot be made of.

use std::fmt;
use std::io;
use std::sync::Arc as StdArc;
use std::time::Duration;

use crate::driver::Driver;
use crate::lifecycle::{Unobserved, UnobservedHook};
use crate::primitive::Arc;
use crate::scheduler::Shared;

use super::blocking::Closures;
use super::children::Children;
use super::handle::{Handle, Inner};
use super::threads::{Callback, Settings, Threads};
use super::{Runtime, blocking, reports, shutdown};

/// Worker threads at most: what the owned list's shard numbers leave room for, and more than
/// any machine has cores.
const WORKERS_MAX: usize = 16_384;

/// Threads in `block_on` that can be workers at the same time; more run their future alone.
const GUESTS: usize = 4;

/// The smallest stack that a thread of the runtime can do its own work on, in bytes.
const STACK_BYTES_MIN: usize = 32 * 1024;

/// The environment variable that sets the default number of workers.
const WORKERS_VARIABLE: &str = "TENTER_WORKERS";

/// Settings of a [`Runtime`].
///
/// [`Builder::build`] refuses a bad value and says which it is.
///
/// # Examples
///
/// ```
/// let runtime = tenter::Builder::new().worker_threads(2).thread_name("server").build()?;
/// assert_eq!(runtime.handle().metrics().workers(), 2);
///
/// let refused = tenter::Builder::new().worker_threads(0).build().unwrap_err();
/// assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Builder {
    worker_threads: Option<usize>,
    max_blocking_threads: usize,
    blocking_keep_alive: Duration,
    thread_name: String,
    thread_stack_size: Option<usize>,
    on_thread_start: Option<Callback>,
    on_thread_stop: Option<Callback>,
    on_unobserved: Option<UnobservedHook>,
    blocked_after: Option<Duration>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// The default settings.
    #[must_use]
    pub fn new() -> Self {
        let blocked_after_ms = if cfg!(debug_assertions) { 10 } else { 100 };
        Self {
            worker_threads: None,
            max_blocking_threads: 512,
            blocking_keep_alive: Duration::from_secs(10),
            thread_name: "tenter".to_owned(),
            thread_stack_size: None,
            on_thread_start: None,
            on_thread_stop: None,
            on_unobserved: None,
            blocked_after: Some(Duration::from_millis(blocked_after_ms)),
        }
    }

    /// Threads that run tasks. Default: the environment variable `TENTER_WORKERS`, else the
    /// number of logical cores.
    pub fn worker_threads(&mut self, n: usize) -> &mut Self {
        self.worker_threads = Some(n);
        self
    }

    /// Threads at most for [`spawn_blocking`](crate::spawn_blocking). Default: 512.
    ///
    /// They are started on demand; closures beyond that number wait in a queue.
    pub fn max_blocking_threads(&mut self, n: usize) -> &mut Self {
        self.max_blocking_threads = n;
        self
    }

    /// How long an idle blocking thread waits for work before it ends. Default: 10 s.
    pub fn blocking_keep_alive(&mut self, d: Duration) -> &mut Self {
        self.blocking_keep_alive = d;
        self
    }

    /// What the names of the runtime's threads begin with. Default: `tenter`.
    ///
    /// Linux shows the first 15 bytes.
    pub fn thread_name(&mut self, s: impl Into<String>) -> &mut Self {
        self.thread_name = s.into();
        self
    }

    /// Stack of each thread of the runtime, in bytes. Default: the standard library's.
    pub fn thread_stack_size(&mut self, bytes: usize) -> &mut Self {
        self.thread_stack_size = Some(bytes);
        self
    }

    /// Runs `f` on each thread of the runtime before anything else. Its panic is contained.
    pub fn on_thread_start(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Self {
        self.on_thread_start = Some(StdArc::new(f));
        self
    }

    /// Runs `f` on each thread of the runtime before it ends. Its panic is contained.
    pub fn on_thread_stop(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Self {
        self.on_thread_stop = Some(StdArc::new(f));
        self
    }

    /// Calls `f` once with each failure that nobody looked at. Default: one line on standard
    /// error; with the feature `tracing`, an error event for the subscriber, if there is one.
    ///
    /// Such a failure is
    ///
    /// - the panic of a task, or of a closure of the blocking pool, whose handle was dropped
    ///   before or after it ended, and was not awaited to its end;
    /// - the `Err` of a task that was spawned with
    ///   [`task::spawn_detached`](crate::task::spawn_detached), or whose handle was given to
    ///   [`detach_reporting`](crate::JoinHandle::detach_reporting).
    ///
    /// The `Err` of any other task is not: when its handle is dropped, nobody knows any more that
    /// the output is a `Result`. A task that was cancelled did not fail.
    ///
    /// `f` runs where the failure is found out, on a worker or where a handle is dropped: it may
    /// spawn and abort tasks, but must not block. Its panic is contained.
    ///
    /// # Examples
    ///
    /// To count:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let failures = Arc::new(AtomicU64::new(0));
    /// let counter = Arc::clone(&failures);
    /// let runtime = tenter::Builder::new()
    ///     .on_unobserved(move |_| {
    ///         counter.fetch_add(1, Ordering::Relaxed);
    ///     })
    ///     .build()?;
    /// let task = runtime.spawn(async { panic!("nobody looks") });
    /// # while !task.is_finished() {
    /// #     std::thread::yield_now();
    /// # }
    /// drop(task);
    /// assert_eq!(failures.load(Ordering::Relaxed), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// To log, with what a message needs:
    ///
    /// ```
    /// # let mut builder = tenter::Builder::new();
    /// builder.on_unobserved(|failure| {
    ///     let name = failure.name().unwrap_or("a task");
    ///     eprintln!("[error] {name}, spawned at {}: {}", failure.location(), failure.message());
    /// });
    /// ```
    ///
    /// To end the program, where a part of it that is dead would be worse:
    ///
    /// ```
    /// # let mut builder = tenter::Builder::new();
    /// builder.on_unobserved(|failure| {
    ///     eprintln!("{failure}");
    ///     std::process::abort();
    /// });
    /// ```
    pub fn on_unobserved(
        &mut self,
        f: impl Fn(&Unobserved<'_>) + Send + Sync + 'static,
    ) -> &mut Self {
        self.on_unobserved = Some(StdArc::new(f));
        self
    }

    /// How long one poll of a task may take before it counts as blocking its worker; `None`
    /// turns the reports off. Default: 100 ms, with debug assertions 10 ms.
    ///
    /// Such a poll is reported once, with the task's name and spawn place: on standard error, or
    /// with the feature `tracing` as a warning event for the subscriber, if there is one.
    /// The time is measured in steps of 3 ms. A poll that computes counts for the time that it had
    /// a core: on a machine that is busy with other things it is not to blame.
    /// `None` turns off the reports, not the help: relief workers take over all the same.
    pub fn blocked_after(&mut self, d: Option<Duration>) -> &mut Self {
        self.blocked_after = d;
        self
    }

    /// Starts the runtime.
    ///
    /// # Errors
    ///
    /// - `InvalidInput` for a setting that makes no sense; the message says which.
    /// - What the system says if it gives no thread or no descriptor. Threads that were started
    ///   have ended by then.
    pub fn build(&mut self) -> io::Result<Runtime> {
        let workers = self.checked_workers()?;
        self.check()?;
        let settings = Settings {
            name: self.thread_name.clone(),
            stack_bytes: self.thread_stack_size,
            on_start: self.on_thread_start.clone(),
            on_stop: self.on_thread_stop.clone(),
            blocked_after: self.blocked_after,
            blocked: StdArc::new(reports::blocked),
        };
        let unobserved =
            self.on_unobserved.clone().unwrap_or_else(|| StdArc::new(reports::unobserved));
        let driver = Arc::new(Driver::new(Shared::timer_shards(workers, GUESTS))?);
        let (shared, cores) = Shared::new(workers, GUESTS, driver, unobserved.clone());
        let config = blocking::Limits {
            threads_max: self.max_blocking_threads,
            keep_alive: self.blocking_keep_alive,
        };
        let handle = Handle::new(Inner {
            shared,
            pool: blocking::pool(&settings, &config),
            closures: Closures::new(unobserved),
            threads: Threads::new(),
            children: Children::default(),
        });
        if let Err(error) = handle.inner().threads.start(&handle, &settings, cores) {
            shutdown::shutdown(handle.inner(), None);
            return Err(error);
        }
        Ok(Runtime::from_handle(handle))
    }

    fn checked_workers(&self) -> io::Result<usize> {
        let (workers, what) = match (self.worker_threads, std::env::var_os(WORKERS_VARIABLE)) {
            (Some(n), _) => (n, "worker_threads"),
            (None, Some(text)) => {
                let n = text.to_str().and_then(|text| text.trim().parse().ok());
                let n = n.ok_or_else(|| {
                    invalid(format!("{WORKERS_VARIABLE} is {text:?}, not a number of threads"))
                })?;
                (n, WORKERS_VARIABLE)
            }
            (None, None) => (num_cpus::get().min(WORKERS_MAX), "the number of cores"),
        };
        if (1..=WORKERS_MAX).contains(&workers) {
            Ok(workers)
        } else {
            Err(invalid(format!("{what} is {workers}, not between 1 and {WORKERS_MAX}")))
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.max_blocking_threads == 0 {
            return Err(invalid("max_blocking_threads is 0: no closure could ever run".into()));
        }
        if let Some(bytes) = self.thread_stack_size.filter(|&bytes| bytes < STACK_BYTES_MIN) {
            let text = format!("thread_stack_size is {bytes} bytes, less than {STACK_BYTES_MIN}");
            return Err(invalid(text));
        }
        if let Some(bytes) = self.thread_stack_size.filter(|&bytes| bytes > isize::MAX as usize) {
            return Err(invalid(format!("thread_stack_size of {bytes} bytes is no size")));
        }
        if self.thread_name.contains('\0') {
            return Err(invalid(format!("thread_name {:?} has a NUL in it", self.thread_name)));
        }
        if self.blocked_after == Some(Duration::ZERO) {
            return Err(invalid("blocked_after is 0: every poll would count as blocking".into()));
        }
        Ok(())
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("worker_threads", &self.worker_threads)
            .field("max_blocking_threads", &self.max_blocking_threads)
            .field("blocking_keep_alive", &self.blocking_keep_alive)
            .field("thread_name", &self.thread_name)
            .field("thread_stack_size", &self.thread_stack_size)
            .field("blocked_after", &self.blocked_after)
            .finish_non_exhaustive()
    }
}
