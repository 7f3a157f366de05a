//! One file a room; a model is named by what it promises.

mod blocking;
mod children;
mod controls;
pub(crate) mod group;
mod jobs;
mod jobs_mock;
mod jobs_walk;
mod jobs_wire;
mod jobs_workers;
mod join;
mod monitor;
mod owned;
mod relief;
mod runtime;
mod scheduler;
mod shutdown;
mod signals;
mod source;
mod support;
mod task;
mod timers;

/// Parts of the scheduler, compiled once more, for models that are smaller than the whole.
#[path = "."]
mod parts {
    #[path = "../../src/scheduler/idle.rs"]
    mod idle;
    #[path = "../../src/scheduler/park.rs"]
    mod park;
    #[path = "../../src/scheduler/queue.rs"]
    mod queue;

    #[path = "idle.rs"]
    mod idle_models;
    #[path = "park.rs"]
    mod park_models;
    #[path = "queue.rs"]
    mod queue_models;
}

/// The parts of structured concurrency that need no runtime.
#[path = "."]
mod sets {
    #[path = "../../src/task/inbox.rs"]
    mod inbox;
    #[path = "../../src/task/members.rs"]
    mod members;
    #[path = "../../src/task/token.rs"]
    mod token;

    #[path = "join_set.rs"]
    mod join_set_models;
    #[path = "token.rs"]
    mod token_models;
}
