//! What the runner of a task does between arrow 1 and the end of its right to it.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::primitive::{contain, contain_drop};

use super::cell::{Cell, Header, Panic, Place, Stage, Unobserved};
use super::context;
use super::id::Id;
use super::raw::{self, Notified, Schedule};
use super::state::{Outcome, ToComplete, ToIdle, ToRunning};
use super::waker;

/// Arrow 1 and what follows it.
///
/// # Safety
///
/// 1. `header` is that of a `Cell<F>` whose scheduler is an `S`.
/// 2. The caller gives up the Notified and its count (T1, T4).
pub(super) unsafe fn run<F: Future, S: Schedule>(header: NonNull<Header>) {
    // SAFETY: 2: the Notified's count is held until an arrow gives it up.
    let state = unsafe { &header.as_ref().state };
    let outcome = match state.transition_to_running() {
        // SAFETY: 1 and, by the verdict, RUNNING is ours (T2).
        ToRunning::Cancel => unsafe { cancel::<F, S>(header) },
        // SAFETY: as above.
        ToRunning::Poll => match unsafe { poll::<F, S>(header) } {
            Polled::Ended(outcome) => outcome,
            Polled::Pending { yielded } => match state.transition_to_idle(yielded) {
                ToIdle::Idle => return,
                ToIdle::Renotified => {
                    // SAFETY: 1, and the task is not complete (T5).
                    let scheduler = unsafe { scheduler::<S>(header) };
                    // SAFETY: the verdict made our count the new Notified's (T1).
                    scheduler.yield_now(unsafe { Notified::from_raw(header) });
                    return;
                }
                // SAFETY: as in the first arm: the verdict leaves us RUNNING.
                ToIdle::Cancel => unsafe { cancel::<F, S>(header) },
            },
        },
    };
    // SAFETY: 1, RUNNING is ours, and the stage holds what `outcome` says.
    unsafe { complete::<S>(header, outcome) }
}

/// What one poll came to.
enum Polled {
    Ended(Outcome),
    Pending {
        /// The task asked to be queued again.
        yielded: bool,
    },
}

/// Polls the future once; if it ended, the stage holds its output or its panic.
///
/// # Safety
///
/// 1. `header` is that of a `Cell<F>` whose scheduler is an `S`.
/// 2. The caller won arrow 1 and has not left Running (T2).
#[inline]
unsafe fn poll<F: Future, S: Schedule>(header: NonNull<Header>) -> Polled {
    let entered = context::enter(header);
    // SAFETY: the runner's count outlives the waker, which is not dropped (ManuallyDrop).
    let waker = unsafe { waker::borrowed(header) };
    let mut cx = Context::from_waker(&waker);
    let polled = contain(|| {
        // SAFETY: 1 and 2.
        let stage = unsafe { stage::<F>(header) };
        // SAFETY: 2: the stage is ours, and a task that is not complete holds its future.
        let future = unsafe { &mut stage.future };
        // SAFETY: the cell does not move, and the future is dropped where it is.
        unsafe { Pin::new_unchecked(&mut **future) }.poll(&mut cx)
    });
    let ended = match polled {
        Ok(Poll::Pending) => return Polled::Pending { yielded: entered.has_yielded() },
        Ok(Poll::Ready(output)) => Ok(output),
        Err(payload) => Err(payload),
    };
    // SAFETY: 1 and 2; it ended, so it is not polled again.
    let dropped = unsafe { drop_future::<F>(header) };
    drop(entered);
    let (payload, output, second) = match (ended, dropped) {
        (Ok(output), Ok(())) => {
            // The future is dropped, so nothing is overwritten.
            // SAFETY: 1 and 2.
            *unsafe { stage::<F>(header) } = Stage { output: ManuallyDrop::new(output) };
            return Polled::Ended(Outcome::Returned);
        }
        (Ok(output), Err(payload)) => (payload, Some(output), None),
        (Err(payload), dropped) => (payload, None, dropped.err()),
    };
    contain_drop(|| drop(output));
    contain_drop(|| drop(second));
    // SAFETY: 1 and 2, and the stage is empty.
    Polled::Ended(unsafe { store_panic::<F, S>(header, payload) })
}

/// Drops the future of a task that was aborted.
///
/// # Safety
///
/// 1. `header` is that of a `Cell<F>` whose scheduler is an `S`.
/// 2. The caller won arrow 1 and has not left Running (T2); the future is in place.
#[cold]
unsafe fn cancel<F: Future, S: Schedule>(header: NonNull<Header>) -> Outcome {
    let entered = context::enter(header);
    // SAFETY: 1 and 2.
    let dropped = unsafe { drop_future::<F>(header) };
    drop(entered);
    match dropped {
        Ok(()) => {
            // SAFETY: 1, and the task is not complete (T5).
            unsafe { scheduler::<S>(header) }.note_cancelled();
            Outcome::Cancelled
        }
        // SAFETY: 1 and 2, and the stage is empty.
        Err(payload) => unsafe { store_panic::<F, S>(header, payload) },
    }
}

/// Drops the future in place.
///
/// # Safety
///
/// 1. `header` is that of a `Cell<F>`.
/// 2. The caller has the stage (T2); the future is in place and not used again.
unsafe fn drop_future<F: Future>(header: NonNull<Header>) -> Result<(), Box<dyn Any + Send>> {
    // SAFETY: 1 and 2.
    let stage = unsafe { stage::<F>(header) };
    contain(|| {
        // SAFETY: 2.
        let future = unsafe { &mut stage.future };
        // SAFETY: 2: dropped once, where it was pinned.
        unsafe { ManuallyDrop::drop(future) }
    })
}

/// Puts a panic in place of the output.
///
/// # Safety
///
/// 1. `header` is that of a `Cell<F>` whose scheduler is an `S`.
/// 2. The caller won arrow 1 and has not left Running (T2); the stage is empty.
#[cold]
unsafe fn store_panic<F: Future, S: Schedule>(
    header: NonNull<Header>,
    payload: Box<dyn Any + Send>,
) -> Outcome {
    // SAFETY: 1, and the task is not complete (T5).
    let hook = unsafe { scheduler::<S>(header) }.unobserved_hook();
    let panic = ManuallyDrop::new(Box::new(Panic { payload, hook }));
    // SAFETY: 1 and 2.
    *unsafe { stage::<F>(header) } = Stage { panic };
    Outcome::Panicked
}

/// Arrow 3 and what its verdict asks for. Gives up the runner's count.
///
/// # Safety
///
/// 1. `header` is that of a task whose scheduler is an `S`.
/// 2. The caller won arrow 1 and has not left Running (T2); the stage holds what `outcome` says.
#[inline]
unsafe fn complete<S: Schedule>(header: NonNull<Header>, outcome: Outcome) {
    // SAFETY: the runner's count is held until the end of this function.
    let task = unsafe { header.as_ref() };
    // Before arrow 3: afterwards the scheduler may be gone (T5).
    // SAFETY: 1, and the task is not complete yet.
    let was_bound = unsafe { scheduler::<S>(header) }.release(task);
    let counts = 1 + usize::from(was_bound);
    match task.state.transition_to_complete(outcome, counts) {
        ToComplete::Done => return,
        ToComplete::WakeJoiner => {
            // SAFETY: T6: the verdict gives the field to the runner.
            let waker = task.join_waker.with_mut(|waker| unsafe { (*waker).take() });
            contain_drop(|| waker.into_iter().for_each(std::task::Waker::wake));
        }
        // SAFETY: T3: the verdict gives what is in the stage to the runner.
        ToComplete::DropOutput => unsafe { discard(header, outcome) },
    }
    // SAFETY: 1: these are the runner's and, if it was bound, the owned list's.
    unsafe { raw::drop_counts(header, counts) }
}

/// Drops what a finished task left, and reports it if it was a panic.
///
/// # Safety
///
/// 1. The caller owns what is in the stage (T3), and holds a count.
/// 2. `outcome` is how the task ended.
pub(super) unsafe fn discard(header: NonNull<Header>, outcome: Outcome) {
    // SAFETY: 1: a count is held.
    let task = unsafe { header.as_ref() };
    match outcome {
        Outcome::Cancelled => {}
        Outcome::Returned => {
            let _entered = context::enter(header);
            // SAFETY: 1 and 2.
            contain_drop(|| unsafe { (task.vtable.drop_output)(header) });
        }
        Outcome::Panicked => {
            // SAFETY: 1 and 2.
            let panic = unsafe { (task.vtable.take_panic)(header) };
            report_unobserved(task.id(), task.place(), panic);
        }
    }
}

/// Tells the hook of a panic that nobody looked at.
#[cold]
fn report_unobserved(id: Id, place: &Place, panic: Box<Panic>) {
    contain_drop(|| {
        let message = super::error::message(&*panic.payload);
        (panic.hook)(&Unobserved {
            id,
            name: place.name(),
            location: place.location(),
            message,
            is_panic: true,
        });
    });
    contain_drop(|| drop(panic));
}

/// The vtable's `schedule`.
///
/// # Safety
///
/// 1. The scheduler of `header`'s task is an `S`.
/// 2. The caller gives up the Notified and its count (T1, T4).
pub(super) unsafe fn schedule<S: Schedule>(header: NonNull<Header>) {
    // SAFETY: 1, and a task that is Notified is not complete (T5).
    let scheduler = unsafe { scheduler::<S>(header) };
    // SAFETY: 2.
    scheduler.schedule(unsafe { Notified::from_raw(header) });
}

/// The vtable's `take_output`.
///
/// # Safety
///
/// 1. `header` is that of a `Cell<F>`, complete with `Outcome::Returned`.
/// 2. The caller owns the output (T3), and takes it once.
/// 3. `to` is valid for writing an `F::Output`.
pub(super) unsafe fn take_output<F: Future>(header: NonNull<Header>, to: NonNull<()>) {
    // SAFETY: 1 and 2.
    let stage = unsafe { stage::<F>(header) };
    // SAFETY: 1 and 2.
    let output = unsafe { &mut stage.output };
    // SAFETY: 2.
    let output = unsafe { ManuallyDrop::take(output) };
    // SAFETY: 3.
    unsafe { to.cast::<F::Output>().write(output) }
}

/// The vtable's `drop_output`.
///
/// # Safety
///
/// 1. `header` is that of a `Cell<F>`, complete with `Outcome::Returned`.
/// 2. The caller owns the output (T3), and drops it once.
pub(super) unsafe fn drop_output<F: Future>(header: NonNull<Header>) {
    // SAFETY: 1 and 2.
    let stage = unsafe { stage::<F>(header) };
    // SAFETY: 1 and 2.
    let output = unsafe { &mut stage.output };
    // SAFETY: 2.
    unsafe { ManuallyDrop::drop(output) }
}

/// The vtable's `take_panic`.
///
/// # Safety
///
/// 1. `header` is that of a `Cell<F>`, complete with `Outcome::Panicked`.
/// 2. The caller owns the panic (T3), and takes it once.
pub(super) unsafe fn take_panic<F: Future>(header: NonNull<Header>) -> Box<Panic> {
    // SAFETY: 1 and 2.
    let stage = unsafe { stage::<F>(header) };
    // SAFETY: 1 and 2.
    let panic = unsafe { &mut stage.panic };
    // SAFETY: 2.
    unsafe { ManuallyDrop::take(panic) }
}

/// The vtable's `free`.
///
/// # Safety
///
/// 1. `header` is that of a `Cell<F>` that nobody else can reach.
/// 2. The stage holds nothing.
pub(super) unsafe fn free<F: Future>(header: NonNull<Header>) {
    // SAFETY: 1: `raw::new` leaked this box.
    let cell = unsafe { Box::from_raw(header.cast::<Cell<F>>().as_ptr()) };
    // A union drops nothing by itself (2); the header drops the place and, if the handle left
    // one, the join waker.
    contain_drop(|| drop(cell));
}

/// The stage behind a header.
///
/// # Safety
///
/// 1. `header` is that of a live `Cell<F>`.
/// 2. The caller has the stage (T2, T3) for as long as it uses the reference.
unsafe fn stage<'a, F: Future + 'a>(header: NonNull<Header>) -> &'a mut Stage<F> {
    // SAFETY: 1: the header is the first field of the cell.
    let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
    // SAFETY: 2.
    cell.stage.with_mut(|stage| unsafe { &mut *stage })
}

/// The scheduler behind a header.
///
/// # Safety
///
/// 1. The task's scheduler is an `S`, and the task is not complete (T5).
/// 2. The caller's use of the reference ends before the task can complete.
unsafe fn scheduler<'a, S: Schedule>(header: NonNull<Header>) -> &'a S {
    // SAFETY: the caller holds a count.
    let scheduler = unsafe { header.as_ref() }.scheduler;
    // SAFETY: 1 and 2: by T5 it is live.
    unsafe { &*scheduler.cast::<S>() }
}
