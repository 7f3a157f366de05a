//! A third half of the seam, for programs that play all threads on one.
//!
//! The names of `src/primitive`, and the shipped files where one thread is enough for them. The
//! others stand for what only a second thread, or the system, could do: while one thread sleeps,
//! the program plays the others ([`play`]), and time passes when it says so ([`poller`]).

#[path = "../../src/primitive/cell.rs"]
pub(crate) mod cell;
#[path = "../../loom-tests/primitive/clock.rs"]
pub(crate) mod clock;
#[path = "../../src/primitive/contain.rs"]
mod contain;
pub(crate) mod deque;
pub(crate) mod limits;
pub(crate) mod lock;
pub(crate) mod play;
pub(crate) mod poller;
pub(crate) mod seeded;
pub(crate) mod thread;

pub(crate) use contain::{contain, contain_drop};
pub(crate) use play::thread_local;
pub(crate) use std::sync::Arc;

/// Atomic integers, pointers and fences.
pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

pub(crate) use std::sync::atomic::AtomicU64 as PlainCounter;
