//! `async with` is a function that takes a body, and awaits the end of what it lent.
//!
//! Rust has no async `Drop`. A function that opens, runs the body and closes covers the body's
//! return, its error and its panic. Cancellation drops it in the middle: what is left then is the
//! `Drop` of a guard, which can start a task that closes. The docs of `tenter::task` have the rest.
//!
//! ```python
//! import asyncio, contextlib
//!
//! @contextlib.asynccontextmanager
//! async def connection():
//!     print("open")
//!     try:
//!         yield "the connection"
//!     finally:
//!         await asyncio.sleep(0)
//!         print("closed")
//!
//! async def main():
//!     async with connection() as c:
//!         print("use", c)
//!
//! asyncio.run(main())
//! ```

mod log;
#[cfg(test)]
mod play;

use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_lite::FutureExt;
use log::Log;
use tenter::Handle;
use tenter::sync::channel::{self, Sender};

/// What has to be closed, which takes a while.
struct Connection {
    log: Log,
    /// Dropped when it is closed.
    _open: Sender<()>,
}

impl Connection {
    async fn open(log: Log, open: Sender<()>) -> Self {
        log.say("open");
        Self { log, _open: open }
    }

    async fn close(self) {
        tenter::yield_now().await;
        self.log.say("closed");
    }
}

/// Has the connection until it is closed. Dropped with it, it leaves the closing to a task.
struct Guard(Option<Connection>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let (Some(connection), Some(handle)) = (self.0.take(), Handle::try_current()) {
            handle.spawn(connection.close()).detach();
        }
    }
}

async fn with_connection<T>(
    log: &Log,
    open: Sender<()>,
    body: impl AsyncFnOnce(&mut Connection) -> T,
) -> T {
    let mut guard = Guard(Some(Connection::open(log.clone(), open).await));
    let connection = guard.0.as_mut().expect("it is taken below");
    let outcome = AssertUnwindSafe(async { body(connection).await }).catch_unwind().await;
    if let Some(connection) = guard.0.take() {
        connection.close().await;
    }
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

async fn lesson(log: &Log) {
    let (open, _) = channel::bounded(1);
    let failed = with_connection(log, open, async |connection| {
        connection.log.say("use");
        Err::<(), _>("an error")
    });
    log.say(failed.await.unwrap_err());
    cancelled(log).await;
}

/// Cancels a task in the middle of the body.
async fn cancelled(log: &Log) {
    let (open, is_open) = channel::bounded(1);
    let (inside, is_inside) = channel::bounded(1);
    let task = tenter::spawn({
        let log = log.clone();
        async move {
            let body = async |_: &mut Connection| {
                let _ = inside.send(()).await;
                pending::<()>().await;
            };
            with_connection(&log, open, body).await;
        }
    });
    let _ = is_inside.recv().await;
    task.cancel().await;
    log.say("cancelled");
    // The task that closes has the last sender.
    let _ = is_open.recv().await;
}

fn main() -> io::Result<()> {
    tenter::run(lesson(&Log::default()))
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn what_was_opened_is_closed_after_an_error_and_after_a_cancellation() {
        let log = Log::default();
        play(lesson(&log));
        let mut lines = log.lines();
        // The guard's task may be quicker than who cancelled.
        lines[5..].sort_unstable();
        assert_eq!(lines, ["open", "use", "closed", "an error", "open", "cancelled", "closed"]);
    }

    #[test]
    fn what_was_opened_is_closed_before_a_panic_goes_on() {
        let log = Log::default();
        let panicked = play(async {
            let (open, is_open) = channel::bounded(1);
            let panics = with_connection(&log, open, async |_| panic!("in the body"));
            let panicked = AssertUnwindSafe(panics).catch_unwind().await.is_err();
            assert!(is_open.is_closed());
            panicked
        });
        assert!(panicked);
        assert_eq!(log.lines(), ["open", "closed"]);
    }
}
