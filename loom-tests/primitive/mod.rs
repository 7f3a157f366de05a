//! Loom's half of the seam: the same names as `src/primitive`, on loom's types.
//!
//! Each stand-in promises no more than what it stands for, or a model would prove what the
//! shipped code does not have. What only models may call is marked "for models".

pub(crate) mod atomic;
pub(crate) mod cell;
pub(crate) mod clock;
#[path = "../../src/primitive/contain.rs"]
mod contain;
pub(crate) mod deque;
pub(crate) mod limits;
pub(crate) mod local;
pub(crate) mod lock;
pub(crate) mod poller;
pub(crate) mod seeded;
pub(crate) mod thread;
pub(crate) mod weaken;

pub(crate) use contain::{contain, contain_drop};
pub(crate) use local::thread_local;
pub(crate) use loom::sync::Arc;

/// Orders nothing and is read by no protocol: real, so that it costs no interleavings.
pub(crate) use std::sync::atomic::AtomicU64 as PlainCounter;
