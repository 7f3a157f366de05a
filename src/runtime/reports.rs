//! What a runtime tells its user of, unless the user asked to be told otherwise.
//!
//! A line on standard error; with the feature `tracing` an event for the thread's subscriber, if
//! there is one, with the target `tenter`. What a subscriber filters out is gone; what no
//! subscriber is there for is a line, so nothing is silent.

use std::fmt;
use std::io::{self, Write};

use crate::primitive::contain_drop;
use crate::scheduler::monitor::BlockedPoll;

use super::Unobserved;

/// Tells the user of something that nobody awaits: an error event, or a line.
pub(crate) fn report(line: fmt::Arguments<'_>) {
    tell(line, || {
        #[cfg(feature = "tracing")]
        tracing::error!(target: "tenter", "{line}");
    });
}

/// What a runtime without [`on_unobserved`](super::Builder::on_unobserved) does with a failure.
pub(super) fn unobserved(failure: &Unobserved<'_>) {
    tell(format_args!("{failure}"), || {
        #[cfg(feature = "tracing")]
        tracing::error!(
            target: "tenter",
            {
                task.id = failure.id().as_u64(),
                task.name = failure.name(),
                task.location = %failure.location(),
            },
            "{} and nobody looked: {}",
            failure.how(),
            failure.message()
        );
    });
}

/// What is done about a poll that takes too long.
pub(super) fn blocked(poll: &BlockedPoll<'_>) {
    let (header, lasted_ms) = (poll.task.header(), poll.lasted.as_millis());
    let (id, place) = (header.id(), header.place());
    let line = format_args!(
        "task {id} {place} has kept worker {} from other tasks for {lasted_ms} ms: put what \
         blocks, or computes for long, into `spawn_blocking`",
        poll.worker
    );
    tell(line, || {
        #[cfg(feature = "tracing")]
        tracing::warn!(
            target: "tenter",
            {
                task.id = id.as_u64(),
                task.name = place.name(),
                task.location = %place.location(),
                worker = poll.worker,
                lasted_ms = lasted_ms as u64,
            },
            "keeps its worker from other tasks: put what blocks, or computes for long, into \
             `spawn_blocking`"
        );
    });
}

/// Calls `event`, which emits an event, where that reaches a subscriber; else writes the line, if
/// standard error can be written to.
fn tell(line: fmt::Arguments<'_>, event: impl FnOnce()) {
    if has_subscriber() {
        // A subscriber is the user's code.
        contain_drop(event);
    } else {
        // Not `eprintln!`, which panics where standard error is closed or full.
        let _unwritten = writeln!(io::stderr(), "{line}");
    }
}

/// Whether this thread has a subscriber of `tracing`: its own, or that of the program.
#[cfg(feature = "tracing")]
fn has_subscriber() -> bool {
    use tracing::dispatcher::get_default;
    use tracing::subscriber::NoSubscriber;

    get_default(|subscriber| !subscriber.is::<NoSubscriber>())
}

#[cfg(not(feature = "tracing"))]
fn has_subscriber() -> bool {
    false
}
