//! Tasks without their type: the vtable, the one right to run, and the trait that a scheduler
//! implements.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use crate::primitive::cell::UnsafeCell;
use crate::primitive::seeded;

use super::cell::{Cell, Header, Place, Stage, UnobservedHook};
use super::id::Id;
use super::join::JoinHandle;
use super::run;
use super::state::{State, ToNotified};

/// What a task needs of its scheduler; the one arrow from this room to the one above.
pub(crate) trait Schedule: Sync + 'static {
    /// Queues a task that became due and sees that a worker is awake for it.
    fn schedule(&self, task: Notified);

    /// Queues a task that ran just now and is due again, behind the others.
    fn yield_now(&self, task: Notified);

    /// Takes a task that has ended out of the owned list. Whether it was in it, and its count
    /// with it, is the answer.
    fn release(&self, task: &Header) -> bool;

    /// A task of this scheduler was dropped before it was done.
    fn note_cancelled(&self) {}

    /// Whom to tell of a failure that nobody looks at.
    fn unobserved_hook(&self) -> UnobservedHook;
}

/// The functions that know a task's type.
pub(super) struct Vtable {
    /// Arrow 1 and what follows. Takes the `Notified`'s count.
    pub(super) run: unsafe fn(NonNull<Header>),
    /// [`Schedule::schedule`] of the task's scheduler. Takes the `Notified`'s count.
    pub(super) schedule: unsafe fn(NonNull<Header>),
    /// Moves the output of a task that returned to where the second argument points.
    pub(super) take_output: unsafe fn(NonNull<Header>, NonNull<()>),
    /// Drops the output of a task that returned.
    pub(super) drop_output: unsafe fn(NonNull<Header>),
    /// Moves the panic of a task that panicked out of the stage.
    pub(super) take_panic: unsafe fn(NonNull<Header>) -> Box<super::cell::Panic>,
    /// Frees the cell; the stage holds nothing any more.
    pub(super) free: unsafe fn(NonNull<Header>),
}

/// The vtable of the tasks that run an `F` on an `S`.
struct VtableOf<F, S>(F, S);

impl<F: Future, S: Schedule> VtableOf<F, S> {
    const VTABLE: &'static Vtable = &Vtable {
        run: run::run::<F, S>,
        schedule: run::schedule::<S>,
        take_output: run::take_output::<F>,
        drop_output: run::drop_output::<F>,
        take_panic: run::take_panic::<F>,
        free: run::free::<F>,
    };
}

/// Makes a task that is due for the first time.
///
/// It holds three counts: the owned list's, which the caller must bind or hand to
/// [`Notified::refuse`], and those of the two values returned.
///
/// # Safety
///
/// 1. `scheduler` lives while the task is bound and not complete (T5).
/// 2. `F` and its output may be used and dropped on the threads that run tasks of `scheduler`,
///    and the output where the handle is.
/// 3. `F` and its output live as long as the task may: they are `'static`, or the caller waits.
#[inline]
pub(crate) unsafe fn new<F, S>(
    future: F,
    scheduler: NonNull<S>,
    shard: impl FnOnce(Id) -> usize,
    place: Place,
) -> (Notified, JoinHandle<F::Output>)
where
    F: Future,
    S: Schedule,
{
    let id = Id::next();
    let scheduler = scheduler.as_ptr().cast::<()>();
    let vtable = VtableOf::<F, S>::VTABLE;
    let cell = Box::new(Cell {
        header: Header::new(vtable, scheduler, id, shard(id), place),
        stage: UnsafeCell::new(Stage { future: ManuallyDrop::new(future) }),
    });
    let header = NonNull::from(Box::leak(cell)).cast::<Header>();
    (Notified { header }, JoinHandle::new(header))
}

/// The one right to run a task (T1), with one count (T4).
///
/// It has no `Drop`: a queue that goes away must run what is in it, or the task would be lost.
#[must_use]
pub(crate) struct Notified {
    header: NonNull<Header>,
}

// SAFETY: the pointer alone stops the auto trait. The cell's parts that are not `Sync` are handed
// over by the state word (T2, T6), and duty 2 of `new` lets the future move between threads.
unsafe impl Send for Notified {}

impl Notified {
    /// Polls the task, or drops its future if it was aborted, and does what the verdict says.
    #[inline]
    pub(crate) fn run(self) {
        let vtable = self.header().vtable;
        // SAFETY: `self` is the Notified and its count, and is given up here.
        unsafe { (vtable.run)(self.header) }
    }

    /// Aborts the task and runs it: its future is dropped here and now.
    pub(crate) fn cancel(self) {
        let verdict = self.header().state.transition_to_aborted();
        debug_assert_eq!(verdict, ToNotified::Nothing, "T1: {self:?} is the Notified");
        self.run();
    }

    /// Ends a task that the owned list refused: it was never bound, and reports cancelled.
    pub(crate) fn refuse(self) {
        if !seeded::is("owned: a refused task keeps the list's count") {
            let was_last = self.header().state.drop_counts(1);
            debug_assert!(!was_last, "the Notified holds a count");
        }
        self.cancel();
    }

    /// The task that this is the right to run.
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: `self` is a count (T4).
        unsafe { self.header.as_ref() }
    }

    /// The pointer, for who keeps it while the count it stands for is held.
    pub(super) fn pointer(&self) -> NonNull<Header> {
        self.header
    }

    /// The pointer form, for a slot that is one atomic word.
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        self.header
    }

    /// The value again.
    ///
    /// # Safety
    ///
    /// 1. `header` came from [`Notified::into_raw`], and this is done once for it.
    pub(crate) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self { header }
    }
}

impl fmt::Debug for Notified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notified").field(self.header()).finish()
    }
}

/// A task held by one count, for who aborts, wakes or looks at it.
///
/// What the owned list's shutdown walks with, and the inside of an `AbortHandle`.
pub(crate) struct TaskRef(NonNull<Header>);

// SAFETY: the pointer alone stops the auto traits. Through a `TaskRef` only the state word and
// the parts of the header that never change are reached.
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    /// One more count for the task of `header`.
    ///
    /// # Safety
    ///
    /// 1. The caller holds a count, or the lock of a list that does.
    pub(super) unsafe fn new(header: NonNull<Header>) -> Self {
        if !seeded::is("owned: a reference without a count") {
            // SAFETY: 1.
            unsafe { header.as_ref() }.state.add_count();
        }
        Self(header)
    }

    /// The task's header.
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: `self` is a count (T4).
        unsafe { self.0.as_ref() }
    }

    /// Asks the task to end at its next await point; queues it if it is idle.
    pub(crate) fn abort(&self) {
        // SAFETY: 1: `self` is a count.
        unsafe { abort(self.0) }
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        // SAFETY: 1: `self` is a count.
        unsafe { Self::new(self.0) }
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        // SAFETY: 1: `self` is the count that is given up.
        unsafe { drop_counts(self.0, 1) }
    }
}

/// Arrow 5, and the queueing that its verdict may ask for.
///
/// # Safety
///
/// 1. The caller holds a count.
pub(super) unsafe fn abort(header: NonNull<Header>) {
    // SAFETY: 1.
    let task = unsafe { header.as_ref() };
    match task.state.transition_to_aborted() {
        ToNotified::Nothing => {}
        // SAFETY: the verdict makes this the Notified, with the count it was given (T1), and
        // the task is not complete (T5).
        ToNotified::Schedule => unsafe { (task.vtable.schedule)(header) },
        ToNotified::Free => unreachable!("abort gives up no count"),
    }
}

/// Gives up `n` counts and frees the cell if they were the last.
///
/// # Safety
///
/// 1. The caller holds `n` counts of the cell and gives them up.
pub(super) unsafe fn drop_counts(header: NonNull<Header>, n: usize) {
    // SAFETY: 1: a count is held until the end of this statement.
    let state: &State = unsafe { &header.as_ref().state };
    if state.drop_counts(n) {
        // SAFETY: the last count is gone: nobody else can reach the cell.
        unsafe { free(header) }
    }
}

/// Frees a cell that nobody can reach any more.
///
/// # Safety
///
/// 1. The last count is gone, and its stage was emptied (T3).
pub(super) unsafe fn free(header: NonNull<Header>) {
    // SAFETY: 1: the cell is live until it is freed here.
    let vtable = unsafe { header.as_ref() }.vtable;
    // SAFETY: 1.
    unsafe { (vtable.free)(header) }
}
