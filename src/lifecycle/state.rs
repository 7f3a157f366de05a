//! The state word of a task: flags below, the count of references above.
//!
//! Every transition goes through [`State::update`], one CAS loop, and answers with a verdict
//! that the caller must match on. The diagram is in the room's [`mod.rs`](super).

use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::seeded;

/// A thread polls, drops or completes the future (T2).
const RUNNING: usize = 1;
/// The output is in place, or gone (T3).
const COMPLETE: usize = 1 << 1;
/// A `Notified` exists, or the runner must make one when it is done (T1).
const NOTIFIED: usize = 1 << 2;
/// The future is to be dropped instead of polled.
const ABORTED: usize = 1 << 3;
/// The `JoinHandle` exists: it will take or drop the output.
const JOIN_INTEREST: usize = 1 << 4;
/// The join waker field holds a waker that arrow 3 must wake (T6).
const JOIN_WAKER: usize = 1 << 5;
/// How the task ended, beside COMPLETE: a panic is in place of the output.
const PANICKED: usize = 1 << 6;
/// How the task ended, beside COMPLETE: the future was dropped unfinished.
const CANCELLED: usize = 1 << 7;
/// One reference.
const COUNT: usize = 1 << 8;

/// The word at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(usize);

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The future returned: the stage holds its output.
    Returned,
    /// The future panicked: the stage holds the panic.
    Panicked,
    /// The future was dropped before it was done: the stage holds nothing.
    Cancelled,
}

impl Snapshot {
    fn has(self, flags: usize) -> bool {
        self.0 & flags == flags
    }

    fn with(self, flags: usize) -> Self {
        Self(self.0 | flags)
    }

    fn without(self, flags: usize) -> Self {
        Self(self.0 & !flags)
    }

    fn counts(self) -> usize {
        self.0 / COUNT
    }

    fn with_count(self) -> Self {
        // A count can only overflow by leaking 2^55 wakers; a wrapped count would free a live
        // cell, so nothing less than an abort will do.
        if self.0 > isize::MAX as usize {
            std::process::abort();
        }
        Self(self.0 + COUNT)
    }

    fn without_counts(self, n: usize) -> Self {
        debug_assert!(n <= self.counts(), "{self:?} loses {n} counts");
        Self(self.0 - n * COUNT)
    }

    pub(crate) fn is_running(self) -> bool {
        self.has(RUNNING)
    }

    pub(crate) fn is_complete(self) -> bool {
        self.has(COMPLETE)
    }

    pub(crate) fn is_notified(self) -> bool {
        self.has(NOTIFIED)
    }

    pub(crate) fn is_aborted(self) -> bool {
        self.has(ABORTED)
    }

    pub(crate) fn has_join_waker(self) -> bool {
        self.has(JOIN_WAKER)
    }

    /// Whether the reader's count is the only one left.
    fn is_last(self) -> bool {
        self.counts() == 1
    }

    /// How the task ended; meaningful once it is complete.
    pub(crate) fn outcome(self) -> Outcome {
        if self.has(PANICKED) {
            Outcome::Panicked
        } else if self.has(CANCELLED) {
            Outcome::Cancelled
        } else {
            Outcome::Returned
        }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [(usize, &str); 8] = [
            (RUNNING, "RUNNING"),
            (COMPLETE, "COMPLETE"),
            (NOTIFIED, "NOTIFIED"),
            (ABORTED, "ABORTED"),
            (JOIN_INTEREST, "JOIN_INTEREST"),
            (JOIN_WAKER, "JOIN_WAKER"),
            (PANICKED, "PANICKED"),
            (CANCELLED, "CANCELLED"),
        ];
        write!(f, "{} counts", self.counts())?;
        for (flag, name) in NAMES {
            if self.has(flag) {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

/// Arrow 1.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToRunning {
    /// Poll the future.
    Poll,
    /// Drop the future and complete as cancelled.
    Cancel,
}

/// Arrow 2.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToIdle {
    /// The runner's count is gone and with it the runner's right to the cell.
    Idle,
    /// The runner's count is the new `Notified`'s: queue it.
    Renotified,
    /// Aborted while it ran; still Running: drop the future and complete as cancelled.
    Cancel,
}

/// Arrow 3.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToComplete {
    /// The `JoinHandle` will take the output; the runner's counts are gone.
    Done,
    /// The runner owns the join waker field (T6) and still its counts: wake, then drop them.
    WakeJoiner,
    /// Nobody will take the output: drop it, then the counts.
    DropOutput,
}

/// Arrow 4.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToNotified {
    /// Nothing to do: the wake is noted, or came too late.
    Nothing,
    /// The caller holds the one `Notified`: queue it.
    Schedule,
    /// The waker's count was the last: free the cell.
    Free,
}

/// The `JoinHandle` goes.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToDetached {
    /// The handle's count is gone.
    Detached,
    /// The handle owns the join waker field (T6): drop the waker, then the count.
    DropWaker,
    /// The task is complete: drop the output (T3), then the count.
    DropOutput,
}

/// The word itself.
pub(crate) struct State(AtomicUsize);

impl State {
    /// Counts of a new task: the owned list's, the `Notified`'s and the `JoinHandle`'s.
    const NEW: usize = (3 * COUNT) | NOTIFIED | JOIN_INTEREST;

    /// The word of a task that is due for the first time.
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(Self::NEW))
    }

    /// Reads the word.
    pub(crate) fn load(&self) -> Snapshot {
        // ORDERING: Acquire. Pairs with Release in `State::transition_to_complete`: who sees
        // COMPLETE sees the output.
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// The one CAS loop: `next` maps the word to a verdict and the new word.
    #[inline(always)]
    fn update<V>(&self, mut next: impl FnMut(Snapshot) -> (V, Snapshot)) -> V {
        // ORDERING: Relaxed. Only a guess for the CAS, which reads the word again.
        let mut now = self.0.load(Ordering::Relaxed);
        // Ends: a failure means that another transition went through, and a task has finitely
        // many parties.
        loop {
            let (verdict, new) = next(Snapshot(now));
            if new.0 == now && seeded::is("task: what changes nothing writes nothing") {
                return verdict;
            }
            let order = if seeded::is("task: transitions do not release") {
                Ordering::Acquire
            } else {
                Ordering::AcqRel
            };
            // ORDERING: AcqRel. Release: what this thread did (the waker's writes before it
            // wakes, the runner's poll, the output) is seen by the Acquire of the transition
            // that acts on it, here in the same function. It holds for a wake that changes
            // nothing too: the poll that it relies on must see what the waker wrote.
            // Relaxed on failure: the newer word is a better guess, and no verdict is given
            // before an exchange succeeds.
            match self.0.compare_exchange_weak(now, new.0, order, Ordering::Relaxed) {
                Ok(_) => return verdict,
                Err(newer) => now = newer,
            }
        }
    }

    /// Arrow 1: by the worker that popped the `Notified`.
    #[inline(always)]
    pub(crate) fn transition_to_running(&self) -> ToRunning {
        self.update(|now| {
            debug_assert!(
                now.is_notified() && !now.is_running() && !now.is_complete(),
                "T1: a Notified of a task that is {now:?}"
            );
            let verdict = if now.has(ABORTED) { ToRunning::Cancel } else { ToRunning::Poll };
            (verdict, now.without(NOTIFIED).with(RUNNING))
        })
    }

    /// Arrow 2: by the runner, after Pending. `yielded` asks to be run again, as if woken.
    #[inline(always)]
    pub(crate) fn transition_to_idle(&self, yielded: bool) -> ToIdle {
        self.update(|now| {
            debug_assert!(now.is_running(), "arrow 2 of a task that is {now:?}");
            if now.has(ABORTED) && !seeded::is("task: an abort during the run is overlooked") {
                return (ToIdle::Cancel, now);
            }
            if yielded || (now.is_notified() && !seeded::is("task: drop the renotified verdict")) {
                return (ToIdle::Renotified, now.without(RUNNING).with(NOTIFIED));
            }
            debug_assert!(!now.is_last(), "T4: the owned list holds a count: {now:?}");
            (ToIdle::Idle, now.without(RUNNING).without_counts(1))
        })
    }

    /// Arrow 3: by the runner, when the stage holds what `outcome` says.
    ///
    /// `counts` are those that the runner gives up: its own, and the owned list's if the task
    /// was taken out of it.
    #[inline(always)]
    pub(crate) fn transition_to_complete(&self, outcome: Outcome, counts: usize) -> ToComplete {
        let outcome = match outcome {
            Outcome::Returned => 0,
            Outcome::Panicked => PANICKED,
            Outcome::Cancelled => CANCELLED,
        };
        self.update(|now| {
            debug_assert!(now.is_running(), "arrow 3 of a task that is {now:?}");
            let new = now.without(RUNNING | NOTIFIED).with(COMPLETE | outcome);
            let unwanted = !now.has(JOIN_INTEREST);
            if unwanted && !seeded::is("task: leave the output to a handle that is gone") {
                (ToComplete::DropOutput, new)
            } else if now.has(JOIN_WAKER) {
                (ToComplete::WakeJoiner, new.without(JOIN_WAKER))
            } else {
                (ToComplete::Done, new.without_counts(counts))
            }
        })
    }

    /// Arrow 4, by a waker that is used up: its count goes to the `Notified`, or away.
    pub(crate) fn transition_to_notified_by_value(&self) -> ToNotified {
        self.update(|now| {
            let late = now.is_complete() && !seeded::is("task: wake a complete task");
            if late || now.is_notified() || now.is_running() {
                if seeded::is("task: a wake by value keeps its count") {
                    return (ToNotified::Nothing, now.with(NOTIFIED));
                }
                let new = now.without_counts(1);
                let new = if now.is_complete() { new } else { new.with(NOTIFIED) };
                let verdict = if now.is_last() { ToNotified::Free } else { ToNotified::Nothing };
                (verdict, new)
            } else {
                (ToNotified::Schedule, now.with(NOTIFIED))
            }
        })
    }

    /// Arrow 4, by a waker that lives on: the `Notified` gets a count of its own.
    pub(crate) fn transition_to_notified_by_ref(&self) -> ToNotified {
        self.update(|now| {
            if now.is_complete() {
                (ToNotified::Nothing, now)
            } else if now.is_running() {
                (ToNotified::Nothing, now.with(NOTIFIED))
            } else if now.is_notified() && !seeded::is("task: two wakers make two Notified") {
                (ToNotified::Nothing, now)
            } else {
                (ToNotified::Schedule, now.with(NOTIFIED).with_count())
            }
        })
    }

    /// Arrow 5: the task is to be cancelled at its next await point.
    pub(crate) fn transition_to_aborted(&self) -> ToNotified {
        self.update(|now| {
            let queued = now.is_notified() && !seeded::is("task: abort queues what is queued");
            if now.is_complete() && !seeded::is("task: abort a complete task") {
                (ToNotified::Nothing, now)
            } else if now.is_running() || queued {
                (ToNotified::Nothing, now.with(ABORTED))
            } else {
                (ToNotified::Schedule, now.with(ABORTED | NOTIFIED).with_count())
            }
        })
    }

    /// Tells the runner that the join waker field holds a waker. Fails if the task is complete.
    pub(crate) fn set_join_waker(&self) -> Result<(), Snapshot> {
        self.update(|now| {
            debug_assert!(!now.has(JOIN_WAKER), "the field is shared already: {now:?}");
            if now.is_complete() && !seeded::is("join: wait for a complete task") {
                (Err(now), now)
            } else {
                (Ok(()), now.with(JOIN_WAKER))
            }
        })
    }

    /// Takes the join waker field back for the handle. Fails if the task is complete.
    pub(crate) fn unset_join_waker(&self) -> Result<(), Snapshot> {
        self.update(|now| {
            if now.is_complete() { (Err(now), now) } else { (Ok(()), now.without(JOIN_WAKER)) }
        })
    }

    /// The `JoinHandle` goes; its output was not taken.
    pub(crate) fn transition_to_detached(&self) -> ToDetached {
        self.update(|now| {
            if now.is_complete() && !seeded::is("join: a handle that goes late leaves the output") {
                (ToDetached::DropOutput, now)
            } else if now.has(JOIN_WAKER) {
                if seeded::is("join: a dropped handle takes the waker that it shares") {
                    return (ToDetached::DropWaker, now);
                }
                (ToDetached::DropWaker, now.without(JOIN_WAKER | JOIN_INTEREST))
            } else {
                debug_assert!(!now.is_last(), "a task that is not complete is bound: {now:?}");
                (ToDetached::Detached, now.without(JOIN_INTEREST).without_counts(1))
            }
        })
    }

    /// One more reference, made from one that exists.
    #[inline]
    pub(crate) fn add_count(&self) {
        // ORDERING: Relaxed. The new count comes from one that is held, and whatever hands it to
        // another thread orders it.
        let before = self.0.fetch_add(COUNT, Ordering::Relaxed);
        if before > isize::MAX as usize {
            std::process::abort();
        }
    }

    /// Gives up `n` references; `true` says that they were the last: free the cell.
    #[must_use]
    #[inline]
    pub(crate) fn drop_counts(&self, n: usize) -> bool {
        // ORDERING: Acquire. Pairs with the Release of the other droppers, here and in
        // `State::update`: who frees sees all that they did to the cell. If ours are the only
        // counts left nobody can add one, and the word need not be written.
        if Snapshot(self.0.load(Ordering::Acquire)).counts() == n {
            return true;
        }
        let release = if seeded::is("task: relaxed decrement") {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        // ORDERING: Release. Pairs with the Acquire loads above and below, in whoever frees.
        let before = Snapshot(self.0.fetch_sub(n * COUNT, release));
        debug_assert!(n <= before.counts(), "{before:?} loses {n} counts");
        if before.counts() != n {
            return false;
        }
        // ORDERING: Acquire. Pairs with the Release of every earlier decrement. A load, where a
        // fence would do as well: ThreadSanitizer understands loads.
        self.0.load(Ordering::Acquire);
        true
    }
}
