//! A shard of the timers: a wheel under a lock of its own, and the deadline that others read.
//!
//! Setting a timer that never fires must cost next to nothing, and most of what it costs are atomic
//! read-modify-writes. So the lock and the count of those who hold the shard are one word:
//!
//! ```text
//!  63                        1   0
//! ┌───────────────────────────┬───────┐
//! │  references               │ locked│
//! └───────────────────────────┴───────┘
//! ```
//!
//! L1 Who sets `locked` has the wheel, and is the only one to write the word until it clears the
//!    bit. So it clears it, and counts itself or a new timer in or out, with one plain store.
//! L2 A reference is held by the driver and by each timer that is set. The store that counts the
//!    last one out is the last access of all; who made it frees the shard.
//! L3 What runs under the lock is short, except firing a great many timers at once. So who finds
//!    it locked tries again, and lets other threads run in between; nobody is queued.

use std::fmt;
use std::ptr::NonNull;
use std::task::Waker;
use std::time::Instant;

use crate::primitive::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::primitive::cell::UnsafeCell;
use crate::primitive::poller::Clock;
use crate::primitive::{seeded, thread};

use super::timer::{Closed, Timer};
use super::timers::{NEVER, Wheel};

const LOCKED: usize = 1;

/// One reference in the word.
const ONE: usize = 2;

/// Attempts at a lock before its holder may need the processor.
const SPINS: u32 = 40;

/// The timers of one worker, or of all threads that are none.
#[repr(align(128))]
struct Shard {
    word: AtomicUsize,
    wheel: UnsafeCell<Wheel>,
    told: Told,
}

/// What others read: on cache lines of its own, apart from those that setting timers writes.
#[repr(align(128))]
struct Told {
    /// [`Wheel::next_deadline`], written under the lock.
    next: AtomicU64,
    clock: Clock,
}

/// A reference to a shard, one of those that are counted (L2).
///
/// Timers hold their shard and not the driver, so that workers that set timers touch no count
/// that they share.
pub(super) struct ShardRef {
    shard: NonNull<Shard>,
}

// SAFETY: the pointer stops the auto trait. What it points to are atomics, a clock, and the
// wheel, which is `Send` and is passed on with the lock: Release in `unlock`, Acquire in `lock`.
unsafe impl Send for ShardRef {}

// SAFETY: as above; a shared reference gives access to the wheel under the lock only.
unsafe impl Sync for ShardRef {}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Wheel>();
};

impl ShardRef {
    /// The first reference to a new shard.
    pub(super) fn new(clock: Clock) -> Self {
        let shard = Box::new(Shard {
            word: AtomicUsize::new(ONE),
            wheel: UnsafeCell::new(Wheel::new()),
            told: Told { next: AtomicU64::new(NEVER), clock },
        });
        Self { shard: NonNull::from(Box::leak(shard)) }
    }

    /// When the earliest timer is due: at the latest then, perhaps earlier (W3).
    #[inline]
    pub(super) fn next_deadline(&self) -> u64 {
        // ORDERING: Relaxed. Whoever sleeps by it has a fence for it (D6); to everyone else it
        // is a hint.
        self.told().next.load(Ordering::Relaxed)
    }

    /// What the driver's clock shows at `instant`.
    #[inline]
    pub(super) fn at(&self, instant: Instant) -> u64 {
        self.told().clock.at(instant)
    }

    /// Sets a timer; the flag tells whether the shard's next deadline became earlier by it.
    #[inline]
    pub(super) fn insert(&self, deadline: Instant, waker: Waker) -> Result<(Timer, bool), Closed> {
        let deadline = self.at(deadline);
        let mut locked = self.lock();
        match locked.with(|wheel| wheel.insert(deadline, waker)) {
            Ok(key) => {
                // Only an earlier one is news: a deadline that was told and is gone by now stays
                // told until it has passed, so that timers that never fire wake nobody.
                let told = self.next_deadline();
                let earlier = deadline < told && {
                    let next = locked.with(|wheel| wheel.next_deadline());
                    self.publish(next);
                    next < told
                };
                Ok((Timer::new(locked.unlock_with_reference(), key), earlier))
            }
            Err(waker) => {
                // D7: behind the lock.
                drop(locked);
                drop(waker);
                Err(Closed)
            }
        }
    }

    /// Takes the wakers of all timers that are due at `now`.
    pub(super) fn fire(&self, now: u64, due: &mut Vec<Waker>) {
        let mut locked = self.lock();
        let next = locked.with(|wheel| {
            wheel.fire(now, due);
            wheel.next_deadline()
        });
        if seeded::is("timers: what fires tells the next deadline without the lock") {
            drop(locked);
        }
        self.publish(next);
    }

    /// Ends all timers and refuses new ones.
    pub(super) fn close(&self, wakers: &mut Vec<Waker>) {
        let mut locked = self.lock();
        locked.with(|wheel| wheel.close(wakers));
        self.publish(NEVER);
    }

    /// Works on the wheel.
    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Wheel) -> R) -> R {
        self.lock().with(f)
    }

    /// Works on the wheel for the last time and gives up the reference.
    #[inline]
    pub(super) fn release_with<R>(self, f: impl FnOnce(&mut Wheel) -> R) -> R {
        let this = std::mem::ManuallyDrop::new(self);
        let mut locked = this.lock();
        let result = locked.with(f);
        locked.unlock_and_release();
        result
    }

    /// Under the lock of the wheel.
    fn publish(&self, next: u64) {
        // ORDERING: Relaxed, as in `next_deadline`.
        self.told().next.store(next, Ordering::Relaxed);
    }

    #[inline]
    fn told(&self) -> &Told {
        let shard = self.shard.as_ptr();
        // SAFETY: the shard is there for as long as `self`, which is counted (L2).
        unsafe { &(*shard).told }
    }

    #[inline]
    fn lock(&self) -> Locked<'_> {
        // SAFETY: as in `told`.
        let word = unsafe { &(*self.shard.as_ptr()).word };
        let mut attempts = 0;
        // Ends: when those before this thread are done (L3).
        loop {
            // ORDERING: Relaxed. The exchange orders.
            let found = word.load(Ordering::Relaxed);
            if found & LOCKED == 0 {
                let locked = found | LOCKED;
                // ORDERING: Acquire. Pairs with Release in `Locked::store`: what was done to the
                // wheel under the lock before. Relaxed on failure: it is another attempt.
                let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
                if word.compare_exchange_weak(found, locked, acquire, relaxed).is_ok() {
                    return Locked { reference: self, unlocked: found };
                }
            }
            wait(&mut attempts);
        }
    }
}

impl Drop for ShardRef {
    fn drop(&mut self) {
        self.lock().unlock_and_release();
    }
}

impl fmt::Debug for ShardRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("next_deadline", &self.next_deadline()).finish()
    }
}

/// The right to the wheel (L1); given up on drop.
struct Locked<'a> {
    reference: &'a ShardRef,
    /// The word as it was, without the lock.
    unlocked: usize,
}

impl Locked<'_> {
    #[inline]
    fn with<R>(&mut self, f: impl FnOnce(&mut Wheel) -> R) -> R {
        // SAFETY: the shard is there: `self.reference` is counted (L2).
        let wheel = unsafe { &(*self.reference.shard.as_ptr()).wheel };
        wheel.with_mut(|wheel| {
            // SAFETY: the lock is held (L1), and `self` is borrowed for as long as `f` runs.
            f(unsafe { &mut *wheel })
        })
    }

    /// Unlocks, with one more reference.
    #[inline]
    fn unlock_with_reference(self) -> ShardRef {
        let this = std::mem::ManuallyDrop::new(self);
        debug_assert!(this.unlocked < usize::MAX - ONE, "more timers than memory holds");
        this.store(this.unlocked + ONE);
        ShardRef { shard: this.reference.shard }
    }

    /// Unlocks, without the reference that was locked; it must not be used or dropped after.
    #[inline]
    fn unlock_and_release(self) {
        let this = std::mem::ManuallyDrop::new(self);
        let left = this.unlocked - ONE;
        let shard = this.reference.shard;
        if left == 0 {
            // Nobody else can come: without unlocking, which would be the last access (L2).
            // SAFETY: it was made by `Box::leak`, and this was the last reference. Those before
            // were counted out by the stores that the lock's Acquire has seen, each the last
            // access of its thread.
            drop(unsafe { Box::from_raw(shard.as_ptr()) });
        } else {
            this.store(left);
        }
    }

    /// Unlocks: the last access of a thread that gives up its reference.
    #[inline]
    fn store(&self, word: usize) {
        // SAFETY: the reference of this thread keeps the shard until it is counted out (L2), which
        // is no earlier than by the store itself.
        let at = unsafe { &(*self.reference.shard.as_ptr()).word };
        let release = if seeded::is("timers: unlock without Release") {
            Ordering::Relaxed
        } else {
            // ORDERING: Release. Pairs with Acquire in `ShardRef::lock`.
            Ordering::Release
        };
        at.store(word, release);
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        self.store(self.unlocked);
    }
}

/// Between two attempts at a lock.
#[cold]
fn wait(attempts: &mut u32) {
    *attempts += 1;
    if *attempts < SPINS {
        thread::spin_loop();
    } else {
        thread::yield_now();
    }
}
