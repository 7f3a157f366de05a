//! Which group the code that runs on this thread belongs to.

use std::cell::Cell;
use std::mem;

use crate::lifecycle::{self, Id};
use crate::primitive::{Arc, thread_local};

use super::ledger::Ledger;

/// What a task or a body takes with it into its polls.
pub(crate) type Inside = Option<Arc<Ledger>>;

struct Current {
    ledger: Arc<Ledger>,
    /// The task that was running when the thread came here.
    task: Option<Id>,
}

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}

/// The group around the code that asks (G6).
pub(crate) fn enclosing() -> Option<Arc<Ledger>> {
    let look = |current: &Cell<Option<Current>>| {
        let held = current.take();
        let task = lifecycle::id();
        // In a closure that has called `block_on` the thread may run other tasks: not ours. The
        // main future of that call has no id, and is.
        let ours = held.as_ref().filter(|held| task.is_none() || task == held.task);
        let ledger = ours.map(|held| Arc::clone(&held.ledger));
        current.set(held);
        ledger
    };
    CURRENT.try_with(look).ok().flatten()
}

/// Makes `inside` the group around what the thread does until the guard is dropped.
///
/// The group is moved to the thread and back: a poll touches no count.
pub(crate) fn enter(inside: &mut Inside) -> Entered<'_> {
    let task = lifecycle::id();
    let other = inside.take().map(|ledger| Current { ledger, task });
    let mut entered = Entered { inside, other, has_entered: false };
    entered.has_entered = entered.exchange();
    entered
}

/// Restores what was around before.
pub(crate) struct Entered<'a> {
    inside: &'a mut Inside,
    /// What the thread does not have at the moment.
    other: Option<Current>,
    /// `false` on a thread that is ending, whose locals are gone.
    has_entered: bool,
}

impl Entered<'_> {
    fn exchange(&mut self) -> bool {
        let other = &mut self.other;
        CURRENT.try_with(|current| current.set(mem::replace(other, current.take()))).is_ok()
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.has_entered {
            self.exchange();
        }
        *self.inside = self.other.take().map(|current| current.ledger);
    }
}
