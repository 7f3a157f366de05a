//! A blocking call in a task holds up its worker, and nobody else.
//!
//! In asyncio it holds up everything: the loop, and with it every timer, socket and task. Here it
//! costs one worker of several; if all are blocked, a relief worker takes over, after some
//! milliseconds; and a task that blocks for longer is named on standard error. That is a safety
//! net. What is known to block belongs into `spawn_blocking`, or, where it borrows from the task,
//! into `block_in_place`.
//!
//! ```python
//! import asyncio, time
//!
//! async def ticker():
//!     while True:
//!         print("tick")
//!         await asyncio.sleep(0.1)
//!
//! async def main():
//!     task = asyncio.create_task(ticker())
//!     await asyncio.sleep(0.05)
//!     time.sleep(0.5)  # not one tick meanwhile
//!     print("half a second later")
//!
//! asyncio.run(main())
//! ```

mod log;
#[cfg(test)]
mod play;

use std::io;
use std::sync::mpsc;

use log::Log;
use tenter::Runtime;
use tenter::task::block_in_place;

/// Blocks the only worker with a call that ends when another task has run: a deadlock in asyncio.
fn lesson(log: &Log, is_announced: bool) -> io::Result<()> {
    let runtime = Runtime::builder().worker_threads(1).build()?;
    let (go, waits) = mpsc::channel();
    let (started, is_started) = mpsc::channel();
    let blocks = runtime.spawn({
        let log = log.clone();
        async move {
            log.say("the task blocks its worker");
            started.send(()).expect("the lesson waits");
            let wait = || waits.recv().expect("somebody will");
            if is_announced {
                block_in_place(wait)
            } else {
                wait()
            }
            log.say("the task goes on");
        }
    });
    // This thread stays outside: in `block_on` it would run tasks too.
    is_started.recv().expect("the task says so");
    let (ran, has_run) = mpsc::channel();
    let log = log.clone();
    let other = runtime.spawn(async move {
        log.say("another task runs all the same");
        ran.send(()).expect("the lesson waits");
        go.send(()).expect("the first task waits");
    });
    has_run.recv().expect("the other task says so");
    runtime.block_on(async {
        other.await.expect("it does not panic");
        blocks.await.expect("it does not panic");
    });
    Ok(())
}

fn main() -> io::Result<()> {
    let log = Log::default();
    log.say("-- found out by the runtime, after a while");
    lesson(&log, false)?;
    log.say("-- said beforehand, with block_in_place");
    lesson(&log, true)
}

#[cfg(test)]
mod tests {
    use super::play::limit;
    use super::*;

    const EXPECTED: [&str; 3] =
        ["the task blocks its worker", "another task runs all the same", "the task goes on"];

    #[test]
    fn another_task_runs_while_the_only_worker_is_blocked() {
        let _limit = limit();
        let log = Log::default();
        lesson(&log, false).unwrap();
        assert_eq!(log.lines(), EXPECTED);
    }

    #[test]
    fn another_task_runs_while_the_only_worker_is_in_a_call_that_was_announced() {
        let _limit = limit();
        let log = Log::default();
        lesson(&log, true).unwrap();
        assert_eq!(log.lines(), EXPECTED);
    }
}
