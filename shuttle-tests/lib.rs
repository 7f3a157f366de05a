//! `tenter`'s rooms, compiled verbatim on shuttle's half of the seam, and whole-runtime programs
//! that run on them under thousands of random schedules.
//!
//! `cargo shuttle` runs every program, and every program again with each of the seeded bugs that
//! it must catch; `cargo shuttle NAME` runs those whose names contain `NAME`.
//!
//! What loom does for two threads and one invariant, exhaustively, is here done for a runtime as
//! it is used, by chance: three workers, a guest, foreign wakers, timers, sources, dozens of
//! tasks. shuttle is sequentially consistent: it switches threads wherever they touch what they
//! share, and reorders nothing. It checks **schedules, not memory orderings**, those are loom's;
//! a fence does nothing here. What it finds is what no model is about: a protocol that meets
//! another.
//!
//! - `primitive` is shuttle's half: the names of `src/primitive` on shuttle's types. Files that
//!   know no more of loom than its names are those of `loom-tests`.
//! - `blocking`, `driver`, `lifecycle` and `scheduler` are the shipped files, included by path.
//! - `programs` has a file for each program; `harness` runs them, and says how to get a schedule
//!   that failed once more.

#![cfg(test)]
// The shipped rooms have more in them than the programs call, and answer to the lints at home.
#![allow(dead_code, unused_imports, missing_docs, unreachable_pub)]
// Some limits are one here.
#![allow(clippy::modulo_one)]

/// What `loom-tests` calls by the same name is loom.
use shuttle as engine;

mod harness;
#[path = "../loom-tests/panics.rs"]
mod panics;
mod primitive;
#[path = "../loom-tests/verdict.rs"]
mod verdict;

#[path = "../src/blocking/mod.rs"]
mod blocking;
#[path = "../src/driver/mod.rs"]
mod driver;
#[path = "../src/lifecycle/mod.rs"]
mod lifecycle;
#[path = "../src/scheduler/mod.rs"]
mod scheduler;

mod programs;
