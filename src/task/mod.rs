//! Tasks: one, and many that belong together.
//!
//! One task, from [`spawn`](crate::spawn) to its [`JoinHandle`], is the room `lifecycle`; its
//! types have their place here. Above it stand the pieces of structured concurrency.

pub use crate::lifecycle::{
    AbortHandle, AccessError, Builder, Id, JoinError, JoinHandle, LocalKey, TaskLocalFuture,
    TaskState, consume_budget, id, name,
};
