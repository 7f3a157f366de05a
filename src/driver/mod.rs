//! The driver: the world outside, as wakers see it. Descriptors that become ready, and time.
//!
//! # PROTOCOL
//!
//! One [`Driver`] is shared by all threads of a runtime. Anybody registers sources and sets timers;
//! one thread at a time, the one that has the [`Turn`], asks the system what happened and calls
//! the wakers.
//!
//! ```text
//!                1              4                      the word of a source
//!   (no slot) ──────► Empty ◄────────► Ready
//!        ▲              │       2,3      │
//!        └──────────────┴────────────────┘
//!                       5
//!
//! 1 Reactor::register         the first task that has to wait; or `Driver::shutdown`'s refusal
//! 2 Source::event             the thread that turns; takes the wakers of the direction
//! 3 Source::wait              a task that found Empty leaves its waker, if it still is
//! 4 Source::clear, drained    the task whose call found nothing, if no event came since
//! 5 Source::vacate            the owner, or its drop; waiters get an error
//!
//!                6              7               9       a timer
//!   (not set) ──────► Waiting ──────► Fired ──────► (not set)
//!                       │  └──────────────────────────▲
//!                      8▼               9             │
//!                     Closed ─────────────────────────┘
//!
//! 6 Driver::insert_timer      any thread, into the shard of its worker
//! 7 Wheel::fire               whoever finds the shard due, not only its worker
//! 8 Wheel::close              `Driver::shutdown`
//! 9 Timer::poll, Timer::drop  the owner
//! ```
//!
//! D1 At most one thread turns: it holds the lock of `Driver::turn`.
//! D2 Readiness is taken back only by who saw it, and only if no event came since: the tick of
//!    the word tells. So an edge is never lost to a late clear.
//! D3 Readiness is set, and wakers are taken, under the lock of the source's waiters; who
//!    wants to wait looks again under it. So an event is either seen or finds the waker.
//! D4 An event, a waiter and a clear are good for one generation of their slot. Slots live as
//!    long as the driver, so that an event in flight names memory, whoever owns it by then.
//! D5 What got in before the shutdown is woken by it, and nothing gets in after: the table and
//!    each wheel close under the lock that registering and setting take.
//! D6 Nobody sleeps past a timer. The thread that turns announces until when it sleeps, then
//!    looks at the shards once more; who sets a shard's earliest timer looks at the announcement
//!    next, and wakes the turn if that is later. A fence on each side makes one of them see
//!    the other.
//! D7 No code of users runs under a lock: wakers are cloned before, called and dropped after. The
//!    lock of D1 alone is held while they are called, for nobody waits for it. A waker that
//!    panics harms nobody else's.
//!
//! # LIVENESS
//!
//! Who turns: a worker that is about to sleep and gets [`Driver::try_lock`] sleeps in the turn; the
//! others sleep elsewhere. A busy worker turns with no wait now and then. How the turn passes from
//! one to the next, so that somebody has it when all sleep, is the scheduler's: see its `park.rs`.
//!
//! *Nobody sleeps past a timer* (D6).
//!
//! ```text
//!    sets a timer, in any shard             sleeps in the turn
//! i1 ShardRef::insert: under the shard's    j1 announce_sleep: sleep_until = the earliest of the
//!    lock the shard's earliest is told         shards' deadlines, as they are told
//! i2 check_sleeper: fence                   j2 fence
//! i3 sleep_until is later: it is set to     j3 the shards' deadlines once more; it waits until
//!    AWAKE, and Driver::wake                   the earlier of the two
//! ```
//!
//! If j2 is after i2, j3 reads what i1 told, or what was told later in its place. If it is before,
//! i3 reads what j1 announced or something newer. Newer is AWAKE, by one who wakes the same sleeper,
//! or by the sleeper itself; or a later announcement. The next announcement is newer than AWAKE, so
//! its j2 is after i2, and its j3 reads what i1 told. A worker that goes to sleep elsewhere does i2
//! and i3 too: its timers are the turn's from then on. A deadline that is told, and gone, is a turn
//! too many and never one too few (W3).
//!
//! *An event or a wake is not lost.* A registered source needs nobody's attention until a turn: its
//! edge waits in the poller, what is so at registration included. [`Driver::wake`] is an edge too:
//! it ends the wait that is, or else the next. So who calls it need not know whether the turn
//! sleeps yet; and who is woken looks at its own token, and at nothing that the edge would carry.
//!
//! Models: models/timers.rs `nobody_sleeps_past_the_timer_of_a_worker_that_sleeps_elsewhere`,
//! `nobody_sleeps_past_the_timer_of_a_thread_that_is_no_worker`, and models/source.rs for D2 to D5.
//!
//! # Refused
//!
//! - **One wheel for all**, under one lock: tokio's, and its bottleneck. Here setting a timer takes
//!   the lock of the own worker's shard, and others read a number.
//! - **A wake for every timer that is set**: most are dropped before they fire. Only one that is
//!   earlier than its shard's others looks at the announcement, and only one earlier than that
//!   wakes.
//! - **`polling`'s own wait**: five system calls each time, where one does.
//! - **Freeing a source with its owner**: an event in flight would name memory that is gone. Slots
//!   stay, and generations tell whose it was (D4).

use std::io;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::primitive::atomic::{AtomicU64, Ordering, fence};
use crate::primitive::lock::{Mutex, MutexGuard};
use crate::primitive::poller::{Clock, Events, nanos};
use crate::primitive::{contain_drop, seeded};

mod reactor;
#[forbid(unsafe_code)]
mod registration;
mod shard;
#[forbid(unsafe_code)]
mod source;
#[forbid(unsafe_code)]
mod timer;
#[forbid(unsafe_code)]
mod timers;

pub(crate) use registration::{Readiness, Registration};
pub(crate) use source::{Direction, Ready};
pub(crate) use timer::{Closed, Timer};

use reactor::Reactor;
use shard::ShardRef;
use timers::NEVER;

/// What `sleep_until` says while nobody sleeps in a turn.
const AWAKE: u64 = 0;

/// Wakers that a turn keeps room for; after a larger batch the memory goes back.
const WAKERS_KEPT: usize = 4096;

/// Sources and timers of one runtime.
#[derive(Debug)]
pub(crate) struct Driver {
    reactor: Reactor,
    clock: Clock,
    /// One for each worker, and the last for all other threads.
    shards: Box<[ShardRef]>,
    /// Until when the thread in the turn sleeps, or [`AWAKE`].
    sleep_until: AtomicU64,
    turn: Mutex<Harvest>,
}

/// What a turn works with.
#[derive(Debug)]
struct Harvest {
    events: Events,
    wakers: Vec<Waker>,
}

impl Driver {
    /// A driver with so many shards of timers: one for each worker, and one for other threads.
    ///
    /// # Errors
    ///
    /// What the system says when it has no descriptors left, or lacks a call.
    pub(crate) fn new(shards: usize) -> io::Result<Self> {
        assert!(shards > 0, "threads that are no workers need a shard");
        let clock = Clock::new();
        Ok(Self {
            reactor: Reactor::new()?,
            clock,
            shards: (0..shards).map(|_| ShardRef::new(clock)).collect(),
            sleep_until: AtomicU64::new(AWAKE),
            turn: Mutex::new(Harvest { events: Events::new(), wakers: Vec::new() }),
        })
    }

    /// The exclusive right to turn, if nobody has it (D1).
    pub(crate) fn try_lock(&self) -> Option<Turn<'_>> {
        self.turn.try_lock().map(|harvest| Turn { driver: self, harvest })
    }

    /// Makes the current turn return at once, or else the next.
    pub(crate) fn wake(&self) {
        // It fails if the eventfd is gone, which is the driver's own; there is no other cause.
        self.reactor.poller.wake().expect("the poller can be woken");
    }

    /// Nanoseconds since the driver's start.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// When the earliest timer is due, perhaps too early and never too late; `u64::MAX` for none.
    #[inline]
    pub(crate) fn next_deadline(&self) -> u64 {
        self.shards.iter().map(|shard| shard.next_deadline()).min().unwrap_or(NEVER)
    }

    /// Sets a timer in `shard`, that of the current worker, or the last one.
    ///
    /// # Errors
    ///
    /// The driver has shut down (D5).
    #[inline]
    pub(crate) fn insert_timer(
        &self,
        shard: usize,
        deadline: Instant,
        waker: &Waker,
    ) -> Result<Timer, Closed> {
        // D7: cloned before the lock.
        let waker = waker.clone();
        let (timer, earlier) = self.shards[shard].insert(deadline, waker)?;
        if earlier && !seeded::is("driver: look at the sleeper after setting a timer") {
            self.check_sleeper();
        }
        Ok(timer)
    }

    /// Takes the wakers of all timers that are due at `now`, whoever's they are.
    fn fire_due(&self, now: u64, due: &mut Vec<Waker>) {
        for shard in &self.shards {
            if shard.next_deadline() <= now {
                shard.fire(now, due);
            }
        }
    }

    /// Ends the driver: every source and timer wakes with an error, and new ones are refused.
    ///
    /// 1 [`Reactor::shut_down`] 2 [`ShardRef::close`] 3 the wakers 4 [`Driver::wake`]
    pub(crate) fn shutdown(&self) {
        let mut wakers = Vec::new();
        self.reactor.shut_down(&mut wakers);
        for shard in &self.shards {
            shard.close(&mut wakers);
        }
        if seeded::is("driver: its end wakes nobody") {
            wakers.clear();
        }
        wake_all(&mut wakers);
        self.wake();
    }

    /// Wakes the turn if it sleeps past the next deadline (D6).
    ///
    /// Setting a timer does this by itself, when it is the earliest.
    #[cold]
    pub(crate) fn check_sleeper(&self) {
        if !seeded::is("driver: fence before looking at the sleeper") {
            // ORDERING: SeqCst. Pairs with the fence in `announce_sleep`: a timer that this
            // thread has published is seen there, or the announcement made there is seen here.
            fence(Ordering::SeqCst);
        }
        // ORDERING: Relaxed, behind the fence.
        let until = self.sleep_until.load(Ordering::Relaxed);
        if self.next_deadline() >= until {
            return;
        }
        // One wake is enough. If the announcement has changed since, the sleeper has looked at
        // the shards since, behind the same fences.
        let relaxed = Ordering::Relaxed;
        if self.sleep_until.compare_exchange(until, AWAKE, relaxed, relaxed).is_ok() {
            self.wake();
        }
    }

    /// Announces a sleep until `limit`, or the earliest timer, and returns when it ends.
    fn announce_sleep(&self, limit: u64) -> u64 {
        let until = limit.min(self.next_deadline());
        // ORDERING: Relaxed, before the fence.
        self.sleep_until.store(until, Ordering::Relaxed);
        if seeded::is("driver: look again after announcing sleep") {
            return until;
        }
        if !seeded::is("driver: fence after announcing sleep") {
            // ORDERING: SeqCst. Pairs with the fence in `check_sleeper`.
            fence(Ordering::SeqCst);
        }
        // LIVENESS (D6): setting a timer is publish, fence, look at the announcement; sleeping is
        // announce, fence, look at what is published. The later fence sees the other's store.
        // Model: models/timers.rs `nobody_sleeps_past_the_timer_of_a_thread_that_is_no_worker`.
        until.min(self.next_deadline())
    }
}

/// The right to turn the driver (D1).
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    driver: &'a Driver,
    harvest: MutexGuard<'a, Harvest>,
}

impl Turn<'_> {
    /// One pass: fires due timers, waits for events, wakes who waited for them, and fires what came
    /// due meanwhile. Returns how many wakers it called.
    ///
    /// It waits at most `max_wait` (for ever if `None`), not beyond the next timer, and not at all
    /// if a timer was due.
    ///
    /// # Panics
    ///
    /// If the system's poller fails, which it has no reason to.
    pub(crate) fn turn(&mut self, max_wait: Option<Duration>) -> usize {
        let driver = self.driver;
        let timed = max_wait.is_some() || driver.next_deadline() != NEVER;
        let now = if timed { driver.now() } else { 0 };
        let fired = self.fire(now);
        if fired > 0 || max_wait == Some(Duration::ZERO) {
            return fired + self.poll(Some(Duration::ZERO));
        }
        let limit = max_wait.map_or(NEVER, |wait| now.saturating_add(nanos(wait)));
        let mut woken = self.sleep(now, driver.announce_sleep(limit));
        if driver.next_deadline() != NEVER {
            woken += self.fire(driver.now());
        }
        woken
    }

    /// Waits for events until the announced end.
    fn sleep(&mut self, mut now: u64, until: u64) -> usize {
        // A timer may have been published since the caller read the clock, or not.
        let driver = self.driver;
        if now == 0 && until != NEVER {
            now = driver.now();
        }
        // Ends: at `until`, if nothing comes before. The poller may return a little early.
        let woken = loop {
            let left = (until != NEVER).then(|| Duration::from_nanos(until.saturating_sub(now)));
            let woken = self.poll(left);
            if !self.harvest.events.is_empty() {
                break woken;
            }
            if until != NEVER {
                now = driver.now();
            }
            if until <= now {
                break woken;
            }
        };
        // ORDERING: Relaxed. Who reads the old announcement wakes a turn that is awake: the next
        // one returns at once, that is all.
        driver.sleep_until.store(AWAKE, Ordering::Relaxed);
        woken
    }

    /// Asks the poller, and wakes who waited for what it says.
    fn poll(&mut self, timeout: Option<Duration>) -> usize {
        let Harvest { events, wakers } = &mut *self.harvest;
        let reactor = &self.driver.reactor;
        reactor.poller.wait(events, timeout).expect("the poller works");
        for event in events.iter() {
            reactor.dispatch(&event, wakers);
        }
        wake_all(wakers)
    }

    fn fire(&mut self, now: u64) -> usize {
        let wakers = &mut self.harvest.wakers;
        self.driver.fire_due(now, wakers);
        wake_all(wakers)
    }
}

/// Calls every waker, whatever the others do, and returns how many there were (D7).
pub(crate) fn wake_all(wakers: &mut Vec<Waker>) -> usize {
    let woken = wakers.len();
    for waker in wakers.drain(..) {
        contain_drop(|| waker.wake());
    }
    wakers.shrink_to(WAKERS_KEPT);
    woken
}
