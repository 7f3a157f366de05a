//! Work-stealing queues: crossbeam's.
//!
//! They promise one thing to the rooms above: what a push wrote before it is visible to the pop
//! or steal that takes the item. Nothing is promised between an operation on one queue and an
//! atomic elsewhere; who needs that puts a fence.

pub(crate) use crossbeam_deque::{Injector, Steal, Stealer, Worker};
