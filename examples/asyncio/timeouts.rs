//! A timeout cancels what takes too long, and cancelling is dropping.
//!
//! `timeout` is `asyncio.wait_for` and `async with asyncio.timeout(..)` in one: it takes any
//! future, and an `async` block is one. What is late is dropped at the `.await` where it stands, so
//! it can not swallow the timeout as Python code can that catches `CancelledError`. A task that it
//! merely awaits lives on: only the waiting is given up.
//!
//! ```python
//! import asyncio
//!
//! async def quick():
//!     return "the answer"
//!
//! async def slow():
//!     try:
//!         await asyncio.sleep(3600)
//!     finally:
//!         print("slow: is cancelled")
//!
//! async def main():
//!     print(await asyncio.wait_for(quick(), timeout=3600))
//!     try:
//!         async with asyncio.timeout(0.05):
//!             await slow()
//!     except TimeoutError:
//!         print("too late")
//!
//! asyncio.run(main())
//! ```

mod log;
#[cfg(test)]
mod play;

use std::future::pending;
use std::io;
use std::time::{Duration, Instant};

use log::Log;
use tenter::sync::channel;
use tenter::time::{Elapsed, timeout, timeout_at};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(3600);

/// What `finally` is to Python.
struct Finally<'a>(&'a Log, &'static str);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}

async fn slow(log: &Log) {
    let _finally = Finally(log, "slow: is cancelled");
    pending::<()>().await;
    log.say("slow: is done");
}

async fn lesson(log: &Log) {
    match timeout(LONG, async { "the answer" }).await {
        Ok(answer) => log.say(answer),
        Err(Elapsed { .. }) => log.say("too late"),
    }
    match timeout(SHORT, slow(log)).await {
        Ok(()) => log.say("in time"),
        Err(Elapsed { .. }) => log.say("too late"),
    }
    // One deadline for several steps.
    let deadline = Instant::now() + SHORT;
    let steps = async {
        log.say("the first step");
        pending::<()>().await;
        log.say("the second step");
    };
    if timeout_at(deadline, steps).await.is_err() {
        log.say("too late for the second step");
    }
    wait_for_a_task(log).await;
}

/// To give up waiting for a task is not to cancel it.
async fn wait_for_a_task(log: &Log) {
    let (gate, opened) = channel::bounded::<()>(1);
    let mut task = tenter::spawn(async move { opened.recv().await.is_ok() });
    if timeout(SHORT, &mut task).await.is_err() {
        log.say("the task is late");
    }
    gate.send(()).await.expect("the task lives on");
    assert!(task.await.expect("it was not cancelled"));
    log.say("the task is done");
}

fn main() -> io::Result<()> {
    tenter::run(lesson(&Log::default()))
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn a_timeout_drops_what_is_late_and_leaves_tasks_alone() {
        let log = Log::default();
        play(lesson(&log));
        let expected = [
            "the answer",
            "slow: is cancelled",
            "too late",
            "the first step",
            "too late for the second step",
            "the task is late",
            "the task is done",
        ];
        assert_eq!(log.lines(), expected);
    }
}
