//! The blocking pool: closures that may block, off the workers.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use support::{Drops, Gate, LIMIT, Pair, for_each_worker_count, within};
use tenter::task::TaskState;
use tenter::{Builder, JoinHandle, Runtime, spawn, spawn_blocking, yield_now};

/// A runtime with one worker and this bound of blocking threads.
fn bounded(threads: usize) -> Runtime {
    let runtime = Builder::new().worker_threads(1).max_blocking_threads(threads).build().unwrap();
    support::watch(runtime.handle());
    runtime
}

#[test]
fn a_closure_returns_its_value_to_whoever_awaits_it() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 1)).unwrap(), 1);
            let task = runtime.spawn(async { spawn_blocking(|| 2).await.unwrap() });
            assert_eq!(runtime.block_on(task).unwrap(), 2);
            let handle = runtime.handle().clone();
            assert_eq!(runtime.block_on(async { handle.spawn_blocking(|| 3).await }).unwrap(), 3);
        });
    });
}

#[test]
fn a_closure_runs_on_no_worker_and_not_on_the_caller() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let closure = runtime.block_on(runtime.spawn_blocking(|| thread::current().id()));
            let task = runtime.spawn(async { thread::current().id() });
            support::wait_until(|| task.is_finished());
            let closure = closure.unwrap();
            assert_ne!(closure, runtime.block_on(task).unwrap());
            assert_ne!(closure, thread::current().id());
        });
    });
}

#[test]
fn a_hundred_thousand_closures_all_run() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let count = Arc::new(AtomicUsize::new(0));
            let closures = (0..100_000).map(|_| {
                let count = count.clone();
                runtime.spawn_blocking(move || count.fetch_add(1, Ordering::Relaxed))
            });
            let closures: Vec<_> = closures.collect();
            runtime.block_on(async {
                for closure in closures {
                    closure.await.unwrap();
                }
            });
            assert_eq!(count.load(Ordering::Relaxed), 100_000);
        });
    });
}

#[test]
fn sixty_four_closures_that_wait_for_each_other_run_at_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let barrier = Arc::new(Barrier::new(64));
            let closures = (0..64).map(|_| {
                let barrier = barrier.clone();
                runtime.spawn_blocking(move || barrier.wait().is_leader())
            });
            let closures: Vec<_> = closures.collect();
            let leaders = runtime.block_on(async {
                let mut leaders = 0;
                for closure in closures {
                    leaders += usize::from(closure.await.unwrap());
                }
                leaders
            });
            assert_eq!(leaders, 1);
        });
    });
}

#[test]
fn closures_from_many_threads_that_wait_for_each_other_run_at_once() {
    within(LIMIT, || {
        for _ in 0..20 {
            let runtime = bounded(64);
            let barrier = Arc::new(Barrier::new(64));
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..8 {
                            let barrier = barrier.clone();
                            runtime.spawn_blocking(move || barrier.wait().is_leader()).detach();
                        }
                    });
                }
            });
            support::wait_until(|| runtime.handle().tasks().is_empty());
        }
    });
}

#[test]
fn no_more_threads_run_closures_than_the_bound_says() {
    within(LIMIT, || {
        for bound in [1, 2, 5] {
            let runtime = bounded(bound);
            let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let threads = Arc::new(Mutex::new(std::collections::HashSet::new()));
            let closures = (0..2000).map(|_| {
                let (running, most) = (running.clone(), most.clone());
                let threads = threads.clone();
                runtime.spawn_blocking(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    threads.lock().unwrap().insert(thread::current().id());
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                })
            });
            for closure in closures.collect::<Vec<_>>() {
                runtime.block_on(closure).unwrap();
            }
            assert!(most.load(Ordering::SeqCst) <= bound);
            assert!(threads.lock().unwrap().len() <= bound);
            assert!(runtime.handle().metrics().blocking_threads() <= bound);
        }
    });
}

#[test]
fn closures_beyond_the_bound_wait_in_the_order_they_came() {
    within(LIMIT, || {
        let runtime = bounded(1);
        let held = Pair::new();
        let first = runtime.spawn_blocking({
            let held = held.clone();
            move || held.hold()
        });
        held.arrived.wait();
        let order = Arc::new(Mutex::new(Vec::new()));
        let closures = (0..100).map(|n| {
            let order = order.clone();
            runtime.spawn_blocking(move || order.lock().unwrap().push(n))
        });
        let closures: Vec<_> = closures.collect();
        assert_eq!(runtime.handle().metrics().blocking_queued(), 100);
        assert!(closures.iter().all(|closure| closure.state() == TaskState::Scheduled));
        held.released.open();
        for closure in closures {
            runtime.block_on(closure).unwrap();
        }
        assert!(order.lock().unwrap().iter().copied().eq(0..100));
        runtime.block_on(first).unwrap();
    });
}

#[test]
fn an_idle_thread_is_used_again() {
    within(LIMIT, || {
        let runtime = bounded(100);
        for _ in 0..100 {
            runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
            support::wait_until(|| runtime.handle().metrics().blocking_idle_threads() > 0);
        }
        assert_eq!(runtime.handle().metrics().blocking_threads(), 1);
    });
}

#[test]
fn with_a_keep_alive_of_zero_threads_leave_and_come_again() {
    within(LIMIT, || {
        let mut builder = Builder::new();
        builder.worker_threads(1).blocking_keep_alive(Duration::ZERO);
        let runtime = builder.build().unwrap();
        support::watch(runtime.handle());
        for round in 0..200 {
            assert_eq!(runtime.block_on(runtime.spawn_blocking(move || round)).unwrap(), round);
        }
        support::wait_until(|| runtime.handle().metrics().blocking_threads() == 0);
        assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 1)).unwrap(), 1);
    });
}

#[test]
fn closures_that_race_with_threads_that_leave_all_run() {
    within(LIMIT, || {
        let mut builder = Builder::new();
        builder.worker_threads(2).blocking_keep_alive(Duration::from_nanos(1));
        builder.max_blocking_threads(3);
        let runtime = builder.build().unwrap();
        support::watch(runtime.handle());
        let count = Arc::new(AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..500 {
                        let count = count.clone();
                        let closure =
                            runtime.spawn_blocking(move || count.fetch_add(1, Ordering::Relaxed));
                        if n % 3 == 0 {
                            futures_lite::future::block_on(closure).unwrap();
                        }
                    }
                });
            }
        });
        support::wait_until(|| count.load(Ordering::Relaxed) == 2000);
    });
}

#[test]
fn an_endless_keep_alive_does_not_keep_the_runtime() {
    within(LIMIT, || {
        let mut builder = Builder::new();
        builder.worker_threads(1).blocking_keep_alive(Duration::MAX);
        let runtime = builder.build().unwrap();
        runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
        assert!(runtime.shutdown(Duration::MAX).is_clean());
    });
}

#[test]
fn a_panic_in_a_closure_is_the_joiners_and_ends_no_thread() {
    within(LIMIT, || {
        let runtime = bounded(1);
        let thread = runtime.block_on(runtime.spawn_blocking(|| thread::current().id())).unwrap();
        for round in 0..20 {
            let closure = runtime.spawn_blocking(move || panic!("round {}", round));
            let error = runtime.block_on(closure).unwrap_err();
            assert!(error.is_panic());
            assert!(error.to_string().contains(&format!("round {round}")), "{error}");
        }
        let after = runtime.block_on(runtime.spawn_blocking(|| thread::current().id())).unwrap();
        assert_eq!(thread, after);
    });
}

#[test]
fn a_closure_can_spawn_closures_and_tasks_and_wait_for_them() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let closure = runtime.spawn_blocking(|| {
                let inner = spawn_blocking(|| spawn_blocking(|| 5));
                let inner = futures_lite::future::block_on(inner).unwrap();
                let task = spawn(async {
                    yield_now().await;
                    6
                });
                (
                    futures_lite::future::block_on(inner).unwrap(),
                    futures_lite::future::block_on(task).unwrap(),
                )
            });
            assert_eq!(runtime.block_on(closure).unwrap(), (5, 6));
        });
    });
}

#[test]
fn a_chain_of_closures_each_waiting_for_the_next_gets_a_thread_for_each() {
    fn chain(left: usize) -> usize {
        if left == 0 {
            return 0;
        }
        let next = spawn_blocking(move || chain(left - 1));
        futures_lite::future::block_on(next).unwrap() + 1
    }
    within(LIMIT, || {
        let runtime = bounded(101);
        assert_eq!(runtime.block_on(runtime.spawn_blocking(|| chain(100))).unwrap(), 100);
    });
}

#[test]
fn a_closure_that_is_aborted_in_the_queue_never_runs() {
    within(LIMIT, || {
        let runtime = bounded(1);
        let held = Pair::new();
        let first = runtime.spawn_blocking({
            let held = held.clone();
            move || held.hold()
        });
        held.arrived.wait();
        let (drops, ran) = (Drops::new(), Gate::new());
        let queued = runtime.spawn_blocking({
            let (tracked, ran) = (drops.tracked(), ran.clone());
            move || {
                tracked.touch();
                ran.open();
            }
        });
        queued.abort();
        held.released.open();
        assert!(runtime.block_on(queued).unwrap_err().is_cancelled());
        assert_eq!((drops.count(), ran.is_open()), (1, false));
        runtime.block_on(first).unwrap();
    });
}

#[test]
fn a_closure_that_is_aborted_while_it_runs_runs_to_its_end() {
    within(LIMIT, || {
        let runtime = bounded(1);
        let held = Pair::new();
        let closure = runtime.spawn_blocking({
            let held = held.clone();
            move || {
                held.hold();
                7
            }
        });
        held.arrived.wait();
        closure.abort();
        assert_eq!(closure.state(), TaskState::Running);
        held.released.open();
        assert_eq!(runtime.block_on(closure.cancel()), Some(7));
    });
}

#[test]
fn closures_do_not_hold_up_tasks() {
    within(LIMIT, || {
        let runtime = bounded(4);
        let gate = Gate::new();
        let closures: Vec<JoinHandle<()>> = (0..50)
            .map(|_| {
                let gate = gate.clone();
                runtime.spawn_blocking(move || gate.wait())
            })
            .collect();
        for n in 0..100 {
            assert_eq!(runtime.block_on(runtime.spawn(async move { n })).unwrap(), n);
        }
        gate.open();
        for closure in closures {
            runtime.block_on(closure).unwrap();
        }
    });
}

#[test]
fn a_detached_closure_runs_and_its_output_is_dropped_on_its_thread() {
    within(LIMIT, || {
        let runtime = bounded(1);
        let drops = Drops::new();
        let tracked = drops.tracked();
        let held = Pair::new();
        let closure = runtime.spawn_blocking({
            let held = held.clone();
            move || {
                held.hold();
                tracked
            }
        });
        held.arrived.wait();
        closure.detach();
        held.released.open();
        support::wait_until(|| drops.count() == 1);
        assert!(drops.only().thread_name.unwrap().contains("blocking"));
    });
}

#[test]
fn an_idle_pool_has_no_threads_before_the_first_closure() {
    within(LIMIT, || {
        let runtime = bounded(512);
        assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
        assert_eq!(runtime.handle().metrics().blocking_threads(), 0);
    });
}
