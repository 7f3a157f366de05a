//! Reliefs that start, take over and leave; threads that step aside. S10 to S12.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc as StdArc, Mutex as StdMutex};

use loom::thread::{self, spawn};

use super::scheduler::{Runtime, Signal, spawn_on};
use super::support::{Tracked, block_on};
use crate::driver::{Direction, Registration};
use crate::harness::model;
use crate::lifecycle::JoinHandle;
use crate::primitive::Arc;
use crate::primitive::poller::Endpoint;
use crate::primitive::thread as starts;
use crate::scheduler::{Shared, context, guest, relief};

/// A runtime that has reliefs, and their threads.
struct Relieved {
    runtime: Runtime,
    home: Home,
}

/// Switches of threads happen at loom's operations only, and none while it is locked.
type Home = StdArc<StdMutex<Reliefs>>;

#[derive(Default)]
struct Reliefs {
    shared: Option<Arc<Shared>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Relieved {
    fn new(runtime: Runtime) -> Self {
        let home = Home::default();
        home.lock().unwrap().shared = Some(Arc::clone(&runtime.shared));
        let starting = StdArc::clone(&home);
        runtime.shared.set_starter(Box::new(move |number| {
            let shared = starting.lock().unwrap().shared.clone();
            let shared = shared.ok_or(io::ErrorKind::NotConnected)?;
            let thread = starts::Builder::new().spawn(move || relief::run(&shared, number))?;
            starting.lock().unwrap().threads.push(thread);
            Ok(())
        }));
        Self { runtime, home }
    }

    fn asleep(workers: usize, guests: usize) -> Self {
        Self::new(Runtime::asleep(workers, guests))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.runtime.shared
    }

    /// Starts a relief, and lets it go on until it sleeps. Nothing is explored.
    fn start_and_let_sleep(&self) {
        loom::stop_exploring();
        let place = self.shared().counters().count() - 1;
        assert!(self.shared().start_relief(1));
        self.let_sleep(place);
        loom::explore();
    }

    /// Lets the one at `place` go on until it sleeps.
    fn let_sleep(&self, place: usize) {
        let parks = || self.shared().counters().nth(place).unwrap().parks.load(Relaxed);
        let before = parks();
        while parks() == before {
            thread::yield_now();
        }
        // It has said that it sleeps; let it do so.
        thread::yield_now();
    }

    fn retire(&self) {
        self.shared().retire_reliefs(1, |_| true);
    }

    /// Waits until the reliefs that were started have left.
    fn join_reliefs(&self) {
        let threads = std::mem::take(&mut self.home.lock().unwrap().threads);
        for thread in threads {
            thread.join().unwrap();
        }
    }

    /// Ends everything. Nothing is explored.
    fn end_quietly(self) {
        loom::stop_exploring();
        self.end();
    }

    fn end(self) {
        let Self { runtime, home } = self;
        runtime.end();
        let Reliefs { shared, threads } = std::mem::take(&mut *home.lock().unwrap());
        for thread in threads {
            thread.join().unwrap();
        }
        drop(shared);
    }
}

/// A task that waits until something comes.
fn read(
    runtime: &Runtime,
    socket: Endpoint,
    then: impl FnOnce() + Send + 'static,
) -> JoinHandle<()> {
    let registration = Registration::new(Arc::clone(runtime.shared.driver()));
    runtime.spawn(async move {
        let arrived = poll_fn(|cx| registration.poll_ready(socket.fd(), cx, Direction::Read)).await;
        assert!(arrived.is_ok());
        then();
    })
}

model! {
    /// Nor does a start that fails cost anything but the time until the next.
    #[preemptions = 1]
    fn a_relief_runs_what_waits_when_every_worker_is_stuck() {
        let relieved = Relieved::asleep(1, 0);
        let (begun, done) = (Signal::new(), Signal::new());
        let (begins, ends) = (Arc::clone(&begun), Arc::clone(&done));
        let stuck = relieved.runtime.spawn(async move {
            begins.give();
            ends.wait();
        });
        begun.wait();
        starts::fail_starts(1);
        assert!(!relieved.shared().start_relief(1));
        let waits = relieved.runtime.spawn(async move { done.give() });
        assert!(relieved.shared().start_relief(1));
        block_on(waits).unwrap();
        block_on(stuck).unwrap();
        relieved.end_quietly();
    }
    catches "relief: one that cannot start keeps its place"
}

model! {
    /// S12.
    #[preemptions = 2]
    fn a_relief_that_is_retired_leaves() {
        let relieved = Relieved::asleep(1, 0);
        relieved.start_and_let_sleep();
        relieved.retire();
        relieved.join_reliefs();
        assert_eq!(relieved.shared().reliefs(), 0);
        relieved.end_quietly();
    }
    catches "relief: who retires it does not wake it"
}

model! {
    /// S4, S12: the push wakes nobody, since the relief searches before it leaves.
    #[preemptions = 1]
    fn a_push_that_relies_on_a_relief_that_leaves_is_found() {
        let relieved = Relieved::asleep(1, 0);
        relieved.start_and_let_sleep();
        relieved.retire();
        let task = relieved.runtime.spawn(async { Tracked::new() });
        assert_eq!(block_on(task).unwrap().count(), 1);
        relieved.join_reliefs();
        relieved.end_quietly();
    }
    catches "relief: it leaves without a word"
}

model! {
    /// S9, S12: the worker finds the driver taken, and sleeps beside it.
    #[preemptions = 1]
    fn a_relief_that_leaves_the_driver_is_followed_by_a_sleeper() {
        let relieved = Relieved::asleep(1, 0);
        let socket = Endpoint::new();
        loom::stop_exploring();
        let reader = read(&relieved.runtime, socket, || ());
        let (begun, go) = (Signal::new(), Signal::new());
        let (begins, goes) = (Arc::clone(&begun), Arc::clone(&go));
        let busy = relieved.runtime.spawn(async move {
            begins.give();
            goes.wait();
        });
        begun.wait();
        loom::explore();
        relieved.start_and_let_sleep();
        go.give();
        relieved.retire();
        socket.arrive(1);
        block_on(reader).unwrap();
        block_on(busy).unwrap();
        relieved.end_quietly();
    }
    catches "relief: it leaves without a word"
}

model! {
    /// S10: the task runs on one of the two and waits for another, which is in its queue.
    #[preemptions = 1]
    fn what_a_relief_queues_is_found_by_a_worker_that_falls_asleep() {
        let relieved = Relieved::new(Runtime::start(1, 0));
        assert!(relieved.shared().start_relief(1));
        let (shared, done) = (Arc::clone(relieved.shared()), Signal::new());
        let task = relieved.runtime.spawn(async move {
            let given = Arc::clone(&done);
            // The second takes the slot, and the first goes to the queue.
            spawn_on(&shared, async move { given.give() }).detach();
            spawn_on(&shared, async {}).detach();
            done.wait();
        });
        block_on(task).unwrap();
        relieved.end_quietly();
    }
    catches "relief: the extent is not raised"
}

model! {
    /// S11: it is in the slot, where nobody but the worker looks.
    #[preemptions = 1]
    fn what_was_behind_a_thread_that_steps_aside_runs() {
        let relieved = Relieved::asleep(1, 0);
        let (shared, done) = (Arc::clone(relieved.shared()), Signal::new());
        let task = relieved.runtime.spawn(async move {
            let given = Arc::clone(&done);
            let behind = spawn_on(&shared, async move { given.give() });
            context::aside(|| done.wait());
            behind.await.unwrap();
        });
        block_on(task).unwrap();
        relieved.end_quietly();
    }
    catches
        "aside: what is queued stays behind",
        "aside: no heir is named"
}

model! {
    /// S11: who it relies on may be about to fall asleep.
    #[preemptions = 1]
    fn what_a_thread_makes_due_while_it_is_aside_runs() {
        let relieved = Relieved::asleep(1, 0);
        let (shared, done) = (Arc::clone(relieved.shared()), Signal::new());
        let task = relieved.runtime.spawn(async move {
            let given = Arc::clone(&done);
            let behind = context::aside(|| {
                let behind = spawn_on(&shared, async move { given.give() });
                done.wait();
                behind
            });
            behind.await.unwrap();
        });
        block_on(task).unwrap();
        relieved.end_quietly();
    }
    catches
        "aside: the thread stays a worker",
        "aside: no heir is named"
}

model! {
    /// S9, S11: nothing is queued, and the worker beside the driver is woken all the same.
    #[preemptions = 1]
    fn who_steps_aside_leaves_somebody_in_the_driver() {
        let relieved = Relieved::asleep(2, 0);
        loom::stop_exploring();
        let (first, second) = (Endpoint::new(), Endpoint::new());
        let done = Signal::new();
        let given = Arc::clone(&done);
        let aside = read(&relieved.runtime, first, move || context::aside(|| done.wait()));
        let other = read(&relieved.runtime, second, move || given.give());
        while !(first.is_registered() && second.is_registered()) {
            thread::yield_now();
        }
        // Each worker runs until it sleeps.
        thread::yield_now();
        loom::explore();
        first.arrive(1);
        second.arrive(1);
        block_on(other).unwrap();
        block_on(aside).unwrap();
        relieved.end_quietly();
    }
    catches "aside: no heir is named"
}

model! {
    /// S9: the one that comes from the driver blocks without a word.
    #[preemptions = 1]
    fn in_an_alert_who_leaves_the_driver_leaves_somebody_in_it() {
        let runtime = Runtime::asleep(2, 0);
        loom::stop_exploring();
        runtime.shared.set_alert(true);
        let (first, second) = (Endpoint::new(), Endpoint::new());
        let done = Signal::new();
        let given = Arc::clone(&done);
        let stuck = read(&runtime, first, move || done.wait());
        let other = read(&runtime, second, move || given.give());
        while !(first.is_registered() && second.is_registered()) {
            thread::yield_now();
        }
        // Each worker runs until it sleeps.
        thread::yield_now();
        loom::explore();
        first.arrive(1);
        second.arrive(1);
        block_on(other).unwrap();
        block_on(stuck).unwrap();
        runtime.end_quietly();
    }
    catches "worker: it leaves the driver alone in an alert"
}

model! {
    #[preemptions = 1]
    fn a_relief_that_starts_as_the_scheduler_closes_leaves() {
        let relieved = Relieved::asleep(1, 0);
        let shared = Arc::clone(relieved.shared());
        let starter = spawn(move || shared.start_relief(1));
        relieved.shared().close();
        assert!(starter.join().unwrap());
        relieved.end();
    }
    catches "shutdown: the sleepers are not woken"
}

model! {
    #[preemptions = 1]
    fn a_relief_that_is_retired_as_the_scheduler_closes_leaves() {
        let relieved = Relieved::asleep(1, 0);
        relieved.start_and_let_sleep();
        let shared = Arc::clone(relieved.shared());
        let monitor = spawn(move || shared.retire_reliefs(1, |_| true));
        relieved.shared().close();
        monitor.join().unwrap();
        relieved.end();
    }
    catches "shutdown: the sleepers are not woken"
}

model! {
    /// S7: the worker, who sleeps, is woken though a guest runs tasks.
    #[preemptions = 2]
    fn what_is_injected_while_a_guest_is_stuck_is_the_workers() {
        let runtime = Runtime::asleep(1, 1);
        let (begun, done) = (Signal::new(), Signal::new());
        let (shared, begins, given) =
            (Arc::clone(&runtime.shared), Arc::clone(&begun), Arc::clone(&done));
        let monitor = spawn(move || {
            begun.wait();
            spawn_on(&shared, async move { given.give() }).detach();
        });
        let shared = Arc::clone(&runtime.shared);
        let main = async move {
            let stuck = spawn_on(&shared, async move {
                begins.give();
                done.wait();
            });
            stuck.await.unwrap();
        };
        guest::block_on(&runtime.shared, main, || ());
        monitor.join().unwrap();
        runtime.end_quietly();
    }
    catches "scheduler: a guest stands for a worker for what is injected"
}

model! {
    /// S7: while it ran tasks nobody was woken for what another worker queued.
    #[preemptions = 1]
    fn what_relied_on_a_guest_that_steps_aside_is_handed_on() {
        let runtime = Runtime::asleep(2, 1);
        let (begun, queued, done) = (Signal::new(), Signal::new(), Signal::new());
        let (begins, queues) = (Arc::clone(&begun), Arc::clone(&queued));
        let (given, ends) = (Arc::clone(&done), Arc::clone(&done));
        let shared = Arc::clone(&runtime.shared);
        let busy = runtime.spawn(async move {
            begun.wait();
            spawn_on(&shared, async move { given.give() }).detach();
            // It takes the other's place in the slot.
            spawn_on(&shared, async {}).detach();
            queues.give();
            ends.wait();
        });
        let shared = Arc::clone(&runtime.shared);
        let main = async move {
            let running = spawn_on(&shared, async move {
                begins.give();
                queued.wait();
                context::aside(|| done.wait());
            });
            running.await.unwrap();
        };
        guest::block_on(&runtime.shared, main, || ());
        block_on(busy).unwrap();
        runtime.end_quietly();
    }
    catches "aside: what relied on a guest is not handed on"
}
