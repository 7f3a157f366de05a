//! The thread that ends a worker whose parent is gone.
//!
//! The parent's death closes its end of the socket, which is a hang-up on ours, whatever the job
//! does meanwhile. `PR_SET_PDEATHSIG` would not do: it fires when the *thread* that started the
//! worker ends. An orderly end is no hang-up: the parent shuts only its sending half down.
//!
//! A worker that is stopped watches nothing. For it the same mechanism carries a signal that harms
//! nobody who gets it too early: SIGCONT. It has the watchdog go on, and that sees the hang-up.

use std::io;
use std::os::fd::BorrowedFd;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Signal, getpgrp, getpid, kill_current_process_group, kill_process,
    set_parent_process_death_signal,
};

/// Enough for one call to the system, in a debug build too.
const STACK_BYTES: usize = 64 * 1024;

/// Starts the thread.
///
/// # Errors
///
/// - What the system says, when there can be no more threads.
pub(super) fn start(socket: BorrowedFd<'static>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::CONT))?;
    let builder = thread::Builder::new().name("tenter-watchdog".to_owned());
    builder.stack_size(STACK_BYTES).spawn(move || watch(socket))?;
    Ok(())
}

fn watch(socket: BorrowedFd<'_>) {
    // A hang-up and an error are told unasked; data and the orderly end are not of interest.
    let mut watched = [PollFd::new(&socket, PollFlags::empty())];
    // Ends: a signal interrupts a call once. Whatever else comes ends the worker.
    while poll(&mut watched, None) == Err(Errno::INTR) {}
    kill();
}

/// Kills this process, and with it what its jobs started, if the group is its own.
fn kill() {
    let own = getpid();
    // A job may have moved to another group, of which more than a worker could be members.
    if getpgrp() == own {
        let _ = kill_current_process_group(Signal::KILL);
    }
    let _ = kill_process(own, Signal::KILL);
}
