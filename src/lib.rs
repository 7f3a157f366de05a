//! A multi-threaded work-stealing async runtime.
//!
//! `tenter` runs futures on a few worker threads that steal from each other, with a driver for
//! sockets and timers, a pool of threads for work that may block, and one of processes for work
//! that computes. On it stands what asyncio's users expect: groups of tasks that end together,
//! files, child processes, signals, and reports of failures that nobody looked at.
//!
//! ```
//! use std::time::Duration;
//!
//! # fn main() -> std::io::Result<()> {
//! let sum = tenter::run(async {
//!     // Tasks run side by side, on all cores.
//!     let squares: Vec<_> = (1..=10).map(|n| tenter::spawn(async move { n * n })).collect();
//!     let mut sum = 0;
//!     for square in squares {
//!         sum += square.await.unwrap();
//!     }
//!     tenter::time::sleep(Duration::from_millis(1)).await;
//!     sum
//! })?;
//! assert_eq!(sum, 385);
//! # Ok(())
//! # }
//! ```
//!
//! | to | look at |
//! |---|---|
//! | start a runtime | [`run`], [`Runtime`], [`Builder`], `#[tenter::main]` |
//! | spawn tasks, wait for them, cancel them | [`spawn`], [`JoinHandle`], [`task`] |
//! | run tasks that end together, or several futures at once | [`task_group`], [`gather`], [`select!`], [`join!`] |
//! | cancel many things at once | [`CancelToken`], [`time::timeout()`] |
//! | hear of failures that nobody awaits | [`Builder::on_unobserved`], [`task::spawn_detached`] |
//! | call what blocks | [`spawn_blocking`], [`task::block_in_place`] |
//! | speak TCP, UDP, over Unix sockets; drive any descriptor | [`net`], [`io`] |
//! | read and write files | [`fs`] |
//! | run programs, hear of signals | `process`, `signal` |
//! | let tasks share and talk | [`sync`] |
//! | wait for time to pass | [`time`] |
//! | run CPU work in other processes, and stop it | `jobs`, `#[tenter::job]` |
//! | see what goes on | [`Handle::metrics`], [`Handle::tasks`] |
//!
//! # The house
//!
//! A room imports only from those below it.
//!
//! ```text
//!   net  fs  process  signal  jobs
//!        io  time  task  sync            4  what users await
//!             runtime                    3  the parts made into one thing
//!     scheduler      blocking            2  many tasks on few threads; work that may block
//!      driver        lifecycle           1  the world outside; one task, spawn to join
//!            primitive                   0  the seam for models
//! ```
//!
//! Each room's `mod.rs` has its protocol: a diagram with the function on every arrow, and the
//! numbered invariants that comments cite. The models that check them, in `loom-tests`, compile
//! the lower rooms as they are on another half of the seam.
//!
//! # The life of one task
//!
//! 1. [`spawn`] finds the runtime of the current thread,
//! 2. [`Shared::spawn`](scheduler::Shared::spawn) its scheduler; there
//! 3. [`lifecycle::new`] makes the task, in one allocation,
//! 4. and [`Owned::bind`](lifecycle::owned::Owned::bind) lists it among those that shutdown cancels.
//! 5. It is due: [`Worker::schedule`](scheduler::worker::Worker::schedule) puts it in front of
//!    the worker's queue; from outside it goes to the inject queue.
//! 6. [`Idle::worker_to_wake`](scheduler::idle::Idle::worker_to_wake) decides whether somebody
//!    must be woken for it, and
//! 7. [`Parker::unpark`](scheduler::park::Parker::unpark) wakes them.
//! 8. [`Worker::next`](scheduler::worker::Worker::next) takes it, in its turn, and
//! 9. [`Notified::run`](lifecycle::raw::Notified::run) polls its future.
//! 10. Pending: [`State::transition_to_idle`](lifecycle::state::State::transition_to_idle); its waker
//!     brings it back to step 5, by way of [`Schedule::schedule`](lifecycle::raw::Schedule::schedule).
//! 11. Ready: the output takes the future's place, and
//!     [`State::transition_to_complete`](lifecycle::state::State::transition_to_complete) wakes who
//!     waits for it.
//! 12. [`JoinHandle::poll`] takes the output.
//! 13. [`State::drop_counts`](lifecycle::state::State::drop_counts) finds that nobody is left, and
//!     the task is freed.

// The tour leads through private rooms: documentation is built with them.
#![allow(rustdoc::private_intra_doc_links)]

mod primitive;

mod driver;
mod lifecycle;

#[forbid(unsafe_code)]
mod blocking;
mod scheduler;

pub mod runtime;

#[forbid(unsafe_code)]
pub mod fs;
pub mod io;
#[cfg(all(feature = "jobs", target_os = "linux"))]
pub mod jobs;
pub mod net;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
pub mod signal;
#[forbid(unsafe_code)]
pub mod sync;
#[forbid(unsafe_code)]
pub mod task;
#[forbid(unsafe_code)]
pub mod time;

#[forbid(unsafe_code)]
mod macros;

#[doc(hidden)]
pub use macros::support as __support;
pub use runtime::{
    Builder, Handle, Runtime, block_in_place, run, spawn, spawn_blocking, spawn_detached, yield_now,
};
pub use task::{AbortHandle, JoinError, JoinHandle, TaskGroup, task_group};
pub use task::{CancelToken, JoinSet, as_completed, gather, shield, try_gather};
#[cfg(all(feature = "jobs", target_os = "linux"))]
pub use tenter_macros::{job, job_init};
#[cfg(feature = "macros")]
pub use tenter_macros::{main, test};

/// What `#[tenter::main]` and `#[tenter::test]` call first: there they become a worker, in a
/// process that was started as one. Not for anyone else.
#[doc(hidden)]
#[cfg(feature = "macros")]
pub mod __private {
    #[doc(hidden)]
    pub fn enter_main() {
        #[cfg(all(feature = "jobs", target_os = "linux"))]
        crate::jobs::init();
    }

    /// `path` is that of the function, from its crate on; the test harness calls it by the rest.
    #[doc(hidden)]
    pub fn enter_test(path: &'static str) {
        #[cfg(all(feature = "jobs", target_os = "linux"))]
        crate::jobs::enter_test(path.split_once("::").map_or(path, |(_, name)| name));
        #[cfg(not(all(feature = "jobs", target_os = "linux")))]
        let _ = path;
    }
}

/// Compiles the README's example.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../README.md")]
struct Readme;
