//! What the current thread is doing, as far as tasks know: which task it runs, and that task's
//! budget.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use crate::primitive::{limits, thread_local};

use super::budget::Budget;
use super::cell::Header;
use super::id::Id;

/// The part of a thread's state that belongs to this room.
struct Context {
    /// The task whose future this thread polls or drops; null outside.
    task: Cell<*const Header>,
    /// What is left of the poll's budget.
    budget: Cell<Budget>,
    /// The task asked to be queued again, by `yield_now` or because its budget is spent.
    yielded: Cell<bool>,
    /// The next free id and the end of this thread's block.
    ids: Cell<(u64, u64)>,
    /// Values of task locals that this thread holds for the future that it polls.
    locals: Cell<usize>,
}

thread_local! {
    static CONTEXT: Context = const {
        Context {
            task: Cell::new(ptr::null()),
            budget: Cell::new(Budget::unlimited()),
            yielded: Cell::new(false),
            ids: Cell::new((0, 0)),
            locals: Cell::new(0),
        }
    };
}

/// The id of the task that the current thread is running, if it runs one.
///
/// Inside a future's `Drop` it is the id of the task that the future was spawned as.
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let task = tenter::spawn(async { tenter::task::id() });
/// let id = task.id();
/// assert_eq!(task.await.unwrap(), Some(id));
/// # }).unwrap();
/// ```
#[must_use]
pub fn id() -> Option<Id> {
    with_current(Header::id)
}

/// The name of the task that the current thread is running, if it runs one that has a name.
///
/// Names are given with [`task::Builder::name`](crate::lifecycle::Builder::name).
///
/// # Examples
///
/// ```
/// use tenter::task::{self, Builder};
///
/// # tenter::run(async {
/// let named = Builder::new().name("greeter").spawn(async { task::name() });
/// assert_eq!(named.await.unwrap().as_deref(), Some("greeter"));
/// assert_eq!(tenter::spawn(async { task::name() }).await.unwrap(), None);
/// # }).unwrap();
/// ```
#[must_use]
pub fn name() -> Option<String> {
    with_current(|header| header.place().name().map(str::to_owned)).flatten()
}

/// Calls `f` with the task that this thread is running, if it runs one.
pub(crate) fn with_current<R>(f: impl FnOnce(&Header) -> R) -> Option<R> {
    let task = NonNull::new(CONTEXT.with(|context| context.task.get()).cast_mut())?;
    // SAFETY: `enter` put the pointer there for the time that the runner's count is held (T4),
    // on this thread, and takes it away before it gives the count up.
    let header = unsafe { task.as_ref() };
    Some(f(header))
}

/// Whether this thread is running a task that was aborted: it ends when its poll returns Pending.
pub(crate) fn is_aborted() -> bool {
    with_current(|header| header.state.load().is_aborted()).unwrap_or(false)
}

/// The task that this thread is running, or null: for comparing, not for touching.
pub(super) fn current() -> *const Header {
    CONTEXT.with(|context| context.task.get())
}

/// Marks this thread as running `task`, with a full budget, until the guard is dropped.
pub(super) fn enter(task: NonNull<Header>) -> Entered {
    CONTEXT.with(|context| Entered {
        task: context.task.replace(task.as_ptr()),
        budget: context.budget.replace(Budget::full()),
        yielded: context.yielded.replace(false),
    })
}

/// Gives a future that is no task (the one in `block_on`) a full budget for one poll.
pub(crate) fn enter_main() -> Entered {
    CONTEXT.with(|context| Entered {
        task: context.task.replace(ptr::null()),
        budget: context.budget.replace(Budget::full()),
        yielded: context.yielded.replace(false),
    })
}

/// What the thread was doing before; restored on drop, since a task may be dropped in another.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entered {
    task: *const Header,
    budget: Budget,
    yielded: bool,
}

impl Entered {
    /// Whether the task that was entered asked to be queued again.
    pub(super) fn has_yielded(&self) -> bool {
        CONTEXT.with(|context| context.yielded.get())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CONTEXT.with(|context| {
            context.task.set(self.task);
            context.budget.set(self.budget);
            context.yielded.set(self.yielded);
        });
    }
}

/// One more value of a task local is this thread's for a while, or one less.
pub(super) fn count_local(is_added: bool) {
    CONTEXT.with(|context| {
        let locals = context.locals.get();
        context.locals.set(if is_added { locals + 1 } else { locals - 1 });
    });
}

/// Whether this thread is inside the scope of a task local, whose value another task must not see.
pub(crate) fn holds_locals() -> bool {
    CONTEXT.with(|context| context.locals.get() > 0)
}

/// Notes that the running task wants to be queued again behind the others.
pub(super) fn set_yielded() {
    CONTEXT.with(|context| context.yielded.set(true));
}

/// Runs `f` on this thread's budget.
pub(super) fn with_budget<R>(f: impl FnOnce(&Cell<Budget>) -> R) -> R {
    CONTEXT.with(|context| f(&context.budget))
}

/// The next id of this thread's block, or of the new block that `refill` names.
pub(super) fn next_id(refill: impl FnOnce() -> u64) -> Id {
    CONTEXT.with(|context| {
        let (mut next, mut end) = context.ids.get();
        if next == end {
            next = refill();
            end = next + limits::ID_BLOCK;
        }
        context.ids.set((next + 1, end));
        Id::from_u64(next)
    })
}
