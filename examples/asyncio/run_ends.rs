//! Tasks that are unfinished when `run` ends are cancelled.
//!
//! As with `asyncio.run`: what must be finished has to be awaited. A cancelled task is dropped at
//! the `.await` where it stands. There is no `CancelledError` to catch: what has to be tidied up is
//! in a `Drop`, and `run` comes back when that is done.
//!
//! ```python
//! import asyncio
//!
//! async def background(started):
//!     try:
//!         print("background: starts")
//!         started.set()
//!         await asyncio.sleep(3600)
//!         print("background: is done")
//!     finally:
//!         print("background: is cancelled")
//!
//! async def main():
//!     started = asyncio.Event()
//!     task = asyncio.create_task(background(started))
//!     await started.wait()
//!     print("main: ends")
//!
//! asyncio.run(main())
//! print("run: ends")
//! ```

mod log;
#[cfg(test)]
mod play;

use std::future::pending;
use std::io;

use log::Log;
use tenter::sync::channel;

/// Says so when a task did not come to its end.
struct Unfinished(Log);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.say("background: is cancelled");
    }
}

async fn background(log: Log, started: channel::Sender<()>) {
    log.say("background: starts");
    let _unfinished = Unfinished(log.clone());
    let _ = started.send(()).await;
    pending::<()>().await;
    log.say("background: is done");
}

async fn lesson(log: &Log) {
    let (started, has_started) = channel::bounded(1);
    tenter::spawn(background(log.clone(), started)).detach();
    let _ = has_started.recv().await;
    log.say("main: ends");
}

fn main() -> io::Result<()> {
    let log = Log::default();
    tenter::run(lesson(&log))?;
    log.say("run: ends");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn run_drops_what_is_unfinished_before_it_returns() {
        let log = Log::default();
        play(lesson(&log));
        log.say("run: ends");
        let expected =
            ["background: starts", "main: ends", "background: is cancelled", "run: ends"];
        assert_eq!(log.lines(), expected);
    }
}
