//! What a runtime tells about itself.

mod support;

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::{Gate, LIMIT, for_each_worker_count, is_relief, within};
use tenter::runtime::RuntimeMetrics;
use tenter::task::TaskState;
use tenter::{Handle, spawn, yield_now};

/// The totals, which only ever grow.
fn totals(metrics: &RuntimeMetrics) -> [u64; 7] {
    [
        metrics.polls(),
        metrics.steals(),
        metrics.parks(),
        metrics.wakes(),
        metrics.noop_wakes(),
        metrics.driver_turns(),
        metrics.injected(),
    ]
}

#[test]
fn totals_never_shrink_while_the_runtime_works() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let stop = AtomicBool::new(false);
            let handle = runtime.handle();
            thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let mut before = totals(&handle.metrics());
                    while !stop.load(Ordering::Relaxed) {
                        let now = totals(&handle.metrics());
                        let pairs = before.iter().zip(&now);
                        assert!(pairs.clone().all(|(old, new)| old <= new), "{before:?} {now:?}");
                        before = now;
                        thread::yield_now();
                    }
                });
                for _ in 0..20 {
                    let tasks: Vec<_> = (0..500).map(|_| runtime.spawn(yield_now())).collect();
                    runtime.block_on(async {
                        for task in tasks {
                            task.await.unwrap();
                        }
                    });
                }
                stop.store(true, Ordering::Relaxed);
                reader.join().unwrap();
            });
            let metrics = handle.metrics();
            assert!(metrics.polls() >= 20_000, "{metrics:?}");
            assert!(metrics.injected() >= 1, "{metrics:?}");
        });
    });
}

#[test]
fn polls_count_each_poll_of_each_task() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let before = runtime.handle().metrics().polls();
            let task = runtime.spawn(async {
                for _ in 0..99 {
                    yield_now().await;
                }
            });
            support::wait_until(|| task.is_finished());
            assert_eq!(runtime.handle().metrics().polls() - before, 100);
        });
    });
}

#[test]
fn live_tasks_are_those_that_have_not_ended() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let live = || runtime.handle().metrics().live_tasks();
            assert_eq!(live(), 0);
            let tasks: Vec<_> = (0..100).map(|_| runtime.spawn(pending::<()>())).collect();
            assert_eq!(live(), 100);
            tasks[..40].iter().for_each(|task| task.abort());
            support::wait_until(|| tasks[..40].iter().all(|task| task.is_finished()));
            assert_eq!(live(), 60);
            runtime.block_on(async {
                for task in tasks {
                    task.cancel().await;
                }
            });
            assert_eq!(live(), 0);
        });
    });
}

#[test]
fn queued_tasks_are_those_that_are_due() {
    within(LIMIT, || {
        let (runtime, begins) = support::runtime_that_begins_later();
        assert_eq!(runtime.handle().metrics().queued_tasks(), 0);
        let tasks: Vec<_> = (0..100).map(|_| runtime.spawn(async {})).collect();
        assert_eq!(runtime.handle().metrics().queued_tasks(), 100);
        assert_eq!(runtime.handle().metrics().injected(), 100);
        begins.open();
        support::wait_until(|| tasks.iter().all(|task| task.is_finished()));
        assert_eq!(runtime.handle().metrics().queued_tasks(), 0);
    });
}

#[test]
fn what_a_task_spawns_and_has_not_run_yet_is_counted_as_queued() {
    within(LIMIT, || {
        // Ends: with a worker that is not relieved.
        loop {
            let relieved = Gate::new();
            let opens = relieved.clone();
            let mut builder = tenter::Builder::new();
            let runtime = builder.worker_threads(1).on_thread_start(move || {
                if is_relief() {
                    opens.open();
                }
            });
            let runtime = runtime.build().unwrap();
            support::watch(runtime.handle());
            let task = runtime.spawn(async move {
                let children: Vec<_> = (0..10).map(|_| spawn(async {})).collect();
                // Wherever the worker keeps them.
                let queued = Handle::current().metrics().queued_tasks();
                for child in children {
                    child.await.unwrap();
                }
                queued
            });
            support::wait_until(|| task.is_finished());
            if runtime.block_on(task).unwrap() == 10 {
                return;
            }
            // Then the system kept the worker waiting in the middle of it, and the monitor gave the
            // children to others: a relief comes, or the count was wrong.
            relieved.wait();
        }
    });
}

#[test]
fn the_numbers_of_the_blocking_pool_are_those_of_its_threads() {
    within(LIMIT, || {
        let mut builder = tenter::Builder::new();
        let runtime = builder.worker_threads(1).max_blocking_threads(3).build().unwrap();
        let gate = Gate::new();
        let closures: Vec<_> = (0..10)
            .map(|_| {
                let gate = gate.clone();
                runtime.spawn_blocking(move || gate.wait())
            })
            .collect();
        let numbers = || {
            let metrics = runtime.handle().metrics();
            (metrics.blocking_threads(), metrics.blocking_idle_threads(), metrics.blocking_queued())
        };
        support::wait_until(|| numbers() == (3, 0, 7));
        gate.open();
        runtime.block_on(async {
            for closure in closures {
                closure.await.unwrap();
            }
        });
        support::wait_until(|| numbers() == (3, 3, 0));
    });
}

#[test]
fn an_idle_runtime_has_all_its_workers_asleep_and_counts_no_more() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let task = runtime.spawn(pending::<()>());
            support::wait_until(|| task.state() == TaskState::Suspended);
            let parks = || runtime.handle().metrics().parks();
            support::wait_until(|| parks() >= runtime.handle().metrics().workers() as u64);
            let mut before = totals(&runtime.handle().metrics());
            // Until nothing changes any more; a runtime that never rests never gets there.
            support::wait_until(|| {
                (0..10_000).for_each(|_| thread::yield_now());
                let now = totals(&runtime.handle().metrics());
                std::mem::replace(&mut before, now) == now
            });
        });
    });
}

#[test]
fn the_debug_texts_are_short_and_say_what_they_are_of() {
    within(LIMIT, || {
        let runtime = support::runtime(3);
        assert!(format!("{runtime:?}").starts_with("Runtime"));
        assert!(format!("{:?}", runtime.handle()).contains("workers: 3"));
        assert!(format!("{:?}", runtime.handle().metrics()).contains("polls"));
        assert!(format!("{:?}", tenter::Builder::new()).starts_with("Builder"));
        assert!(format!("{:?}", runtime.enter()).starts_with("EnterGuard"));
    });
}
