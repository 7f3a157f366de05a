//! The shipped bounds, but for one that costs memory in every program.

#[path = "../../src/primitive/limits.rs"]
mod shipped;

pub(crate) use shipped::{
    BUDGET, FOREIGN_SHARDS, ID_BLOCK, INJECT_BATCH_MAX, LIFO_RUN_MAX, LOOK_INTERVAL,
};

/// Relief workers: as many as threads are played.
pub(crate) const RELIEF_MAX: usize = 3;
