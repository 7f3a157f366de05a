//! Fire and forget, but no error is lost.
//!
//! Python says "Task exception was never retrieved" when it collects the task, which may be never
//! if something keeps it. Here a task that nobody awaits is reported when it ends: a panic always,
//! an `Err` if it was started with `spawn_detached`. The report goes to standard error, or to
//! the runtime's `on_unobserved`. And a task without a handle is not collected: it goes on.
//!
//! ```python
//! import asyncio
//!
//! async def save(text):
//!     raise OSError("the disk is full")
//!
//! def report(loop, context):
//!     print(context["message"], repr(context["exception"]))
//!
//! async def main():
//!     asyncio.get_running_loop().set_exception_handler(report)
//!     asyncio.create_task(save("a line"))
//!     await asyncio.sleep(0)
//!
//! asyncio.run(main())
//! ```

mod log;
#[cfg(test)]
mod play;

use std::io;

use log::Log;
use tenter::Runtime;
use tenter::sync::channel::{self, Sender};
use tenter::task;

async fn save(_text: &str) -> io::Result<()> {
    Err(io::Error::other("the disk is full"))
}

/// A runtime whose failures of forgotten tasks are said to the log, and counted by the channel.
fn runtime(log: &Log, failures: Sender<()>) -> io::Result<Runtime> {
    let log = log.clone();
    Runtime::builder()
        .on_unobserved(move |failure| {
            let name = failure.name().unwrap_or("a task");
            log.say(format!("{name} failed: {}", failure.message()));
            // It must not block: the channel has room for any number.
            let _ = failures.try_send(());
        })
        .build()
}

fn lesson(log: &Log) -> io::Result<()> {
    let (failures, failed) = channel::unbounded();
    runtime(log, failures)?.block_on(async {
        task::Builder::new().name("the saver").spawn_detached(save("a line"));
        let _ = failed.recv().await;

        task::Builder::new().name("the bug").spawn(async { panic!("it has one") }).detach();
        let _ = failed.recv().await;

        // Not forgotten: the error is where it is awaited, and nowhere else.
        let handle = tenter::spawn(save("a line"));
        let error = handle.await.expect("no panic").expect_err("it fails");
        log.say(format!("awaited: {error}"));
    });
    Ok(())
}

fn main() -> io::Result<()> {
    lesson(&Log::default())
}

#[cfg(test)]
mod tests {
    use super::play::limit;
    use super::*;

    #[test]
    fn the_failures_of_forgotten_tasks_are_reported_and_only_those() {
        let log = Log::default();
        let _limit = limit();
        lesson(&log).unwrap();
        let lines = log.lines();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("the saver failed: "), "{lines:?}");
        assert!(lines[0].contains("the disk is full"), "{lines:?}");
        assert_eq!(lines[1], "the bug failed: it has one");
        assert_eq!(lines[2], "awaited: the disk is full");
    }
}
