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
