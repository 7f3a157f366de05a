//! The seam for models: the one import path for everything that loom replaces.
//!
//! Rooms above take atomics, cells, locks, deques, threads and the poller from here and from
//! nowhere else. The models compile the same rooms on another half of this seam, with the same
//! names on loom's types, so that what is checked is what is shipped.

#[forbid(unsafe_code)]
pub(crate) mod cell;
#[forbid(unsafe_code)]
mod contain;
#[forbid(unsafe_code)]
pub(crate) mod deque;
#[forbid(unsafe_code)]
pub(crate) mod limits;
pub(crate) mod lock;
pub(crate) mod poller;
#[forbid(unsafe_code)]
pub(crate) mod seeded;
pub(crate) mod thread;

pub(crate) use contain::{contain, contain_drop};
pub(crate) use std::sync::Arc;
pub(crate) use std::thread_local;

/// Atomic integers, pointers and fences.
pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

/// A counter that orders nothing and that no protocol reads: ids and statistics. The models keep
/// it real, so that it costs them no interleavings.
pub(crate) use std::sync::atomic::AtomicU64 as PlainCounter;
