//! Tasks, from spawn to join, against the machine that their documentation describes.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use crate::harness;
use crate::input::Script;
use crate::lifecycle::{self, AbortHandle, JoinHandle, Place, TaskState};
use crate::machine::{End, Join, Machine, Phase, Wakes};

mod bench;
#[forbid(unsafe_code)]
mod users;

use bench::Bench;
use users::{Output, Scripted};

/// Tasks in one program.
const TASKS_MAX: usize = 12;

/// Handles and wakers of one kind that a task has at one time.
const HANDLES_MAX: usize = 6;

/// Polls and destructors inside one another.
const DEPTH_MAX: usize = 4;

const SHARDS: usize = 2;

std::thread_local! {
    /// What futures and outputs act in.
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Reads the input as a program for some tasks: what happens to them from outside, what they do in
/// their polls, and what their futures and outputs do when they are dropped.
///
/// # Panics
///
/// Panics if a word, a queue or a future is not what the machine says, if something is dropped
/// twice or never, or if anything in the tasks panics by itself.
pub fn word(input: &[u8]) {
    harness::run_to_the_last_byte(|| {
        let world = Rc::new(World::new(input));
        WORLD.set(Some(Rc::clone(&world)));
        // Ends: each step uses a byte up.
        while !world.script.is_over() {
            let kind = world.script.byte();
            world.act(kind, None);
        }
        world.end();
        WORLD.set(None);
    });
}

fn world() -> Rc<World> {
    WORLD.with_borrow(Clone::clone).expect("tasks end before their program")
}

/// A waker that counts.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// What there is of one task outside it.
struct Handles {
    id: u64,
    join: Option<JoinHandle<Output>>,
    aborts: Vec<AbortHandle>,
    wakers: Vec<Waker>,
}

struct World {
    // The scheduler of all tasks, which has to stay where it is.
    bench: Box<Bench>,
    script: Script,
    depth: Cell<usize>,
    is_closed: Cell<bool>,
    machine: RefCell<Machine>,
    tasks: RefCell<Vec<Handles>>,
    bells: [Arc<Bell>; 2],
    /// Panics that were thrown, and how many of them are gone.
    panics: Cell<usize>,
    gone: Arc<AtomicUsize>,
}

impl World {
    fn new(input: &[u8]) -> Self {
        Self {
            bench: Box::new(Bench::new(SHARDS)),
            script: Script::new(input),
            depth: Cell::new(0),
            is_closed: Cell::new(false),
            machine: RefCell::default(),
            tasks: RefCell::default(),
            bells: Default::default(),
            panics: Cell::new(0),
            gone: Arc::default(),
        }
    }

    fn number_of(&self, id: u64) -> usize {
        let tasks = self.tasks.borrow();
        tasks.iter().position(|task| task.id == id).expect("a task of this program")
    }

    /// What anybody may do at any time; a task, in its poll, with its context.
    fn act(&self, kind: u8, context: Option<(usize, &mut Context<'_>)>) {
        let len = self.machine.borrow().tasks.len();
        let number = usize::from(self.script.byte()) % len.max(1);
        match kind % 24 {
            0..=2 => self.run_next(),
            3 if len < TASKS_MAX => self.spawn(),
            _ if len == 0 => {}
            4..=9 => self.use_waker(kind % 24, number),
            10..=14 => self.use_abort_handle(kind % 24, number),
            15..=17 => self.join(number, context),
            18 => self.join_without_panics(number),
            19 => self.detach(number),
            // Seldom: no task comes afterwards.
            20 if self.script.byte() == 0xff => self.close(),
            _ => {}
        }
        self.check();
    }

    fn run_next(&self) {
        if self.depth.get() == DEPTH_MAX {
            return;
        }
        let notified = self.bench.queue.lock().pop_front();
        let number = self.machine.borrow_mut().queue.pop_front();
        assert_eq!(notified.is_some(), number.is_some(), "something is due");
        let Some((notified, number)) = notified.zip(number) else { return };
        let id = notified.header().id().as_u64();
        assert_eq!(self.number_of(id), number, "due before the others");
        self.while_running(number, || notified.run());
    }

    fn while_running(&self, number: usize, run: impl FnOnce()) {
        self.machine.borrow_mut().start(number);
        self.deeper(run);
        self.machine.borrow_mut().stop(number);
    }

    fn deeper(&self, f: impl FnOnce()) {
        self.depth.set(self.depth.get() + 1);
        f();
        self.depth.set(self.depth.get() - 1);
    }

    fn spawn(&self) {
        let is_bound = !self.is_closed.get();
        let number = self.machine.borrow_mut().spawn(is_bound);
        let place = match number % 2 {
            0 => Place::new(Location::caller()),
            _ => Place::named(Location::caller(), "named".into()),
        };
        let (scheduler, shard) = (NonNull::from(&*self.bench), number % SHARDS);
        // SAFETY: 1: the program ends its tasks before the bench goes. 2: there is one thread.
        // 3: nothing is borrowed.
        let (notified, join) =
            unsafe { lifecycle::new(Scripted(number), scheduler, |_| shard, place) };
        let id = join.id().as_u64();
        let handles = Handles { id, join: Some(join), aborts: Vec::new(), wakers: Vec::new() };
        self.tasks.borrow_mut().push(handles);
        assert_eq!(self.bench.owned.bind(&notified), is_bound, "bound");
        if is_bound {
            self.bench.queue.lock().push_back(notified);
        } else {
            self.while_running(number, || notified.refuse());
        }
    }

    fn use_waker(&self, kind: u8, number: usize) {
        let mut tasks = self.tasks.borrow_mut();
        let wakers = &mut tasks[number].wakers;
        if wakers.is_empty() {
            return;
        }
        let which = usize::from(self.script.byte()) % wakers.len();
        let mut machine = self.machine.borrow_mut();
        match kind {
            4 | 5 => {
                machine.wake_task(number);
                wakers[which].wake_by_ref();
            }
            6 | 7 => {
                machine.tasks[number].wakers -= 1;
                machine.wake_task(number);
                wakers.swap_remove(which).wake();
            }
            8 if wakers.len() < HANDLES_MAX => {
                machine.tasks[number].wakers += 1;
                let clone = wakers[which].clone();
                wakers.push(clone);
            }
            _ => {
                machine.tasks[number].wakers -= 1;
                wakers.swap_remove(which);
            }
        }
    }

    fn use_abort_handle(&self, kind: u8, number: usize) {
        let mut tasks = self.tasks.borrow_mut();
        let Handles { join, aborts, .. } = &mut tasks[number];
        let mut machine = self.machine.borrow_mut();
        let has_room = aborts.len() < HANDLES_MAX;
        match (kind, join, aborts.last()) {
            (10, Some(join), _) => {
                machine.abort(number);
                join.abort();
            }
            (11, Some(join), _) if has_room => {
                machine.tasks[number].abort_handles += 1;
                aborts.push(join.abort_handle());
            }
            (12, _, Some(abort)) => {
                machine.abort(number);
                abort.abort();
            }
            (13, _, Some(_)) => {
                machine.tasks[number].abort_handles -= 1;
                aborts.pop();
            }
            (14, _, Some(abort)) if has_room => {
                machine.tasks[number].abort_handles += 1;
                let clone = abort.clone();
                aborts.push(clone);
            }
            _ => {}
        }
    }

    fn join(&self, number: usize, context: Option<(usize, &mut Context<'_>)>) {
        let how = usize::from(self.script.byte());
        let bell = Waker::from(Arc::clone(&self.bells[how % 2]));
        let (wakes, waker) = match context {
            Some((running, cx)) if how & 2 == 0 => (Wakes::Task(running), cx.waker()),
            _ => (Wakes::Bell(how % 2), &bell),
        };
        let polled = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(join) = &mut tasks[number].join else { return };
            if self.machine.borrow().tasks[number].join == Join::Taken {
                // Such a poll panics.
                return;
            }
            Pin::new(join).poll(&mut Context::from_waker(waker))
        };
        let mut machine = self.machine.borrow_mut();
        let end = machine.join(number, wakes);
        let Poll::Ready(output) = polled else {
            assert_eq!(end, None, "it has ended, and its handle does not say so");
            return;
        };
        match &output {
            Ok(output) => {
                assert_eq!(end, Some(End::Returned));
                assert_eq!(output.0, number, "another's output");
            }
            Err(error) if error.is_panic() => assert_eq!(end, Some(End::Panicked)),
            Err(error) => {
                assert!(error.is_cancelled());
                assert_eq!(end, Some(End::Cancelled));
            }
        }
        machine.tasks[number].join = Join::Taken;
        drop(machine);
        self.deeper(|| drop(output));
    }

    fn join_without_panics(&self, number: usize) {
        let bell = usize::from(self.script.byte()) % 2;
        let waker = Waker::from(Arc::clone(&self.bells[bell]));
        let polled = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(join) = &mut tasks[number].join else { return };
            join.poll_returned(&mut Context::from_waker(&waker))
        };
        let mut machine = self.machine.borrow_mut();
        let is_taken = machine.tasks[number].join == Join::Taken;
        let end = machine.join(number, Wakes::Bell(bell));
        assert_eq!(polled.is_ready(), end.is_some(), "it has ended");
        let Poll::Ready(output) = polled else { return };
        assert_eq!(output.is_some(), end == Some(End::Returned) && !is_taken, "an output");
        if output.is_some() {
            machine.tasks[number].join = Join::Taken;
        }
        drop(machine);
        self.deeper(|| drop(output));
    }

    fn detach(&self, number: usize) {
        let join = self.tasks.borrow_mut()[number].join.take();
        if join.is_some() {
            self.machine.borrow_mut().detach(number);
            self.deeper(|| drop(join));
            self.machine.borrow_mut().tasks[number].join = Join::Gone;
        }
    }

    /// No task binds any more, and those that are there are aborted, in any order.
    fn close(&self) {
        self.is_closed.set(true);
        self.bench.owned.close();
        let mut machine = self.machine.borrow_mut();
        let before = machine.queue.len();
        for number in 0..machine.tasks.len() {
            if machine.tasks[number].is_bound {
                machine.abort(number);
            }
        }
        self.bench.owned.abort_all();
        let queued: Vec<_> = self.bench.queued().into_iter().map(|id| self.number_of(id)).collect();
        let mut sorted = queued[before.min(queued.len())..].to_vec();
        sorted.sort_unstable();
        let expected: Vec<_> = machine.queue.drain(before..).collect();
        assert_eq!(sorted, expected, "queued to be cancelled");
        machine.queue.extend(&queued[before..]);
    }

    fn end(&self) {
        self.close();
        // Ends: all are aborted, and none comes.
        while !self.machine.borrow().queue.is_empty() {
            self.run_next();
            self.check();
        }
        let len = self.tasks.borrow().len();
        for number in 0..len {
            self.detach(number);
            self.check();
        }
        let tasks = self.tasks.take();
        assert!(tasks.iter().all(|task| task.join.is_none()));
        let machine = self.machine.borrow();
        for (task, handles) in machine.tasks.iter().zip(&tasks) {
            assert!(matches!(task.phase, Phase::Complete(_)), "{task:?}");
            assert_eq!(task.outputs, 0, "an output is left");
            assert!(handles.aborts.iter().all(AbortHandle::is_finished));
        }
        drop(tasks);
        assert!(self.bench.owned.is_empty());
        assert_eq!(self.gone.load(Relaxed), self.panics.get(), "panics that are gone");
    }

    /// What can be seen is what the machine says.
    fn check(&self) {
        let tasks = self.tasks.borrow();
        let machine = self.machine.borrow();
        let queued = self.bench.queued();
        assert!(machine.queue.iter().map(|&number| tasks[number].id).eq(queued), "what is due");
        for (number, handles) in tasks.iter().enumerate() {
            let task = &machine.tasks[number];
            let (found, more) = match (&handles.join, handles.aborts.first()) {
                (Some(join), _) => {
                    assert_eq!(join.state(), state_of(task.phase));
                    (format!("{join:?}"), 0)
                }
                (None, Some(abort)) => {
                    assert_eq!(abort.state(), state_of(task.phase));
                    (format!("{abort:?}"), 0)
                }
                (None, None) => match self.bench.owned.find(handles.id) {
                    Some(task) => (format!("({:?})", task.header()), 1),
                    None => continue,
                },
            };
            let word = found.rsplit("state: ").next().and_then(|word| word.strip_suffix(" })"));
            assert_eq!(word, Some(&*machine.word(number, more)), "the word of task {number}");
        }
        let bound = machine.tasks.iter().filter(|task| task.is_bound).count();
        assert_eq!(self.bench.owned.len(), bound, "tasks in the list");
        assert_eq!(self.bells.each_ref().map(|bell| bell.0.load(Relaxed)), machine.rings);
        assert_eq!(self.bench.cancelled.load(Relaxed), machine.cancelled, "cancelled");
        assert_eq!(self.bench.reports.load(Relaxed), machine.reports, "reports");
    }

    /// What a destructor of a user does.
    fn act_in_drop(&self) {
        for _ in 0..self.script.byte() % 4 {
            if self.depth.get() < DEPTH_MAX {
                let kind = self.script.byte();
                self.deeper(|| self.act(kind, None));
            }
        }
    }
}

fn state_of(phase: Phase) -> TaskState {
    match phase {
        Phase::Notified => TaskState::Scheduled,
        Phase::Running { .. } => TaskState::Running,
        Phase::Idle => TaskState::Suspended,
        Phase::Complete(End::Cancelled) => TaskState::Cancelled,
        Phase::Complete(_) => TaskState::Completed,
    }
}
