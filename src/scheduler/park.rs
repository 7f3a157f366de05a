//! How a thread sleeps: in the driver if nobody else does, else on its own condition variable.
//!
//! ```text
//!            1            5
//!   EMPTY ──────► IN_DRIVER ──► EMPTY
//!     │               │            3
//!     │               └───────────────────► NOTIFIED ──► EMPTY
//!     │   2                        3           ▲      4
//!     ├─────────► ON_CONDVAR ─────────────────►│
//!     └────────────────────────────────────────┘ 3
//!
//! 1, 2 Parker::park    its thread, before it sleeps; fails if it is NOTIFIED already
//! 3    Parker::unpark  any thread: one token, never lost; wakes where the state says
//! 4    Parker::park    its thread: takes the token
//! 5    Parker::park    its thread: an event or a timer ended its turn
//! ```
//!
//! # A token is never lost
//!
//! The state is changed by read-modify-writes alone, each of which works on the latest value. So
//! either arrow 3 comes first, and arrows 1 and 2 fail; or it finds where the thread sleeps:
//!
//! - ON_CONDVAR is entered under the lock, which waiting alone gives back. Arrow 3 takes the lock
//!   behind its swap, so the thread waits by then, and is notified.
//! - IN_DRIVER: [`Driver::wake`] ends the current wait of the poller, or else the next one. It may
//!   come late, when the thread has left, for whatever reason: then the next turn ends at once.
//!
//! Who takes a token acquires what was released with it, of the first that gave it to the last: a
//! swap continues the release sequence of the value that it replaces.
//!
//! # The driver changes hands
//!
//! ```text
//!    falls asleep                                leaves the driver
//! e1 Idle::announce: onto the list, locked    f1 the driver's lock is given back
//! e2 Driver::try_lock: in the driver          f2 a worker: Idle::retract, then it works, and will
//! e3 or, if it is taken, beside it               do e1 and e2 again
//!                                             f3 or who will not: wakes one of the list, locked
//! ```
//!
//! That somebody sleeps in the driver when all sleep (S9): let Z be the last that did e1, and let
//! it have failed in e2. Each worker that had the driver before, and is asleep again, did f1, then
//! e1, and that before Z's: by the lock of the list Z knew of its f1. So who had the driver as Z
//! failed is a worker that took it after its own e1. Then it sleeps there; or had a token, and does
//! f2, and e1 after Z, which it does not. Or it is one who does f3. Its lock of the list is not
//! before Z's e1, or Z knew of f1. So it finds Z or another there, who is woken and does e1 after
//! Z; or it finds that somebody searches, who does e1 after that.
//!
//! Who does f3: [`Shared::turn_for_others`](super::Shared) for the monitor, `Worker::leave` for a
//! relief, `Shared::name_heir` for a thread that steps aside. A worker that is stuck between f1 and
//! e1 is the monitor's to find. Guests never do e2: they come and go.
//!
//! # Refused
//!
//! - **A thread for the driver alone**: every event then costs a wake of another thread. Here who
//!   sleeps in the driver runs what the event made due.
//! - **A poller for each worker**: sources belong to the one where they were registered, or to all,
//!   with a wake each. It stays open, until a measurement on more cores asks for it.
//! - **Everybody in the one poller**: neither an event nor a wake could say whom it wakes.
//!
//! Models: models/park.rs `a_token_is_not_lost_as_the_driver_changes_hands`, and its neighbours.
//! The specification in `specs` has this as part of the protocol of sleep, see
//! [`idle`](super::idle).

use crate::driver::Driver;
use crate::primitive::atomic::{AtomicU32, Ordering};
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::seeded;

const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;
const ON_CONDVAR: u32 = 2;
const IN_DRIVER: u32 = 3;

/// Where one thread sleeps.
pub(crate) struct Parker {
    state: AtomicU32,
    lock: Mutex<()>,
    condvar: Condvar,
}

/// What a sleep brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slept {
    /// The thread turned the driver.
    InDriver,
    /// The thread slept beside the driver, or did not sleep at all.
    Beside,
}

impl Parker {
    /// A parker without a token.
    pub(super) fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), lock: Mutex::new(()), condvar: Condvar::new() }
    }

    /// Sleeps until there is a token, and takes it; or, in the driver, until something happens.
    pub(super) fn park(&self, driver: &Driver) -> Slept {
        if self.take_token() {
            return Slept::Beside;
        }
        match driver.try_lock() {
            Some(mut turn) => {
                if self.move_to(IN_DRIVER) {
                    turn.turn(None);
                }
                // ORDERING: Acquire. Pairs with Release in `unpark`: the thread sees what was
                // done before it was woken. Whatever the state was, there is no token now.
                self.state.swap(EMPTY, Ordering::Acquire);
                Slept::InDriver
            }
            None => {
                // LIVENESS: the timers of this thread are the sleeping turn's business now; it
                // is woken if it would sleep past the earliest. Model: models/timers.rs
                // `nobody_sleeps_past_the_timer_of_a_worker_that_sleeps_elsewhere`.
                driver.check_sleeper();
                self.park_on_condvar();
                Slept::Beside
            }
        }
    }

    /// Sleeps until there is a token, and takes it, without ever turning the driver.
    pub(super) fn park_on_condvar(&self) {
        let mut guard = self.lock.lock();
        if self.move_to(ON_CONDVAR) {
            // Ends: with a token, which `unpark` always leaves. A spurious wake goes back.
            loop {
                guard = self.condvar.wait(guard);
                // ORDERING: Relaxed. Taking the token below orders.
                let has_token = self.state.load(Ordering::Relaxed) == NOTIFIED;
                if has_token || seeded::is("park: a spurious wake ends the sleep") {
                    break;
                }
            }
        }
        drop(guard);
        // ORDERING: Acquire. Pairs with Release in `unpark`.
        let token = self.state.swap(EMPTY, Ordering::Acquire);
        debug_assert_eq!(token, NOTIFIED, "only a token ends this sleep");
    }

    /// Leaves a token and wakes the thread if it sleeps.
    pub(super) fn unpark(&self, driver: &Driver) {
        let order = if seeded::is("park: a token without Release") {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        // ORDERING: Release. Pairs with Acquire where the token is taken.
        match self.state.swap(NOTIFIED, order) {
            NOTIFIED if seeded::is("park: a second token takes the first away") => {
                self.state.store(EMPTY, Ordering::Relaxed);
            }
            // The thread takes the token before it sleeps, or has one already.
            EMPTY | NOTIFIED => {}
            IN_DRIVER => {
                if !seeded::is("park: the sleeper in the driver is not woken") {
                    driver.wake();
                }
            }
            ON_CONDVAR => {
                // LIVENESS: the thread holds the lock from before it moved to ON_CONDVAR until
                // it waits. Taking the lock means that it waits: the notification finds it.
                // Model: models/park.rs `a_thread_that_sleeps_beside_the_driver_is_woken`.
                if !seeded::is("park: notify without the lock") {
                    drop(self.lock.lock());
                }
                self.condvar.notify_one();
            }
            state => unreachable!("a parker in state {state}"),
        }
    }

    fn take_token(&self) -> bool {
        // ORDERING: Acquire on success. Pairs with Release in `unpark`. Relaxed on failure:
        // nothing was taken.
        self.state.compare_exchange(NOTIFIED, EMPTY, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Arrows 1 and 2. Fails if there is a token.
    fn move_to(&self, state: u32) -> bool {
        // ORDERING: Relaxed. The state carries nothing to the waker, and on failure the token
        // is taken with Acquire.
        self.state.compare_exchange(EMPTY, state, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
