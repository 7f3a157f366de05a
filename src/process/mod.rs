//! Child processes. Linux only.
//!
//! [`Command`] is the standard library's, started from async code; a [`Child`] is waited for
//! without a thread, by a descriptor of the process (a pidfd) that the runtime's driver watches,
//! and its pipes are [`AsyncRead`](crate::io::AsyncRead) and [`AsyncWrite`](crate::io::AsyncWrite).
//!
//! ```
//! use tenter::process::Command;
//!
//! # fn main() -> std::io::Result<()> {
//! tenter::run(async {
//!     let output = Command::new("echo").arg("hello").output().await?;
//!     assert!(output.status.success());
//!     assert_eq!(output.stdout, b"hello\n");
//!     std::io::Result::Ok(())
//! })?
//! # }
//! ```
//!
//! # No zombies
//!
//! A process that has ended stays in the system's table until its parent asks for its status. That
//! is done for every child, whatever becomes of its [`Child`]: one that is dropped before its end
//! was awaited, by its owner or with its task or with the whole runtime, is handed to a thread of
//! its own, `tenter-reaper`. There is such a thread only while there are such children. The child
//! itself goes on running, unless [`Command::kill_on_drop`] says otherwise; one that runs when the
//! runtime is shut down is named by
//! [`ShutdownReport::children`](crate::runtime::ShutdownReport::children).
//!
//! # Who else waits
//!
//! Only children of this room are waited for, one by one. A program that ignores SIGCHLD, or waits
//! for any child, takes the status away; [`Child::wait`] then returns the system's `ECHILD` when
//! the child has ended, and so does [`Command::output`]. Signals never reach a stranger who got the
//! child's number: they are sent by the pidfd too.
//!
//! # Descriptors
//!
//! A running child takes one descriptor besides its pipes, until its end was awaited. Whatever this
//! crate opens is closed in children.
//!
//! # PROTOCOL
//!
//! ```text
//!              1            2                      a child
//!   spawned ─────► owned ─────► reaped
//!                    │             ▲
//!                   3│             │4
//!                    └─► orphan ───┘
//!
//! 1 Command::spawn        the pidfd is opened before anybody may reap
//! 2 Life::try_end         the owner of the `Child`, woken by the driver
//! 3 Life::abandon         the drop of a `Child` that has not ended
//! 4 Orphans::serve        the reaper's thread
//!
//!             5            6              7       the reaper's thread
//!   (none) ─────► starting ──► serving ──────► (none)
//!     ▲               │ 8
//!     └───────────────┘
//!
//! 5 Orphans::adopt, retry    whoever brings an orphan and finds no reaper
//! 6, 7 Orphans::serve        the thread; it leaves over an empty list, under the lock
//! 8 Orphans::start_failed    who could not start it; the orphans wait for the next attempt
//! ```
//!
//! - **Z1** A child belongs to one value: that of its [`Child`], then that in the list of orphans,
//!   then that of the reaper. Who has it may reap it, and nobody else: so the number is its own for
//!   as long as it is signalled, and it is reaped once.
//! - **Z2** An orphan in the list implies a reaper that will look at the list, or that none could be
//!   started.
//! - **Z3** The reaper silences its bell, then looks at the list, then sleeps; an orphan is in the
//!   list before the bell is rung.
//!
//! LIVENESS (Z2, Z3): a child that ends makes its pidfd readable for good, and so the reaper, which
//! sleeps in `poll(2)`, and a waiting task, whose driver hears of the edge or finds it at
//! registration, cannot be late for it.
//! Models: models/children.rs `an_orphan_finds_a_reaper`,
//! models/children.rs `an_orphan_wakes_the_reaper`.

#[forbid(unsafe_code)]
mod child;
mod command;
mod kid;
#[forbid(unsafe_code)]
mod life;
#[forbid(unsafe_code)]
mod orphans;
#[forbid(unsafe_code)]
mod reaper;
#[forbid(unsafe_code)]
mod stdio;

pub use child::Child;
pub use command::Command;
pub use std::process::{ExitStatus, Output, Stdio};
pub use stdio::{ChildStderr, ChildStdin, ChildStdout};
