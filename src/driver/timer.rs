//! A timer that was set: what the futures of time hold.

use std::task::{Poll, Waker};
use std::time::Instant;

use crate::primitive::seeded;

use super::shard::ShardRef;
use super::timers::{TimerKey, TimerState};

/// The runtime has shut down; nothing will fire any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// A timer that was set; dropping it removes it.
#[derive(Debug)]
#[must_use = "dropping a timer removes it"]
pub(crate) struct Timer {
    /// `None` once it has fired, was closed or removed.
    set: Option<Set>,
}

#[derive(Debug)]
struct Set {
    shard: ShardRef,
    key: TimerKey,
}

impl Timer {
    #[inline]
    pub(super) fn new(shard: ShardRef, key: TimerKey) -> Self {
        Self { set: Some(Set { shard, key }) }
    }

    /// Whether the deadline has passed; if not, `waker` is woken when it has.
    ///
    /// # Errors
    ///
    /// The driver has shut down, and the timer will not fire.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Result<(), Closed>> {
        // Ends: the second round finds the waker that the first one set, unless the timer has
        // fired or was closed in between.
        while let Some(Set { shard, key }) = &self.set {
            match shard.with(|wheel| wheel.poll(*key, waker)) {
                TimerState::Waiting => return Poll::Pending,
                TimerState::WakesAnother => {}
                TimerState::Fired => {
                    self.set = None;
                    break;
                }
                TimerState::Closed => {
                    self.set = None;
                    return Poll::Ready(Err(Closed));
                }
            }
            // D7: cloned and dropped outside the lock.
            let waker = waker.clone();
            let unneeded = shard.with(|wheel| wheel.replace_waker(*key, waker));
            drop(unneeded);
            if seeded::is("timers: no look at a timer whose waker was replaced") {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Moves the timer to a later deadline, keeping its waker; `false` if it does not wait any more.
    ///
    /// Not for an earlier one: whoever sleeps until the old one would have to be told.
    pub(crate) fn postpone(&mut self, deadline: Instant) -> bool {
        self.set.as_ref().is_some_and(|Set { shard, key }| {
            let deadline = shard.at(deadline);
            shard.with(|wheel| wheel.postpone(*key, deadline))
        })
    }

    /// Removes the timer and returns its waker, if it has one.
    #[inline]
    pub(crate) fn remove(&mut self) -> Option<Waker> {
        let Set { shard, key } = self.set.take()?;
        shard.release_with(|wheel| wheel.remove(key))
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
