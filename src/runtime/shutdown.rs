//! The end of a runtime, in numbered steps.
//!
//! 1. `Owned::close` of the closures: none is accepted any more.
//! 2. `Shared::close`: no task binds any more, every task is aborted, the workers are woken.
//! 3. `Pool::close`: closures that have not started are cancelled, idle threads leave.
//! 4. `Driver::shutdown`: sources and timers wake who waits for them with an error.
//! 5. `Threads::wait`: the workers drop what was aborted, and leave when nothing is left.
//! 6. `Pool::wait`: closures that have started end by themselves.
//!
//! On a thread of the runtime itself steps 5 and 6 would wait for the caller, and are left out.

use std::fmt;
use std::time::{Duration, Instant};

use crate::primitive::Arc;

use super::context;
use super::handle::Inner;
use super::metrics::TaskInfo;

/// What a shutdown cancelled, and what would not stop.
#[derive(Clone, Debug)]
pub struct ShutdownReport {
    cancelled: usize,
    running: Vec<TaskInfo>,
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

    /// Whether nothing was left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.running.is_empty()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cancelled, {} still running", self.cancelled, self.running.len())?;
        self.running.iter().try_for_each(|task| write!(f, "\n  {task}"))
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
        let _workers_left = inner.threads.wait(deadline);
        let _closures_ended = inner.pool.wait(deadline);
    }
    let running = TaskInfo::of_all(inner);
    ShutdownReport { cancelled: (cancelled(inner) - before) as usize, running }
}

fn cancelled(inner: &Inner) -> u64 {
    inner.shared.cancelled() + inner.closures.cancelled()
}
