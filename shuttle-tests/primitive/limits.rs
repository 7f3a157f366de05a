//! The bounds of `src/primitive/limits.rs`, small enough to be reached in every program.

pub(crate) const LIFO_RUN_MAX: u32 = 3;
pub(crate) const LOOK_INTERVAL: u32 = 7;
pub(crate) const INJECT_BATCH_MAX: usize = 4;
pub(crate) const BUDGET: u8 = 4;
pub(crate) const ID_BLOCK: u64 = 4;
pub(crate) const FOREIGN_SHARDS: usize = 1;
pub(crate) const RELIEF_MAX: usize = 2;
