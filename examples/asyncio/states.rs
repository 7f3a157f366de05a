//! A task is scheduled, running or suspended, and then completed or cancelled.
//!
//! asyncio knows "pending", which hides the first three, done and cancelled. On several threads
//! the difference shows: a task can be running while another one looks.
//!
//! ```python
//! import asyncio
//!
//! def state(task):
//!     return "cancelled" if task.cancelled() else "done" if task.done() else "pending"
//!
//! async def main():
//!     gate = asyncio.Event()
//!     task = asyncio.create_task(gate.wait())
//!     print(state(task))      # pending: scheduled
//!     await asyncio.sleep(0)
//!     print(state(task))      # pending: suspended
//!     gate.set()
//!     await task
//!     print(state(task))      # done
//!     task = asyncio.create_task(asyncio.Event().wait())
//!     task.cancel()
//!     await asyncio.wait([task])
//!     print(state(task))      # cancelled
//!
//! asyncio.run(main())
//! ```

mod log;
#[cfg(test)]
mod play;

use std::future::pending;
use std::io;
use std::sync::{Arc, RwLock, mpsc};

use log::Log;
use tenter::sync::channel;
use tenter::task::TaskState;
use tenter::{AbortHandle, Runtime};

fn lesson(log: &Log) -> io::Result<()> {
    // The threads of this runtime begin when the lesson says so.
    let doors = Arc::new(RwLock::new(()));
    let closed = doors.write().unwrap();
    let at_the_door = Arc::clone(&doors);
    let runtime = Runtime::builder()
        .worker_threads(1)
        .on_thread_start(move || drop(at_the_door.read().unwrap()))
        .build()?;
    let look = |task: &AbortHandle| log.say(format!("{:?}", task.state()));

    let (inside, is_inside) = mpsc::channel();
    let (hold, held) = mpsc::channel::<()>();
    let (gate, opened) = channel::bounded::<()>(1);
    let task = runtime.spawn(async move {
        inside.send(()).expect("the lesson waits");
        // Stays here until the lesson has looked: a blocking call, for once on purpose.
        let _ = held.recv();
        opened.recv().await
    });
    let eye = task.abort_handle();
    look(&eye);

    drop(closed);
    is_inside.recv().expect("the task says so");
    look(&eye);

    drop(hold);
    runtime.block_on(async {
        while eye.state() == TaskState::Running {
            tenter::yield_now().await;
        }
        look(&eye);

        gate.send(()).await.expect("the task waits for it");
        let _ = task.await;
        look(&eye);

        let other = tenter::spawn(pending::<()>());
        let eye = other.abort_handle();
        other.cancel().await;
        look(&eye);
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
    fn a_task_goes_through_its_states() {
        let _limit = limit();
        let log = Log::default();
        lesson(&log).unwrap();
        let expected = ["Scheduled", "Running", "Suspended", "Completed", "Cancelled"];
        assert_eq!(log.lines(), expected);
    }
}
