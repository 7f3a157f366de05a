//! Threads that wake tasks while the workers want to sleep.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use shuttle::thread;

use super::support::{Runtime, below, block_on, dawdle, up_to};
use crate::harness::program;
use crate::primitive::atomic::{AtomicUsize, Ordering::Relaxed};
use crate::primitive::lock::Mutex;

const WORKERS: usize = 3;
const WAKERS: usize = 3;
const TASKS: usize = 6;

/// Wakes that every task gets from every thread, at most.
const WAKES: usize = 3;

/// What a task counts, and who wakes it.
#[derive(Default)]
struct Target {
    wakes_left: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Target {
    /// Counts, and then wakes the task, by value or not.
    fn hit(&self) {
        self.wakes_left.fetch_sub(1, Relaxed);
        let waker = self.waker.lock().clone();
        match waker {
            Some(waker) if below(2) == 0 => waker.wake(),
            Some(waker) => waker.wake_by_ref(),
            None => {}
        }
    }

    /// Is ready when all threads have been here.
    async fn wait(&self) {
        poll_fn(|cx| {
            let before = self.waker.lock().replace(cx.waker().clone());
            drop(before);
            if self.wakes_left.load(Relaxed) == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

program! {
    /// A task is polled after its last wake, however many workers are on their way to sleep, and
    /// whoever of them sleeps in the driver.
    fn no_foreign_wake_is_slept_through() {
        let runtime = Runtime::start(WORKERS, 0);
        let (count, wakes) = (up_to(TASKS), up_to(WAKES));
        let target = |_| Target { wakes_left: AtomicUsize::new(WAKERS * wakes), ..<_>::default() };
        let targets: Arc<Vec<Target>> = Arc::new((0..count).map(target).collect());
        let tasks: Vec<_> = (0..count)
            .map(|task| {
                let targets = Arc::clone(&targets);
                runtime.spawn(async move { targets[task].wait().await })
            })
            .collect();
        let wakers = [(); WAKERS].map(|()| {
            let targets = Arc::clone(&targets);
            thread::spawn(move || {
                let first = below(count);
                for wake in 0..count * wakes {
                    dawdle(4);
                    targets[(first + wake) % count].hit();
                }
            })
        });
        tasks.into_iter().for_each(|task| block_on(task).unwrap());
        for waker in wakers {
            waker.join().unwrap();
        }
        // A task's own waker is in what it waits for.
        drop(targets);
        runtime.end();
    }
    catches
        "idle: no second look",
        "park: the sleeper in the driver is not woken",
        "park: notify without the lock",
        "task: drop the renotified verdict",
}
