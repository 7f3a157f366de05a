//! A shard of the timers: a wheel under a lock of its own, and the deadline that others read.

use std::task::{Poll, Waker};
use std::time::Instant;

use crate::primitive::Arc;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::poller::Clock;
use crate::primitive::seeded;

use super::timers::{NEVER, TimerKey, TimerState, Wheel};

/// The timers of one worker, or of all threads that are none.
///
/// Timers hold their shard and not the driver, so that workers that set timers touch no count
/// that they share. On cache lines of its own, for the same reason.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard {
    wheel: Mutex<Wheel>,
    /// [`Wheel::next_deadline`], written under the lock.
    next: AtomicU64,
    clock: Clock,
}

/// The runtime has shut down; nothing will fire any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// A timer that was set; dropping it removes it.
#[derive(Debug)]
#[must_use = "dropping a timer removes it"]
pub(crate) struct Timer {
    shard: Arc<Shard>,
    /// `None` once it has fired or was closed.
    key: Option<TimerKey>,
}

impl Shard {
    pub(super) fn new(clock: Clock) -> Self {
        Self { wheel: Mutex::new(Wheel::new()), next: AtomicU64::new(NEVER), clock }
    }

    /// When the earliest timer is due: at the latest then, perhaps earlier (W3).
    #[inline]
    pub(super) fn next_deadline(&self) -> u64 {
        // ORDERING: Relaxed. Whoever sleeps by it has a fence for it (D6); to everyone else it
        // is a hint.
        self.next.load(Ordering::Relaxed)
    }

    /// Sets a timer; the flag tells whether the shard's next deadline became earlier by it.
    #[inline]
    pub(super) fn insert(
        this: &Arc<Self>,
        deadline: Instant,
        waker: Waker,
    ) -> Result<(Timer, bool), Closed> {
        let deadline = this.clock.at(deadline);
        let mut wheel = this.wheel.lock();
        match wheel.insert(deadline, waker) {
            Ok(key) => {
                // Only an earlier one is news: a deadline that was told and is gone by now stays
                // told until it has passed, so that timers that never fire wake nobody.
                let told = this.next_deadline();
                let earlier = deadline < told && {
                    let next = wheel.next_deadline();
                    this.publish(next);
                    next < told
                };
                drop(wheel);
                Ok((Timer { shard: Arc::clone(this), key: Some(key) }, earlier))
            }
            Err(waker) => {
                // D7: behind the lock.
                drop(wheel);
                drop(waker);
                Err(Closed)
            }
        }
    }

    /// Takes the wakers of all timers that are due at `now`.
    pub(super) fn fire(&self, now: u64, due: &mut Vec<Waker>) {
        let mut wheel = self.wheel.lock();
        wheel.fire(now, due);
        self.publish(wheel.next_deadline());
    }

    /// Ends all timers and refuses new ones.
    pub(super) fn close(&self, wakers: &mut Vec<Waker>) {
        let mut wheel = self.wheel.lock();
        wheel.close(wakers);
        self.publish(NEVER);
    }

    /// Under the lock of the wheel.
    fn publish(&self, next: u64) {
        // ORDERING: Relaxed, as in `next_deadline`.
        self.next.store(next, Ordering::Relaxed);
    }
}

impl Timer {
    /// Whether the deadline has passed; if not, `waker` is woken when it has.
    ///
    /// # Errors
    ///
    /// The driver has shut down, and the timer will not fire.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Result<(), Closed>> {
        let Some(key) = self.key else {
            return Poll::Ready(Ok(()));
        };
        // Ends: the second round finds the waker that the first one set, unless the timer has
        // fired or was closed in between.
        loop {
            let state = self.shard.wheel.lock().poll(key, waker);
            match state {
                TimerState::Waiting => return Poll::Pending,
                TimerState::WakesAnother => {}
                TimerState::Fired => {
                    self.key = None;
                    return Poll::Ready(Ok(()));
                }
                TimerState::Closed => {
                    self.key = None;
                    return Poll::Ready(Err(Closed));
                }
            }
            // D7: cloned and dropped outside the lock.
            let waker = waker.clone();
            let unneeded = self.shard.wheel.lock().replace_waker(key, waker);
            drop(unneeded);
            if seeded::is("timers: no look at a timer whose waker was replaced") {
                return Poll::Pending;
            }
        }
    }

    /// Moves the timer to a later deadline, keeping its waker; `false` if it does not wait any more.
    ///
    /// Not for an earlier one: whoever sleeps until the old one would have to be told.
    pub(crate) fn postpone(&mut self, deadline: Instant) -> bool {
        let deadline = self.shard.clock.at(deadline);
        self.key.is_some_and(|key| self.shard.wheel.lock().postpone(key, deadline))
    }

    /// Removes the timer and returns its waker, if it has one.
    #[inline]
    pub(crate) fn remove(&mut self) -> Option<Waker> {
        let key = self.key.take()?;
        self.shard.wheel.lock().remove(key)
    }
}

impl Drop for Timer {
    #[inline]
    fn drop(&mut self) {
        if seeded::is("timers: a dropped timer stays set") {
            return;
        }
        // D7: the waker is dropped behind the lock.
        drop(self.remove());
    }
}
