//! How much memory a piece of code takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread holds, and the most that it held since [`peak_of`] began.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, with a count.
#[derive(Debug)]
pub(crate) struct Meter;

// SAFETY: every call goes to the system's allocator as it came, which keeps the contract.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps to the contract of the same method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps to the contract of the same method.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps to the contract of the same method.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller keeps to the contract of the same method.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn count(bytes: isize) {
    // A thread's last allocations come after its variables are gone.
    let _ = HELD.try_with(|held| {
        let (now, peak) = held.get();
        held.set((now + bytes, peak.max(now + bytes)));
    });
}

/// What `f` returns, and how many bytes this thread held at most while it ran, beyond what it
/// held before.
pub(crate) fn peak_of<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.with(|held| {
        let (now, _) = held.get();
        held.set((now, now));
        now
    });
    let output = f();
    let (_, peak) = HELD.get();
    (output, (peak - before) as usize)
}

/// How many bytes this thread holds, more or less than when it began.
pub(crate) fn held() -> isize {
    HELD.get().0
}
