//! Wakers: a task's pointer with one count (T4), and the functions behind it.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::cell::Header;
use super::context;
use super::raw;
use super::state::ToNotified;

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// A waker for the time of a poll, on the runner's count.
pub(super) struct Borrowed(ManuallyDrop<Waker>);

impl Deref for Borrowed {
    type Target = Waker;

    fn deref(&self) -> &Waker {
        &self.0
    }
}

/// The waker that a poll is given. It is not dropped, so it needs no count of its own.
///
/// # Safety
///
/// 1. The caller holds a count of the task for as long as it uses the waker.
pub(super) unsafe fn borrowed(header: NonNull<Header>) -> Borrowed {
    // SAFETY: the functions of `VTABLE` take the pointer of a live header; 1.
    Borrowed(ManuallyDrop::new(unsafe { Waker::new(header.as_ptr().cast(), &VTABLE) }))
}

/// Whether `waker` wakes the task that this thread is running.
pub(super) fn is_current_task(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &raw const VTABLE) && waker.data() == context::current().cast::<()>()
}

fn header(data: *const ()) -> NonNull<Header> {
    NonNull::new(data.cast_mut().cast()).expect("a waker's data is its task's header")
}

// The duty of the four functions is `RawWakerVTable`'s: `data` is that of a waker which holds a
// count (or, borrowed, is covered by the runner's).

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker that is cloned holds a count.
    unsafe { header(data).as_ref() }.state.add_count();
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    let header = header(data);
    // SAFETY: the waker's count is held until the transition gives it up.
    let task = unsafe { header.as_ref() };
    let vtable = task.vtable;
    match task.state.transition_to_notified_by_value() {
        ToNotified::Nothing => {}
        // SAFETY: the verdict made the waker's count the Notified's (T1).
        ToNotified::Schedule => unsafe { (vtable.schedule)(header) },
        // SAFETY: the verdict says that the waker's count was the last.
        ToNotified::Free => unsafe { raw::free(header) },
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    let header = header(data);
    // SAFETY: the waker's count is held throughout.
    let task = unsafe { header.as_ref() };
    match task.state.transition_to_notified_by_ref() {
        ToNotified::Nothing => {}
        // SAFETY: the verdict gave the Notified a count of its own (T1).
        ToNotified::Schedule => unsafe { (task.vtable.schedule)(header) },
        ToNotified::Free => unreachable!("waking by reference gives up no count"),
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: 1: the waker's count is given up.
    unsafe { raw::drop_counts(header(data), 1) }
}
