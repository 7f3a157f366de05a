//! Polls that take long: the rest of the runtime goes on, and the culprit is named.

mod support;

use std::future::Future;
use std::hint;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use support::{Child, Gate, LIMIT, Pair, expect_success, within};
use tenter::task::{self, TaskState};
use tenter::{Builder, Runtime, spawn, time, yield_now};

const WORKERS: [usize; 2] = [2, 4];

#[test]
fn a_task_that_spawns_another_and_blocks_until_it_ran_does_not_hang() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            let task = runtime.spawn(async {
                // Two, so that one is in front of the queue, whichever place that is.
                let gates = [Gate::new(), Gate::new()];
                for gate in gates.clone() {
                    spawn(async move { gate.open() }).detach();
                }
                gates.iter().for_each(Gate::wait);
            });
            support::wait_until(|| task.is_finished());
        }
    });
}

#[test]
fn a_task_that_wakes_another_and_blocks_until_it_ran_does_not_hang() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            let (go, done) = (Gate::new(), Gate::new());
            let woken = runtime.spawn({
                let (go, done) = (go.clone(), done.clone());
                async move {
                    go.pass().await;
                    done.open();
                }
            });
            support::wait_until(|| go.waiting() == 1);
            let waker = runtime.spawn(async move {
                go.open();
                done.wait();
            });
            support::wait_until(|| woken.is_finished() && waker.is_finished());
        }
    });
}

#[test]
fn tasks_behind_a_blocked_one_are_run_by_the_other_workers() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            let held = Pair::new();
            let blocked = runtime.spawn({
                let held = held.clone();
                async move {
                    let tasks: Vec<_> = (0..1000).map(|n| spawn(async move { n })).collect();
                    held.hold();
                    // Who is off the list is about to be finished.
                    support::wait_until(|| tasks.iter().all(|task| task.is_finished()));
                    let mut sum = 0;
                    for task in tasks {
                        sum += task.await.unwrap();
                    }
                    sum
                }
            });
            held.arrived.wait();
            support::wait_until(|| runtime.handle().metrics().live_tasks() == 1);
            held.released.open();
            assert_eq!(runtime.block_on(blocked).unwrap(), 499_500);
        }
    });
}

#[test]
fn all_workers_but_one_can_be_blocked_and_everything_runs_on_the_last() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            let gate = Gate::new();
            let inside = Arc::new(Barrier::new(workers));
            for _ in 1..workers {
                let (gate, inside) = (gate.clone(), inside.clone());
                runtime
                    .spawn(async move {
                        inside.wait();
                        gate.wait();
                    })
                    .detach();
            }
            inside.wait();
            for n in 0..1000 {
                let task = runtime.spawn(async move {
                    yield_now().await;
                    spawn(async move { n }).await.unwrap()
                });
                support::wait_until(|| task.is_finished());
            }
            gate.open();
        }
    });
}

#[test]
fn a_thread_in_block_on_runs_its_tasks_though_every_worker_is_blocked() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = support::runtime(workers);
            let gate = Gate::new();
            let inside = Arc::new(Barrier::new(workers + 1));
            for _ in 0..workers {
                let (gate, inside) = (gate.clone(), inside.clone());
                runtime
                    .spawn(async move {
                        inside.wait();
                        gate.wait();
                    })
                    .detach();
            }
            inside.wait();
            let sum = runtime.block_on(async {
                let mut sum = 0;
                for n in 0..100 {
                    sum += spawn(async move {
                        yield_now().await;
                        n
                    })
                    .await
                    .unwrap();
                }
                sum
            });
            assert_eq!(sum, 4950);
            gate.open();
        }
    });
}

/// A runtime that reports soon.
fn reporting() -> Runtime {
    let mut builder = Builder::new();
    builder.worker_threads(2).blocked_after(Some(Duration::from_millis(1))).build().unwrap()
}

/// Blocks for far longer than it takes to be reported.
fn block() {
    thread::sleep(Duration::from_millis(300));
}

#[test]
fn a_poll_that_takes_long_is_reported_once_with_name_and_place() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let runtime = reporting();
            let _entered = runtime.enter();
            let held = Pair::new();
            let holds = held.clone();
            let task = task::Builder::new().name("slow one").spawn(async move { holds.hold() });
            eprintln!("line {}.", line!() - 1);
            held.arrived.wait();
            // For as long as it takes, and longer.
            support::wait_until(|| runtime.handle().metrics().blocked_polls() == 1);
            block();
            held.released.open();
            support::wait_until(|| task.is_finished());
        });
        expect_success(&output);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.matches("slow one").count(), 1, "{text}");
        let (_, line) = text.split_once("line ").unwrap();
        let (line, _) = line.split_once('.').unwrap();
        assert!(text.contains(&format!("scheduler_blocked.rs:{line}:")), "{text}");
    });
}

#[test]
fn without_a_limit_no_poll_is_reported() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let mut builder = Builder::new();
            let runtime = builder.worker_threads(2).blocked_after(None).build().unwrap();
            let task = runtime.spawn(async { block() });
            support::wait_until(|| task.is_finished());
        });
        expect_success(&output);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn closures_and_main_futures_may_take_as_long_as_they_like() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let runtime = reporting();
            let closure = runtime.spawn_blocking(block);
            runtime.block_on(async { block() });
            runtime.block_on(closure).unwrap();
        });
        expect_success(&output);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn tasks_that_wait_and_tasks_that_yield_are_not_reported() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let mut builder = Builder::new();
            builder.worker_threads(2).blocked_after(Some(Duration::from_millis(500)));
            let runtime = builder.build().unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let yielding = runtime.spawn({
                let stop = stop.clone();
                async move {
                    while !stop.load(Ordering::Relaxed) {
                        yield_now().await;
                    }
                }
            });
            let gate = Gate::new();
            let waiting = runtime.spawn({
                let gate = gate.clone();
                async move { gate.pass().await }
            });
            thread::sleep(Duration::from_millis(1200));
            stop.store(true, Ordering::Relaxed);
            gate.open();
            support::wait_until(|| yielding.is_finished() && waiting.is_finished());
        });
        expect_success(&output);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

/// Computes for a while as it is woken, on the thread that wakes: a worker, in the driver.
struct Computes(mpsc::Sender<()>);

impl Wake for Computes {
    fn wake(self: Arc<Self>) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1) {
            hint::spin_loop();
        }
        // The test may be over.
        let _ = self.0.send(());
    }
}

#[test]
fn a_worker_that_wakes_for_timers_alone_is_in_no_poll() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let runtime = Builder::new()
                .worker_threads(1)
                .blocked_after(Some(Duration::from_millis(10)))
                .build()
                .unwrap();
            // The last task that the worker polls; the timers below are of no task.
            let gate = Gate::new();
            let waiting = runtime.spawn({
                let gate = gate.clone();
                async move { gate.pass().await }
            });
            support::wait_until(|| waiting.state() == TaskState::Suspended);
            let _entered = runtime.enter();
            let (told, hears) = mpsc::channel();
            let waker = Waker::from(Arc::new(Computes(told)));
            for _ in 0..200 {
                let mut timer = pin!(time::sleep(Duration::from_micros(100)));
                if timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    hears.recv().unwrap();
                }
            }
            gate.open();
            support::wait_until(|| waiting.is_finished());
        });
        expect_success(&output);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}
