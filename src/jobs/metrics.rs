//! What a pool did, and what it has to do.

use std::collections::BTreeMap;
use std::time::Duration;

/// What the ledger counts, under its lock.
///
/// Every submitted job is in one place: `submitted` is the sum of `queued`, `running`,
/// `completed`, `failed` and `cancelled`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Worker processes that are starting or alive.
    pub(crate) workers: usize,
    /// Of these, how many are ready and have no job.
    pub(crate) idle: usize,
    pub(crate) queued: usize,
    /// Jobs that a worker has, those sent ahead among them.
    pub(crate) running: usize,
    pub(crate) submitted: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) timed_out: u64,
    pub(crate) retried: u64,
    pub(crate) started: u64,
    pub(crate) recycled: u64,
    pub(crate) deaths: u64,
    pub(crate) deaths_by_signal: BTreeMap<i32, u64>,
    pub(crate) wait_total: Duration,
    pub(crate) wait_max: Duration,
    pub(crate) run_total: Duration,
    pub(crate) run_max: Duration,
    pub(crate) bytes_inline: u64,
    pub(crate) bytes_slab: u64,
}

impl Counts {
    /// A worker ended that was not told to.
    pub(crate) fn died(&mut self, signal: Option<i32>) {
        self.deaths += 1;
        if let Some(signal) = signal {
            *self.deaths_by_signal.entry(signal).or_default() += 1;
        }
    }

    /// A job left the queue for a worker.
    pub(crate) fn waited(&mut self, lasted: Duration) {
        self.wait_total = self.wait_total.saturating_add(lasted);
        self.wait_max = self.wait_max.max(lasted);
    }

    /// A job that a worker had came to its end.
    pub(crate) fn ran(&mut self, lasted: Duration) {
        self.run_total = self.run_total.saturating_add(lasted);
        self.run_max = self.run_max.max(lasted);
    }
}

/// A snapshot of a pool's counters, all of one moment.
///
/// Totals count from the pool's start. Every job that was submitted is counted in exactly one of
/// [`queued`](Self::queued), [`running`](Self::running), [`completed`](Self::completed),
/// [`failed`](Self::failed) and [`cancelled`](Self::cancelled). Made by
/// [`ProcessPool::metrics`](super::ProcessPool::metrics).
///
/// # Examples
///
/// ```
/// use tenter::jobs::ProcessPool;
///
/// #[tenter::job]
/// fn double(n: u64) -> u64 {
///     n * 2
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::new().unwrap();
///     for n in 0..3 {
///         pool.run(double::job(n)).await.unwrap();
///     }
///     let metrics = pool.metrics();
///     assert_eq!((metrics.submitted(), metrics.completed(), metrics.failed()), (3, 3, 0));
///     assert!(metrics.run_time_max() <= metrics.run_time_total());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct PoolMetrics {
    counts: Counts,
}

impl PoolMetrics {
    pub(crate) fn new(counts: Counts) -> Self {
        Self { counts }
    }

    /// Worker processes that are starting or alive.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.counts.workers
    }

    /// Workers that are ready and have no job.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.counts.idle
    }

    /// Jobs that wait for a worker.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.counts.queued
    }

    /// Jobs that a worker has; those that were [sent ahead](super::Builder::send_ahead) count.
    #[must_use]
    pub fn running(&self) -> usize {
        self.counts.running
    }

    /// Jobs that the pool took. Those that wait for room in the queue are not taken yet.
    #[must_use]
    pub fn submitted(&self) -> u64 {
        self.counts.submitted
    }

    /// Jobs that ended with a result.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.counts.completed
    }

    /// Jobs that ended with an error, other than by cancellation.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.counts.failed
    }

    /// Jobs that were stopped, or taken from the queue, because their future was dropped or the
    /// pool shut down.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.counts.cancelled
    }

    /// Jobs that ran or waited for too long; they are counted in [`failed`](Self::failed) too.
    #[must_use]
    pub fn timed_out(&self) -> u64 {
        self.counts.timed_out
    }

    /// Times that a job was run again because its worker had died.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.counts.retried
    }

    /// Worker processes that were started.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.counts.started
    }

    /// Workers that were replaced because of their jobs, their memory or their age.
    #[must_use]
    pub fn recycled(&self) -> u64 {
        self.counts.recycled
    }

    /// Workers that ended without being told to. Those that the pool killed, for a timeout or a
    /// cancellation, do not count.
    #[must_use]
    pub fn deaths(&self) -> u64 {
        self.counts.deaths
    }

    /// [`deaths`](Self::deaths) by the signal that killed the worker; those that exited are not
    /// in it.
    #[must_use]
    pub fn deaths_by_signal(&self) -> BTreeMap<i32, u64> {
        self.counts.deaths_by_signal.clone()
    }

    /// Time that jobs spent in the queue before a worker got them, summed over all jobs.
    #[must_use]
    pub fn wait_time_total(&self) -> Duration {
        self.counts.wait_total
    }

    /// The longest time that one job spent in the queue before a worker got it.
    #[must_use]
    pub fn wait_time_max(&self) -> Duration {
        self.counts.wait_max
    }

    /// Time that workers had jobs, summed over all jobs that ended; seen from this process, so
    /// the way there and back counts.
    #[must_use]
    pub fn run_time_total(&self) -> Duration {
        self.counts.run_total
    }

    /// The longest time that a worker had one job.
    #[must_use]
    pub fn run_time_max(&self) -> Duration {
        self.counts.run_max
    }

    /// Bytes of arguments, results and items that went through the workers' sockets.
    #[must_use]
    pub fn bytes_inline(&self) -> u64 {
        self.counts.bytes_inline
    }

    /// Bytes of arguments, results and items that went through shared memory, being too large
    /// for the socket.
    #[must_use]
    pub fn bytes_slab(&self) -> u64 {
        self.counts.bytes_slab
    }
}
