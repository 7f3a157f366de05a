//! Threads in `block_on`: one, many, nested where they may be, and after a panic.

mod support;

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::Poll;
use std::thread;

use support::{Drops, Gate, LIMIT, for_each_worker_count, within};
use tenter::{Handle, Runtime, spawn, spawn_blocking, yield_now};

#[test]
fn block_on_returns_the_output() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            assert_eq!(runtime.block_on(ready(1)), 1);
            assert_eq!(
                runtime.block_on(async {
                    yield_now().await;
                    2
                }),
                2
            );
            assert_eq!(runtime.handle().block_on(async { 3 }), 3);
        });
    });
}

#[test]
fn run_starts_a_runtime_and_ends_it() {
    within(LIMIT, || {
        let drops = Drops::new();
        let tracked = drops.tracked();
        let output = tenter::run(async move {
            spawn(async move {
                tracked.touch();
                pending::<()>().await;
            })
            .detach();
            Handle::try_current().is_some()
        });
        assert!(output.unwrap());
        assert_eq!(drops.count(), 1);
        assert!(Handle::try_current().is_none());
    });
}

#[test]
fn the_main_future_can_be_neither_send_nor_static() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let local = Rc::new(Cell::new(0));
            let borrowed = &local;
            let output = runtime.block_on(async {
                for n in 1..=10 {
                    let task = spawn(async move {
                        yield_now().await;
                        n
                    });
                    let kept = Rc::clone(borrowed);
                    kept.set(kept.get() + task.await.unwrap());
                }
                borrowed.clone()
            });
            assert_eq!(output.get(), 55);
        });
    });
}

#[test]
fn the_main_future_is_dropped_when_block_on_returns() {
    struct Main(support::Tracked);
    impl Future for Main {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
            self.0.touch();
            Poll::Ready(())
        }
    }
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let drops = Drops::new();
        runtime.block_on(Main(drops.tracked()));
        assert_eq!(drops.only().thread, thread::current().id());
    });
}

#[test]
fn the_main_future_can_be_woken_by_any_thread() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            for _ in 0..200 {
                let gate = Gate::new();
                let other = gate.clone();
                let thread = thread::spawn(move || other.open());
                runtime.block_on(gate.pass());
                thread.join().unwrap();
            }
        });
    });
}

#[test]
fn the_main_future_and_a_task_can_play_ping_pong() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (to, from_main) = async_channel::bounded::<u32>(1);
            let (answer, from_task) = async_channel::bounded::<u32>(1);
            let task = runtime.spawn(async move {
                while let Ok(n) = from_main.recv().await {
                    answer.send(n + 1).await.unwrap();
                }
            });
            runtime.block_on(async {
                for n in 0..5000 {
                    to.send(n).await.unwrap();
                    assert_eq!(from_task.recv().await.unwrap(), n + 1);
                }
                drop(to);
                task.await.unwrap();
            });
        });
    });
}

#[test]
fn more_threads_than_there_are_places_can_be_in_block_on_at_once() {
    const THREADS: usize = 32;
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let inside = Barrier::new(THREADS);
            thread::scope(|scope| {
                for n in 0..THREADS {
                    let (runtime, inside) = (&runtime, &inside);
                    scope.spawn(move || {
                        let output = runtime.block_on(async {
                            yield_now().await;
                            // All of them are in there now.
                            inside.wait();
                            let mut sum = 0;
                            for step in 0..50 {
                                sum += spawn(async move {
                                    yield_now().await;
                                    step
                                })
                                .await
                                .unwrap();
                            }
                            sum + spawn_blocking(move || n).await.unwrap()
                        });
                        assert_eq!(output, 1225 + n);
                    });
                }
            });
        });
    });
}

#[test]
fn threads_in_block_on_can_wait_for_each_other_in_a_ring() {
    const THREADS: usize = 12;
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let channels: Vec<_> = (0..THREADS).map(|_| async_channel::bounded(1)).collect();
            channels[0].0.try_send(0).unwrap();
            thread::scope(|scope| {
                for n in 0..THREADS {
                    let own = channels[n].1.clone();
                    let next = channels[(n + 1) % THREADS].0.clone();
                    let runtime = &runtime;
                    scope.spawn(move || {
                        runtime.block_on(async {
                            for round in 0..100 {
                                let token: usize = own.recv().await.unwrap();
                                assert_eq!(token, round * THREADS + n);
                                next.send(token + 1).await.unwrap();
                            }
                        });
                    });
                }
            });
        });
    });
}

#[test]
fn what_a_thread_in_block_on_leaves_in_its_queue_is_run_by_the_workers() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let done = Arc::new(AtomicUsize::new(0));
            for _ in 0..50 {
                runtime.block_on(async {
                    for _ in 0..20 {
                        let done = done.clone();
                        spawn(async move {
                            done.fetch_add(1, Ordering::SeqCst);
                        })
                        .detach();
                    }
                });
            }
            support::wait_until(|| done.load(Ordering::SeqCst) == 1000);
        });
    });
}

#[test]
fn a_panic_of_the_main_future_comes_out_and_leaves_the_runtime_usable() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            // More often than there are places for threads in `block_on`.
            for round in 0..20 {
                let ran = Gate::new();
                let panic = catch_unwind(AssertUnwindSafe(|| {
                    runtime.block_on(async {
                        let ran = ran.clone();
                        spawn(async move { ran.open() }).detach();
                        if round % 2 == 0 {
                            yield_now().await;
                        }
                        std::panic::panic_any(round);
                    })
                }));
                assert_eq!(*panic.unwrap_err().downcast::<i32>().unwrap(), round);
                // The task it left behind is not lost.
                ran.wait();
                assert!(Handle::try_current().is_none());
                assert_eq!(runtime.block_on(async { spawn(async { 4 }).await.unwrap() }), 4);
            }
        });
    });
}

#[test]
fn a_panic_in_the_drop_of_the_main_future_leaves_the_runtime_usable() {
    struct Main;
    impl Future for Main {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    impl Drop for Main {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    within(LIMIT, || {
        let runtime = support::runtime(1);
        for _ in 0..10 {
            assert!(catch_unwind(AssertUnwindSafe(|| runtime.block_on(Main))).is_err());
            assert_eq!(runtime.block_on(async { spawn(async { 5 }).await.unwrap() }), 5);
        }
    });
}

#[test]
fn a_main_future_that_wakes_itself_all_the_time_does_not_starve_tasks() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let done = Arc::new(AtomicBool::new(false));
            runtime.block_on(async {
                let flag = done.clone();
                // Due on this thread, behind a main future that never rests.
                spawn(async move {
                    for _ in 0..100 {
                        yield_now().await;
                    }
                    flag.store(true, Ordering::SeqCst);
                })
                .detach();
                poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if done.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            });
        });
    });
}

#[test]
fn a_main_future_is_not_starved_by_tasks_that_never_rest() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let stop = Arc::new(AtomicBool::new(false));
            runtime.block_on(async {
                let tasks = (0..10).map(|_| {
                    let stop = stop.clone();
                    spawn(async move {
                        while !stop.load(Ordering::Relaxed) {
                            yield_now().await;
                        }
                    })
                });
                let tasks: Vec<_> = tasks.collect();
                for _ in 0..100 {
                    yield_now().await;
                }
                stop.store(true, Ordering::Relaxed);
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
    });
}

#[test]
fn a_task_that_was_spawned_by_a_main_future_which_then_blocks_runs_on_a_worker() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            // Two, so that one is in front of the queue, whichever place that is.
            let gates = [Gate::new(), Gate::new()];
            runtime.block_on(async {
                for gate in gates.clone() {
                    spawn(async move { gate.open() }).detach();
                }
                // It should await, and does not: many programs have such a line.
                gates.iter().for_each(Gate::wait);
            });
        });
    });
}

#[test]
fn block_on_works_on_a_blocking_thread_of_the_same_runtime() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let handle = runtime.handle().clone();
            let nested = runtime.spawn_blocking(move || {
                let again = handle.clone();
                handle.block_on(async move {
                    let inner = spawn_blocking(move || {
                        again.block_on(async {
                            yield_now().await;
                            6
                        })
                    });
                    spawn(inner).await.unwrap().unwrap()
                })
            });
            assert_eq!(runtime.block_on(nested).unwrap(), 6);
        });
    });
}

#[test]
fn every_blocking_thread_can_be_in_block_on_at_once() {
    const CLOSURES: usize = 16;
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let inside = Arc::new(Barrier::new(CLOSURES));
            let closures = (0..CLOSURES).map(|n| {
                let inside = inside.clone();
                runtime.spawn_blocking(move || {
                    Handle::current().block_on(async {
                        inside.wait();
                        spawn(async move { n }).await.unwrap()
                    })
                })
            });
            for (n, closure) in closures.collect::<Vec<_>>().into_iter().enumerate() {
                assert_eq!(runtime.block_on(closure).unwrap(), n);
            }
        });
    });
}

#[test]
fn a_runtime_inside_a_closure_of_another_is_independent_of_it() {
    within(LIMIT, || {
        for_each_worker_count(|outer| {
            let task = outer.spawn_blocking(|| {
                let inner = Runtime::builder().worker_threads(2).build().unwrap();
                let output = inner.block_on(async { spawn(async { 7 }).await.unwrap() });
                drop(inner);
                output
            });
            assert_eq!(outer.block_on(task).unwrap(), 7);
        });
    });
}

#[test]
fn a_task_of_one_runtime_can_await_a_task_of_another() {
    within(LIMIT, || {
        for_each_worker_count(|outer| {
            let inner = support::runtime(2);
            let handle = inner.handle().clone();
            let task = outer.spawn(async move {
                let mut sum = 0;
                for n in 0..500 {
                    sum += handle
                        .spawn(async move {
                            yield_now().await;
                            n
                        })
                        .await
                        .unwrap();
                }
                sum
            });
            assert_eq!(outer.block_on(task).unwrap(), 124_750);
        });
    });
}

#[test]
fn block_on_after_the_runtime_is_gone_still_runs_the_future() {
    within(LIMIT, || {
        let handle = support::runtime(1).handle().clone();
        let gate = Gate::new();
        let opener = gate.clone();
        let thread = thread::spawn(move || opener.open());
        let output = handle.block_on(async {
            gate.pass().await;
            assert!(spawn(async {}).await.unwrap_err().is_cancelled());
            yield_now().await;
            assert!(spawn_blocking(|| ()).await.unwrap_err().is_cancelled());
            8
        });
        assert_eq!(output, 8);
        thread.join().unwrap();
    });
}

#[test]
fn a_runtime_can_end_while_a_thread_is_in_block_on_of_its_handle() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = support::runtime(workers);
            let handle = runtime.handle().clone();
            let (inside, gate) = (Gate::new(), Gate::new());
            let drops = Drops::new();
            let thread = thread::spawn({
                let (inside, gate, tracked) = (inside.clone(), gate.clone(), drops.tracked());
                move || {
                    handle.block_on(async {
                        let task = spawn(async move {
                            tracked.touch();
                            pending::<()>().await;
                        });
                        yield_now().await;
                        inside.open();
                        gate.pass().await;
                        task.await.unwrap_err().is_cancelled()
                    })
                }
            });
            inside.wait();
            drop(runtime);
            assert_eq!(drops.count(), 1);
            gate.open();
            assert!(thread.join().unwrap());
        }
    });
}
