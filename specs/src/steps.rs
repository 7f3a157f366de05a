//! What a thread does when it has found that.

use crate::idle::{Found, Idle};
use crate::memory::Location;
use crate::state::{INJECT, Parker, Pc, State, Thread};

impl Idle {
    pub(crate) fn step(&self, state: &mut State, index: usize, found: Found) {
        let thread = state.threads[index];
        let next = match thread.pc {
            Pc::Gone => unreachable!("it takes no step"),
            Pc::Next | Pc::Search | Pc::GuestNext => self.take(state, index, found),
            Pc::SearchAgain => {
                state.start_searching(index);
                Pc::Next
            }
            Pc::Publish(task) => {
                let task = usize::from(task);
                state.queues[task] = index as u8;
                state.memory.write(index, Location::Task(task), 1);
                if thread.searching {
                    Pc::Stop
                } else if self.is("worker: a batch is moved and nobody is told") {
                    Pc::Run
                } else {
                    self.tell(state, index, Pc::Run, true)
                }
            }
            Pc::Stop => {
                if self.batches && !self.is("idle: who stops searching releases nothing") {
                    state.memory.release_searching(index);
                }
                let was_last = state.stop_searching(index);
                if was_last && !self.is("idle: the last searcher does not hand on") {
                    Pc::StopFence
                } else {
                    Pc::Run
                }
            }
            Pc::StopFence => {
                self.fence(state, index, "idle: no fence after the last search");
                Pc::StopLook
            }
            Pc::StopLook if found == Found::No => Pc::Run,
            Pc::StopLook => {
                let guests = "worker: the last searcher leaves to a guest what is injected";
                let despite_guests = found == Found::Injected && !self.is(guests);
                self.tell(state, index, Pc::Run, despite_guests)
            }
            Pc::Run | Pc::GuestRun if found == Found::Spawn => {
                state.spawns -= 1;
                state.owned += 1;
                state.push(index, index as u8);
                self.tell(state, index, thread.pc, false)
            }
            Pc::Run => {
                state.owned -= 1;
                Pc::Next
            }
            _ => self.step_of_sleep(state, index, found),
        };
        state.threads[index].pc = next;
        if next == Pc::Gone {
            state.threads[index] = Thread::new(Pc::Gone, 0);
            state.memory.leave(index);
        }
        let keeps = matches!(
            next,
            Pc::Gone
                | Pc::Publish(_)
                | Pc::Stop
                | Pc::StopFence
                | Pc::StopLook
                | Pc::AnnounceFence
                | Pc::Look
                | Pc::Fence
                | Pc::Read
                | Pc::StopGuestFence
                | Pc::StopGuestLook
                | Pc::ExcuseFence
                | Pc::ExcuseLook
        );
        if !keeps {
            let queues = state.queues;
            let is_own = |task: usize| usize::from(queues[task]) == index;
            state.memory.forget(index, usize::from(state.pushed), is_own);
        }
    }

    fn take(&self, state: &mut State, index: usize, found: Found) -> Pc {
        let thread = state.threads[index];
        let Found::Task(task, more) = found else {
            return match thread.pc {
                Pc::GuestNext => Pc::StopGuest,
                Pc::Next => {
                    if !thread.searching {
                        state.start_searching(index);
                    }
                    Pc::Search
                }
                _ => self.park(state, index, found),
            };
        };
        state.memory.write(index, Location::Task(task), 0);
        if let Some(more) = more {
            state.memory.write(index, Location::Task(more), 0);
            return Pc::Publish(more as u8);
        }
        match thread.pc {
            Pc::GuestNext => Pc::GuestRun,
            _ if thread.searching => Pc::Stop,
            _ => Pc::Run,
        }
    }

    fn park(&self, state: &mut State, index: usize, found: Found) -> Pc {
        if self.batches {
            state.memory.acquire_searching(index);
        }
        if found == Found::Drained {
            state.stop_searching(index);
            state.threads[index].then = Pc::Gone;
            let silent = self.is("shutdown: who runs the last task tells nobody");
            return if silent { Pc::Gone } else { Pc::Tell(self.all()) };
        }
        state.memory.lock(index);
        state.list(index);
        state.stop_searching(index);
        state.memory.unlock(index);
        Pc::AnnounceFence
    }

    fn step_of_sleep(&self, state: &mut State, index: usize, found: Found) -> Pc {
        let thread = state.threads[index];
        match thread.pc {
            Pc::AnnounceFence => {
                self.fence(state, index, "idle: no fence after announcing sleep");
                Pc::Look
            }
            Pc::Look if matches!(found, Found::Injected | Found::Yes) => {
                self.retract(state, index, true)
            }
            Pc::Look if found == Found::Drained => self.retract(state, index, false),
            Pc::Look if state.take_token(index) => self.retract(state, index, false),
            Pc::Look if state.driver.is_none() => {
                state.driver = Some(index as u8);
                Pc::EnterDriver
            }
            Pc::Look => {
                state.threads[index].parker = Parker::OnCondvar;
                Pc::OnCondvar
            }
            Pc::OnCondvar => {
                state.take_token(index);
                self.retract(state, index, false)
            }
            Pc::EnterDriver if thread.parker == Parker::Empty => {
                state.threads[index].parker = Parker::InDriver;
                Pc::InDriver
            }
            Pc::EnterDriver => Pc::LeaveDriver,
            Pc::InDriver => {
                state.rung = false;
                if found == Found::Event {
                    state.events -= 1;
                    state.push(index, index as u8);
                }
                Pc::LeaveDriver
            }
            Pc::LeaveDriver => {
                if !state.take_token(index) {
                    state.threads[index].parker = Parker::Empty;
                }
                state.driver = None;
                Pc::Retract
            }
            Pc::Retract => self.retract(state, index, false),
            _ => self.step_of_wake(state, index, found),
        }
    }

    fn retract(&self, state: &mut State, index: usize, has_found: bool) -> Pc {
        state.memory.lock(index);
        let was_listed = state.unlist(index);
        state.memory.unlock(index);
        let no_searcher = "idle: who finds work at the second look is no searcher";
        if !was_listed {
            state.threads[index].searching = true;
            Pc::Next
        } else if has_found && !self.is(no_searcher) {
            Pc::SearchAgain
        } else if state.queued_at(index) > 1 {
            self.tell(state, index, Pc::Next, false)
        } else {
            Pc::Next
        }
    }

    fn step_of_wake(&self, state: &mut State, index: usize, found: Found) -> Pc {
        let thread = state.threads[index];
        match thread.pc {
            Pc::Fence => {
                self.fence(state, index, "idle: no fence after a push");
                Pc::Read
            }
            Pc::Read if found == Found::No => thread.then,
            Pc::Read | Pc::LookBack => {
                state.memory.lock(index);
                let woken = if found == Found::Yes { state.pop(index) } else { None };
                state.memory.unlock(index);
                woken.map_or(thread.then, Pc::Unpark)
            }
            Pc::Unpark(whom) if self.unpark(state, index, whom) => Pc::Ring,
            Pc::Unpark(_) => thread.then,
            Pc::Ring => {
                state.rung = true;
                thread.then
            }
            Pc::Tell(whom) => {
                let Found::Worker(worker) = found else { return thread.then };
                state.rung |= self.unpark(state, index, worker);
                Pc::Tell(whom & !(1 << worker))
            }
            Pc::Push => {
                state.push(index, INJECT);
                state.threads[index].left -= 1;
                let then = if thread.left > 1 { Pc::Push } else { Pc::Gone };
                self.tell(state, index, then, true)
            }
            Pc::Close => {
                let early = "shutdown: the sleepers are woken before there is something to see";
                if self.is(early) && thread.left == 1 {
                    state.threads[index].left = 0;
                    state.threads[index].then = Pc::Close;
                    return Pc::Tell(self.all());
                }
                state.memory.write(index, Location::Closing, 1);
                state.threads[index].then = Pc::Gone;
                let silent = self.is(early) || self.is("shutdown: the sleepers are not woken");
                if silent { Pc::Gone } else { Pc::Tell(self.all()) }
            }
            _ => self.step_of_others(state, index, found),
        }
    }

    fn step_of_others(&self, state: &mut State, index: usize, found: Found) -> Pc {
        let thread = state.threads[index];
        match thread.pc {
            Pc::Main => {
                state.push(index, index as u8);
                state.threads[index].left -= 1;
                let then = if thread.left > 1 { Pc::Main } else { Pc::StartGuest };
                self.tell(state, index, then, false)
            }
            Pc::StartGuest => {
                state.memory.write(index, Location::Guests, 1);
                Pc::GuestNext
            }
            Pc::GuestRun => {
                state.owned -= 1;
                Pc::GuestNext
            }
            Pc::StopGuest => {
                state.memory.write(index, Location::Guests, 0);
                Pc::StopGuestFence
            }
            Pc::StopGuestFence => {
                self.fence(state, index, "idle: no fence after a guest stops");
                let silent = self.is("guest: what it leaves is not handed on");
                if silent { Pc::Gone } else { Pc::StopGuestLook }
            }
            Pc::StopGuestLook | Pc::ExcuseLook if found != Found::No => {
                self.tell(state, index, Pc::Gone, found == Found::Injected)
            }
            Pc::StopGuestLook | Pc::ExcuseLook => Pc::Gone,
            Pc::Excuse => {
                if !self.is("idle: a guest that is stuck stands for a worker") {
                    state.memory.write(index, Location::Excused, 1);
                }
                Pc::ExcuseFence
            }
            Pc::ExcuseFence => {
                self.fence(state, index, "idle: no fence after a guest is excused");
                Pc::ExcuseLook
            }
            Pc::Turn if state.driver.is_none() => {
                state.driver = Some(index as u8);
                Pc::LeaveTurn
            }
            Pc::LeaveTurn => {
                state.driver = None;
                let then = if thread.left > 1 { Pc::Turn } else { Pc::Gone };
                state.threads[index].left -= 1;
                state.threads[index].then = then;
                if self.is("monitor: no look back after its turn") { then } else { Pc::LookBack }
            }
            Pc::Turn => Pc::Gone,
            pc => unreachable!("{pc:?} is a step of something else"),
        }
    }

    fn all(&self) -> u8 {
        (1 << self.workers) - 1
    }

    /// `Shared::notify`, or for what guests do not take the other.
    fn tell(&self, state: &mut State, index: usize, then: Pc, despite_guests: bool) -> Pc {
        state.threads[index].then = then;
        state.threads[index].despite_guests = despite_guests;
        Pc::Fence
    }

    fn fence(&self, state: &mut State, index: usize, unless: &str) {
        if !self.is(unless) {
            state.memory.fence(index);
        }
    }

    /// `Parker::unpark`, but for `Driver::wake`, which is to follow if it answers `true`.
    fn unpark(&self, state: &mut State, index: usize, whom: u8) -> bool {
        let knows = !state.memory.may_read(index, Location::Closing, 0);
        let parker = &mut state.threads[usize::from(whom)].parker;
        let before = *parker;
        *parker = Parker::Notified(knows || before == Parker::Notified(true));
        if matches!(before, Parker::Notified(_))
            && self.is("park: a second token takes the first away")
        {
            *parker = Parker::Empty;
        }
        before == Parker::InDriver && !self.is("park: the sleeper in the driver is not woken")
    }
}
