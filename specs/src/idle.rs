//! The protocol of sleep as a state machine.

use stateright::{Model, Property};

use crate::memory::{Location, Memory, TASKS_MAX, THREADS_MAX};
use crate::state::{Parker, Pc, State, Thread, WORKERS_MAX};

/// Steps that can be left out, by their names as seeded bugs of the shipped code.
pub const BUGS: [&str; 21] = [
    "idle: no fence after a push",
    "idle: no fence after announcing sleep",
    "idle: no second look",
    "idle: no look at the searchers under the lock",
    "idle: the last searcher does not hand on",
    "idle: no fence after the last search",
    "idle: who finds work at the second look is no searcher",
    "idle: who stops searching releases nothing",
    "worker: a batch is moved and nobody is told",
    "worker: the last searcher leaves to a guest what is injected",
    "idle: no fence after a guest stops",
    "guest: what it leaves is not handed on",
    "idle: a guest that is stuck stands for a worker",
    "idle: no fence after a guest is excused",
    "scheduler: a guest stands for a worker for what is injected",
    "park: the sleeper in the driver is not woken",
    "park: a second token takes the first away",
    "monitor: no look back after its turn",
    "shutdown: the sleepers are not woken",
    "shutdown: the sleepers are woken before there is something to see",
    "shutdown: who runs the last task tells nobody",
];

/// What is checked: so many of everything, and what is left out.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Workers.
    pub workers: u8,
    /// Threads that are no workers.
    pub pushers: u8,
    /// Tasks that each of them pushes.
    pub pushes: u8,
    /// Tasks that tasks spawn.
    pub spawns: u8,
    /// Events, each of which makes a task due for who is in the driver.
    pub events: u8,
    /// Tasks that the main future of a guest makes due; no guest for 0.
    pub guest_tasks: u8,
    /// Whether the monitor finds the guest stuck.
    pub excuses: bool,
    /// Turns of the driver by the monitor.
    pub turns: u8,
    /// Whether the scheduler is closed at some time.
    pub closes: bool,
    /// Whether who takes of another's queue takes two tasks if there are.
    pub batches: bool,
    /// Whether memory is weaker than sequentially consistent.
    pub is_relaxed: bool,
    /// One of [`BUGS`], or nothing.
    pub bug: &'static str,
}

/// What one thread does in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Action {
    /// The thread's place in [`State::threads`], before the states' normal form.
    pub(crate) thread: usize,
    /// Where it was.
    pub(crate) at: Pc,
    /// What it found there.
    pub(crate) found: Found,
}

/// What can come out differently.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Found {
    /// One way to go.
    Step,
    /// This task, and perhaps another for the same batch.
    Task(usize, Option<usize>),
    /// What was asked is not so.
    No,
    /// What was asked is so.
    Yes,
    /// A sleeper would be woken, but for somebody who searches.
    Searched,
    /// There is something in the inject queue.
    Injected,
    /// Every task has ended, and no other will come.
    Drained,
    /// The task spawns another.
    Spawn,
    /// The poller has an event.
    Event,
    /// This worker is next.
    Worker(u8),
}

impl Idle {
    /// This many workers, and pushers with one task each, and nothing else.
    pub fn new(workers: u8, pushers: u8) -> Self {
        Self {
            workers,
            pushers,
            pushes: 1,
            spawns: 0,
            events: 0,
            guest_tasks: 0,
            excuses: false,
            turns: 0,
            closes: false,
            batches: false,
            is_relaxed: true,
            bug: "",
        }
    }

    /// Whether there is room for it, and it means something.
    #[must_use]
    pub fn fits(&self) -> bool {
        let others = [self.guest_tasks > 0, self.excuses, self.turns > 0, self.closes];
        let others = others.into_iter().filter(|is_there| *is_there).count();
        let threads = usize::from(self.workers) + usize::from(self.pushers) + others;
        let pushed = usize::from(self.pushers) * usize::from(self.pushes);
        let made = [self.spawns, self.events, self.guest_tasks].map(usize::from);
        let tasks = pushed + made.iter().sum::<usize>();
        // The end aborts what is bound: nothing is left that an event could make due.
        let is_end_clear = !self.closes || (self.events == 0 && self.guest_tasks == 0);
        (1..=WORKERS_MAX).contains(&usize::from(self.workers))
            && (self.pushers == 0 || self.pushes > 0)
            && (1..=THREADS_MAX).contains(&threads)
            && tasks <= TASKS_MAX
            && (!self.excuses || self.guest_tasks > 0)
            && is_end_clear
    }

    pub(crate) fn is(&self, bug: &str) -> bool {
        debug_assert!(BUGS.contains(&bug), "{bug} is not in the list");
        self.bug == bug
    }

    /// Everybody sleeps for good, runs a task that may never end, or is gone.
    fn is_settled(state: &State) -> bool {
        state.threads.iter().all(|thread| match thread.pc {
            Pc::Gone | Pc::Run | Pc::GuestRun => true,
            Pc::InDriver => !state.rung,
            Pc::OnCondvar => !matches!(thread.parker, Parker::Notified(_)),
            _ => false,
        })
    }

    fn sleeping(state: &State) -> u8 {
        let sleeps = |thread: &&Thread| matches!(thread.pc, Pc::InDriver | Pc::OnCondvar);
        state.threads.iter().filter(sleeps).count() as u8
    }
}

/// The model, for the checker.
pub(crate) struct Machine(pub(crate) Idle);

impl Model for Machine {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut threads = [Thread::new(Pc::Gone, 0); THREADS_MAX];
        let mut count = 0;
        let mut add = |pc, left| {
            threads[count] = Thread::new(pc, left);
            count += 1;
        };
        (0..self.0.workers).for_each(|_| add(Pc::Next, 0));
        (0..self.0.pushers).for_each(|_| add(Pc::Push, self.0.pushes));
        if self.0.guest_tasks > 0 {
            add(Pc::Main, self.0.guest_tasks);
        }
        if self.0.excuses {
            add(Pc::Excuse, 0);
        }
        if self.0.turns > 0 {
            add(Pc::Turn, self.0.turns);
        }
        if self.0.closes {
            add(Pc::Close, 1);
        }
        let guests = u8::from(self.0.guest_tasks > 0);
        vec![State {
            threads,
            memory: Memory::new(count, guests, self.0.is_relaxed),
            sleepers: [0; WORKERS_MAX],
            sleeping: 0,
            driver: None,
            rung: false,
            queues: [0; TASKS_MAX],
            pushed: 0,
            owned: self.0.pushers * self.0.pushes + self.0.events + self.0.guest_tasks,
            spawns: self.0.spawns,
            events: self.0.events,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (thread, at) in state.threads.iter().map(|thread| thread.pc).enumerate() {
            let found = self.0.finds(state, thread).into_iter();
            actions.extend(found.map(|found| Action { thread, at, found }));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = *state;
        self.0.step(&mut state, action.thread, action.found);
        state.normalise(usize::from(self.0.workers), usize::from(self.0.pushers));
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nobody sleeps beside a task", |Self(model), state: &State| {
                let sleeping = Idle::sleeping(state);
                let runs = state.threads.iter().any(|thread| thread.pc == Pc::GuestRun);
                let guests = u8::from(runs && !model.excuses);
                let missed =
                    sleeping > 0 && state.queued(true) || sleeping > guests && state.queued(false);
                !(Idle::is_settled(state) && missed)
            }),
            Property::always("one of those that sleep is in the driver", |_, state: &State| {
                let runs = state.threads.iter().any(|thread| thread.pc == Pc::Run);
                let all = Idle::is_settled(state) && !runs && Idle::sleeping(state) > 0;
                !all || state.driver.is_some()
            }),
            Property::always("one at a time is woken to search", |_, state: &State| {
                state.threads.iter().filter(|thread| thread.woken).count() <= 1
            }),
            Property::always("the ledger counts who searches", |_, state: &State| {
                let is_counted = |(index, thread): (usize, &Thread)| {
                    let is_asleep = matches!(
                        thread.pc,
                        Pc::AnnounceFence
                            | Pc::Look
                            | Pc::EnterDriver
                            | Pc::InDriver
                            | Pc::LeaveDriver
                            | Pc::OnCondvar
                            | Pc::Retract
                    );
                    let is_listed = state.listed().contains(&(index as u8));
                    assert!(is_asleep || !is_listed, "S2: thread {index} is listed");
                    thread.searching || (is_asleep && !is_listed)
                };
                let searching = state.threads.iter().enumerate().filter(|t| is_counted(*t));
                searching.count() == usize::from(state.memory.latest(Location::Searching))
            }),
            Property::always("all leave when nothing is left", |Self(model), state: &State| {
                let is_over = model.closes && state.owned == 0 && Idle::is_settled(state);
                !is_over || Idle::sleeping(state) == 0
            }),
            Property::sometimes("every task runs", |_, state: &State| {
                state.owned == 0 && state.spawns == 0
            }),
        ]
    }
}
