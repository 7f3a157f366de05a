//! Every bound that a model must shrink to reach it in a few steps.

/// Polls of tasks from the LIFO slot in a row, after which its task goes behind the queue.
pub(crate) const LIFO_RUN_MAX: u32 = 16;

/// Polls after which a busy worker looks at the inject queue and the driver, at the latest.
pub(crate) const LOOK_INTERVAL: u32 = 61;

/// Tasks that one visit to the inject queue moves to the local queue at most.
pub(crate) const INJECT_BATCH_MAX: usize = 32;

/// Units of work a task may do in one poll before it yields by itself.
pub(crate) const BUDGET: u8 = 128;

/// Ids that a thread takes from the shared counter at once.
pub(crate) const ID_BLOCK: u64 = 1024;

/// Shards of the owned list for tasks that are spawned by threads which are no workers.
pub(crate) const FOREIGN_SHARDS: usize = 8;

/// Relief workers that one runtime has at the same time, at most.
pub(crate) const RELIEF_MAX: usize = 64;
