//! The end of a scheduler: close, then drain.
//!
//! 1. [`Shared::close`], on the thread that shuts down: the owned list is closed, so that no
//!    task binds any more; every task in it is aborted; then `closing` is set and every worker
//!    woken.
//! 2. Workers run what is due as ever: an aborted task's future is dropped where it would have
//!    been polled.
//! 3. [`Shared::tell_if_drained`], by whoever ran the last task: the sleepers are woken to see
//!    that the list is closed and empty, and leave, and the monitor with them.
//! 4. Dropping [`Shared`], by the last who holds it: waits for visitors (S6).

use crate::lifecycle::Notified;
use crate::primitive::atomic::Ordering;
use crate::primitive::{seeded, thread};

use super::Shared;

impl Shared {
    /// Step 1. Later calls find nothing left to do.
    pub(crate) fn close(&self) {
        let is_late = seeded::is("shutdown: tasks are aborted before none binds any more");
        if is_late {
            self.owned.abort_all();
        }
        self.owned.close();
        if !is_late {
            self.owned.abort_all();
        }
        if seeded::is("shutdown: the sleepers are woken before there is something to see") {
            self.unpark_all();
            return self.closing.store(true, Ordering::Release);
        }
        // ORDERING: Release. Pairs with Acquire in `is_drained`: who sees it set sees the list
        // closed, and can take its emptiness as final.
        self.closing.store(true, Ordering::Release);
        if !seeded::is("shutdown: the sleepers are not woken") {
            self.unpark_all();
        }
    }

    /// Whether the owned list is closed and empty: no task will ever be due again (S5).
    pub(super) fn is_drained(&self) -> bool {
        // ORDERING: Acquire. Pairs with Release in `Shared::close`: who sees it set sees the
        // list closed.
        self.closing.load(Ordering::Acquire) && self.owned.is_empty()
    }

    /// Step 3. After every task that ran while the scheduler closes.
    #[inline]
    pub(super) fn tell_if_drained(&self) {
        // LIVENESS (S5): a worker that sleeps while tasks are left is woken here by the thread
        // that ran the last of them. If that thread did not see `closing` yet, the wakes of
        // step 1 are still to come, and every worker looks again.
        // Model: models/scheduler.rs `a_guest_that_runs_the_last_task_lets_the_workers_go`.
        if self.is_drained() {
            self.monitor.end();
            if seeded::is("shutdown: who runs the last task tells nobody") {
                return;
            }
            self.unpark_all();
        }
    }

    fn unpark_all(&self) {
        for index in 0..self.remotes.len() {
            self.unpark(index);
        }
    }

    /// [`Schedule::schedule`](crate::lifecycle::Schedule::schedule) on a thread that is no worker.
    pub(super) fn schedule_as_visitor(&self, task: Notified) {
        // S6: the task is not complete, so `self` is live here. Once it is pushed it can run,
        // end, and let the last worker go: the count keeps `self` until the push is over.
        // ORDERING: Relaxed. The push, which comes after it, is what makes the task's end, and
        // so the drop of `self`, happen after it.
        self.visitors.fetch_add(1, Ordering::Relaxed);
        self.push_inject(task);
        // ORDERING: Release. Pairs with Acquire in `Shared::drop`: all that this thread did to
        // `self` comes before it is freed.
        self.visitors.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        debug_assert!(self.inject.is_empty(), "S5: a task is queued and no worker is left");
        // LIVENESS: a visitor is between two instructions of `schedule_as_visitor`; it sleeps
        // nowhere in there, so this ends. Model: models/scheduler.rs
        // `a_scheduler_outlives_a_foreign_wake`.
        // ORDERING: Acquire. Pairs with Release in `schedule_as_visitor`.
        while !seeded::is("shutdown: visitors are not waited for")
            && self.visitors.load(Ordering::Acquire) != 0
        {
            thread::yield_now();
        }
    }
}
