//! `tenter`'s rooms, compiled verbatim on loom's half of the seam, and the models that check
//! them.
//!
//! `cargo loom` runs every model, and every model again with each of the seeded bugs that it must
//! catch; `cargo loom NAME` runs those whose names contain `NAME`, and `cargo loom-deep` allows one
//! more preemption a run. To see how a seeded bug is caught: `cargo loom NAME -- --nocapture`.
//!
//! - `primitive` is loom's half: the names of `src/primitive` on loom's types, promising no more
//!   than the real ones, and what only models may call (time, sockets, failures).
//! - `blocking`, `driver`, `lifecycle`, `scheduler` and a part of `jobs` are the shipped files, included by
//!   path.
//! - `models` has a file for each protocol; `harness` runs them.
//!
//! A model is one invariant and two threads, seldom three. A pass is evidence, not proof: loom
//! bounds the preemptions, does not reorder a load behind a later store, and takes a `SeqCst`
//! access for `AcqRel`. The argument stands beside the code.

#![cfg(test)]
// The shipped rooms have more in them than the models call, and answer to the lints at home.
#![allow(dead_code, unused_imports, missing_docs, unreachable_pub)]
// Parts of the scheduler are compiled twice: in the whole, and for models smaller than that.
#![allow(clippy::duplicate_mod)]
// Some stand-ins have no fields.
#![allow(clippy::default_constructed_unit_structs)]
// Some limits are one here.
#![allow(clippy::modulo_one)]

/// What `shuttle-tests`, which shares some files, calls by the same name is shuttle.
use loom as engine;

mod harness;
mod panics;
mod primitive;
mod verdict;

#[path = "../src/blocking/mod.rs"]
mod blocking;
#[path = "../src/driver/mod.rs"]
mod driver;
#[path = "../src/lifecycle/mod.rs"]
mod lifecycle;
#[path = "../src/scheduler/mod.rs"]
mod scheduler;

/// The part of worker processes that knows no processes.
#[path = "."]
mod jobs {
    #[path = "../src/jobs/dispatch/mod.rs"]
    pub(crate) mod dispatch;
    #[path = "../src/jobs/metrics.rs"]
    mod metrics;

    pub(crate) use metrics::Counts;
}

/// The part of child processes that knows no processes.
#[path = "."]
mod process {
    #[path = "../src/process/life.rs"]
    pub(crate) mod life;
    #[path = "../src/process/orphans.rs"]
    pub(crate) mod orphans;
}

/// The part of signals that knows no system.
#[path = "."]
mod signal {
    #[path = "../src/signal/line.rs"]
    pub(crate) mod line;
}

/// The part of structured concurrency that knows no runtime.
#[path = "."]
mod task {
    #[path = "."]
    pub(crate) mod group {
        #[path = "../src/task/group/child.rs"]
        pub(crate) mod child;
        #[path = "../src/task/group/context.rs"]
        pub(crate) mod context;
        #[path = "../src/task/group/error.rs"]
        pub(crate) mod error;
        #[path = "../src/task/group/inner.rs"]
        pub(crate) mod inner;
        #[path = "../src/task/group/ledger.rs"]
        pub(crate) mod ledger;
        #[path = "../src/task/group/scope.rs"]
        pub(crate) mod scope;

        pub(crate) use crate::models::group::outside;
    }
}

mod models;
