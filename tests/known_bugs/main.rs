//! Bugs that other runtimes had, each as the test that would have found it here.
//!
//! A test's name is the promise; its comment says whose bug it was, what happened there, and which
//! invariant or model of ours rules it out. Numbers are those of the projects' own trackers. The
//! one about names that are looked up is in `known_bugs_dns.rs`, which has a resolver of its own.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod blocking;
mod cancelling;
mod io;
mod scheduling;
mod shutdown;
mod timers;
mod wakers;

use tenter::{Builder, Runtime};

/// A runtime that reports no blocked poll: here tasks block on purpose.
fn quiet(workers: usize) -> Runtime {
    let runtime = Builder::new().worker_threads(workers).blocked_after(None).build().unwrap();
    support::watch(runtime.handle());
    runtime
}
