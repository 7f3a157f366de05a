//! `tenter`'s rooms, compiled verbatim on loom's half of the seam, and the models that check
//! them.
//!
//! `cargo loom` runs every model, and every model again with each of the seeded bugs that it must
//! catch; `cargo loom NAME` those whose names contain `NAME`. `TENTER_LOOM_PREEMPTIONS=3` (or
//! feature `deep`) searches deeper.
//!
//! - [`primitive`] is loom's half: the names of `src/primitive` on loom's types, promising no
//!   more than the real ones.
//! - The other modules are the shipped files, included by path.
//! - `models` has one file a room; `harness` runs them.

// Shipped rooms have more in them than the models call, and answer to their own lints at home.
#![cfg(test)]
#![allow(dead_code, unused_imports, missing_docs, unreachable_pub)]

mod harness;
mod primitive;

#[path = "../src/blocking/mod.rs"]
mod blocking;
#[path = "../src/driver/mod.rs"]
mod driver;
#[path = "../src/scheduler/mod.rs"]
mod scheduler;
#[path = "../src/task/mod.rs"]
mod task;

mod models;
