//! The pool, as its users hold it.

use std::fmt;
use std::future::poll_fn;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::de::DeserializeOwned;

use crate::lifecycle;
use crate::primitive::Arc;
use crate::primitive::atomic::Ordering;
use crate::runtime::Handle;
use crate::time::after;

use super::alarm::Alarm;
use super::builder::{Builder, Settings};
use super::call::Call;
use super::dispatch::{Dispatch, Host, Key, Link as _, Policy, Refusal, Room};
use super::error::{JobError, SpawnError, TryRunError};
use super::keeper::Keeper;
use super::link::{Link, Traffic};
use super::map;
use super::metrics::{Counts, PoolMetrics};
use super::output::Forwarder;
use super::request::{Request, error_of};
use super::run::Run;
use super::stream::JobStream;

/// Starts that may fail in a row before the pool takes a pause.
const FAILED_STARTS_MAX: u32 = 3;

/// How long a pool that is broken starts no worker.
const PAUSE: Duration = Duration::from_secs(1);

/// How long workers that have nothing may take to end by themselves in [`ProcessPool::shutdown`].
const END_WAIT: Duration = Duration::from_secs(1);

/// How long workers may take to end after SIGTERM.
const TERM_WAIT: Duration = Duration::from_millis(250);

/// A pool of worker processes that run registered functions.
///
/// It belongs to the runtime in which it was built, which reads what the workers say; its methods
/// may be called from anywhere. Clones are handles to one pool. When the last of them is dropped,
/// or the runtime ends, the pool does: jobs end with [`JobError::Closed`], and workers are killed.
/// [`shutdown`](Self::shutdown) ends it in good order.
///
/// # Examples
///
/// ```
/// use tenter::jobs::ProcessPool;
///
/// #[tenter::job]
/// fn sum_of_squares(n: u64) -> u64 {
///     (1..=n).map(|n| n * n).sum()
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::new().unwrap();
///     let one = pool.run(sum_of_squares::job(10));
///     assert_eq!(one.await.unwrap(), 385);
///
///     let many = pool.map((1..=3).map(sum_of_squares::job));
///     assert_eq!(many.await.unwrap(), [1, 5, 14]);
/// }
/// ```
#[derive(Clone)]
pub struct ProcessPool {
    owner: Arc<Owner>,
}

/// What the clones of a [`ProcessPool`] share, and its futures do not.
struct Owner {
    dispatch: Arc<Dispatch<Processes>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.dispatch.close_now(Instant::now());
    }
}

/// Where the pool's workers come from.
pub(crate) struct Processes {
    pub(crate) settings: Arc<Settings>,
    pub(crate) handle: Handle,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) forwarder: Arc<Forwarder>,
}

impl Host for Processes {
    type Payload = Request;
    type Link = Link;

    fn link(&self) -> Link {
        Link::new(Arc::clone(&self.traffic))
    }

    fn start(dispatch: &Arc<Dispatch<Self>>, key: Key, link: Arc<Link>) {
        let keeper = Keeper::new(Arc::clone(dispatch), key, link);
        let _entered = dispatch.host().handle.enter();
        // Refused by a runtime that ends, the keeper is dropped, and closes the pool.
        let task = lifecycle::Builder::new().name(format!("keeper of worker {}", key.0));
        drop(task.spawn(keeper.keep()));
    }
}

impl ProcessPool {
    /// A pool with the default options: as many workers as there are processors, started when
    /// there is a job for them and ended when there has been none for a minute.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::build`].
    pub fn new() -> Result<ProcessPool, SpawnError> {
        Self::builder().build()
    }

    /// A pool with other options.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Opens a pool whose settings were checked.
    pub(crate) fn start(settings: Settings, handle: Handle) -> Result<ProcessPool, SpawnError> {
        let policy = Policy {
            workers_min: settings.min,
            workers_max: settings.max,
            hot_spare: settings.hot_spare,
            send_ahead: settings.send_ahead,
            max_jobs: settings.max_jobs,
            max_queued: settings.max_queued,
            breaker: settings.breaker,
            failed_starts_max: FAILED_STARTS_MAX,
            pause: PAUSE,
        };
        let settings = Arc::new(settings);
        let forwarder = Forwarder::new(&handle);
        let host = Processes { settings, handle, traffic: Arc::default(), forwarder };
        let dispatch = Dispatch::new(host, policy);
        dispatch.start_workers(Instant::now());
        Ok(ProcessPool { owner: Arc::new(Owner { dispatch }) })
    }

    /// Runs a job in a worker process, and waits for its result.
    ///
    /// The job is submitted when the future is first polled. If [`Builder::max_queued`] jobs wait
    /// already, it waits for room in the queue first.
    ///
    /// # Errors
    ///
    /// The future gives the [`JobError`] that says why there is no result.
    ///
    /// # Panics
    ///
    /// The future panics when it is polled after it has completed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes the job out of the queue, or kills the worker that runs it, which
    /// is replaced. [`Call::detach`] lets the job go on.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tenter::jobs::{JobError, ProcessPool};
    ///
    /// #[tenter::job]
    /// fn forever() {
    ///     loop {
    ///         std::hint::spin_loop();
    ///     }
    /// }
    ///
    /// #[tenter::main]
    /// async fn main() {
    ///     let pool = ProcessPool::new().unwrap();
    ///     let call = forever::job().timeout(Duration::from_millis(20));
    ///     assert!(matches!(pool.run(call).await, Err(JobError::TimedOut { .. })));
    /// }
    /// ```
    pub fn run<R, T>(&self, call: Call<R, T>) -> Run<R>
    where
        R: DeserializeOwned + Send + 'static,
    {
        Run::new(Arc::clone(&self.owner.dispatch), self.request(call, false))
    }

    /// Submits a job at once if the queue has room for it.
    ///
    /// What the future does is the same as with [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// - [`TryRunError::is_full`]: [`Builder::max_queued`] jobs wait already.
    /// - [`TryRunError::is_closed`]: the pool or its runtime was shut down.
    ///
    /// Both give the call back.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenter::jobs::ProcessPool;
    ///
    /// #[tenter::job]
    /// fn nap() {
    ///     std::thread::sleep(std::time::Duration::from_secs(60));
    /// }
    ///
    /// #[tenter::main]
    /// async fn main() {
    ///     let pool = ProcessPool::builder().workers(1).max_queued(1).build().unwrap();
    ///     let mut accepted = Vec::new();
    ///     let refused = loop {
    ///         match pool.try_run(nap::job()) {
    ///             Ok(run) => accepted.push(run),
    ///             Err(refused) => break refused,
    ///         }
    ///     };
    ///     assert!(refused.is_full());
    ///     let again = refused.into_call();
    ///     # drop(again);
    /// }
    /// ```
    pub fn try_run<R, T>(&self, call: Call<R, T>) -> Result<Run<R>, TryRunError<R, T>>
    where
        R: DeserializeOwned + Send + 'static,
    {
        let request = self.request(call.clone(), false);
        let mut run = Run::new(Arc::clone(&self.owner.dispatch), request);
        match run.submit(Room::Now) {
            Ok(()) => Ok(run),
            Err(Refusal::Full) => Err(TryRunError::full(call)),
            Err(Refusal::Failed(failure)) => match error_of(failure) {
                JobError::Closed => Err(TryRunError::closed(call)),
                error => Ok(Run::failed(Arc::clone(&self.owner.dispatch), error)),
            },
        }
    }

    /// Runs many jobs and returns their results in the order of `calls`.
    ///
    /// Calls are taken from the iterator as jobs end, so it may be long, and lazy.
    ///
    /// # Errors
    ///
    /// The first error, in time, of any of the jobs. The others are withdrawn then, and killed where they run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every job that has not ended; see [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// use tenter::jobs::ProcessPool;
    ///
    /// #[tenter::job]
    /// fn length(text: String) -> usize {
    ///     text.len()
    /// }
    ///
    /// #[tenter::main]
    /// async fn main() {
    ///     let pool = ProcessPool::new().unwrap();
    ///     let words = ["one", "three", "eleven"];
    ///     let lengths = pool.map(words.map(|word| length::job(word.to_owned()))).await;
    ///     assert_eq!(lengths.unwrap(), [3, 5, 6]);
    /// }
    /// ```
    pub fn map<R, T, I>(
        &self,
        calls: I,
    ) -> impl Future<Output = Result<Vec<R>, JobError>> + use<R, T, I>
    where
        R: DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = Call<R, T>>,
    {
        let dispatch = Arc::clone(&self.owner.dispatch);
        let window = map::window(&dispatch.host().settings);
        let run = move |call: Call<R, T>| {
            let request = Request::new(call, false, &dispatch.host().settings);
            Run::new(Arc::clone(&dispatch), request)
        };
        map::map(calls.into_iter(), window, run)
    }

    /// Runs a job that emits items, and gives them as they come.
    ///
    /// The job is submitted when the stream is first polled. A consumer that is slow slows the
    /// job down: it may be 32 items ahead, and its [`emit`](super::emit) blocks then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream withdraws the job, as with [`run`](Self::run), and loses the items that
    /// were not taken.
    pub fn stream<R, T>(&self, call: Call<R, T>) -> JobStream<R, T>
    where
        R: DeserializeOwned + Send + 'static,
        T: DeserializeOwned + Send + 'static,
    {
        JobStream::new(Arc::clone(&self.owner.dispatch), self.request(call, true))
    }

    fn request<R, T>(&self, call: Call<R, T>, wants_items: bool) -> Result<Request, JobError> {
        Request::new(call, wants_items, &self.owner.dispatch.host().settings)
    }

    /// Ends the pool in good order, and returns when its last worker is gone.
    ///
    /// From the first poll on no job is taken. Those that are there have `grace` to end. After
    /// that those that wait are given up, and workers that still run one get SIGTERM and, a quarter
    /// of a second later, SIGKILL; their jobs end with [`JobError::Closed`]. Workers without a job
    /// end by themselves, with exit code 0, when their socket does; they have a second for it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has completed, it leaves a pool that takes no jobs and does those that it
    /// has. It may be called again, with another grace.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tenter::jobs::{JobError, ProcessPool};
    ///
    /// #[tenter::job]
    /// fn nothing() {}
    ///
    /// #[tenter::main]
    /// async fn main() {
    ///     let pool = ProcessPool::new().unwrap();
    ///     pool.run(nothing::job()).await.unwrap();
    ///     let report = pool.shutdown(Duration::from_secs(5)).await;
    ///     assert_eq!((report.cancelled, report.killed), (0, 0));
    ///     assert!(matches!(pool.run(nothing::job()).await, Err(JobError::Closed)));
    /// }
    /// ```
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let dispatch = &self.owner.dispatch;
        let before = dispatch.counts();
        dispatch.close(Instant::now());
        let mut report = ShutdownReport::default();
        if self.within(grace, |cx| dispatch.poll_quiet(cx)).await {
            dispatch.release(Instant::now());
            if !self.within(END_WAIT, |cx| dispatch.poll_empty(cx)).await {
                self.stop().await;
            }
        } else {
            let (waiting, running) = self.stop().await;
            (report.cancelled, report.killed) = (waiting, running);
        }
        self.within(END_WAIT, |cx| dispatch.poll_written(cx)).await;
        let ended = |counts: Counts| counts.completed + counts.failed;
        report.completed = ended(dispatch.counts()).saturating_sub(ended(before));
        report
    }

    /// Ends all jobs and workers; tells how many jobs waited and ran.
    async fn stop(&self) -> (usize, usize) {
        let dispatch = &self.owner.dispatch;
        let left = dispatch.condemn(Instant::now());
        for link in dispatch.links() {
            link.leash().signal(Signal::TERM);
        }
        if !self.within(TERM_WAIT, |cx| dispatch.poll_empty(cx)).await {
            for link in dispatch.links() {
                link.kill();
            }
            poll_fn(|cx| dispatch.poll_empty(cx)).await;
        }
        left
    }

    /// Waits for `poll`, `limit` at most; tells whether it came. If the runtime ends, which closes
    /// the pool, it did not.
    async fn within(
        &self,
        limit: Duration,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> bool {
        let dispatch = &self.owner.dispatch;
        let mut alarm = Alarm::new(after(Instant::now(), limit));
        let waiting = poll_fn(|cx| {
            if poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            let rung = ready!(alarm.poll(&dispatch.host().handle, cx.waker()));
            if rung.is_err() {
                dispatch.close_now(Instant::now());
            }
            Poll::Ready(false)
        });
        waiting.await
    }

    /// What the pool did so far, and what it has to do.
    #[must_use]
    pub fn metrics(&self) -> PoolMetrics {
        let dispatch = &self.owner.dispatch;
        let traffic = &dispatch.host().traffic;
        let mut counts = dispatch.counts();
        counts.bytes_inline = traffic.inline.load(Ordering::Relaxed);
        counts.bytes_slab = traffic.slab.load(Ordering::Relaxed);
        PoolMetrics::new(counts)
    }

    /// The process ids of the workers that are alive.
    #[must_use]
    pub fn workers(&self) -> Vec<u32> {
        self.owner.dispatch.links().iter().filter_map(|link| link.leash().pid()).collect()
    }
}

/// What became of the jobs that a pool had when it was shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Jobs that ended by themselves, with a result or an error.
    pub completed: u64,
    /// Jobs that were given up before they were started.
    pub cancelled: usize,
    /// Jobs whose worker was made to end.
    pub killed: usize,
}

// A panic in between leaves the ledger as it was or as it shall be; users' code is not called
// under its lock.
impl UnwindSafe for ProcessPool {}
impl RefUnwindSafe for ProcessPool {}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.owner.dispatch.counts();
        f.debug_struct("ProcessPool")
            .field("workers", &counts.workers)
            .field("queued", &counts.queued)
            .field("running", &counts.running)
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn assert<T: Clone + Send + Sync + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<ProcessPool>();
};
