//! Signals, as something to wait for. Linux only.
//!
//! [`ctrl_c()`] waits for one Ctrl-C, [`unix::signal`] makes a stream of deliveries of any signal
//! that can be caught. Any number of listeners, of any number of runtimes, may listen for the same
//! signal: each of them gets every delivery.
//!
//! ```no_run
//! use tenter::signal;
//!
//! # fn main() -> std::io::Result<()> {
//! tenter::run(async {
//!     println!("press Ctrl-C to end");
//!     signal::ctrl_c().await
//! })?
//! # }
//! ```
//!
//! # What a listener changes
//!
//! A signal that somebody listens for does not do what it usually does: with a listener for
//! SIGTERM, `kill` no longer ends the program. One that was ignored is heard all the same, such as
//! SIGINT in what a shell has started in the background; where SIGCHLD was ignored, the system goes
//! on reaping children by itself. When the last listener of a signal is
//! dropped, what was in force before is put back, and the signal ends the program again. So the
//! second Ctrl-C after `ctrl_c().await` kills the program; who wants to hear more of them keeps one
//! [`unix::Signal`] for all.
//!
//! Children do not inherit any of this: a program that is started has every caught signal at its
//! default.
//!
//! # What is counted
//!
//! From the moment a listener is made it misses nothing, whether or not it is polled: deliveries
//! are counted, and handed out one by one. But the kernel merges standard signals that arrive while
//! one of the same number waits to be delivered, and so two `kill` in a row may be one delivery.
//! Real-time signals are queued, each by itself.
//!
//! # Other handlers
//!
//! - A handler that was installed before the first listener is still called, after the delivery was
//!   counted, and it is put back in the end.
//! - A handler that somebody installs while there is a listener takes its place. If it calls what
//!   was there before, as such handlers should, the listeners go on hearing; else they hear
//!   nothing, for nobody tells them. It is left where it is when the last listener goes, and
//!   so is this room's handler behind it, which does nothing by then.
//! - To install or remove a handler for a signal on one thread while another makes or drops the
//!   first or last listener of it is a race that the system has no means to decide.
//!
//! # PROTOCOL
//!
//! ```text
//!               1             2                  a signal's handler
//!   elsewhere ─────► ours ─────► elsewhere
//!
//!               3            4          5        a delivery
//!   (raised) ─────► counted ───► rung ───► taken
//!
//! 1 Line::listen    the first listener, under the lock of the line
//! 2 Line::leave     the last listener, under the lock of the line
//! 3 Line::deliver   the handler, on whichever thread it runs
//! 4 handler::ring   the handler: one write to an eventfd that is never read
//! 5 Line::take      each listener, woken by its runtime's driver
//! ```
//!
//! - **N1** A delivery is counted before the bell is rung: who wakes up finds it.
//! - **N2** The handler is in place while anybody listens, and is changed under the lock alone.
//! - **N3** A listener reads the count before it is listed, and the handler looks at the list before
//!   it counts. So a delivery that the handler takes for somebody is seen by somebody; one that
//!   comes while nobody listens does what it would do without a handler.
//! - **N4** The handler calls what is safe in a handler, and nothing else: atomics, `write`,
//!   `sigaction`, `signal`, `raise`, and the handler before it. It leaves `errno` as it was.
//!
//! LIVENESS (N1): a listener that finds nothing new waits for an edge of the eventfd, and each ring
//! is one. The driver loses no edge between the look and the wait (D2, D3).
//! Model: models/signals.rs `a_delivery_wakes_who_was_about_to_sleep`.

#[forbid(unsafe_code)]
mod ctrl_c;
mod handler;
#[forbid(unsafe_code)]
mod line;
#[forbid(unsafe_code)]
pub mod unix;

pub use ctrl_c::{CtrlC, ctrl_c};
