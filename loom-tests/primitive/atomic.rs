//! Atomic integers, pointers and fences: loom's, whose drop is an access too.
//!
//! The memory of an atomic is freed by somebody, and everybody else's accesses must have happened
//! before. loom does not know of the free; the wrappers tell it, so that a use after free is seen.

use std::cell::Cell;
use std::ops::Deref;

pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};

std::thread_local! {
    /// All threads of a model are on one real thread.
    static TRUSTED: Cell<bool> = const { Cell::new(false) };
}

/// For models: drops are not checked in this run.
///
/// For atomics in an `Arc` of std, whose count orders accesses and drop without loom's seeing it.
pub(crate) fn trust_drops() {
    TRUSTED.set(true);
}

/// For the harness: drops are checked.
pub(crate) fn check_drops() {
    TRUSTED.set(false);
}

macro_rules! atomics {
    ($($name:ident $(<$t:ident>)? ($value:ty) = $inner:ty;)+) => {
        $(
            #[derive(Debug)]
            pub(crate) struct $name $(<$t>)? ($inner);

            impl $(<$t>)? $name $(<$t>)? {
                #[track_caller]
                pub(crate) fn new(value: $value) -> Self {
                    Self(<$inner>::new(value))
                }
            }

            impl $(<$t>)? Deref for $name $(<$t>)? {
                type Target = $inner;

                fn deref(&self) -> &$inner {
                    &self.0
                }
            }

            impl $(<$t>)? Drop for $name $(<$t>)? {
                fn drop(&mut self) {
                    if !std::thread::panicking() && !TRUSTED.get() {
                        self.0.with_mut(|_| ());
                    }
                }
            }
        )+
    };
}

atomics! {
    AtomicU32 (u32) = loom::sync::atomic::AtomicU32;
    AtomicU64 (u64) = loom::sync::atomic::AtomicU64;
    AtomicUsize (usize) = loom::sync::atomic::AtomicUsize;
    AtomicPtr<T> (*mut T) = loom::sync::atomic::AtomicPtr<T>;
}
