//! CPU work in other processes: a pool whose futures really stop what they wait for.
//!
//! It is what asyncio's `loop.run_in_executor(ProcessPoolExecutor(), f, *args)` is to a Python
//! program. A worker's death, by a segfault, an `exit` or the kernel's hand, costs the job that it
//! ran and nothing else. A future that is dropped, or a timeout that passes, kills the process, so
//! the processor is free again. Nothing is shared: a job can not corrupt its caller.
//!
//! ```
//! use std::time::Duration;
//! use tenter::jobs::{JobError, ProcessPool};
//!
//! #[tenter::job]
//! fn collatz(start: u64) -> u64 {
//!     let step = |n: &u64| Some(if n % 2 == 0 { n / 2 } else { 3 * n + 1 });
//!     std::iter::successors(Some(start), step).take_while(|n| *n != 1).count() as u64
//! }
//!
//! #[tenter::job]
//! fn crash() {
//!     std::process::abort();
//! }
//!
//! #[tenter::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = ProcessPool::new()?;
//!     assert_eq!(pool.run(collatz::job(27)).await?, 111);
//!
//!     // One after the other is not the point: these use all cores, and come in order.
//!     let steps = pool.map((1..=9).map(collatz::job)).await?;
//!     assert_eq!(steps, [0, 1, 7, 2, 5, 8, 16, 3, 19]);
//!
//!     // A crash is an error like any other.
//!     let died = pool.run(crash::job()).await;
//!     assert!(matches!(died, Err(JobError::Died { signal: Some(6), .. })));
//!
//!     let report = pool.shutdown(Duration::from_secs(5)).await;
//!     assert_eq!(report.killed, 0);
//!     Ok(())
//! }
//! ```
//!
//! | to | use |
//! |---|---|
//! | make a function a job | [`#[tenter::job]`](macro@crate::job), or [`job!`] for a call without an item |
//! | prepare a worker once | [`#[tenter::job_init]`](macro@crate::job_init) |
//! | run one, many, or one that gives items | [`ProcessPool::run`], [`map`](ProcessPool::map), [`stream`](ProcessPool::stream) |
//! | limit time, retry, order, detach | the methods of [`Call`] |
//! | limit memory, number, age; capture output | the methods of [`Builder`] |
//! | tell progress, listen to a wish to stop, emit | [`progress`], [`cancelled`], [`emit`], inside the job |
//! | make any `main` fit | [`init`] as its first statement; `#[tenter::main]` and `#[tenter::test]` have it |
//!
//! # Which process runs what
//!
//! A worker is this program, executed again: the file that runs, even if it was replaced since.
//! Its first statement, [`init`], makes it a worker and does not return. So it has every job of the
//! program, found by name in a registry that the linker puts together; no code runs before `main`,
//! and no address travels. A greeting compares both sides' registries: another build is refused
//! with [`SpawnError::DifferentBuild`].
//!
//! A worker inherits what any child does: the signal mask and the ignored signals of the thread that
//! starts it, its limits, its terminal. It is in a process group of its own, so that Ctrl-C reaches
//! the parent alone; on a terminal with `stty tostop` it would be stopped when it prints. A program
//! that ignores SIGCHLD has no children to ask for their end, and learns no signal and no code. One
//! that forks makes its pools afterwards. Needed are Linux 5.4 and `/proc`.
//!
//! Threads that a job starts may call [`emit`] and [`progress`] too. One that outlives its job speaks
//! for whichever job runs then: a job should join its threads.
//!
//! Statics live as long as their worker, job after job. Arguments and results travel through a
//! socket in `postcard`'s format, and above 64 KiB through shared memory that is mapped once for
//! each worker. Byte vectors and vectors of numbers travel as they are.
//!
//! # How jobs end
//!
//! | what happens | what the caller sees | what others notice |
//! |---|---|---|
//! | the worker dies | [`JobError::Died`], with signal or code and the last lines of its standard error | nothing; it is replaced |
//! | the job panics | [`JobError::Panicked`], with message and place | nothing; the worker stays, unless `panic = "abort"` |
//! | it takes longer than [`Call::timeout`] | [`JobError::TimedOut`], when the process is gone | nothing; it is replaced |
//! | its future is dropped | | nothing; a running job's worker is killed and replaced |
//! | the parent is killed | | its workers kill themselves, and what jobs have started |
//! | the pool or its runtime ends | [`JobError::Closed`] | |
//! | [`Builder::breaker`] deaths in a row | [`JobError::Broken`], for a second | the same |
//!
//! A worker that dies while it has nothing costs nothing: the kernel tells whether it has read the
//! job that was on its way. A job runs at most once, unless [`Call::idempotent`] allows more.
//! Killing is always SIGKILL, to the worker's whole process group.
//!
//! With [`Builder::send_ahead`] a worker has jobs behind the one that it runs. A kill that is meant
//! for one job and comes just as it ends may meet the next, which then ends with
//! [`JobError::Died`].
//!
//! # Security
//!
//! A worker is not a sandbox: it has the user's rights, and the files and the network that go with
//! them. What it is protected *from* is accidents, and what the parent is protected from is a
//! worker that has lost its mind, or is taken over.
//!
//! - It inherits three descriptors and no more: its socket, which takes the place of standard
//!   input, standard output, and a pipe as standard error. What else would have come through `exec`
//!   it closes before anything runs. The environment is as [`Builder::env`] and its siblings say.
//! - It may send a result, an error, a panic, progress, items that it has credit for, and ask for
//!   memory to share, all for the job that it runs. Anything else is [`JobError::Protocol`] for that
//!   job and death for the worker. No descriptor is taken from it, and nothing that it sends
//!   becomes an address, a path or a number of things to allocate without being checked.
//! - What it can make the parent hold is bounded: a frame is at most 64 KiB, a body at most
//!   [`Builder::max_message`], items as many as there is credit for, output as much as a pipe.
//! - Shared memory has its size sealed, so that nothing falls off its end, and what is in it is
//!   copied out before it is looked at.
//! - A result is decoded by the caller's task, as its type says, by `serde`. A type that decodes
//!   without end, such as a vector of `()` or one that contains itself, lets a worker keep that task
//!   busy or overflow its stack: results should have no such types where workers are not trusted.
//! - It can send a wrong result, use up the processor that it has, and the memory that
//!   [`Builder::memory_limit`] leaves it. With the same user's rights it could also signal or trace
//!   the parent, as any process of that user can; where that matters, start workers through a
//!   [`Builder::worker_exe`] that drops them.
//!
//! # How it works
//!
//! A task for each worker, its keeper, reads the socket and watches the process, through a pidfd
//! in the runtime's driver: no thread waits, nobody waits for *any* child, and SIGCHLD is not
//! touched. Who submits a job writes it to a free worker's socket itself. A no-op costs the
//! parent one write, one wait and one read, and no change of thread.

#[forbid(unsafe_code)]
mod alarm;
#[forbid(unsafe_code)]
mod builder;
#[forbid(unsafe_code)]
mod call;
#[forbid(unsafe_code)]
mod codec;
#[forbid(unsafe_code)]
mod dispatch;
#[forbid(unsafe_code)]
mod error;
#[forbid(unsafe_code)]
mod frame;
#[forbid(unsafe_code)]
mod keeper;
#[forbid(unsafe_code)]
mod link;
#[forbid(unsafe_code)]
mod map;
#[forbid(unsafe_code)]
mod metrics;
#[forbid(unsafe_code)]
mod output;
#[forbid(unsafe_code)]
mod pool;
#[forbid(unsafe_code)]
mod process;
#[forbid(unsafe_code)]
mod registry;
#[forbid(unsafe_code)]
mod request;
#[forbid(unsafe_code)]
mod run;
mod slab;
#[forbid(unsafe_code)]
mod stream;
mod unread;
mod worker;

pub use builder::{Builder, IntoWorkers};
#[doc(inline)]
pub use call::{Call, NoItems, Priority, job};
pub use error::{JobError, SpawnError, TryRunError};
pub use metrics::PoolMetrics;
pub use output::{OutputLine, OutputStream};
pub use pool::{ProcessPool, ShutdownReport};
pub use run::Run;
pub use stream::JobStream;
pub(crate) use worker::enter_test;
pub use worker::{cancelled, emit, init, is_worker, progress};

/// What the macros' expansions name. Not for anyone else.
#[doc(hidden)]
pub mod __private {
    pub use super::call::{Argument, Item, Lent, Output, SharedArgument};
    pub use super::codec::{Body, Decoder, Encoder, Malformed};
    pub use super::registry::{Entry, Init, RunError, TENTER_JOB_INITS_V1, TENTER_JOBS_V1};
    pub use linkme;
    pub use tenter_macros::job_closure;
}
