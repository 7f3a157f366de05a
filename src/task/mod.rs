//! Tasks: one, and many that belong together.
//!
//! One task, from [`spawn`](crate::spawn) to its [`JoinHandle`], is the room `lifecycle`; its
//! types have their place here. Above it stand the pieces of structured concurrency.
//!
#![doc = include_str!("cleanup.md")]

mod completed;
mod gather;
mod group;
mod inbox;
mod join_set;
mod members;
mod shield;
mod token;

pub use crate::lifecycle::{
    AbortHandle, AccessError, Builder, Id, JoinError, JoinHandle, LocalKey, TaskLocalFuture,
    TaskState, consume_budget, id, name,
};
pub use crate::runtime::{block_in_place, spawn_detached};
pub use completed::{AsCompleted, as_completed};
pub use gather::{Gather, GatherError, TryGather, gather, try_gather};
pub use group::{Failure, GroupError, GroupHandle, TaskGroup, task_group};
pub use join_set::JoinSet;
pub use shield::{Shield, shield};
pub use token::{CancelToken, Cancelled, CancelledOwned, DropGuard, RunUntil};
