//! Bugs that happen as a runtime ends.

use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;

use futures_lite::future::block_on;
use tenter::task::block_in_place;
use tenter::{Builder, Handle, JoinHandle, Runtime};

use crate::support::{Drops, LIMIT, Tracked, apart, wait_until, within};

/// A runtime that nobody else has a handle of, and that reports no blocked poll.
fn unwatched(workers: usize) -> Runtime {
    Builder::new().worker_threads(workers).blocked_after(None).build().unwrap()
}

/// async-executor #163: a use after free when a waker fires during `Executor::drop`.
///
/// A wake pushed the task to the executor's queue, and then told a sleeping thread of it. Between
/// the two another thread could take and finish the task and free the executor, and the wake went
/// on in freed memory. So: wakers that fire from foreign threads just as the runtime is dropped,
/// those of its own last task among them. The sanitizers' runs of this test see what it cannot.
///
/// Here a thread that is no worker counts itself as a visitor before it pushes, until it has
/// touched the scheduler for the last time, and the scheduler waits for its visitors before it goes
/// (S6); after the task is complete nobody touches it at all (T5).
#[test]
fn a_waker_may_fire_while_its_runtime_is_dropped() {
    within(LIMIT, || {
        for round in 0..400 {
            let runtime = unwatched(1 + round % 2);
            let kept: Arc<Mutex<Vec<Waker>>> = Arc::default();
            let drops = Drops::new();
            for _ in 0..2 {
                let (kept, tracked) = (kept.clone(), drops.tracked());
                let mut polls = 0;
                // Woken once it is done.
                let task = poll_fn(move |cx| {
                    tracked.touch();
                    kept.lock().unwrap().push(cx.waker().clone());
                    polls += 1;
                    if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
                });
                runtime.spawn(task).detach();
            }
            wait_until(|| kept.lock().unwrap().len() >= 2);
            let wakers = kept.lock().unwrap().clone();
            let start = Barrier::new(3);
            thread::scope(|scope| {
                for waker in wakers {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        waker.wake();
                    });
                }
                start.wait();
                drop(runtime);
            });
            assert_eq!(drops.count(), 2);
        }
    });
}

/// tokio #3228 (a fix) and #2119: a deadlock at shutdown with `block_in_place`.
///
/// The shutdown went from worker to worker and ended the tasks of each, and waited for a task that
/// blocked in place before it came to the one whose end that task waited for.
///
/// Here the worker is not the task's any more while it blocks in place (S11): other threads drop
/// all that was aborted, in whatever order. Model: models/shutdown.rs
/// `what_a_task_spawns_as_it_is_cancelled_does_not_hold_up_the_end`.
#[test]
fn a_shutdown_ends_a_task_that_another_waits_for_in_place() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            for _ in 0..20 {
                let runtime = unwatched(workers);
                let (held, dropped) = mpsc::channel::<()>();
                let (started, has_started) = mpsc::channel();
                let holds = async move {
                    let _held = held;
                    pending::<()>().await;
                };
                runtime.spawn(holds).detach();
                let waits = async move {
                    block_in_place(|| {
                        started.send(()).unwrap();
                        dropped.recv().unwrap_err();
                    });
                };
                runtime.spawn(waits).detach();
                has_started.recv().unwrap();
                drop(runtime);
            }
        }
    });
}

/// Does all that a destructor should not.
struct Mischief {
    handle: Handle,
    left: mpsc::Sender<JoinHandle<()>>,
    tracked: Tracked,
}

impl Drop for Mischief {
    fn drop(&mut self) {
        self.tracked.touch();
        for _ in 0..2 {
            self.left.send(self.handle.spawn(pending())).unwrap();
            self.left.send(self.handle.spawn_blocking(|| ())).unwrap();
        }
        self.left.send(tenter::spawn(pending())).unwrap();
        // A panic without the lines about it.
        resume_unwind(Box::new("in a destructor"));
    }
}

/// tokio #1853 and #7499 (`spawn_blocking` after the shutdown), #1916 (a spawn in a `Drop` panics
/// during the shutdown) and #1584 (a panic during the shutdown makes it block for ever).
///
/// As a runtime ended, destructors of its tasks spawned, and panicked. The spawn found no reactor
/// and panicked itself; the job was dropped in a way that left who awaited it waiting; and the panic
/// ended the thread that was to end the others.
///
/// Here what is spawned into a runtime that ends is refused, and its handle says cancelled: the owned
/// list and the pool are closed before the first future is dropped. Panics are contained where each
/// future is dropped, on a thread of the runtime (T7).
#[test]
fn a_destructor_may_spawn_and_panic_while_its_runtime_ends() {
    const TASKS: usize = 10;
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let (told, panics) = mpsc::channel();
            let mut builder = Builder::new();
            builder.worker_threads(workers).on_unobserved(move |unobserved| {
                told.send(unobserved.to_string()).unwrap();
            });
            let runtime = builder.build().unwrap();
            let (left, spawned) = mpsc::channel();
            let drops = Drops::new();
            for _ in 0..TASKS {
                let handle = runtime.handle().clone();
                let mischief = Mischief { handle, left: left.clone(), tracked: drops.tracked() };
                let task = async move {
                    let _mischief = mischief;
                    pending::<()>().await;
                };
                runtime.spawn(task).detach();
            }
            apart(|| drop(runtime));
            assert_eq!(drops.count(), TASKS);
            let panics: Vec<String> = panics.try_iter().collect();
            assert_eq!(panics.len(), TASKS);
            assert!(panics.iter().all(|panic| panic.contains("in a destructor")), "{panics:?}");
            let spawned: Vec<_> = spawned.try_iter().collect();
            assert_eq!(spawned.len(), 5 * TASKS);
            for handle in spawned {
                assert!(block_on(handle).unwrap_err().is_cancelled());
            }
        }
    });
}
