//! In a task group the first failure cancels the siblings, and nobody is left behind.
//!
//! `task_group` returns when every task of it has ended, whatever happened. asyncio's `TaskGroup`
//! raises an `ExceptionGroup`; here a `GroupError` has every failure, errors and panics, with the
//! task's name. A sibling that is cancelled is dropped: it has no exception to swallow.
//!
//! ```python
//! import asyncio
//!
//! async def sibling(barrier):
//!     await barrier.wait()
//!     try:
//!         await asyncio.sleep(3600)
//!     finally:
//!         print("a sibling is cancelled")
//!
//! async def fails(barrier):
//!     await barrier.wait()
//!     raise ValueError("no such page")
//!
//! async def main():
//!     barrier = asyncio.Barrier(3)
//!     try:
//!         async with asyncio.TaskGroup() as group:
//!             for coroutine in (sibling, sibling, fails):
//!                 group.create_task(coroutine(barrier))
//!     except* ValueError as group:
//!         print("the group failed:", *group.exceptions)
//!
//! asyncio.run(main())
//! ```

mod log;
#[cfg(test)]
mod play;

use std::future::pending;
use std::io;
use std::sync::Arc;

use log::Log;
use tenter::sync::Barrier;
use tenter::task;

struct Finally(Log);

impl Drop for Finally {
    fn drop(&mut self) {
        self.0.say("a sibling is cancelled");
    }
}

async fn sibling(log: Log, barrier: Arc<Barrier>) -> Result<(), &'static str> {
    let _finally = Finally(log);
    barrier.wait().await;
    pending().await
}

async fn fails(barrier: Arc<Barrier>) -> Result<(), &'static str> {
    barrier.wait().await;
    Err("no such page")
}

async fn lesson(log: &Log) {
    let all_run = Arc::new(Barrier::new(3));
    let outcome = tenter::task_group(async |group| {
        group.spawn(sibling(log.clone(), Arc::clone(&all_run)));
        group.spawn(sibling(log.clone(), Arc::clone(&all_run)));
        task::Builder::new().name("the third").spawn_in(group, fails(all_run));
        // The end of the body is not the end of the group: it waits for its tasks.
        Ok(())
    });
    let error = outcome.await.expect_err("one of the tasks fails");
    for failure in error.failures() {
        let (name, error) = (failure.name(), failure.error());
        log.say(format!("{} failed: {}", name.unwrap_or("a task"), error.unwrap_or(&"a panic")));
    }
}

fn main() -> io::Result<()> {
    tenter::run(lesson(&Log::default()))
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn one_failure_cancels_the_siblings_before_the_group_returns() {
        let log = Log::default();
        play(lesson(&log));
        let expected =
            ["a sibling is cancelled", "a sibling is cancelled", "the third failed: no such page"];
        assert_eq!(log.lines(), expected);
    }
}
