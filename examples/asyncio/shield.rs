//! What must not be left half done is shielded; what should end well is asked to.
//!
//! A cancelled future stops at its next `.await`, for good. `shield` runs the step that matters as
//! a task that goes on, as `asyncio.shield` does; unlike there nobody has to keep a reference to
//! it. And a `CancelToken` asks instead of cancelling: who has it looks when it likes, and says
//! good-bye first.
//!
//! ```python
//! import asyncio
//!
//! async def commit(done):
//!     await asyncio.sleep(0.1)
//!     print("committed")
//!     done.set()
//!
//! async def main():
//!     done = asyncio.Event()
//!     try:
//!         await asyncio.wait_for(asyncio.shield(commit(done)), timeout=0.05)
//!     except TimeoutError:
//!         print("nobody waits any more")
//!     await done.wait()
//!
//! asyncio.run(main())
//! ```

mod log;
#[cfg(test)]
mod play;

use std::io;
use std::time::Duration;

use log::Log;
use tenter::CancelToken;
use tenter::sync::channel;
use tenter::time::timeout;

async fn shielded(log: &Log) {
    let (disk, is_ready) = channel::bounded::<()>(1);
    let (done, is_done) = channel::bounded::<()>(1);
    let commit = {
        let log = log.clone();
        async move {
            let _ = is_ready.recv().await;
            log.say("committed");
            drop(done);
        }
    };
    if timeout(Duration::from_millis(50), tenter::shield(commit)).await.is_err() {
        log.say("nobody waits any more");
    }
    drop(disk);
    let _ = is_done.recv().await;
}

async fn asked(log: &Log) {
    let token = CancelToken::new();
    let (started, has_started) = channel::bounded(1);
    let worker = tenter::spawn({
        let (token, log) = (token.child(), log.clone());
        async move {
            let _ = started.send(()).await;
            let work = std::future::pending::<()>();
            if token.run_until(work).await.is_none() {
                log.say("the worker says good-bye");
            }
        }
    });
    let _ = has_started.recv().await;
    token.cancel();
    worker.await.expect("it was asked, not cancelled");
    log.say("the worker ended by itself");
}

async fn lesson(log: &Log) {
    shielded(log).await;
    asked(log).await;
}

fn main() -> io::Result<()> {
    tenter::run(lesson(&Log::default()))
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn what_is_shielded_goes_on_and_what_is_asked_ends_by_itself() {
        let log = Log::default();
        play(lesson(&log));
        let expected = [
            "nobody waits any more",
            "committed",
            "the worker says good-bye",
            "the worker ended by itself",
        ];
        assert_eq!(log.lines(), expected);
    }
}
