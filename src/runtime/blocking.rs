//! Closures that may block, as tasks of the blocking pool.

use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::blocking::{Config, Job, Pool};
use crate::lifecycle::cell::Header;
use crate::lifecycle::owned::Owned;
use crate::lifecycle::{self, JoinHandle, Notified, Place, Schedule, UnobservedHook, budget};
use crate::primitive::atomic::Ordering;
use crate::primitive::{Arc, PlainCounter};

use super::abandonable::{self, Run};
use super::context;
use super::handle::Inner;
use super::threads::Settings;

/// Shards of the list of closures: they come from any thread.
const SHARDS: usize = 8;

/// Every closure that has not ended: the scheduler of tasks that are polled once.
pub(super) struct Closures {
    owned: Owned,
    /// Closures that were dropped before they ran.
    cancelled: PlainCounter,
    unobserved: UnobservedHook,
}

impl Closures {
    pub(super) fn new(unobserved: UnobservedHook) -> Self {
        Self { owned: Owned::new(SHARDS), cancelled: PlainCounter::new(0), unobserved }
    }

    pub(super) fn cancelled(&self) -> u64 {
        // ORDERING: Relaxed, a plain counter.
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn owned(&self) -> &Owned {
        &self.owned
    }
}

impl Schedule for Closures {
    fn schedule(&self, task: Notified) {
        unreachable!("a closure is never idle, so nothing can make it due: {task:?}");
    }

    fn yield_now(&self, task: Notified) {
        unreachable!("a closure never returns Pending: {task:?}");
    }

    fn release(&self, task: &Header) -> bool {
        self.owned.release(task)
    }

    fn note_cancelled(&self) {
        // ORDERING: Relaxed, a plain counter.
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    fn unobserved_hook(&self) -> UnobservedHook {
        self.unobserved.clone()
    }
}

/// A closure in the pool's queue.
pub(crate) enum Closure {
    /// A task that is polled once, with a share in the runtime that it belongs to (T5).
    Task { task: Notified, inner: Arc<Inner> },
    /// One that shutdown does not wait for. It has no share in the runtime, and none in it: what
    /// awaits it does.
    Abandonable(Arc<dyn Run>),
}

impl Job for Closure {
    fn run(self) {
        match self {
            Self::Task { task, inner } => {
                let _entered = context::enter_own(&inner);
                task.run();
            }
            Self::Abandonable(call) => call.run(),
        }
    }

    fn cancel(self) {
        match self {
            Self::Task { task, inner } => {
                let _entered = context::enter_own(&inner);
                task.cancel();
            }
            // The task that awaits it is cancelled too, and drops what is in it.
            Self::Abandonable(call) => drop(call),
        }
    }

    fn is_abandonable(&self) -> bool {
        matches!(self, Self::Abandonable(_))
    }
}

/// A closure as a future that is ready at its first poll.
struct Call<F>(Option<F>);

impl<F> Unpin for Call<F> {}

impl<F: FnOnce() -> R, R> Future for Call<F> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<R> {
        let f = self.0.take().expect("a closure is polled once");
        budget::lift();
        Poll::Ready(f())
    }
}

/// Bounds of a pool.
pub(super) struct Limits {
    pub(super) threads_max: usize,
    pub(super) keep_alive: Duration,
}

/// A pool whose threads look like the workers'.
pub(super) fn pool(settings: &Settings, limits: &Limits) -> Pool<Closure> {
    let name = settings.name.clone();
    let (start, stop) = (settings.on_start.clone(), settings.on_stop.clone());
    Pool::new(Config {
        threads_max: limits.threads_max,
        keep_alive: limits.keep_alive,
        stack_bytes: settings.stack_bytes,
        thread_name: Box::new(move || format!("{name}-blocking")),
        on_start: start.map(|f| Box::new(move || f()) as _),
        on_stop: stop.map(|f| Box::new(move || f()) as _),
    })
}

/// Queues `f` for a thread of the pool.
pub(super) fn spawn<F, R>(inner: &Arc<Inner>, f: F, place: Place) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let closures = &inner.closures;
    let shard = |id: lifecycle::Id| id.block() % SHARDS;
    // SAFETY: 1: the `Closure` made below holds a share in `inner`, and with it in `closures`,
    // until it has run or was cancelled. 2 and 3: by the bounds on `F` and `R`.
    let (task, handle) =
        unsafe { lifecycle::new(Call(Some(f)), NonNull::from(closures), shard, place) };
    if !closures.owned.bind(&task) {
        task.refuse();
        return handle;
    }
    queue(inner, Closure::Task { task, inner: Arc::clone(inner) });
    handle
}

/// Queues `f` for a thread of the pool, which no shutdown waits for once it runs `f`.
///
/// The handle is that of a task which awaits it, and so is cancelled as tasks are: at once, by an
/// abort or the shutdown, whether `f` runs or not. What `f` returns later is dropped where it ran.
pub(super) fn spawn_abandonable<F, R>(inner: &Arc<Inner>, f: F, place: Place) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let (call, answer) = abandonable::call(f);
    let handle = inner.shared.spawn(answer, place);
    // Refused, or cancelled already.
    let is_cancelled = handle.is_finished();
    if !is_cancelled && !queue(inner, Closure::Abandonable(call)) {
        handle.abort();
    }
    handle
}

/// Hands a closure to the pool; `false` if it was cancelled instead.
fn queue(inner: &Inner, closure: Closure) -> bool {
    let Err(rejected) = inner.pool.spawn(closure) else { return true };
    if let Some(error) = rejected.error {
        super::report(format_args!(
            "no thread for a blocking closure, which is cancelled: {error}"
        ));
    }
    rejected.job.cancel();
    false
}
