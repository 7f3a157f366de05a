//! Shuttle's half of the seam: the same names as `src/primitive`, on shuttle's types.
//!
//! Threads are coroutines on one real thread, and switch at shuttle's operations only: every
//! operation that two threads may contend for is one, or comes after one. What only programs may
//! call is marked "for programs".

pub(crate) mod cell;
#[path = "../../loom-tests/primitive/clock.rs"]
pub(crate) mod clock;
#[path = "../../src/primitive/contain.rs"]
mod contain;
pub(crate) mod deque;
pub(crate) mod limits;
#[path = "../../loom-tests/primitive/local.rs"]
pub(crate) mod local;
pub(crate) mod lock;
#[path = "../../loom-tests/primitive/poller.rs"]
pub(crate) mod poller;
#[path = "../../loom-tests/primitive/seeded.rs"]
pub(crate) mod seeded;
#[path = "../../loom-tests/primitive/thread.rs"]
pub(crate) mod thread;

pub(crate) use contain::{contain, contain_drop};
pub(crate) use local::thread_local;
pub(crate) use shuttle::sync::Arc;

/// Atomic integers and pointers, whose every access is a place to switch threads; a fence is
/// nothing, since nothing is reordered.
pub(crate) mod atomic {
    pub(crate) use shuttle::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

/// Orders nothing and is read by no protocol: real, so that it costs no switches.
pub(crate) use std::sync::atomic::AtomicU64 as PlainCounter;
