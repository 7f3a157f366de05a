//! The state of the specification: who is where, and who knows what.

use crate::memory::{Location, Memory, TASKS_MAX, THREADS_MAX};

/// Workers at most.
pub(crate) const WORKERS_MAX: usize = 5;

/// What a thread does next. Functions of the code that do so are in [the table](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Pc {
    /// Nothing that is of interest here.
    Gone,

    // A worker looks for work, finds it, and runs it, perhaps for ever.
    Next,
    Search,
    /// The second task of a batch is in its hands.
    Publish(u8),
    Stop,
    StopFence,
    StopLook,
    Run,

    // A worker finds nothing.
    AnnounceFence,
    Look,
    EnterDriver,
    InDriver,
    LeaveDriver,
    OnCondvar,
    Retract,
    SearchAgain,

    // Anybody tells of a task.
    Fence,
    Read,
    Unpark(u8),
    Ring,

    // A thread that is no worker.
    Push,

    // A guest.
    Main,
    StartGuest,
    GuestNext,
    GuestRun,
    StopGuest,
    StopGuestFence,
    StopGuestLook,

    // The monitor.
    Excuse,
    ExcuseFence,
    ExcuseLook,
    Turn,
    LeaveTurn,
    LookBack,

    // The end: `closing` is set, and those of a set are unparked.
    Close,
    Tell(u8),
}

/// `Parker::state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Parker {
    /// Neither asleep nor woken.
    Empty,
    /// A token; whether one who gave it knew that `closing` was set.
    Notified(bool),
    /// Asleep beside the driver, or about to be.
    OnCondvar,
    /// Asleep in the driver, or about to be.
    InDriver,
}

/// One thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Thread {
    /// What it does next.
    pub(crate) pc: Pc,
    /// What it does when it has told of a task.
    pub(crate) then: Pc,
    /// `Worker::searching`.
    pub(crate) searching: bool,
    /// It was woken to search, and searches.
    pub(crate) woken: bool,
    pub(crate) parker: Parker,
    /// What it is still to do: pushes, turns.
    pub(crate) left: u8,
    /// What it tells of is not for guests.
    pub(crate) despite_guests: bool,
}

impl Thread {
    /// A thread that begins there.
    pub(crate) fn new(pc: Pc, left: u8) -> Self {
        let parker = Parker::Empty;
        Self {
            pc,
            then: Pc::Gone,
            searching: false,
            woken: false,
            parker,
            left,
            despite_guests: false,
        }
    }
}

/// Whose queue a task is in.
pub(crate) const INJECT: u8 = u8::MAX;

/// The whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) threads: [Thread; THREADS_MAX],
    pub(crate) memory: Memory,
    /// `Idle::sleepers`, under its lock; the first so many count.
    pub(crate) sleepers: [u8; WORKERS_MAX],
    pub(crate) sleeping: u8,
    /// Who has the lock of the driver.
    pub(crate) driver: Option<u8>,
    /// `Driver::wake` was called since the poller returned last.
    pub(crate) rung: bool,
    /// Where each task was pushed.
    pub(crate) queues: [u8; TASKS_MAX],
    /// Tasks that were pushed so far.
    pub(crate) pushed: u8,
    /// Tasks of the owned list.
    pub(crate) owned: u8,
    /// Tasks that those that run may still spawn, and events that may still come.
    pub(crate) spawns: u8,
    pub(crate) events: u8,
}

impl State {
    /// The workers on the list.
    pub(crate) fn listed(&self) -> &[u8] {
        &self.sleepers[..usize::from(self.sleeping)]
    }

    /// Tasks in the inject queue, or in the local ones.
    pub(crate) fn queued(&self, is_injected: bool) -> bool {
        self.tasks().any(|task| {
            self.memory.latest(Location::Task(task)) == 1
                && (self.queues[task] == INJECT) == is_injected
        })
    }

    /// Tasks that were pushed.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = usize> + use<> {
        0..usize::from(self.pushed)
    }

    /// A read-modify-write of `searching`.
    pub(crate) fn add_searching(&mut self, index: usize, by: i8) {
        let before = self.memory.latest(Location::Searching);
        let after = before.checked_add_signed(by).expect("S2: a search ends that was not counted");
        self.memory.write(index, Location::Searching, after);
    }

    /// The thread is counted out; `true`: it was the last.
    pub(crate) fn stop_searching(&mut self, index: usize) -> bool {
        self.add_searching(index, -1);
        self.threads[index].searching = false;
        self.threads[index].woken = false;
        self.memory.latest(Location::Searching) == 0
    }

    /// A new task in this queue.
    pub(crate) fn push(&mut self, index: usize, queue: u8) {
        let task = usize::from(self.pushed);
        self.pushed += 1;
        self.queues[task] = queue;
        self.memory.write(index, Location::Task(task), 1);
    }

    /// `Idle::start_searching`.
    pub(crate) fn start_searching(&mut self, index: usize) {
        self.add_searching(index, 1);
        self.threads[index].searching = true;
    }

    /// Takes the token if there is one.
    pub(crate) fn take_token(&mut self, index: usize) -> bool {
        let Parker::Notified(knows) = self.threads[index].parker else { return false };
        self.threads[index].parker = Parker::Empty;
        if knows {
            self.memory.tell_of_closing(index);
        }
        true
    }

    /// Tasks in the thread's own queue.
    pub(crate) fn queued_at(&self, index: usize) -> usize {
        let own = |&task: &usize| usize::from(self.queues[task]) == index;
        let is_there = |&task: &usize| self.memory.latest(Location::Task(task)) == 1;
        self.tasks().filter(own).filter(is_there).count()
    }

    /// The worker lists itself, under the lock.
    pub(crate) fn list(&mut self, index: usize) {
        self.sleepers[usize::from(self.sleeping)] = index as u8;
        self.sleeping += 1;
        self.memory.write(index, Location::Sleeping, self.sleeping);
    }

    /// The worker takes itself off the list, under the lock; `false` if somebody did.
    pub(crate) fn unlist(&mut self, index: usize) -> bool {
        let Some(at) = self.listed().iter().position(|&listed| usize::from(listed) == index) else {
            return false;
        };
        self.sleepers.copy_within(at + 1.., at);
        self.sleepers[WORKERS_MAX - 1] = 0;
        self.sleeping -= 1;
        self.memory.write(index, Location::Sleeping, self.sleeping);
        true
    }

    /// `Idle::pop`, under the lock: the latest is counted as searching before it knows.
    pub(crate) fn pop(&mut self, index: usize) -> Option<u8> {
        let whom = *self.listed().last()?;
        self.sleeping -= 1;
        self.sleepers[usize::from(self.sleeping)] = 0;
        self.memory.write(index, Location::Sleeping, self.sleeping);
        self.add_searching(index, 1);
        self.threads[usize::from(whom)].woken = true;
        Some(whom)
    }

    /// The one form of all states that differ in who is who among `workers` workers and the
    /// `pushers` behind them, and in which task is which.
    pub(crate) fn normalise(&mut self, workers: usize, pushers: usize) {
        self.memory.normalise();
        let mut order: [usize; THREADS_MAX] = std::array::from_fn(|index| index);
        order[..workers].sort_by_key(|&index| self.key_of(index));
        order[workers..workers + pushers].sort_by_key(|&index| self.key_of(index));
        if order.is_sorted() {
            return self.sort_tasks();
        }
        let mut new_of = [0; THREADS_MAX];
        for (new, &old) in order.iter().enumerate() {
            new_of[old] = new as u8;
        }
        let renamed = |index: u8| new_of.get(usize::from(index)).copied().unwrap_or(index);
        let before = self.threads;
        for (new, &old) in order.iter().enumerate() {
            self.threads[new] = before[old];
        }
        self.memory.permute_threads(&order);
        for thread in &mut self.threads {
            match &mut thread.pc {
                Pc::Unpark(index) => *index = renamed(*index),
                Pc::Tell(whom) => {
                    let before = *whom;
                    let bits = (0..workers).filter(|&old| before & 1 << old != 0);
                    *whom = bits.fold(0, |bits, old| bits | 1 << new_of[old]);
                }
                _ => {}
            }
        }
        let listed = usize::from(self.sleeping);
        self.sleepers[..listed].iter_mut().for_each(|index| *index = renamed(*index));
        self.driver = self.driver.map(renamed);
        let pushed = usize::from(self.pushed);
        self.queues[..pushed].iter_mut().for_each(|index| *index = renamed(*index));
        self.sort_tasks();
    }

    /// What tells a thread from another, as far as it does not name others.
    fn key_of(&self, index: usize) -> impl Ord + use<> {
        let place = self.listed().iter().position(|&listed| usize::from(listed) == index);
        let has_driver = self.driver == Some(index as u8);
        let is_target = self.threads.iter().any(|thread| thread.pc == Pc::Unpark(index as u8));
        (self.threads[index], place, has_driver, is_target, self.memory.view(index))
    }

    fn sort_tasks(&mut self) {
        let pushed = usize::from(self.pushed);
        let mut order: [usize; TASKS_MAX] = std::array::from_fn(|index| index);
        order[..pushed].sort_by_key(|&task| (self.queues[task], self.memory.column(task)));
        if order.is_sorted() || self.threads.iter().any(|t| matches!(t.pc, Pc::Publish(_))) {
            return;
        }
        let before = self.queues;
        for (new, &old) in order.iter().enumerate() {
            self.queues[new] = before[old];
        }
        self.memory.permute_tasks(&order);
    }
}
