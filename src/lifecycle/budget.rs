//! The cooperative budget: how much a task may do in one poll before it lets others run.
//!
//! A future that is always ready would keep its worker for ever. Every leaf future of this crate
//! (sockets, timers, join handles) spends one unit of the poll's budget; when it is spent they
//! return Pending and ask to be polled again, behind the other tasks. The idea is tokio's.
//!
//! Who is told so returns to the scheduler, with a new budget next time. A foreign `block_on` inside
//! a task does not, and would ask for ever. It asks with a waker of its own: such refusals are
//! counted, and after as many as a budget has units the budget is renewed. A join of thousands of
//! leaves that hands on the task's own waker gets one budget a poll.
//!
//! Closures of the blocking pool have no budget.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll};

use crate::primitive::limits;

use super::context;
use super::waker;

/// What a poll may still do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Units that are left; unlimited outside a task.
    left: Option<u8>,
    /// How often there was none left for who has another waker than the task's.
    refusals: u8,
}

impl Budget {
    pub(super) const fn unlimited() -> Self {
        Self { left: None, refusals: 0 }
    }

    pub(super) const fn full() -> Self {
        Self { left: Some(limits::BUDGET), refusals: 0 }
    }

    /// Takes a unit, if one is left.
    #[inline]
    fn spend(&mut self) -> Option<Charge> {
        if let Some(left) = self.left {
            self.left = Some(left.checked_sub(1)?);
        }
        Some(Charge { is_owed: Cell::new(self.left.is_some()) })
    }

    /// Counts a refusal; after too many the budget is full again.
    fn note_refusal(&mut self) {
        self.refusals += 1;
        if self.refusals > limits::BUDGET {
            *self = Self::full();
        }
    }
}

/// One unit that was taken; it goes back on drop unless [`Charge::made_progress`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Charge {
    /// A unit was taken, and nothing was done for it yet.
    is_owed: Cell<bool>,
}

impl Charge {
    /// The leaf did something: the unit is spent.
    pub(crate) fn made_progress(&self) {
        self.is_owed.set(false);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.is_owed.get() {
            context::with_budget(|budget| {
                // Not back to what it was: leaves inside this one may have spent some since.
                let Budget { left, refusals } = budget.get();
                let left = left.map(|left| left.saturating_add(1));
                budget.set(Budget { left, refusals });
            });
        }
    }
}

/// Takes a unit of the budget, or arranges for the task to be polled again later.
#[inline]
pub(crate) fn poll_spend(cx: &mut Context<'_>) -> Poll<Charge> {
    match update(Budget::spend) {
        Some(charge) => Poll::Ready(charge),
        None => refuse(cx),
    }
}

#[cold]
fn refuse(cx: &Context<'_>) -> Poll<Charge> {
    if !waker::is_current_task(cx.waker()) {
        // LIVENESS: it may be that nobody goes back to the scheduler, which would renew it.
        // Test: tests/known_bugs `what_yields_inside_another_executor_inside_a_task_goes_on`.
        update(Budget::note_refusal);
    }
    yield_behind_others(cx);
    Poll::Pending
}

/// Runs `f` on the budget of what this thread runs.
fn update<R>(f: impl FnOnce(&mut Budget) -> R) -> R {
    context::with_budget(|cell| {
        let mut budget = cell.get();
        let result = f(&mut budget);
        cell.set(budget);
        result
    })
}

/// Spends one unit of the running task's budget, and yields if none is left.
///
/// For code that works through many ready items without awaiting anything that could make it
/// wait. Outside a task it does nothing.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but the unit.
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let mut sum = 0;
/// for number in 1..=10_000 {
///     sum += number;
///     // Others have their turn from time to time.
///     tenter::task::consume_budget().await;
/// }
/// assert_eq!(sum, 50_005_000);
/// # }).unwrap();
/// ```
pub async fn consume_budget() {
    poll_fn(|cx| poll_spend(cx).map(|charge| charge.made_progress())).await;
}

/// Lifts the budget of what the current thread runs, until the [`Entered`](context::Entered) that
/// gave it is dropped.
///
/// For code that is polled once and has a thread to itself: a budget that is never renewed would
/// be the end of any `block_on` inside it.
pub(crate) fn lift() {
    context::with_budget(|budget| budget.set(Budget::unlimited()));
}

/// Lifts the budget of what the current thread runs, until this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Lifted(Budget);

impl Lifted {
    /// For a part of a poll that may take long anyway.
    pub(crate) fn new() -> Self {
        Self(context::with_budget(|budget| budget.replace(Budget::unlimited())))
    }
}

impl Drop for Lifted {
    fn drop(&mut self) {
        context::with_budget(|budget| budget.set(self.0));
    }
}

/// Asks for another poll of the current task, after the tasks that are due already.
pub(crate) fn yield_behind_others(cx: &Context<'_>) {
    if waker::is_current_task(cx.waker()) {
        // The runner queues the task itself: its verdict needs no wake, so no count and no
        // second transition.
        context::set_yielded();
    } else {
        cx.waker().wake_by_ref();
    }
}
