//! What a runtime did, and what it has to do.

use std::panic::Location;

use crate::blocking;
use crate::lifecycle::owned::Owned;
use crate::lifecycle::raw::TaskRef;
use crate::lifecycle::{Id, TaskState};
use crate::primitive::PlainCounter;
use crate::primitive::atomic::Ordering;
use crate::scheduler::Counters;

use super::handle::Inner;

/// A snapshot of a runtime's counters; they are read one by one, while it runs.
///
/// Totals count from the runtime's start. Made by [`Handle::metrics`](super::Handle::metrics).
///
/// # Examples
///
/// ```
/// let runtime = tenter::Runtime::builder().worker_threads(2).build()?;
/// runtime.spawn(std::future::pending::<()>()).detach();
/// let metrics = runtime.handle().metrics();
/// assert_eq!(metrics.workers(), 2);
/// assert_eq!(metrics.live_tasks(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RuntimeMetrics {
    workers: usize,
    live_tasks: usize,
    queued_tasks: usize,
    injected: u64,
    relief_workers: usize,
    blocked_polls: u64,
    sums: Sums,
    blocking: blocking::Counts,
}

/// Sums over workers and guests.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    polls: u64,
    steals: u64,
    parks: u64,
    wakes: u64,
    noop_wakes: u64,
    turns: u64,
}

impl RuntimeMetrics {
    pub(super) fn of(inner: &Inner) -> Self {
        let shared = &inner.shared;
        Self {
            workers: shared.workers(),
            live_tasks: shared.owned().len(),
            queued_tasks: shared.queued(),
            injected: shared.injected(),
            relief_workers: shared.reliefs(),
            blocked_polls: shared.blocked_polls(),
            sums: shared.counters().fold(Sums::default(), Sums::add),
            blocking: inner.pool.counts(),
        }
    }

    /// Threads that run tasks, those in `block_on` not counted.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Threads that run tasks in the place of workers whose task blocks the thread.
    ///
    /// They are started when too few workers are left, and leave when they were not needed for a
    /// second or two.
    #[must_use]
    pub fn relief_workers(&self) -> usize {
        self.relief_workers
    }

    /// Polls that were found to take
    /// [`Builder::blocked_after`](super::Builder::blocked_after) or longer.
    #[must_use]
    pub fn blocked_polls(&self) -> u64 {
        self.blocked_polls
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn live_tasks(&self) -> usize {
        self.live_tasks
    }

    /// Tasks in queues, about to be polled.
    #[must_use]
    pub fn queued_tasks(&self) -> usize {
        self.queued_tasks
    }

    /// Tasks that became due on a thread that was no worker.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.injected
    }

    /// Polls of tasks.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.sums.polls
    }

    /// Times a worker took tasks from another's queue.
    #[must_use]
    pub fn steals(&self) -> u64 {
        self.sums.steals
    }

    /// Times a worker slept.
    #[must_use]
    pub fn parks(&self) -> u64 {
        self.sums.parks
    }

    /// Times a worker woke another to look for work.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.sums.wakes
    }

    /// Times a worker was woken to look for work and found none.
    #[must_use]
    pub fn noop_wakes(&self) -> u64 {
        self.sums.noop_wakes
    }

    /// Turns of the I/O and timer driver.
    #[must_use]
    pub fn driver_turns(&self) -> u64 {
        self.sums.turns
    }

    /// Threads of the blocking pool.
    #[must_use]
    pub fn blocking_threads(&self) -> usize {
        self.blocking.threads
    }

    /// Threads of the blocking pool that wait for work.
    #[must_use]
    pub fn blocking_idle_threads(&self) -> usize {
        self.blocking.idle
    }

    /// Closures that wait for a thread of the blocking pool.
    #[must_use]
    pub fn blocking_queued(&self) -> usize {
        self.blocking.queued
    }
}

impl Sums {
    fn add(self, counters: &Counters) -> Self {
        // ORDERING: Relaxed: each is a plain counter.
        let read = |counter: &PlainCounter| counter.load(Ordering::Relaxed);
        Self {
            polls: self.polls + read(&counters.polls),
            steals: self.steals + read(&counters.steals),
            parks: self.parks + read(&counters.parks),
            wakes: self.wakes + read(&counters.wakes),
            noop_wakes: self.noop_wakes + read(&counters.noop_wakes),
            turns: self.turns + read(&counters.turns),
        }
    }
}

/// A task, or a closure of the blocking pool, that has not ended.
///
/// # Examples
///
/// ```
/// use tenter::Handle;
/// use tenter::task::Builder;
///
/// # tenter::run(async {
/// let sleeper = Builder::new().name("sleeper").spawn(std::future::pending::<()>());
/// let tasks = Handle::current().tasks();
/// let info = tasks.iter().find(|task| task.name() == Some("sleeper")).unwrap();
/// assert_eq!(info.id(), sleeper.id());
/// assert!(!info.is_blocking());
/// // Its id, its name, where it was spawned, and what it was doing.
/// println!("{info}");
/// # sleeper.cancel().await;
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct TaskInfo {
    id: Id,
    name: Option<String>,
    location: &'static Location<'static>,
    state: TaskState,
    is_blocking: bool,
}

impl TaskInfo {
    pub(super) fn of_all(inner: &Inner) -> Vec<Self> {
        let mut all = Vec::new();
        let mut add = |owned: &Owned, is_blocking| {
            owned.for_each(|task| all.push(Self::of(&task, is_blocking)));
        };
        add(inner.shared.owned(), false);
        add(inner.closures.owned(), true);
        all
    }

    fn of(task: &TaskRef, is_blocking: bool) -> Self {
        let header = task.header();
        Self {
            id: header.id(),
            name: header.place().name().map(str::to_owned),
            location: header.place().location(),
            state: TaskState::of(header),
            is_blocking,
        }
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// The task's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the task was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// What it was doing when it was looked at.
    #[must_use]
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// Whether it is a closure of the blocking pool.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        self.is_blocking
    }
}

impl std::fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_blocking { "closure" } else { "task" };
        write!(f, "{kind} {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " '{name}'")?;
        }
        write!(f, ", spawned at {}, {:?}", self.location, self.state)
    }
}
