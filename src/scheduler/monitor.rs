//! The monitor: a thread that sees to it that one task's long poll does not hold up others.
//!
//! A worker looks after its own slot, its share of timers and the driver between two polls. When
//! a poll takes long nobody does, though others may be asleep. The monitor looks at every worker
//! from time to time, and at one that is still in the same poll:
//!
//! - it moves the task in the worker's LIFO slot to the inject queue;
//! - it turns the driver, if nobody has and nobody sleeps in it;
//! - it reports the poll, once, when it has lasted for as long as the runtime was told to bear.
//!
//! Go's sysmon is the model. All that the hot path pays is two relaxed stores a poll. The monitor
//! sleeps when all others do.

use std::time::{Duration, Instant};

use crate::lifecycle::raw::TaskRef;
use crate::primitive::atomic::{AtomicBool, Ordering, fence};
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::seeded;
use crate::primitive::{Arc, PlainCounter, contain_drop, deque};

use super::watch::Watch;
use super::{Shared, bump};

/// How often the monitor looks while tasks run.
pub(super) const TICK: Duration = Duration::from_millis(3);

/// How soon it looks again at a thread that may be stuck.
const TICK_IN_DOUBT: Duration = Duration::from_millis(1);

/// Looks at an idle runtime before the monitor goes to sleep: a runtime that is idle for a moment
/// should not pay for waking it.
const IDLE_LOOKS: u32 = 10;

/// Tasks that one look moves from the queue of a thread that is stuck.
const RESCUED_MAX: usize = 256;

/// Tells of a poll that takes long. Called on the monitor's thread.
pub(crate) type BlockedHook = std::sync::Arc<dyn Fn(&BlockedPoll<'_>) + Send + Sync>;

/// A poll that has lasted for as long as the runtime was told to bear, and goes on.
pub(crate) struct BlockedPoll<'a> {
    /// The task.
    pub(crate) task: &'a TaskRef,
    /// The worker, by its number; guests count on from the workers.
    pub(crate) worker: usize,
    /// How long the poll has lasted at least.
    pub(crate) lasted: Duration,
}

/// What the monitor's thread and the others have in common.
pub(crate) struct Monitor {
    /// The monitor's thread sleeps until a worker wakes.
    is_asleep: AtomicBool,
    /// The scheduler is drained: nothing is left to look after.
    is_ended: Mutex<bool>,
    changed: Condvar,
    /// Polls that were reported.
    blocked_polls: PlainCounter,
}

impl Monitor {
    pub(crate) fn new() -> Self {
        Self {
            is_asleep: AtomicBool::new(false),
            is_ended: Mutex::new(false),
            changed: Condvar::new(),
            blocked_polls: PlainCounter::new(0),
        }
    }

    /// A worker is awake, and has said so where the monitor looks.
    #[inline]
    pub(crate) fn note_awake(&self) {
        if !seeded::is("monitor: no fence when a worker wakes") {
            // LIVENESS (S8): waking is say so, fence, look whether the monitor sleeps; the
            // monitor is say so, fence, look whether all sleep. The later fence sees the other's
            // store. Model: models/monitor.rs `the_monitor_does_not_sleep_while_a_worker_runs`.
            // ORDERING: SeqCst. Partner: the fence in `Monitor::sleep`.
            fence(Ordering::SeqCst);
        }
        // ORDERING: Relaxed: ordered by the fence.
        if self.is_asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // LIVENESS (S8): under the lock, so that the monitor sees the store before it waits, or
        // waits already. Model: models/monitor.rs `the_monitor_does_not_sleep_while_a_worker_runs`.
        let ended =
            (!seeded::is("monitor: it is woken without the lock")).then(|| self.is_ended.lock());
        // ORDERING: Relaxed, under the lock.
        self.is_asleep.store(false, Ordering::Relaxed);
        drop(ended);
        self.changed.notify_one();
    }

    /// Ends the monitor's thread.
    pub(crate) fn end(&self) {
        // LIVENESS: under the lock, as in `wake`.
        // Model: models/monitor.rs `the_monitor_that_sleeps_is_told_of_the_end`.
        *self.is_ended.lock() = true;
        if !seeded::is("monitor: who ends it tells nobody") {
            self.changed.notify_one();
        }
    }

    /// Waits for `time`; `false` if the monitor is to end.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut ended = self.is_ended.lock();
        // Ends: at `until`.
        while !*ended {
            let (guard, timed_out) = self.changed.wait_until(ended, until);
            ended = guard;
            if timed_out {
                break;
            }
        }
        !*ended
    }

    /// Sleeps until a worker is awake, unless `is_awake` finds one, or until `deadline`, if that
    /// says one; `false` to end.
    pub(crate) fn sleep(
        &self,
        is_awake: impl Fn() -> bool,
        deadline: impl Fn() -> Option<Instant>,
    ) -> bool {
        let mut ended = self.is_ended.lock();
        let early = seeded::is("monitor: it looks for reliefs before it says that it sleeps")
            .then(&deadline);
        // ORDERING: Relaxed: the fence orders it before the look.
        self.is_asleep.store(true, Ordering::Relaxed);
        if !seeded::is("monitor: no fence before it looks who is awake") {
            // LIVENESS (S8): the other half of `note_awake`.
            // Model: models/monitor.rs `the_monitor_does_not_sleep_while_a_worker_runs`.
            // ORDERING: SeqCst. Partner: the fence there.
            fence(Ordering::SeqCst);
        }
        if !seeded::is("monitor: it sleeps without a look who is awake") && is_awake() {
            // ORDERING: Relaxed: if a worker reads it too early it wakes a monitor that is awake.
            self.is_asleep.store(false, Ordering::Relaxed);
        }
        // LIVENESS (S13): behind the fence too: a relief that starts wakes up as others do, after
        // it was counted. It is seen here, or it sees that the monitor sleeps.
        // Model: models/monitor.rs `the_monitor_does_not_sleep_for_good_while_a_relief_is_there`.
        let deadline = early.unwrap_or_else(deadline);
        // Ends: when a worker wakes, at the deadline, or when the scheduler is drained.
        // ORDERING: Relaxed, here and below: written under the lock that is held between looks.
        while !*ended && self.is_asleep.load(Ordering::Relaxed) {
            let Some(deadline) = deadline else {
                ended = self.changed.wait(ended);
                continue;
            };
            let (guard, timed_out) = self.changed.wait_until(ended, deadline);
            ended = guard;
            if timed_out {
                self.is_asleep.store(false, Ordering::Relaxed);
            }
        }
        !*ended
    }
}

/// The loop of the monitor's thread.
///
/// A poll that lasts for `blocked_after` is reported to `report`; `None` reports nothing.
pub(crate) fn run(shared: &Arc<Shared>, blocked_after: Option<Duration>, report: &BlockedHook) {
    let mut watch = Watch::new(shared);
    let mut pause = TICK;
    let mut idle_looks = 0;
    // Ends: when the scheduler is drained.
    while shared.monitor.pause(pause) {
        shared.rescue_driver();
        let look = watch.look(shared);
        watch.relieve(shared, &look);
        if let Some(limit) = blocked_after {
            // Whatever a report does, the monitor goes on.
            watch.report(shared, limit, |poll| contain_drop(|| shared.report(poll, report)));
        }
        pause = if look.is_doubtful { TICK_IN_DOUBT } else { TICK };
        if shared.is_someone_awake() {
            idle_looks = 0;
        } else if idle_looks < IDLE_LOOKS {
            idle_looks += 1;
        } else if !shared.monitor_sleep(watch.retires_at()) {
            break;
        } else {
            idle_looks = 0;
        }
    }
}

impl Shared {
    /// Moves what is queued behind a poll that takes long to where the others find it.
    pub(crate) fn rescue(&self, index: usize) {
        let remote = &self.remotes[index];
        // LIVENESS: no sleeper is woken for what is in a slot, since its worker runs it next. The
        // worker may be in its poll for ever, or on its way to the slot: one of the two takes it.
        // Model: models/monitor.rs `a_task_behind_a_long_poll_runs_elsewhere`.
        if !seeded::is("monitor: it leaves the slot alone") {
            if let Some(task) = remote.slot.take() {
                self.push_inject_quietly(task);
            }
        }
        // Nor for all that is in the queue; and who never runs out of work of his own looks into
        // the inject queue alone. Ends: with the queue, or at the limit.
        for _ in 0..RESCUED_MAX {
            match remote.stealer.steal() {
                deque::Steal::Success(task) => self.push_inject_quietly(task),
                deque::Steal::Empty => break,
                deque::Steal::Retry => {}
            }
        }
        self.notify_of_work();
    }

    /// Turns the driver if it was left alone for a tick: whoever should is in a long poll.
    ///
    /// While the clock stands still no poll is long, and nobody is relieved either.
    fn rescue_driver(&self) {
        let now = self.driver.now();
        // ORDERING: Relaxed: an old value costs a turn too many.
        let alone_ns = now.saturating_sub(self.turned_at.load(Ordering::Relaxed));
        if u128::from(alone_ns) >= TICK.as_nanos() {
            self.turn_for_others(now);
        }
    }

    /// Turns the driver without waiting, unless somebody has it.
    pub(crate) fn turn_for_others(&self, now: u64) {
        let Some(mut turn) = self.driver.try_lock() else { return };
        // ORDERING: Relaxed, as in `rescue_driver`.
        self.turned_at.store(now, Ordering::Relaxed);
        if !seeded::is("monitor: it does not turn the driver") {
            turn.turn(Some(Duration::ZERO));
        }
        drop(turn);
        if !seeded::is("monitor: no look back after its turn") {
            // LIVENESS (S9): a worker that wanted to sleep in the driver meanwhile sleeps beside
            // it, perhaps the last that is not stuck; or the one that left it is. Who sleeps is
            // woken, to take what is free now. See `Worker::sleep`.
            // Model: models/monitor.rs `a_worker_that_found_the_monitor_in_the_driver_comes_back`.
            self.wake(self.idle.sleeper_to_wake());
        }
    }

    /// [`Monitor::sleep`] while all workers, guests and reliefs do; not beyond `retires_at` if
    /// there are reliefs (S13).
    pub(crate) fn monitor_sleep(&self, retires_at: Instant) -> bool {
        let deadline = || (self.reliefs.present() > 0).then_some(retires_at);
        self.monitor.sleep(|| self.is_someone_awake(), deadline)
    }

    /// Whether a worker, a guest or a relief is awake.
    fn is_someone_awake(&self) -> bool {
        self.in_use().iter().any(|remote| remote.is_awake())
    }

    /// Reports a blocked poll, and counts it.
    fn report(&self, poll: &BlockedPoll<'_>, report: &BlockedHook) {
        bump(&self.monitor.blocked_polls);
        report(poll);
    }

    /// Polls that were found to have lasted for as long as the runtime was told to bear.
    pub(crate) fn blocked_polls(&self) -> u64 {
        // ORDERING: Relaxed, a plain counter.
        self.monitor.blocked_polls.load(Ordering::Relaxed)
    }
}
