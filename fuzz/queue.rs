//! The scheduler's queues: a worker, a guest and reliefs, all of them played on one thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use crate::driver::Driver;
use crate::harness;
use crate::input::Script;
use crate::lifecycle::{Place, budget};
use crate::places::Places;
use crate::primitive::lock::Mutex;
use crate::primitive::play::{self, as_thread};
use crate::primitive::{deque, limits, poller};
use crate::scheduler::{Shared, Worker, context, guest, relief};

/// The places in the scheduler: its worker, its guest, then the reliefs.
const WORKER: usize = 0;
const GUEST: usize = 1;
const RELIEFS: usize = 2;
const PLACES: usize = RELIEFS + limits::RELIEF_MAX;

/// Threads inside one another.
const DEPTH_MAX: usize = 5;
const _: () = assert!(DEPTH_MAX < play::THREADS);

/// Tasks in one program.
const TASKS_MAX: usize = 600;

std::thread_local! {
    /// What tasks act in.
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Reads the input as a program for the tasks of a scheduler, and for the threads that run them.
///
/// # Panics
///
/// Panics if a task is polled that was not next, if a thread sleeps though something is due, if
/// lengths and counts are wrong, if a future is not dropped, or if anything in the scheduler panics.
pub fn queue(input: &[u8]) {
    harness::run(|| {
        poller::set_now(0);
        deque::number_anew();
        let driver = Arc::new(Driver::new(Shared::timer_shards(1, 1)).expect("no descriptors"));
        let (shared, mut cores) = Shared::new(1, 1, driver, Arc::new(|_| ()));
        let world = Rc::new(World::new(input, &shared));
        let starts = Arc::clone(&world.starts);
        shared.set_starter(Box::new(move |number| {
            starts.lock().push(number);
            Ok(())
        }));
        WORLD.set(Some(Rc::clone(&world)));
        let worker = Worker::new(Arc::clone(&shared), cores.pop().expect("that of one worker"));
        world.places.borrow_mut().enter(WORKER);
        let sleeper = Rc::clone(&world);
        let sleep = Rc::new(move |_, is_woken: &dyn Fn() -> bool| sleeper.sleep(is_woken));
        play::with_sleep(sleep, || worker.run());
        world.end();
        drop(world);
        WORLD.set(None);
        drop(Arc::into_inner(shared).expect("all threads are gone"));
    });
}

fn world() -> Rc<World> {
    WORLD.with_borrow(Clone::clone).expect("tasks end before their program")
}

/// What a task does in its polls.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// What the program says.
    Scripted,
    /// It goes behind the others so many times.
    Yields(u8),
    /// It spawns one that spawns one, and so on.
    Chain(u8),
}

struct World {
    shared: Arc<Shared>,
    script: Script,
    places: RefCell<Places>,
    /// Which place the played threads run tasks at, the innermost last.
    threads: RefCell<Vec<Option<usize>>>,
    /// Wakers of the tasks that wait.
    waiting: RefCell<Vec<(usize, Waker)>>,
    /// Wakers of the guest's main future.
    mains: RefCell<Vec<Waker>>,
    /// Nothing was seen of the guest since its main future was polled.
    was_main_polled: Cell<bool>,
    /// Reliefs that are to be started.
    starts: Arc<Mutex<Vec<usize>>>,
    /// From then on tasks come to their end in any order.
    is_closed: Cell<bool>,
    spawned: Cell<usize>,
    dropped: Cell<usize>,
}

impl World {
    fn new(input: &[u8], shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            script: Script::new(input),
            places: RefCell::new(Places::new(PLACES, GUEST)),
            threads: RefCell::new(vec![Some(WORKER)]),
            waiting: RefCell::default(),
            mains: RefCell::default(),
            was_main_polled: Cell::new(false),
            starts: Arc::default(),
            is_closed: Cell::new(false),
            spawned: Cell::new(0),
            dropped: Cell::new(0),
        }
    }

    /// Where the current thread runs tasks.
    fn at(&self) -> Option<usize> {
        *self.threads.borrow().last().expect("the first thread is there")
    }

    /// Plays another thread, which runs tasks at a place, or none.
    fn with_thread<R>(&self, at: Option<usize>, f: impl FnOnce() -> R) -> Option<R> {
        let number = self.threads.borrow().len();
        if number > DEPTH_MAX {
            return None;
        }
        self.threads.borrow_mut().push(at);
        let result = as_thread(number, f);
        self.threads.borrow_mut().pop();
        Some(result)
    }

    fn other_thread(&self, f: impl FnOnce()) {
        let _ = self.with_thread(None, f);
    }

    fn poll_scripted(&self, at: usize, number: usize, cx: &Context<'_>) -> Poll<()> {
        // Ends: each step uses a byte up.
        while !self.script.is_over() {
            self.check();
            match self.script.byte() % 16 {
                kind @ 0..=11 => self.act(kind),
                12 => {
                    self.waiting.borrow_mut().push((number, cx.waker().clone()));
                    return Poll::Pending;
                }
                13 => return self.yield_now(at, number, cx),
                _ => break,
            }
        }
        Poll::Ready(())
    }

    fn yield_now(&self, at: usize, number: usize, cx: &Context<'_>) -> Poll<()> {
        self.note(|places| places.yield_now(at, number));
        budget::yield_behind_others(cx);
        Poll::Pending
    }

    /// What any thread may do, in a task or not.
    fn act(&self, kind: u8) {
        match kind % 12 {
            0 | 1 => self.spawn(Plan::Scripted),
            2 => self.spawn_many(),
            3 => self.other_thread(|| self.spawn(Plan::Scripted)),
            4 | 5 => self.wake(),
            6 => self.other_thread(|| self.wake()),
            7 => self.relieve(),
            8 => self.block_on(),
            9 => self.step_aside(),
            10 => {
                let at = RELIEFS + usize::from(self.script.byte()) % limits::RELIEF_MAX;
                if self.retire(at) {
                    // It is awake: who sleeps is sent home at once, in `World::sleep`.
                    self.note(|places| places.leave_token(at));
                }
            }
            _ => {
                let is_alert = self.script.byte() & 1 == 1;
                self.shared.set_alert(is_alert);
                self.places.borrow_mut().is_alert = is_alert;
            }
        }
        self.check();
    }

    fn spawn(&self, plan: Plan) {
        let number = self.spawned.get();
        if number == TASKS_MAX {
            return;
        }
        self.spawned.set(number + 1);
        self.places.borrow_mut().schedule(self.at(), number);
        let place = Place::new(Location::caller());
        self.shared.spawn(Scripted { number, plan }, place).detach();
    }

    fn spawn_many(&self) {
        let how = self.script.byte();
        for _ in 0..how / 3 {
            self.spawn(match how % 3 {
                0 => Plan::Yields(1),
                1 => Plan::Yields(0),
                _ => Plan::Chain(how / 3),
            });
        }
    }

    fn wake(&self) {
        let len = self.waiting.borrow().len();
        if len > 0 {
            let which = usize::from(self.script.byte()) % len;
            let (number, waker) = self.waiting.borrow_mut().swap_remove(which);
            self.places.borrow_mut().schedule(self.at(), number);
            waker.wake();
        }
    }

    /// A relief starts, runs tasks, and leaves.
    fn relieve(&self) {
        if self.threads.borrow().len() > DEPTH_MAX {
            return;
        }
        if self.starts.lock().is_empty() {
            self.shared.start_relief(limits::RELIEF_MAX);
        }
        let number = self.starts.lock().pop();
        let Some(number) = number else { return };
        let at = RELIEFS + number;
        self.with_thread(Some(at), || {
            self.note(|places| places.enter(at));
            relief::run(&self.shared, number);
            self.note(|places| places.hand_over(at));
        });
    }

    /// The relief at a place is to leave, if there is one.
    fn retire(&self, at: usize) -> bool {
        let is_there = Cell::new(false);
        self.shared.retire_reliefs(1, |index| {
            let is_it = index == at;
            is_there.set(is_there.get() || is_it);
            is_it
        });
        is_there.get()
    }

    /// A thread waits for a future of its own.
    fn block_on(&self) {
        // Another thread must be able to wake it.
        let has_room = self.threads.borrow().len() < DEPTH_MAX;
        if !has_room || self.threads.borrow().contains(&Some(GUEST)) {
            return;
        }
        self.with_thread(Some(GUEST), || {
            self.note(|places| places.enter(GUEST));
            self.was_main_polled.set(false);
            guest::block_on(&self.shared, poll_fn(|cx| self.poll_main(cx)), || ());
            self.mains.borrow_mut().clear();
            self.note(|places| places.hand_over(GUEST));
        });
    }

    /// The main future of a guest: some steps, and whether it goes on.
    fn poll_main(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_closed.get() && self.was_main_polled.replace(true) {
            // Between the two polls nothing was due.
            assert_eq!(self.places.borrow_mut().next(GUEST), None, "due, and the guest passes it");
        }
        for _ in 0..self.script.byte() % 4 {
            let kind = self.script.byte();
            self.act(kind);
        }
        let how = self.script.byte();
        if self.script.is_over() || how & 3 == 0 {
            return Poll::Ready(());
        }
        if how & 3 == 1 {
            cx.waker().wake_by_ref();
        } else {
            self.mains.borrow_mut().push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// A thread that runs tasks is none for a while.
    fn step_aside(&self) {
        let Some(at) = self.at() else { return };
        self.note(|places| places.hand_over(at));
        context::aside(|| {
            self.threads.borrow_mut().push(None);
            for _ in 0..self.script.byte() % 4 {
                let kind = self.script.byte();
                self.act(kind);
            }
            self.threads.borrow_mut().pop();
        });
    }

    /// A thread sleeps, for nothing is due: others act.
    fn sleep(&self, is_woken: &dyn Fn() -> bool) {
        let at = self.at().expect("a thread that runs no tasks sleeps");
        self.note_next(at, |places| places.slept(at));
        self.check();
        match at {
            WORKER => self.sleep_as_worker(is_woken),
            GUEST => {
                self.act_meanwhile();
                // Ends: a sleep that goes on comes back here.
                let main = self.mains.borrow_mut().pop().expect("the main future waits");
                self.other_thread(|| main.wake());
            }
            relief => {
                assert!(self.retire(relief), "a relief sleeps that is to leave");
                assert!(is_woken(), "a relief that is to leave sleeps on");
            }
        }
    }

    /// The one worker sleeps; every other thread has ended, so something that is due wakes it.
    fn sleep_as_worker(&self, is_woken: &dyn Fn() -> bool) {
        assert!(!self.is_closed.get(), "the worker sleeps, and all tasks have ended");
        // Ends: each step uses bytes up.
        while !is_woken() && !self.script.is_over() {
            self.act_meanwhile();
            let is_due = self.places.borrow().has_work();
            assert!(is_woken() || !is_due, "something is due, and the worker sleeps on");
        }
        if !is_woken() {
            self.close();
            assert!(is_woken(), "the end wakes nobody");
        }
    }

    /// What threads that run no tasks do.
    fn act_meanwhile(&self) {
        for _ in 0..1 + self.script.byte() % 4 {
            let kind = self.script.byte();
            self.other_thread(|| self.act(kind));
        }
    }

    /// Every task is aborted, and the threads leave when all have ended.
    fn close(&self) {
        self.is_closed.set(true);
        self.other_thread(|| self.shared.close());
    }

    /// What the queues must have done for what was seen.
    fn note(&self, f: impl FnOnce(&mut Places)) {
        if !self.is_closed.get() {
            f(&mut self.places.borrow_mut());
        }
    }

    /// [`World::note`] for what comes of a look for the next task.
    fn note_next(&self, at: usize, f: impl FnOnce(&mut Places)) {
        if at == GUEST {
            self.was_main_polled.set(false);
        }
        self.note(f);
    }

    fn check(&self) {
        if self.is_closed.get() {
            return;
        }
        let places = self.places.borrow();
        assert_eq!(self.shared.queued(), places.len(), "tasks that are due");
        assert_eq!(self.shared.injected(), places.injected(), "tasks that were injected");
        let left = self.spawned.get() - self.dropped.get();
        assert_eq!(self.shared.owned().len(), left, "tasks that are left");
        for (counters, (polls, steals)) in self.shared.counters().zip(places.done()) {
            assert_eq!(counters.polls.load(Relaxed), polls, "polls");
            assert_eq!(counters.steals.load(Relaxed), steals, "steals");
        }
    }

    fn end(&self) {
        assert!(self.is_closed.get(), "the worker leaves before its end");
        assert_eq!(self.dropped.get(), self.spawned.get(), "futures that were dropped");
        assert_eq!(self.shared.queued(), 0, "tasks are left in a queue");
    }
}

/// A task that does what its plan says.
struct Scripted {
    number: usize,
    plan: Plan,
}

impl Future for Scripted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (world, number) = (world(), self.number);
        let at = world.at().expect("polled by a thread that runs no tasks");
        world.note_next(at, |places| places.polled(at, number));
        match &mut self.plan {
            Plan::Yields(0) | Plan::Chain(0) => Poll::Ready(()),
            Plan::Yields(left) => {
                *left -= 1;
                world.yield_now(at, number, cx)
            }
            Plan::Chain(left) => {
                world.spawn(Plan::Chain(*left - 1));
                Poll::Ready(())
            }
            Plan::Scripted => world.poll_scripted(at, number, cx),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let dropped = &world().dropped;
        dropped.set(dropped.get() + 1);
    }
}
