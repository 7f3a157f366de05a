//! The system's allocator, with counts: of what the process holds, and of what a thread has asked
//! for. It is that of every program that has this module.

// Every test binary compiles this for itself and uses a part of it.
#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations that live.
static LIVE: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static MADE: Cell<u64> = const { Cell::new(0) };
}

/// Allocations of this process that were not freed.
pub(crate) fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}

/// Allocations that this thread has made, those that grew or shrank among them.
pub(crate) fn made() -> u64 {
    MADE.get()
}

fn count() {
    // A thread that ends allocates uncounted.
    let _ = MADE.try_with(|made| made.set(made.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(1, Ordering::Relaxed);
        count();
        // SAFETY: the caller's duties are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller's duties are the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's duties are the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
