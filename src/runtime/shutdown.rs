//! The end of a runtime, in numbered steps.
//!
//! 1. `Owned::close` of the closures: none is accepted any more.
//! 2. `Shared::close`: no task binds any more, every task is aborted, the workers are woken.
//! 3. `Pool::close`: closures that have not started are cancelled, idle threads leave.
//! 4. `Driver::shutdown`: sources and timers wake who waits for them with an error.
//! 5. `Threads::wait`: the workers drop what was aborted, and leave when nothing is left; and who
//!    ran tasks in `block_on` has dropped what they returned.
//! 6. `Pool::wait`: closures that have started end by themselves, but for abandonable ones; and
//!    who came to the pool's closed door with a closure has cancelled it.
//!
//! Each thread of the runtime is waited for until the last destructor of its thread-locals has run.
//! On a thread of the runtime itself steps 5 and 6 would wait for the caller, and are left out.
//! With a grace they end when it does. Without one they wait for as long as it takes, and after
//! [`PATIENCE`] say for whom.
//!
//! ```text
//!             1, 2, 3, 4            5                6
//!   open ───────────────► closing ─────► drained ─────► over
//!                            │              │
//!                            └──── the grace ends ────► what still runs is named, and goes on
//! ```
//!
//! # Why in this order, and why it ends
//!
//! - All doors close before anything is waited for (1 to 4), and each under the lock that those who
//!   come in take: of the closures, of the tasks, of the pool, of sources and timers. What came in
//!   before is cancelled or woken, what comes after is refused at once. So nothing waits for
//!   somebody who was let in meanwhile. (A closure that came through the first door and finds the
//!   pool's closed is cancelled by who brought it.)
//! - 2 before 3 and 4: a task that is woken since its closure was cancelled, or its source has
//!   gone, was aborted before. It is dropped at its next await point and does not see the error,
//!   unless that is what its current poll finds. A main future in `block_on` is no task: it does
//!   see the error.
//! - 5 ends if the tasks' polls and destructors do: see `shutdown.rs` of the scheduler. Who is in
//!   `block_on` goes back to its main future when no task is left. 6 ends if the closures do that
//!   have started, and the destructors of those that are cancelled.
//! - Steps 1 to 4 wait for nobody's code. They call wakers and cancel closures, which may drop what
//!   is users', on the thread that shuts down.
//!
//! # Refused
//!
//! - **Leaving threads alone that do not end in time, in silence**: a report names what they run.
//! - **Killing them**: what they hold, memory and locks, would be left as it is.
//! - **Waiting on a thread of the runtime**: it would wait for itself.
//! - **Dropping futures here**: they are dropped where they ran (T7), with their runtime entered.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use crate::primitive::Arc;

use super::children::ChildInfo;
use super::context;
use super::handle::Inner;
use super::metrics::TaskInfo;

/// How long a shutdown without a grace waits before it says what it waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks whether a thread that is not the runtime's is through with a destructor, a
/// hook or a waker, which may take its time.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// What a shutdown cancelled, and what would not stop.
///
/// # Examples
///
/// ```
/// use std::future::pending;
/// use std::time::Duration;
///
/// let runtime = tenter::Runtime::new()?;
/// runtime.spawn(pending::<()>()).detach();
/// let report = runtime.shutdown(Duration::from_secs(10));
/// assert!(report.is_clean(), "{report}");
/// assert_eq!(report.cancelled(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ShutdownReport {
    cancelled: usize,
    running: Vec<TaskInfo>,
    threads: usize,
    children: Vec<ChildInfo>,
}

impl ShutdownReport {
    /// Tasks, and closures that had not started, that the shutdown cancelled.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.cancelled
    }

    /// The tasks and closures that were still running at the end of the grace.
    #[must_use]
    pub fn running(&self) -> &[TaskInfo] {
        &self.running
    }

    /// Threads of the runtime that had not ended: those that run what is still running, and
    /// those that are held by a destructor, a waker, or a hook such as
    /// [`on_thread_stop`](super::Builder::on_thread_stop).
    ///
    /// A thread in `block_on` is one of them while it runs a task, or drops what one returned.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The child processes that had not ended.
    ///
    /// A shutdown kills those with [`kill_on_drop`](crate::process::Command::kill_on_drop) as it
    /// drops what holds them; one may still be dying. Others are meant to go on: this names them,
    /// and does not count them against [`is_clean`](ShutdownReport::is_clean).
    #[must_use]
    pub fn children(&self) -> &[ChildInfo] {
        &self.children
    }

    /// Whether every task, closure and thread of the runtime has ended.
    ///
    /// Never so in a report of a shutdown by one of those threads.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.running.is_empty() && self.threads == 0
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cancelled, {} still running", self.cancelled, self.running.len())?;
        if self.threads > 0 {
            let s = if self.threads == 1 { "" } else { "s" };
            write!(f, ", {} thread{s} left", self.threads)?;
        }
        self.running.iter().try_for_each(|task| write!(f, "\n  {task}"))?;
        self.children.iter().try_for_each(|child| write!(f, "\n  {child}"))
    }
}

/// Ends a runtime: waits for at most `grace`, or for as long as it takes.
pub(super) fn shutdown(inner: &Arc<Inner>, grace: Option<Duration>) -> ShutdownReport {
    // A grace beyond what the clock can say is as long as it takes.
    let deadline = grace.and_then(|grace| Instant::now().checked_add(grace));
    let before = cancelled(inner);
    inner.closures.owned().close();
    inner.shared.close();
    inner.pool.close();
    inner.shared.driver().shutdown();
    if !context::is_own_thread(inner) {
        match deadline {
            Some(_) => {
                let _report_tells = wait(inner, deadline);
            }
            None => wait_patiently(inner),
        }
    }
    inner.threads.detach();
    inner.pool.detach();
    ShutdownReport {
        cancelled: (cancelled(inner) - before) as usize,
        running: TaskInfo::of_all(inner),
        threads: threads(inner),
        children: inner.children.all(),
    }
}

fn cancelled(inner: &Inner) -> u64 {
    inner.shared.cancelled() + inner.closures.cancelled()
}

/// Threads that have not ended, but for those that nobody waits for.
fn threads(inner: &Inner) -> usize {
    inner.threads.running() + inner.shared.guests() + inner.pool.counts().waited_for
}

/// Steps 5 and 6. `false` if `deadline` passes first.
fn wait(inner: &Inner, deadline: Option<Instant>) -> bool {
    // A task leaves the list before its output is dropped; the workers leave when that is empty.
    // Ends: without tasks a guest goes back to its main future. This thread may be one itself, with
    // nothing left to say so (`is_own_thread`), in the destructor of a thread-local.
    let no_guest = || inner.shared.other_guests() == 0;
    // A closure that was accepted before step 1 and finds the pool closed is cancelled by who
    // brought it. Ends: that thread is between two steps of `blocking::spawn`.
    let none_refused = || inner.closures.owned().is_empty();
    inner.threads.wait(deadline)
        && wait_until(no_guest, deadline)
        && inner.pool.wait(deadline)
        && wait_until(none_refused, deadline)
}

/// Waits for what another thread is about to do, which runs nothing before but destructors, hooks
/// and wakers. `false` if `deadline` passes first.
fn wait_until(condition: impl Fn() -> bool, deadline: Option<Instant>) -> bool {
    for round in 0_u32.. {
        if condition() {
            break;
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return false;
        }
        match round {
            0..100 => thread::yield_now(),
            _ => thread::sleep(LOOK_INTERVAL),
        }
    }
    true
}

/// [`wait`], for as long as it takes, and not in silence.
fn wait_patiently(inner: &Inner) {
    if wait(inner, Instant::now().checked_add(PATIENCE)) {
        return;
    }
    let running = TaskInfo::of_all(inner);
    for task in &running {
        super::report(format_args!("a runtime that ends waits for {task}"));
    }
    if running.is_empty() {
        let threads = threads(inner);
        super::report(format_args!(
            "a runtime that ends waits for {threads} of its threads: for a destructor, of a \
             thread-local or of what a task returned, for a waker, or for a hook such as \
             `on_thread_stop`"
        ));
    }
    wait(inner, None);
}
