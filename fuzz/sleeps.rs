//! Sleeps of several threads, on one driver whose clock the program sets.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::driver::Driver;
use crate::input::{Input, Script};
use crate::primitive::play::{self, Bed};
use crate::primitive::poller::{instant, nanos, set_now};
use crate::runtime;
use crate::time::{Sleep, sleep_until};
use crate::timers::{tick_of, time_of};

/// Shards: two workers', and that of other threads.
const SHARDS: usize = 3;

const SLEEPS_MAX: usize = 24;

/// Times that a wait ends early, at most.
const EARLY_MAX: usize = 8;

const NEVER: u64 = u64::MAX;

/// The clock stays below: three centuries.
const NOW_MAX: u64 = NEVER / 2;

/// Plays a program.
pub(crate) fn play(input: Input<'_>) {
    let world = Rc::new(World {
        driver: Arc::new(Driver::new(SHARDS).expect("it takes no descriptors")),
        script: Script::new(input.rest()),
        now: Cell::new(0),
        is_closed: Cell::new(false),
        sleeps: RefCell::default(),
        wait: Cell::new(None),
    });
    world.set_now(0);
    let sleeper = Rc::clone(&world);
    play::with_sleep(Rc::new(move |bed, is_woken| sleeper.wait(bed, is_woken)), || world.play());
    let drops_driver_first = world.script.byte() & 1 == 1;
    let world = Rc::into_inner(world).expect("nobody plays it any more");
    if drops_driver_first {
        drop(world.driver);
        drop(world.sleeps);
    }
}

/// A waker that counts.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// What has become of a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was not polled since it was made or reset.
    New,
    /// It will ring this one of its bells.
    Set(usize),
    /// It rang.
    Fired,
    /// It has said so.
    Elapsed,
    /// The driver has shut down: it rang, and nobody may poll it.
    Closed,
}

/// A sleep, and what is expected of it.
struct Known {
    sleep: Sleep,
    deadline: u64,
    state: State,
    bells: [Arc<Bell>; 2],
    rings: [usize; 2],
}

impl Known {
    /// Whether a clock that shows `now` has got to its tick.
    fn is_due(&self, now: u64) -> bool {
        matches!(self.state, State::Set(_)) && time_of(tick_of(self.deadline)) <= now
    }

    fn ring(&mut self, state: State) {
        if let State::Set(bell) = std::mem::replace(&mut self.state, state) {
            self.rings[bell] += 1;
        }
    }

    fn check(&self) {
        let rings = self.bells.each_ref().map(|bell| bell.0.load(Relaxed));
        let Self { state, deadline, .. } = self;
        assert_eq!(rings, self.rings, "rings of a sleep until {deadline} that is {state:?}");
    }
}

/// A sleep in the driver, as the oracle knows it.
#[derive(Clone, Copy)]
struct Wait {
    /// When it must end at the latest.
    limit: u64,
    early: usize,
}

struct World {
    driver: Arc<Driver>,
    script: Script,
    now: Cell<u64>,
    is_closed: Cell<bool>,
    sleeps: RefCell<Vec<Known>>,
    wait: Cell<Option<Wait>>,
}

impl World {
    fn ahead(&self, most: u32) -> u64 {
        self.now.get().saturating_add(self.script.up_to_bits(most))
    }

    fn set_now(&self, now: u64) {
        self.now.set(now.clamp(self.now.get(), NOW_MAX));
        set_now(self.now.get());
    }

    fn play(&self) {
        // Ends: each step uses a byte up.
        while !self.script.is_over() {
            match self.script.byte() % 16 {
                kind @ 0..=9 => self.act(kind),
                10 => self.turn(Some(0)),
                11 => {
                    let longest = self.script.up_to_bits(40);
                    self.turn(Some(longest));
                }
                12 => self.turn(None),
                13 => self.set_now(self.ahead(40)),
                14 => self.set_now(self.driver.next_deadline().min(self.ahead(40))),
                // Seldom: little happens afterwards.
                _ => {
                    if self.script.byte() == 0xff {
                        self.shut_down();
                    }
                }
            }
            self.check();
        }
    }

    /// What any thread may do at any time.
    fn act(&self, kind: u8) {
        match kind {
            0..=2 => self.add(),
            3..=5 => self.poll(),
            6..=8 => self.reset(),
            _ => self.remove(),
        }
    }

    fn deadline(&self) -> u64 {
        match self.script.byte() % 8 {
            0 => self.now.get().saturating_sub(self.script.up_to_bits(40)),
            1 => self.ahead(63),
            _ => self.ahead(30),
        }
    }

    fn add(&self) {
        if self.sleeps.borrow().len() < SLEEPS_MAX {
            let deadline = self.deadline();
            self.sleeps.borrow_mut().push(Known {
                sleep: sleep_until(instant(deadline)),
                deadline,
                state: State::New,
                bells: Default::default(),
                rings: [0; 2],
            });
        }
    }

    fn any(&self) -> Option<usize> {
        let len = self.sleeps.borrow().len();
        (len > 0).then(|| usize::from(self.script.byte()) % len)
    }

    fn poll(&self) {
        let Some(index) = self.any() else { return };
        let how = usize::from(self.script.byte());
        let (bell, shard) = (how % 2, how / 2 % SHARDS);
        let mut sleeps = self.sleeps.borrow_mut();
        let known = &mut sleeps[index];
        if known.state == State::Closed || known.state == State::New && self.is_closed.get() {
            // Such a poll panics.
            return;
        }
        let waker = Waker::from(Arc::clone(&known.bells[bell]));
        let sleep = Pin::new(&mut known.sleep);
        let poll = || sleep.poll(&mut Context::from_waker(&waker));
        let polled = runtime::with_shard(&self.driver, shard, poll);
        let (expected, state) = match known.state {
            State::New | State::Set(_) => (Poll::Pending, State::Set(bell)),
            _ => (Poll::Ready(()), State::Elapsed),
        };
        assert_eq!(polled, expected, "of a sleep that was {:?}", known.state);
        known.state = state;
    }

    fn reset(&self) {
        let Some(index) = self.any() else { return };
        let deadline = self.deadline();
        let mut sleeps = self.sleeps.borrow_mut();
        let known = &mut sleeps[index];
        let is_later = known.deadline <= deadline;
        known.deadline = deadline;
        known.sleep.reset(instant(deadline));
        assert_eq!(known.sleep.deadline(), instant(deadline));
        if !(is_later && matches!(known.state, State::Set(_))) {
            // Who waits is told to poll it again.
            known.ring(State::New);
        }
    }

    fn remove(&self) {
        let Some(index) = self.any() else { return };
        let Known { sleep, bells, rings, .. } = self.sleeps.borrow_mut().swap_remove(index);
        drop(sleep);
        for (bell, rings) in bells.into_iter().zip(rings) {
            assert_eq!(bell.0.load(Relaxed), rings, "a sleep that is dropped rings");
            assert_eq!(Arc::strong_count(&bell), 1, "a sleep that is dropped is still set");
        }
    }

    /// One turn of the driver, for so long at most.
    fn turn(&self, longest: Option<u64>) {
        let now = self.now.get();
        let due = self.fire(now);
        let waits = due == 0 && longest != Some(0);
        let limit = longest.map_or(NEVER, |ns| now.saturating_add(ns));
        self.wait.set(waits.then_some(Wait { limit, early: 0 }));
        let mut turn = self.driver.try_lock().expect("nobody else turns");
        let woken = turn.turn(longest.map(Duration::from_nanos));
        drop(turn);
        self.wait.set(None);
        let due = due + self.fire(self.now.get());
        assert_eq!(woken, due, "wakers called");
        let told = self.driver.next_deadline();
        assert!(told > self.now.get(), "told {told}, which has been");
    }

    /// What is due fires; how many.
    fn fire(&self, now: u64) -> usize {
        let mut sleeps = self.sleeps.borrow_mut();
        let due = sleeps.iter_mut().filter(|known| known.is_due(now));
        due.map(|known| known.ring(State::Fired)).count()
    }

    /// The thread that turns the driver sleeps: others act, and time passes.
    fn wait(&self, bed: Bed, is_woken: &dyn Fn() -> bool) {
        let Bed::Driver(timeout) = bed else { unreachable!("nothing waits beside the driver") };
        let mut wait = self.wait.get().expect("it was to return at once");
        let end = timeout.map_or(NEVER, |time| self.now.get().saturating_add(nanos(time)));
        assert!(end <= wait.limit, "it sleeps until {end}, and not {}", wait.limit);
        self.check_end(end, "as it falls asleep");
        let mut earliest = NEVER;
        for _ in 0..self.script.byte() % 4 {
            let before = self.earliest();
            let kind = self.script.byte();
            if kind & 0x80 == 0 {
                self.act(kind % 10);
            } else {
                self.driver.check_sleeper();
            }
            self.check();
            earliest = earliest.min(before).min(self.earliest());
            if is_woken() {
                assert!(earliest < end, "it is woken though nothing comes before {end}");
            } else {
                self.check_end(end, "after what another did");
            }
        }
        let is_early = self.script.byte() & 1 == 1 && wait.early < EARLY_MAX;
        wait.early += 1;
        self.wait.set(Some(wait));
        if is_woken() {
            return;
        }
        if end > NOW_MAX {
            self.driver.wake();
        } else if is_early {
            self.set_now(self.ahead(30).min(end - 1));
        } else {
            self.set_now(end.saturating_add(self.script.up_to_bits(20)));
        }
    }

    /// When the first timer is due.
    fn earliest(&self) -> u64 {
        let sleeps = self.sleeps.borrow();
        let set = sleeps.iter().filter(|known| matches!(known.state, State::Set(_)));
        set.map(|known| time_of(tick_of(known.deadline))).min().unwrap_or(NEVER)
    }

    /// D6: nobody sleeps past a timer.
    fn check_end(&self, end: u64, when: &str) {
        let first = self.earliest().max(self.now.get());
        assert!(end <= first, "it sleeps until {end}, past the timer of {first}, {when}");
    }

    fn check(&self) {
        self.sleeps.borrow().iter().for_each(Known::check);
        let first = self.earliest().max(self.now.get());
        let told = self.driver.next_deadline();
        assert!(told <= first, "told {told}, which is later than {first}");
    }

    fn shut_down(&self) {
        self.driver.shutdown();
        self.is_closed.set(true);
        for known in &mut *self.sleeps.borrow_mut() {
            if matches!(known.state, State::Set(_)) {
                known.ring(State::Closed);
            }
        }
    }
}
