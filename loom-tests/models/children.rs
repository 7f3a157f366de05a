//! Children: every one is reaped, once, whoever has it when it ends. Z1 to Z3.

use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc as StdArc;
use std::sync::Mutex as StdMutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loom::thread::{JoinHandle, spawn};

use super::support::block_on;
use crate::driver::{Direction, Driver, Registration};
use crate::harness::model;
use crate::primitive::Arc;
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::poller::Endpoint;
use crate::process::life::{Life, Reap};
use crate::process::orphans::{self, Care, Orphans};

/// What the system knows of all children of a model, and who sleeps until it knows more.
#[derive(Default)]
struct System {
    state: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    ended: [bool; 2],
    reaped: [u32; 2],
    rung: bool,
}

impl System {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn end(&self, number: usize) {
        self.state.lock().ended[number] = true;
        self.changed.notify_all();
    }

    fn assert_reaped(&self, numbers: &[usize]) {
        let state = self.state.lock();
        for &number in numbers {
            assert_eq!(state.reaped[number], 1, "how often child {number} was reaped");
        }
    }
}

/// One child.
struct Kid {
    system: Arc<System>,
    number: usize,
}

impl Kid {
    fn new(system: &Arc<System>, number: usize) -> Self {
        Self { system: Arc::clone(system), number }
    }
}

impl Reap for Kid {
    fn try_reap(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut state = self.system.state.lock();
        if !state.ended[self.number] {
            return Ok(None);
        }
        state.reaped[self.number] += 1;
        drop(state);
        self.system.changed.notify_all();
        Ok(Some(ExitStatus::from_raw(0)))
    }
}

/// The reaper's bell, as level-triggered as an eventfd.
#[derive(Clone)]
struct Bell(Arc<System>);

impl orphans::Bell for Bell {
    fn ring(&self) {
        self.0.state.lock().rung = true;
        self.0.changed.notify_all();
    }

    fn silence(&self) {
        self.0.state.lock().rung = false;
    }
}

/// Sleeps until one of the children has ended, or the bell was rung.
fn sleep(kids: &[Kid], bell: &Bell) {
    let mut state = bell.0.state.lock();
    while !state.rung && !kids.iter().any(|kid| state.ended[kid.number]) {
        state = bell.0.changed.wait(state);
    }
}

/// The threads that were started as reapers.
type Reapers = StdArc<StdMutex<Vec<JoinHandle<()>>>>;

/// Hands an orphan over, and starts a reaper if one is wanted.
fn adopt(orphans: &Arc<Orphans<Kid, Bell>>, kid: Kid, reapers: &Reapers) {
    let system = Arc::clone(&kid.system);
    see_to(orphans, orphans.adopt(kid), &system, reapers);
}

fn see_to(orphans: &Arc<Orphans<Kid, Bell>>, care: Care, system: &Arc<System>, reapers: &Reapers) {
    if care == Care::Wanted {
        let (orphans, bell) = (Arc::clone(orphans), Bell(Arc::clone(system)));
        let reaper = spawn(move || orphans.serve(bell, sleep));
        reapers.lock().unwrap().push(reaper);
    }
}

fn join(reapers: &Reapers) {
    // Ends: whoever starts a reaper has been joined before.
    loop {
        let reaper = reapers.lock().unwrap().pop();
        match reaper {
            Some(reaper) => reaper.join().unwrap(),
            None => return,
        }
    }
}

model! {
    /// The reaper finds the list empty, and an orphan comes as it leaves.
    fn an_orphan_finds_a_reaper() {
        let (system, orphans) = (System::new(), Arc::new(Orphans::new()));
        let reapers = Reapers::default();
        system.end(0);
        system.end(1);
        adopt(&orphans, Kid::new(&system, 0), &reapers);
        adopt(&orphans, Kid::new(&system, 1), &reapers);
        join(&reapers);
        system.assert_reaped(&[0, 1]);
    }
    catches "process: leave under the lock"
}

model! {
    /// The reaper is about to sleep, for the end of a child that ends after the other was reaped.
    fn an_orphan_wakes_the_reaper() {
        let (system, orphans) = (System::new(), Arc::new(Orphans::new()));
        let reapers = Reapers::default();
        system.end(1);
        adopt(&orphans, Kid::new(&system, 0), &reapers);
        adopt(&orphans, Kid::new(&system, 1), &reapers);
        let mut state = system.state.lock();
        while state.reaped[1] == 0 {
            state = system.changed.wait(state);
        }
        drop(state);
        system.end(0);
        join(&reapers);
        system.assert_reaped(&[0, 1]);
    }
    catches "process: silence the bell before looking at the list"
}

model! {
    fn a_child_that_ends_as_it_is_dropped_is_reaped_once() {
        let (system, orphans) = (System::new(), Arc::new(Orphans::new()));
        let reapers = Reapers::default();
        let mut life = Life::new(Kid::new(&system, 0));
        let ending = {
            let system = Arc::clone(&system);
            spawn(move || system.end(0))
        };
        if let Some(kid) = life.abandon() {
            adopt(&orphans, kid, &reapers);
        }
        ending.join().unwrap();
        join(&reapers);
        system.assert_reaped(&[0]);
    }
    catches "process: hand on what has not ended"
}

model! {
    fn an_orphan_whose_reaper_could_not_start_is_not_forgotten() {
        let (system, orphans) = (System::new(), Arc::new(Orphans::new()));
        let reapers = Reapers::default();
        system.end(1);
        assert_eq!(orphans.adopt(Kid::new(&system, 0)), Care::Wanted);
        let other = {
            let (system, orphans) = (Arc::clone(&system), Arc::clone(&orphans));
            let reapers = StdArc::clone(&reapers);
            spawn(move || adopt(&orphans, Kid::new(&system, 1), &reapers))
        };
        orphans.start_failed();
        // As if another child was started.
        see_to(&orphans, orphans.retry(), &system, &reapers);
        other.join().unwrap();
        system.end(0);
        join(&reapers);
        system.assert_reaped(&[0, 1]);
    }
    catches "process: start a reaper for those who wait"
}

/// A child whose pidfd is registered, and who waits for it.
struct Waiting {
    life: Life<Kid>,
    registration: Registration,
    pidfd: Endpoint,
}

impl Waiting {
    fn new(system: &Arc<System>, driver: &Arc<Driver>, pidfd: Endpoint) -> Self {
        let registration = Registration::new(Arc::clone(driver));
        let life = Life::new(Kid::new(system, 0));
        let mut waiting = Self { life, registration, pidfd };
        assert!(waiting.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        waiting
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let (registration, pidfd) = (&self.registration, self.pidfd);
        self.life.poll_end(|attempt| registration.poll_io(pidfd.fd(), cx, Direction::Read, attempt))
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        block_on(poll_fn(|cx| self.poll(cx)))
    }
}

fn driver() -> Arc<Driver> {
    Arc::new(Driver::new(1).unwrap())
}

/// A pass over the driver that does not wait.
fn turn(driver: &Driver) {
    driver.try_lock().expect("one thread turns").turn(Some(Duration::ZERO));
}

model! {
    fn the_end_of_a_child_wakes_who_was_about_to_sleep() {
        let (system, driver, pidfd) = (System::new(), driver(), Endpoint::new());
        let mut waiting = Waiting::new(&system, &driver, pidfd);
        let ending = {
            let system = Arc::clone(&system);
            spawn(move || {
                system.end(0);
                pidfd.arrive(1);
                turn(&driver);
            })
        };
        waiting.wait().unwrap();
        ending.join().unwrap();
        waiting.wait().unwrap();
        system.assert_reaped(&[0]);
    }
    catches "source: look again under the lock"
}

model! {
    /// The child ends, then the runtime; the wait has the status all the same.
    fn an_end_before_the_shutdown_is_not_lost_to_it() {
        let (system, driver, pidfd) = (System::new(), driver(), Endpoint::new());
        let mut waiting = Waiting::new(&system, &driver, pidfd);
        let ending = {
            let system = Arc::clone(&system);
            spawn(move || {
                system.end(0);
                pidfd.arrive(1);
                driver.shutdown();
            })
        };
        waiting.wait().unwrap();
        ending.join().unwrap();
        system.assert_reaped(&[0]);
    }
    catches "process: look once more when the driver is gone"
}

model! {
    /// The runtime ends under the wait; the child is dropped with it, and ends later.
    fn a_child_that_outlives_the_runtime_is_reaped() {
        let (system, driver, pidfd) = (System::new(), driver(), Endpoint::new());
        let (orphans, reapers) = (Arc::new(Orphans::new()), Reapers::default());
        let mut waiting = Waiting::new(&system, &driver, pidfd);
        let ending = {
            let system = Arc::clone(&system);
            spawn(move || {
                driver.shutdown();
                system.end(0);
            })
        };
        // Woken by the shutdown, it finds the child as it is at that moment.
        let _either = waiting.wait();
        if let Some(kid) = waiting.life.abandon() {
            adopt(&orphans, kid, &reapers);
        }
        ending.join().unwrap();
        join(&reapers);
        system.assert_reaped(&[0]);
    }
    catches "source: look again under the lock", "process: hand on what has not ended"
}
