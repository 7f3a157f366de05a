//! Calls that block, announced: others take over at once, and the caller gets its place back.

mod support;

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use support::{Child, Gate, LIMIT, Pair, expect_success, threads_named, within};
use tenter::task::{self, block_in_place, consume_budget};
use tenter::{Builder, Handle, Runtime, spawn, spawn_blocking, time, yield_now};

const WORKERS: [usize; 2] = [1, 2];

/// Runs `body` as a task of runtimes with one worker and with two.
fn as_task<F: Future<Output = ()> + Send + 'static>(body: impl Fn() -> F) {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            let task = runtime.spawn(body());
            support::wait_until(|| task.is_finished());
            runtime.block_on(task).unwrap();
        }
    });
}

/// Spawns a task, blocks the thread until it has run, and returns what it said.
fn ask<T: Send + 'static>(answer: T) -> T {
    let (sender, receiver) = mpsc::channel();
    spawn(async move {
        yield_now().await;
        sender.send(answer).unwrap();
    })
    .detach();
    receiver.recv().unwrap()
}

#[test]
fn it_returns_what_the_closure_does_which_may_borrow() {
    as_task(|| async {
        let mut list = vec![3, 1, 2];
        let first = block_in_place(|| {
            list.sort();
            list[0]
        });
        assert_eq!((first, list), (1, vec![1, 2, 3]));
    });
}

#[test]
fn a_task_that_is_spawned_inside_runs_while_the_closure_waits_for_it() {
    as_task(|| async {
        for n in 0..200 {
            assert_eq!(block_in_place(|| ask(n)), n);
        }
    });
}

#[test]
fn what_was_queued_before_runs_while_the_closure_waits_for_it() {
    for count in [1, 2, 500] {
        as_task(move || async move {
            let gates: Vec<_> = (0..count).map(|_| Gate::new()).collect();
            for gate in gates.clone() {
                spawn(async move { gate.open() }).detach();
            }
            block_in_place(|| gates.iter().for_each(Gate::wait));
        });
    }
}

#[test]
fn a_task_that_is_woken_inside_runs_while_the_closure_waits_for_it() {
    as_task(|| async {
        let (go, done) = (Gate::new(), Gate::new());
        let waiting = spawn({
            let (go, done) = (go.clone(), done.clone());
            async move {
                go.pass().await;
                done.open();
            }
        });
        support::until(|| go.waiting() == 1).await;
        block_in_place(|| {
            go.open();
            done.wait();
        });
        waiting.await.unwrap();
    });
}

#[test]
fn timers_fire_while_every_worker_is_in_a_closure() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            let held: Vec<_> = (0..workers).map(|_| Pair::new()).collect();
            for held in held.clone() {
                runtime.spawn(async move { block_in_place(|| held.hold()) }).detach();
            }
            held.iter().for_each(|held| held.arrived.wait());
            let task = runtime.spawn(async {
                for _ in 0..20 {
                    time::sleep(Duration::from_millis(1)).await;
                }
            });
            support::wait_until(|| task.is_finished());
            held.iter().for_each(|held| held.released.open());
        }
    });
}

#[test]
fn block_on_works_inside() {
    as_task(|| async {
        let sum = block_in_place(|| {
            Handle::current().block_on(async {
                let mut sum = 0;
                for n in 0..50 {
                    time::sleep(Duration::from_micros(10)).await;
                    sum += spawn(async move { n }).await.unwrap();
                }
                sum
            })
        });
        assert_eq!(sum, 1225);
        // Here it is refused as ever.
        let refused = catch_unwind(AssertUnwindSafe(|| Handle::current().block_on(async {})));
        assert!(refused.is_err());
    });
}

#[test]
fn block_on_of_another_runtime_works_inside() {
    as_task(|| async {
        let other = Runtime::builder().worker_threads(1).build().unwrap();
        let answer = block_in_place(|| {
            let answer = other.block_on(async { spawn(async { 7 }).await.unwrap() });
            drop(other);
            answer
        });
        assert_eq!(answer + spawn(async { 1 }).await.unwrap(), 8);
    });
}

#[test]
fn it_can_be_nested() {
    as_task(|| async {
        let answer = block_in_place(|| {
            let inner = block_in_place(|| ask(1));
            // A task of the thread that is in `block_on` here.
            let task = async { spawn(async { block_in_place(|| ask(2)) }).await.unwrap() };
            inner + Handle::current().block_on(task) + block_in_place(|| ask(3))
        });
        assert_eq!(answer, 6);
        assert_eq!(spawn(async { 4 }).await.unwrap(), 4);
    });
}

#[test]
fn a_panic_inside_is_the_tasks() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            for _ in 0..20 {
                let task = runtime.spawn(async {
                    block_in_place(|| std::panic::resume_unwind(Box::new("inside")));
                });
                support::wait_until(|| task.is_finished());
                let error = runtime.block_on(task).unwrap_err();
                assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "inside");
            }
            // Every thread is what it was before: what is spawned stays there, and runs.
            let task = runtime.spawn(async {
                let caught =
                    catch_unwind(|| block_in_place(|| std::panic::resume_unwind(Box::new(1))));
                assert!(caught.is_err());
                spawn(async { 5 }).await.unwrap()
            });
            support::wait_until(|| task.is_finished());
            assert_eq!(runtime.block_on(task).unwrap(), 5);
        }
    });
}

#[test]
fn on_other_threads_it_just_calls_the_closure() {
    within(LIMIT, || {
        assert_eq!(block_in_place(|| 1), 1);
        let runtime = support::runtime(1);
        let _entered = runtime.enter();
        assert_eq!(block_in_place(|| ask(2)), 2);
        let closure = spawn_blocking(|| block_in_place(|| ask(3)));
        support::wait_until(|| closure.is_finished());
        assert_eq!(runtime.block_on(closure).unwrap(), 3);
    });
}

#[test]
fn a_thread_in_block_on_hands_over_what_it_has() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            runtime.block_on(async {
                let gates = [Gate::new(), Gate::new(), Gate::new()];
                for gate in gates.clone() {
                    spawn(async move { gate.open() }).detach();
                }
                block_in_place(|| gates.iter().for_each(Gate::wait));
                assert_eq!(block_in_place(|| ask(1)), 1);
                assert_eq!(block_in_place(|| Handle::current().block_on(async { 2 })), 2);
                // In a task of this thread's.
                let task = spawn(async { block_in_place(|| ask(3)) });
                assert_eq!(task.await.unwrap(), 3);
                assert_eq!(spawn(async { 4 }).await.unwrap(), 4);
            });
        }
    });
}

tenter::task_local! {
    static REQUEST: u32;
}

#[test]
fn the_task_keeps_its_id_its_name_and_its_locals() {
    as_task(|| async {
        let task = task::Builder::new().name("placed").spawn(REQUEST.scope(7, async {
            let id = task::id();
            block_in_place(|| {
                assert_eq!((task::id(), task::name().as_deref()), (id, Some("placed")));
                assert_eq!(REQUEST.with(|request| *request), 7);
                Handle::current().block_on(async { assert_eq!(task::id(), None) });
                assert_eq!(task::id(), id);
            });
            assert_eq!((task::id(), task::name().as_deref()), (id, Some("placed")));
        }));
        task.await.unwrap();
    });
}

#[test]
fn the_budget_is_lifted_inside_and_what_was_left_of_it_is_back_afterwards() {
    as_task(|| async {
        let polls = AtomicUsize::new(0);
        let mut body = pin!(async {
            block_in_place(|| {
                Handle::current().block_on(async {
                    for _ in 0..1000 {
                        consume_budget().await;
                    }
                })
            });
            assert_eq!(polls.load(Ordering::Relaxed), 1);
            for _ in 0..1000 {
                consume_budget().await;
            }
        });
        poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            body.as_mut().poll(cx)
        })
        .await;
        assert!(polls.load(Ordering::Relaxed) > 5, "{polls:?}");
    });
}

#[test]
fn a_future_that_is_polled_inside_can_yield() {
    as_task(|| async {
        let mut yielding = pin!(yield_now());
        poll_fn(|cx| block_in_place(|| yielding.as_mut().poll(cx))).await;
    });
}

#[test]
fn an_abort_takes_effect_when_the_task_waits_next() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            let (held, after) = (Pair::new(), Gate::new());
            let task = runtime.spawn({
                let (held, after) = (held.clone(), after.clone());
                async move {
                    block_in_place(|| held.hold());
                    after.open();
                    pending::<()>().await;
                }
            });
            held.arrived.wait();
            task.abort();
            assert!(!task.is_finished());
            held.released.open();
            after.wait();
            support::wait_until(|| task.is_finished());
            assert!(runtime.block_on(task).unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn more_at_once_than_there_can_be_reliefs_come_to_an_end() {
    within(LIMIT, || {
        for workers in WORKERS {
            let mut builder = Builder::new();
            let runtime = builder.worker_threads(workers).thread_name("bip-a").build().unwrap();
            support::watch(runtime.handle());
            let (gate, inside) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
            let tasks: Vec<_> = (0..300)
                .map(|n| {
                    let (gate, inside) = (gate.clone(), inside.clone());
                    runtime.spawn(async move {
                        block_in_place(|| {
                            inside.fetch_add(1, Ordering::Relaxed);
                            gate.wait();
                        });
                        yield_now().await;
                        n
                    })
                })
                .collect();
            support::wait_until(|| inside.load(Ordering::Relaxed) == 64 + workers);
            assert_eq!(runtime.handle().metrics().relief_workers(), 64);
            gate.open();
            let sum = runtime.block_on(async {
                let mut sum = 0;
                for task in tasks {
                    sum += task.await.unwrap();
                }
                sum
            });
            assert_eq!(sum, 44_850);
            support::wait_until(|| threads_named("bip-a-relief") == 0);
            assert_eq!(runtime.handle().metrics().relief_workers(), 0);
        }
    });
}

#[test]
fn short_closures_on_many_tasks_at_once_lose_nothing() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = support::runtime(workers);
            let sum = runtime.block_on(async {
                let tasks: Vec<_> = (0..50)
                    .map(|n| {
                        spawn(async move {
                            let mut sum = 0;
                            for _ in 0..20 {
                                let before = spawn(async move { n });
                                sum += block_in_place(|| ask(n));
                                yield_now().await;
                                sum += before.await.unwrap();
                            }
                            sum
                        })
                    })
                    .collect();
                let mut sum = 0;
                for task in tasks {
                    sum += task.await.unwrap();
                }
                sum
            });
            assert_eq!(sum, 1225 * 40);
        }
    });
}

#[test]
fn a_shutdown_reports_a_closure_that_goes_on_and_leaves_nothing_behind() {
    within(LIMIT, || {
        for workers in WORKERS {
            let mut builder = Builder::new();
            let runtime = builder.worker_threads(workers).thread_name("bip-b").build().unwrap();
            support::watch(runtime.handle());
            let (held, outcome) = (Pair::new(), Gate::new());
            let task = runtime.spawn({
                let (held, outcome) = (held.clone(), outcome.clone());
                async move {
                    block_in_place(|| {
                        held.hold();
                        // Too late for it.
                        let late = spawn(async {});
                        assert!(Handle::current().block_on(late).unwrap_err().is_cancelled());
                    });
                    outcome.open();
                }
            });
            held.arrived.wait();
            let report = runtime.shutdown(Duration::from_millis(10));
            assert_eq!(report.running().len(), 1, "{report}");
            assert_eq!(report.running()[0].id(), task.id());
            held.released.open();
            outcome.wait();
            support::wait_until(|| task.is_finished());
            support::wait_until(|| threads_named("bip-b") == 0);
        }
    });
}

#[test]
fn dropping_the_runtime_waits_for_the_closure() {
    within(LIMIT, || {
        for workers in WORKERS {
            let mut builder = Builder::new();
            let runtime = builder.worker_threads(workers).thread_name("bip-c").build().unwrap();
            support::watch(runtime.handle());
            let held = Pair::new();
            let task = runtime.spawn({
                let held = held.clone();
                async move { block_in_place(|| held.hold()) }
            });
            held.arrived.wait();
            let waiting = runtime.spawn(pending::<()>());
            let dropping = thread::spawn(move || drop(runtime));
            // What waits is cancelled meanwhile.
            support::wait_until(|| waiting.is_finished());
            assert!(!task.is_finished() && !dropping.is_finished());
            held.released.open();
            dropping.join().unwrap();
            assert!(task.is_finished());
            // A thread that was joined is about to leave the list.
            support::wait_until(|| threads_named("bip-c") == 0);
        }
    });
}

#[test]
fn the_time_inside_is_not_reported_and_the_time_after_it_is() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let mut builder = Builder::new();
            builder.worker_threads(1).blocked_after(Some(Duration::from_millis(20)));
            let runtime = builder.build().unwrap();
            let _entered = runtime.enter();
            let placed = task::Builder::new().name("placed").spawn(async {
                block_in_place(|| thread::sleep(Duration::from_millis(300)));
            });
            support::wait_until(|| placed.is_finished());
            assert_eq!(runtime.handle().metrics().blocked_polls(), 0);
            let (held, inside) = (Pair::new(), Gate::new());
            let late = task::Builder::new().name("late").spawn({
                let (held, inside) = (held.clone(), inside.clone());
                async move {
                    block_in_place(|| inside.open());
                    held.hold();
                }
            });
            inside.wait();
            support::wait_until(|| runtime.handle().metrics().blocked_polls() == 1);
            held.released.open();
            support::wait_until(|| late.is_finished());
        });
        expect_success(&output);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains("placed"), "{text}");
        assert_eq!(text.matches("late").count(), 1, "{text}");
    });
}
