//! The loop of a worker: next, run, search, park.

use std::cell::Cell;

use crate::lifecycle::Notified;
use crate::primitive::atomic::Ordering;
use crate::primitive::{Arc, deque, limits, seeded, thread};

use super::park::Slept;
use super::rng::Rng;
use super::{Core, Remote, Shared, bump, context};

/// One thread's share of the scheduler.
///
/// It lives on the thread's stack for as long as the thread runs tasks; wakes on the same thread
/// reach it through [`context`], always shared, so what changes is in cells.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    core: Core,
    /// Its shard of the owned list and of the timers. Reliefs use one of other threads'.
    shard: usize,
    rng: Rng,
    /// This worker is counted as searching (S2).
    searching: Cell<bool>,
    /// It turns the driver: what that wakes goes to the queue, and is told of at the end.
    turning: Cell<bool>,
    /// It ends with the task that it runs.
    leaving: Cell<bool>,
    /// Tasks in a row that came from the slot.
    slot_run: Cell<u32>,
    pace: Pace,
}

/// When a busy worker looks up: after so many polls, or sooner if the polls are slow.
struct Pace {
    /// Polls until the next look.
    countdown: Cell<u32>,
    /// Polls between looks, as the last stretch suggests.
    interval: Cell<u32>,
    /// The driver's time at the last look, in nanoseconds.
    looked_at: Cell<u64>,
    /// Looks in a row that found the same time.
    still: Cell<u32>,
}

/// User code runs under `catch_unwind`. A panic that gets past it is a bug of this crate, and the
/// tasks of a worker that is gone would wait for ever: better to end with a message.
pub(super) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// How long a busy worker may go without looking at the inject queue and the driver, the time
/// that fast polls are measured against.
const LOOK_EVERY_NS: u64 = 400_000;

/// Stretches of polls in a row that may take no time before the clock counts as standing still.
const STILL_MAX: u32 = 16;

impl Worker {
    /// Makes the calling thread's worker out of a core.
    pub(crate) fn new(shared: Arc<Shared>, core: Core) -> Self {
        let looked_at = shared.driver().now();
        Self {
            rng: Rng::new(core.index as u64),
            shard: core.index.min(shared.reliefs.first()),
            core,
            searching: Cell::new(false),
            turning: Cell::new(false),
            leaving: Cell::new(false),
            slot_run: Cell::new(0),
            pace: Pace {
                countdown: Cell::new(limits::LOOK_INTERVAL),
                interval: Cell::new(limits::LOOK_INTERVAL),
                looked_at: Cell::new(looked_at),
                still: Cell::new(0),
            },
            shared,
        }
    }

    /// Runs tasks until the scheduler is shut down and every task is complete.
    pub(crate) fn run(self) {
        self.run_tasks();
    }

    /// [`Worker::run`], and until it is retired if it is a relief.
    pub(super) fn run_tasks(&self) {
        let _entered = context::enter(self);
        let unwinding = AbortOnUnwind;
        self.runs_no_task();
        self.arrive();
        // Ends: once the owned list is closed and empty (S5), and for a relief that is retired
        // (S12).
        while !self.leaving.get() {
            if let Some(task) = self.next() {
                self.execute(task);
            } else if let Some(task) = self.search() {
                self.execute(task);
            } else {
                self.park();
            }
        }
        if self.is_relief() {
            self.leave();
        } else {
            self.remote().set_awake(false);
        }
        std::mem::forget(unwinding);
    }

    /// Says that this thread runs, and which it is.
    pub(super) fn arrive(&self) {
        // ORDERING: Relaxed: for the monitor, which asks the system only of who is awake.
        self.remote().thread.store(thread::number(), Ordering::Relaxed);
        self.wake_up();
    }

    /// Says that this thread runs (S8).
    pub(super) fn wake_up(&self) {
        self.remote().set_awake(true);
        if !seeded::is("monitor: a worker that wakes does not say so") {
            self.shared.monitor.note_awake();
        }
    }

    /// What is due on this thread: slot, local queue, then the inject queue.
    #[inline]
    pub(super) fn next(&self) -> Option<Notified> {
        let countdown = self.pace.countdown.get() - 1;
        self.pace.countdown.set(countdown);
        if countdown == 0 {
            if let Some(task) = self.look_up() {
                return Some(task);
            }
        }
        let slot = &self.remote().slot;
        if self.slot_run.get() < limits::LIFO_RUN_MAX {
            if let Some(task) = slot.take() {
                self.slot_run.set(self.slot_run.get() + 1);
                return Some(task);
            }
        } else if let Some(task) = slot.take() {
            // The slot had its run. Its task goes behind the others; nobody is woken for it,
            // since it was this worker's and still is.
            self.core.queue.push(task);
        }
        self.slot_run.set(0);
        self.core.queue.pop().or_else(|| self.pop_inject())
    }

    /// What a busy worker does from time to time: the inject queue first, and a turn of the
    /// driver. Answers with a task of the inject queue.
    #[cold]
    fn look_up(&self) -> Option<Notified> {
        let pace = &self.pace;
        let now = self.shared.driver().now();
        let elapsed_ns = now.saturating_sub(pace.looked_at.get());
        pace.looked_at.set(now);
        // As many polls as fit in the time allowed, going by the last stretch.
        let fitting = LOOK_EVERY_NS * u64::from(pace.interval.get()) / elapsed_ns.max(1);
        let interval = fitting.clamp(1, u64::from(limits::LOOK_INTERVAL)) as u32;
        pace.interval.set(interval);
        pace.countdown.set(interval);
        self.turn_if_due(now, self.note_stretch(elapsed_ns));
        if self.is_retired() {
            // It would not park while there is something to do.
            self.leaving.set(true);
        }
        if self.is_guest() {
            // What others made due is the workers' (S7).
            return None;
        }
        match self.shared.inject.steal() {
            deque::Steal::Success(task) => {
                // It comes before what is queued here, of which the first was not told of.
                self.tell_of_queue(0);
                Some(task)
            }
            deque::Steal::Empty | deque::Steal::Retry => None,
        }
    }

    /// Notes how long a stretch of polls took. Whether many in a row took no time at all: then the
    /// clock stands still, and tells nothing.
    fn note_stretch(&self, elapsed_ns: u64) -> bool {
        let still = if elapsed_ns == 0 { self.pace.still.get() + 1 } else { 0 };
        self.pace.still.set(still % STILL_MAX);
        still == STILL_MAX
    }

    /// Turns the driver without waiting, if nobody did for a while, or nobody knows.
    fn turn_if_due(&self, now: u64, has_no_clock: bool) {
        let driver = self.shared.driver();
        if self.is_guest() {
            // Not for guests to turn (S9): whoever set a timer told the one who sleeps in it.
            return;
        }
        let turned_at = &self.shared.turned_at;
        // ORDERING: Relaxed, here and below: too old a time costs one turn too many.
        let alone_ns = now.saturating_sub(turned_at.load(Ordering::Relaxed));
        if alone_ns < LOOK_EVERY_NS && !has_no_clock {
            return;
        }
        if let Some(mut turn) = driver.try_lock() {
            turned_at.store(now, Ordering::Relaxed);
            bump(&self.remote().counters.turns);
            self.turning.set(true);
            turn.turn(Some(std::time::Duration::ZERO));
            drop(turn);
            self.turning.set(false);
            self.tell_of_queue(0);
        }
    }

    /// Wakes another worker if the local queue holds more than `mine` tasks.
    fn tell_of_queue(&self, mine: usize) {
        if self.core.queue.len() > mine {
            self.shared.notify();
        }
    }

    /// Moves a batch of the inject queue to the local queue and answers with the first. Nothing
    /// for guests: what others made due is the workers' (S7).
    fn pop_inject(&self) -> Option<Notified> {
        let inject = &self.shared.inject;
        if inject.is_empty() || self.is_guest() {
            return None;
        }
        // Ends: `Retry` means that another thread took something.
        loop {
            let limit = limits::INJECT_BATCH_MAX;
            match inject.steal_batch_with_limit_and_pop(&self.core.queue, limit) {
                deque::Steal::Success(task) => {
                    let is_left = !self.core.queue.is_empty() && !self.searching.get();
                    if is_left && !seeded::is("worker: a batch is moved and nobody is told") {
                        // LIVENESS (S4): the searcher that the pushes of these relied on may have
                        // looked while they were on their way, and found neither queue to hold
                        // them. A searcher hands on by itself, in `execute`.
                        // Model: models/scheduler.rs `a_batch_on_its_way_is_not_overlooked`; of
                        // the same name in specs.
                        self.shared.notify_of_injected();
                    }
                    return Some(task);
                }
                deque::Steal::Empty => return None,
                deque::Steal::Retry => {}
            }
        }
    }

    /// Runs a task that this thread holds the right to.
    #[inline]
    pub(super) fn execute(&self, task: Notified) {
        if self.searching.replace(false) && self.shared.idle.stop_searching() {
            // Model: models/scheduler.rs `what_the_last_searcher_leaves_injected_is_the_workers`.
            if seeded::is("worker: the last searcher leaves to a guest what is injected") {
                self.shared.notify();
            } else {
                self.shared.notify_of_work();
            }
        }
        let remote = self.remote();
        // ORDERING: Relaxed: a sample for the monitor.
        remote.running.store(task.header().id().as_u64(), Ordering::Relaxed);
        bump(&remote.counters.polls);
        task.run();
    }

    /// Looks at the other queues, each once or as long as it is contended.
    fn search(&self) -> Option<Notified> {
        self.search_again();
        let remotes = self.shared.in_use();
        let start = self.rng.below(remotes.len());
        // Ends: it goes on only while some other thread takes something from a contended queue.
        loop {
            let mut contended = false;
            for offset in 0..remotes.len() {
                let index = (start + offset) % remotes.len();
                if index == self.core.index {
                    continue;
                }
                match remotes[index].stealer.steal_batch_and_pop(&self.core.queue) {
                    deque::Steal::Success(task) => {
                        bump(&self.remote().counters.steals);
                        return Some(task);
                    }
                    deque::Steal::Empty => {}
                    deque::Steal::Retry => contended = true,
                }
            }
            if let Some(task) = self.pop_inject() {
                return Some(task);
            }
            if !contended {
                return None;
            }
            crate::primitive::thread::spin_loop();
        }
    }

    /// Is counted as searching, if it is not yet.
    fn search_again(&self) {
        if !self.searching.replace(true) {
            self.shared.idle.start_searching();
        }
    }

    /// Sleeps until there may be something to do, unless there never will be.
    fn park(&self) {
        let shared = &*self.shared;
        if shared.is_drained() {
            self.stop_searching_for_good();
            shared.tell_if_drained();
            return self.leaving.set(true);
        }
        if self.is_retired() {
            return self.leaving.set(true);
        }
        shared.idle.announce(self.core.index, self.searching.replace(false));
        let found = !seeded::is("idle: no second look") && shared.has_work();
        let slept = if found || shared.is_drained() { Slept::Beside } else { self.sleep() };
        if shared.idle.retract(self.core.index) {
            if found && !seeded::is("idle: who finds work at the second look is no searcher") {
                // A searcher again: whoever pushed what it found may have counted on one (S4).
                self.search_again();
            } else {
                // Woken by I/O, by a timer, or not at all.
                self.tell_of_queue(1);
            }
        } else {
            // Somebody woke this worker to search, and counted it.
            self.searching.set(true);
            self.note_woken();
        }
        if slept == Slept::InDriver && shared.is_alert() {
            self.leave_driver_to_another();
        }
    }

    /// While the runtime is alert (S9): who comes from the driver with something to do may be in
    /// it for long.
    #[cold]
    fn leave_driver_to_another(&self) {
        let is_off = self.searching.get() || !self.core.queue.is_empty();
        if is_off && !seeded::is("worker: it leaves the driver alone in an alert") {
            self.shared.wake(self.shared.idle.next_sleeper());
        }
    }

    /// Sleeps in the driver or beside it.
    fn sleep(&self) -> Slept {
        let remote = self.remote();
        bump(&remote.counters.parks);
        remote.set_awake(false);
        // LIVENESS (S9): a worker that finds the driver taken sleeps beside it. It is in the list
        // of sleepers before it looks; whoever leaves the driver for good, as the monitor and a
        // relief do, wakes one of the list after that. The later of the two who lock the list
        // sees the other's step: the driver is free here, or this worker is found there.
        // Models: models/monitor.rs `a_worker_that_found_the_monitor_in_the_driver_comes_back`,
        // models/relief.rs `a_relief_that_leaves_the_driver_is_followed_by_a_sleeper`.
        self.turning.set(true);
        let slept = remote.parker.park(self.shared.driver());
        self.turning.set(false);
        self.wake_up();
        let now = self.shared.driver().now();
        if slept == Slept::InDriver {
            bump(&remote.counters.turns);
            // ORDERING: Relaxed, as in `turn_if_due`.
            self.shared.turned_at.store(now, Ordering::Relaxed);
        }
        self.pace.looked_at.set(now);
        slept
    }

    /// Sleeps as a guest: never in the driver (S9).
    pub(super) fn sleep_as_guest(&self) {
        let remote = self.remote();
        bump(&remote.counters.parks);
        remote.set_awake(false);
        if seeded::is("guest: it sleeps in the driver") {
            remote.parker.park(self.shared.driver());
        } else {
            remote.parker.park_on_condvar();
        }
        self.wake_up();
        self.pace.looked_at.set(self.shared.driver().now());
    }

    /// Counts a wake for which there is nothing left.
    fn note_woken(&self) {
        if self.core.queue.is_empty() && !self.shared.has_work() {
            bump(&self.remote().counters.noop_wakes);
        }
    }

    /// Is no searcher any more: nothing is queued, or the caller wakes another.
    pub(super) fn stop_searching_for_good(&self) {
        if self.searching.replace(false) {
            let _was_last = self.shared.idle.stop_searching();
        }
    }

    /// Queues a task that became due on this thread: next in line, before the local queue.
    #[inline]
    pub(super) fn schedule(&self, task: Notified) {
        if self.turning.get() {
            self.core.queue.push(task);
            return;
        }
        if let Some(before) = self.remote().slot.put(task) {
            self.core.queue.push(before);
            if !seeded::is("worker: what leaves the slot wakes nobody") {
                self.shared.notify();
            }
        }
    }

    /// Queues the task that ran just now behind the local queue.
    #[inline]
    pub(super) fn yield_now(&self, task: Notified) {
        let is_alone = self.core.queue.is_empty();
        self.core.queue.push(task);
        // No fence: this worker is awake and runs what is queued. If the push is overlooked,
        // the next yield tells again.
        if !is_alone {
            self.shared.notify_maybe();
        }
    }

    /// Moves all that is queued here to the inject queue: this thread stops running tasks.
    /// `true`: there was something, of which the others are to be told.
    pub(super) fn hand_over_queue(&self) -> bool {
        let mut has_moved = false;
        // Ends: nothing on this thread makes a task due meanwhile.
        while let Some(task) = self.remote().slot.take().or_else(|| self.core.queue.pop()) {
            self.shared.push_inject_quietly(task);
            has_moved = true;
        }
        has_moved
    }

    /// [`Worker::hand_over_queue`], and tells the others.
    pub(super) fn hand_on(&self) {
        if self.hand_over_queue() {
            self.shared.notify_of_injected();
        }
    }

    /// Gives the core back.
    pub(super) fn into_core(self) -> Core {
        self.core
    }

    pub(super) fn index(&self) -> usize {
        self.core.index
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn remote(&self) -> &Remote {
        &self.shared.remotes[self.core.index]
    }

    /// Whether this thread is in a task's poll, or in what follows it.
    pub(super) fn is_running(&self) -> bool {
        // ORDERING: Relaxed: this thread's own.
        self.remote().running.load(Ordering::Relaxed) != 0
    }

    /// What this thread does next is no task's poll.
    pub(super) fn runs_no_task(&self) {
        // ORDERING: Relaxed: a sample for the monitor.
        self.remote().running.store(0, Ordering::Relaxed);
    }

    /// The shard of the owned list and of the timers that it uses.
    pub(super) fn shard(&self) -> usize {
        self.shard
    }

    /// Whether it is in the driver, or in what a waker does there.
    pub(super) fn is_turning(&self) -> bool {
        self.turning.get()
    }

    pub(super) fn is_guest(&self) -> bool {
        (self.shared.workers..self.shared.reliefs.first()).contains(&self.core.index)
    }

    fn is_relief(&self) -> bool {
        self.core.index >= self.shared.reliefs.first()
    }

    /// Whether it is a relief that is to leave.
    fn is_retired(&self) -> bool {
        // ORDERING: Relaxed: it was set before the token that brought this thread here; or comes
        // with a token that will; or is seen at the next look of a busy relief.
        self.is_relief() && self.remote().is_retired.load(Ordering::Relaxed)
    }
}
