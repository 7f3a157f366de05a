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
use crate::primitive::{Arc, contain_drop};

use super::Shared;

/// How often the monitor looks while tasks run.
const TICK: Duration = Duration::from_millis(5);

/// Looks at an idle runtime, each after twice the time, before the monitor goes to sleep: a
/// runtime that is idle for a moment should not pay for waking it.
const IDLE_LOOKS: u32 = 2;

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
}

impl Monitor {
    pub(crate) fn new() -> Self {
        Self {
            is_asleep: AtomicBool::new(false),
            is_ended: Mutex::new(false),
            changed: Condvar::new(),
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

    /// Sleeps until a worker is awake, unless `is_awake` finds one; `false` to end.
    pub(crate) fn sleep(&self, is_awake: impl Fn() -> bool) -> bool {
        let mut ended = self.is_ended.lock();
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
        // Ends: when a worker wakes, or the scheduler is drained.
        // ORDERING: Relaxed: written under the lock that is held between two looks.
        while !*ended && self.is_asleep.load(Ordering::Relaxed) {
            ended = self.changed.wait(ended);
        }
        !*ended
    }
}

/// What the monitor saw of one worker.
#[derive(Clone, Copy)]
struct Sight {
    polls: u64,
    /// A worker that slept in between, to fire a timer and sleep again, is in no poll.
    parks: u64,
    /// When these numbers were seen first.
    since: Instant,
    is_reported: bool,
}

/// The loop of the monitor's thread.
///
/// A poll that lasts for `blocked_after` is reported to `report`; `None` reports nothing.
pub(crate) fn run(shared: &Arc<Shared>, blocked_after: Option<Duration>, report: &BlockedHook) {
    let started = Instant::now();
    let unseen = Sight { polls: u64::MAX, parks: 0, since: started, is_reported: false };
    let mut sights = vec![unseen; shared.remotes.len()];
    let mut idle_looks = 0;
    // Ends: when the scheduler is drained.
    while shared.monitor.pause(TICK * 2_u32.pow(idle_looks)) {
        shared.rescue_driver();
        for (index, sight) in sights.iter_mut().enumerate() {
            look_at(shared, index, sight, blocked_after, report);
        }
        if shared.is_someone_awake() {
            idle_looks = 0;
        } else if idle_looks < IDLE_LOOKS {
            idle_looks += 1;
        } else if !shared.monitor_sleep() {
            break;
        } else {
            idle_looks = 0;
        }
    }
}

/// Looks at one worker, and helps those that wait behind its poll.
fn look_at(
    shared: &Shared,
    index: usize,
    sight: &mut Sight,
    blocked_after: Option<Duration>,
    report: &BlockedHook,
) {
    let remote = &shared.remotes[index];
    // ORDERING: Relaxed: a sample.
    let polls = remote.counters.polls.load(Ordering::Relaxed);
    let parks = remote.counters.parks.load(Ordering::Relaxed);
    if (polls, parks) != (sight.polls, sight.parks) || !remote.is_awake() {
        *sight = Sight { polls, parks, since: Instant::now(), is_reported: false };
        return;
    }
    // The same poll as a tick ago: of a task, or of a main future.
    shared.rescue_slot(index);
    let lasted = sight.since.elapsed();
    if blocked_after.is_some_and(|limit| lasted >= limit) && !sight.is_reported {
        // ORDERING: Relaxed: samples. The worker writes the id before it counts the poll, so the
        // id belongs to this poll or to the next; if the count has not moved, to this one.
        let running = remote.running.load(Ordering::Relaxed);
        if remote.counters.polls.load(Ordering::Relaxed) != polls {
            return;
        }
        sight.is_reported = true;
        if let Some(task) = shared.owned.find(running) {
            let poll = BlockedPoll { task: &task, worker: index, lasted };
            // Whatever the report does, the monitor goes on.
            contain_drop(|| report(&poll));
        }
    }
}

impl Shared {
    /// Moves the task in a worker's slot to where the others find it.
    pub(crate) fn rescue_slot(&self, index: usize) {
        // LIVENESS: no sleeper is woken for what is in a slot, since its worker runs it next. The
        // worker may be in its poll for ever, or on its way to the slot: one of the two takes it.
        // Model: models/monitor.rs `a_task_behind_a_long_poll_runs_elsewhere`.
        if seeded::is("monitor: it leaves the slot alone") {
            return;
        }
        if let Some(task) = self.remotes[index].slot.take() {
            self.push_inject(task);
        }
        if index >= self.workers && self.has_work() {
            // A guest that stands for a worker (S7) and does not work as one.
            self.notify_despite_guests();
        }
    }

    /// Turns the driver if it was left alone for a tick: whoever should is in a long poll.
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
        if !seeded::is("monitor: no fence before it looks back") {
            // LIVENESS (S9): a worker that wanted to sleep in the driver meanwhile sleeps beside
            // it, perhaps the last. It is woken, to take what is free now.
            // Model: models/monitor.rs `a_worker_that_found_the_monitor_in_the_driver_comes_back`.
            // ORDERING: SeqCst. Partner: the fence in `Worker::sleep`.
            fence(Ordering::SeqCst);
        }
        let is_awake = self.remotes[..self.workers].iter().any(|remote| remote.is_awake());
        if !is_awake && !seeded::is("monitor: no look back after its turn") {
            self.unpark(0);
        }
    }

    /// [`Monitor::sleep`] while all workers and guests do.
    pub(crate) fn monitor_sleep(&self) -> bool {
        self.monitor.sleep(|| self.is_someone_awake())
    }

    /// Whether a worker or guest is awake.
    fn is_someone_awake(&self) -> bool {
        self.remotes.iter().any(|remote| remote.is_awake())
    }
}
