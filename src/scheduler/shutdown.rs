//! The end of a scheduler: close, then drain.
//!
//! ```text
//!    who shuts down: Shared::close              a worker, in Worker::park
//! g1 Owned::close: no task binds any more    h1 is_drained: closing is set, then the list is
//! g2 Owned::abort_all: every task that is       empty: it does g5, and leaves
//!    in the list becomes due                 h2 Idle::announce
//! g3 closing = true                          h3 is_drained once more: if so, to h1
//! g4 every thread is unparked                h4 Parker::park; then it works, and comes to h1
//!
//!    who runs a task, after it              who holds the last share of Shared
//! g5 tell_if_drained: if it is, every       h5 Drop: waits until no visitor is left (S6)
//!    thread is unparked, the monitor ends
//! ```
//!
//! An aborted task is run as any other: its future is dropped where it would have been polled
//! (T7).
//!
//! # Nothing is left, and everybody leaves
//!
//! *Every task ends.* A shard of the list is closed under the lock that `Owned::bind` takes: a task
//! is in the list before g1 comes to the shard, and so in g2's; or it is refused, and ends at once.
//! If g2 were before g1, a task that binds between the two would be missed.
//! Who sees `closing` sees the list closed (g1, g3, by the shards' locks): that it is empty is then
//! final, and is only read behind it. So no worker leaves while a task is left (S5).
//!
//! *Every worker leaves.* Let W sleep in h4 for good. g4 gave it a token, which it has taken, and
//! with it what g3 wrote: it has been to h3 since, saw `closing`, and found a shard that was not
//! empty. Who released the last task of that shard did so after that look, by the lock of the
//! shard, and so sees `closing` when it looks next: it finds the whole list empty and unparks W; or
//! another shard that is not, of which the same holds, and there are finitely many. It does look: a
//! guest after each task, in g5; a worker in h1, before it sleeps; a relief too, or it leaves and
//! wakes a sleeper, who does, unless somebody searches, who does (S12).
//!
//! *Nobody uses what is freed.* A worker holds a share of [`Shared`] until it leaves. A waker on
//! another thread holds none: it is a visitor from before its push until it has touched [`Shared`]
//! for the last time. Its task does not end before the push, nor does the last worker leave before
//! the task ends: whoever drops [`Shared`] reads the count as it was raised, or as it is lowered
//! again.
//!
//! Models: models/shutdown.rs `a_worker_that_falls_asleep_as_the_scheduler_closes_leaves`,
//! models/scheduler.rs `a_task_spawned_as_the_scheduler_closes_ends_one_way_or_another`,
//! `a_guest_that_runs_the_last_task_lets_the_workers_go`, `a_scheduler_outlives_a_foreign_wake`.
//!
//! # Refused
//!
//! - **Dropping all futures on the thread that shuts down**: it would have to take them away from
//!   who runs them. And what they wake as they are dropped goes to queues that nobody looks at.
//! - **A count of the tasks that are left**, as one word: every spawn and every end would write to
//!   it. The list is there, in shards, and is looked at by who has nothing else to do.
//! - **A count in each waker for the scheduler**: two read-modify-writes on one word for each task.
//!   Visitors count only while they push, and workers never.

use crate::lifecycle::Notified;
use crate::primitive::atomic::Ordering;
use crate::primitive::{seeded, thread};

use super::Shared;

impl Shared {
    /// g1 to g4. Later calls find nothing left to do.
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
            return self.closing.store(true, Ordering::Relaxed);
        }
        // ORDERING: Relaxed, as in `is_drained`: the locks of the list order.
        self.closing.store(true, Ordering::Relaxed);
        if !seeded::is("shutdown: the sleepers are not woken") {
            self.unpark_all();
        }
    }

    /// Whether the owned list is closed and empty: no task will ever be due again (S5).
    pub(super) fn is_drained(&self) -> bool {
        // ORDERING: Relaxed. Who sees it set finds each shard of the list closed: it takes the
        // shard's lock behind this load, and `Shared::close` took it before its store. Had that
        // been later, by the order of the lock the store would have come after the load that
        // reads it.
        self.closing.load(Ordering::Relaxed) && self.owned.is_empty()
    }

    /// g5.
    #[inline]
    pub(super) fn tell_if_drained(&self) {
        // LIVENESS (S5): a worker that sleeps while tasks are left is woken here by the thread
        // that ran the last of them. If that thread did not see `closing` yet, the wakes of
        // g4 are still to come, and every worker looks again.
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
