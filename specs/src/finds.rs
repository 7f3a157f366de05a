//! What a thread can find where it is: every way in which its next step can come out.

use crate::idle::{Found, Idle};
use crate::memory::Location;
use crate::state::{INJECT, Parker, Pc, State};

impl Idle {
    /// Tasks that `thread` can take of the queues that are open to it. What is there can be taken
    /// even by who has not heard of it.
    fn takes(&self, state: &State, thread: usize, is_open: impl Fn(u8) -> bool) -> Vec<Found> {
        let mut found = Vec::new();
        let there = |&task: &usize| {
            state.memory.latest(Location::Task(task)) == 1 && is_open(state.queues[task])
        };
        for task in state.tasks().filter(there) {
            found.push(Found::Task(task, None));
            let queue = state.queues[task];
            // The own queue is popped one by one.
            if self.batches && usize::from(queue) != thread {
                let more = |&other: &usize| other != task && state.queues[other] == queue;
                let more = state.tasks().filter(there).filter(more);
                found.extend(more.map(|other| Found::Task(task, Some(other))));
            }
        }
        let is_hidden = |task| state.memory.may_read(thread, Location::Task(task), 0);
        if state.tasks().all(|task| !is_open(state.queues[task]) || is_hidden(task)) {
            found.push(Found::No);
        }
        found
    }

    /// What a look at all queues finds.
    fn looks(&self, state: &State, thread: usize) -> Vec<Found> {
        let may = |value| move |task| state.memory.may_read(thread, Location::Task(task), value);
        let injected = || state.tasks().filter(|&task| state.queues[task] == INJECT);
        let local = || state.tasks().filter(|&task| state.queues[task] != INJECT);
        let mut found = Vec::new();
        if injected().any(may(1)) {
            found.push(Found::Injected);
        }
        if injected().all(may(0)) {
            if local().any(may(1)) {
                found.push(Found::Yes);
            }
            if local().all(may(0)) {
                found.push(Found::No);
            }
        }
        found
    }

    /// Whether somebody searches, says the number that is read under the lock.
    fn reads_under_lock(&self, state: &State, thread: usize) -> Vec<Found> {
        if self.is("idle: no look at the searchers under the lock") {
            return vec![Found::Yes];
        }
        let mut memory = state.memory;
        memory.lock(thread);
        let may = |value| memory.may_read(thread, Location::Searching, value);
        let (yes, searched) = (may(0).then_some(Found::Yes), may(1).then_some(Found::Searched));
        [yes, searched].into_iter().flatten().collect()
    }

    /// What a worker finds at the second look: work, or that there never will be any.
    fn looks_again(&self, state: &State, thread: usize) -> Vec<Found> {
        let mut found = match self.is("idle: no second look") {
            true => vec![Found::No],
            false => self.looks(state, thread),
        };
        if found.last() == Some(&Found::No) {
            found.pop();
            found.append(&mut self.drained(state, thread));
        }
        found
    }

    /// What the numbers say: whether it takes a look at the list.
    fn reads(&self, state: &State, thread: usize) -> Vec<Found> {
        let may = |location| move |&value: &u8| state.memory.may_read(thread, location, value);
        let despite = state.threads[thread].despite_guests
            && !self.is("scheduler: a guest stands for a worker for what is injected");
        let (mut yes, mut no) = (false, may(Location::Searching)(&1));
        if may(Location::Searching)(&0) {
            for sleeping in (0..=2).filter(may(Location::Sleeping)) {
                for guests in (0..=1).filter(may(Location::Guests)) {
                    for excused in (0..=1).filter(may(Location::Excused)) {
                        let suffice =
                            !despite && sleeping <= guests && sleeping + excused <= guests;
                        let none = sleeping == 0 || suffice;
                        (yes, no) = (yes || !none, no || none);
                    }
                }
            }
        }
        [yes.then_some(Found::Yes), no.then_some(Found::No)].into_iter().flatten().collect()
    }

    fn drained(&self, state: &State, thread: usize) -> Vec<Found> {
        let may = |value| state.memory.may_read(thread, Location::Closing, value);
        let yes = (state.owned == 0 && may(1)).then_some(Found::Drained);
        let no = (state.owned != 0 || may(0)).then_some(Found::No);
        [yes, no].into_iter().flatten().collect()
    }

    /// What `thread` can find where it is; nothing if it sleeps, or is gone.
    pub(crate) fn finds(&self, state: &State, index: usize) -> Vec<Found> {
        let thread = &state.threads[index];
        let own = index as u8;
        match thread.pc {
            Pc::Gone => Vec::new(),
            Pc::Next if state.queued_at(index) > 0 => {
                self.takes(state, index, |queue| queue == own)
            }
            Pc::Next => self.takes(state, index, |queue| queue == INJECT),
            Pc::Search => {
                let mut found = self.takes(state, index, |queue| queue != own);
                if self.closes && found.contains(&Found::No) {
                    found.retain(|found| *found != Found::No);
                    found.append(&mut self.drained(state, index));
                }
                found
            }
            Pc::GuestNext => {
                let mut found = self.takes(state, index, |queue| queue == own);
                // Its main future may have been woken.
                if !found.contains(&Found::No) {
                    found.push(Found::No);
                }
                found
            }
            Pc::Run | Pc::GuestRun => {
                let spawn = (state.spawns > 0).then_some(Found::Spawn);
                [Some(Found::Step), spawn].into_iter().flatten().collect()
            }
            Pc::StopLook | Pc::StopGuestLook | Pc::ExcuseLook => self.looks(state, index),
            Pc::Look => self.looks_again(state, index),
            Pc::InDriver => {
                let rung = state.rung.then_some(Found::Step);
                let event = (state.events > 0).then_some(Found::Event);
                [rung, event].into_iter().flatten().collect()
            }
            Pc::OnCondvar if !matches!(thread.parker, Parker::Notified(_)) => Vec::new(),
            Pc::Read => {
                let mut found = self.reads(state, index);
                if found.first() == Some(&Found::Yes) {
                    found.remove(0);
                    found.append(&mut self.reads_under_lock(state, index));
                }
                found
            }
            Pc::LookBack => self.reads_under_lock(state, index),
            Pc::Tell(whom) if whom != 0 => {
                let bits = (0..self.workers).filter(|index| whom & 1 << index != 0);
                bits.map(Found::Worker).collect()
            }
            _ => vec![Found::Step],
        }
    }
}
