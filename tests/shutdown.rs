//! The end of a runtime: what is cancelled, what is waited for, what is reported, and where it
//! may be dropped.

mod support;

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use support::{Child, Drops, Gate, Holds, LIMIT, Pair, Tracked, expect_success, within};
use tenter::task::{self, TaskState};
use tenter::{Builder, Handle, JoinHandle, Runtime, spawn, spawn_blocking, yield_now};

/// A runtime that no watchdog keeps a handle of.
fn unwatched(workers: usize) -> Runtime {
    Builder::new().worker_threads(workers).build().unwrap()
}

fn for_each_worker_count(body: impl Fn(Runtime)) {
    for workers in [1, 2, 4] {
        println!("with {workers} workers");
        body(unwatched(workers));
    }
}

/// A task that waits for ever.
fn waiting(runtime: &Runtime, tracked: Tracked) -> JoinHandle<()> {
    let handle = runtime.spawn(async move {
        tracked.touch();
        pending::<()>().await;
    });
    support::wait_until(|| handle.state() == TaskState::Suspended);
    handle
}

#[test]
fn dropping_a_runtime_cancels_every_task_and_drops_every_future_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            // Some idle, some never polled yet, some that always run.
            let mut tasks: Vec<_> = (0..50).map(|_| waiting(&runtime, drops.tracked())).collect();
            for _ in 0..50 {
                let tracked = drops.tracked();
                tasks.push(runtime.spawn(async move {
                    tracked.touch();
                    loop {
                        yield_now().await;
                    }
                }));
            }
            drop(runtime);
            assert_eq!(drops.count(), 100);
            for task in tasks {
                assert_eq!(task.state(), TaskState::Cancelled);
                assert!(futures_lite::future::block_on(task).unwrap_err().is_cancelled());
            }
        });
    });
}

#[test]
fn an_idle_runtime_is_dropped_at_once() {
    within(LIMIT, || {
        for_each_worker_count(drop);
        for_each_worker_count(|runtime| {
            let report = runtime.shutdown(Duration::MAX);
            assert_eq!((report.cancelled(), report.is_clean()), (0, true));
        });
    });
}

#[test]
fn dropping_a_runtime_waits_for_the_poll_that_is_under_way() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (held, ended) = (Pair::new(), Arc::new(AtomicBool::new(false)));
            runtime
                .spawn({
                    let (held, ended) = (held.clone(), ended.clone());
                    async move {
                        held.hold();
                        ended.store(true, Ordering::SeqCst);
                    }
                })
                .detach();
            held.arrived.wait();
            let release = thread::spawn(move || held.released.open());
            drop(runtime);
            assert!(ended.load(Ordering::SeqCst));
            release.join().unwrap();
        });
    });
}

#[test]
fn dropping_a_runtime_waits_for_the_closures_that_have_started() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (held, ended) = (Pair::new(), Arc::new(AtomicBool::new(false)));
            let closure = runtime.spawn_blocking({
                let (held, ended) = (held.clone(), ended.clone());
                move || {
                    held.hold();
                    ended.store(true, Ordering::SeqCst);
                    9
                }
            });
            held.arrived.wait();
            let release = thread::spawn(move || held.released.open());
            drop(runtime);
            assert!(ended.load(Ordering::SeqCst));
            assert_eq!(futures_lite::future::block_on(closure).unwrap(), 9);
            release.join().unwrap();
        });
    });
}

#[test]
fn a_shutdown_cancels_the_closures_that_wait_in_the_queue() {
    within(LIMIT, || {
        let runtime = Builder::new().worker_threads(1).max_blocking_threads(1).build().unwrap();
        let held = Pair::new();
        let first = runtime.spawn_blocking({
            let held = held.clone();
            move || held.hold()
        });
        held.arrived.wait();
        let (drops, ran) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
        let queued = (0..100).map(|_| {
            let (tracked, ran) = (drops.tracked(), ran.clone());
            runtime.spawn_blocking(move || {
                tracked.touch();
                ran.fetch_add(1, Ordering::SeqCst);
            })
        });
        let queued: Vec<_> = queued.collect();
        let report = runtime.shutdown(Duration::ZERO);
        assert_eq!((drops.count(), ran.load(Ordering::SeqCst)), (100, 0));
        assert_eq!(report.cancelled(), 100);
        assert_eq!(report.running().len(), 1, "{report}");
        for closure in queued {
            assert!(futures_lite::future::block_on(closure).unwrap_err().is_cancelled());
        }
        held.released.open();
        futures_lite::future::block_on(first).unwrap();
    });
}

#[test]
fn a_shutdown_names_a_task_that_is_stuck() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (held, drops) = (Pair::new(), Drops::new());
            let entered = runtime.enter();
            let stuck = task::Builder::new().name("stuck one").spawn({
                let held = held.clone();
                async move { held.hold() }
            });
            let line = line!() - 4;
            drop(entered);
            held.arrived.wait();
            let others = runtime.handle().metrics().workers() > 1;
            let idle: Vec<_> =
                (0..10).filter(|_| others).map(|_| waiting(&runtime, drops.tracked())).collect();
            // All of it passes: one task never ends. What the others need of it is little.
            let report = runtime.shutdown(Duration::from_millis(if others { 2000 } else { 50 }));
            assert!(!report.is_clean());
            let running = report.running();
            // The others were cancelled by the workers that are not stuck.
            assert_eq!((report.cancelled(), drops.count()), (idle.len(), idle.len()));
            assert_eq!(running.len(), 1, "{report}");
            assert_eq!(running[0].id(), stuck.id());
            assert_eq!(running[0].name(), Some("stuck one"));
            assert_eq!(running[0].state(), TaskState::Running);
            assert!(!running[0].is_blocking());
            assert_eq!(running[0].location().line(), line);
            assert!(running[0].location().file().ends_with("shutdown.rs"));
            let text = report.to_string();
            assert!(text.contains("stuck one") && text.contains("shutdown.rs"), "{text}");
            assert!(text.contains("1 still running"), "{text}");
            // It goes on by itself, and ends.
            held.released.open();
            futures_lite::future::block_on(stuck).unwrap();
        });
    });
}

#[test]
fn a_shutdown_names_a_closure_that_is_stuck() {
    within(LIMIT, || {
        let runtime = unwatched(1);
        let held = Pair::new();
        let entered = runtime.enter();
        let stuck = task::Builder::new().name("stuck closure").spawn_blocking({
            let held = held.clone();
            move || held.hold()
        });
        drop(entered);
        held.arrived.wait();
        let report = runtime.shutdown(Duration::from_millis(50));
        assert_eq!((report.cancelled(), report.running().len()), (0, 1));
        let info = &report.running()[0];
        assert_eq!((info.name(), info.is_blocking()), (Some("stuck closure"), true));
        assert!(report.to_string().contains("stuck closure"), "{report}");
        held.released.open();
        futures_lite::future::block_on(stuck).unwrap();
    });
}

#[test]
fn a_shutdown_without_grace_returns_though_everything_is_stuck() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let workers = runtime.handle().metrics().workers();
            let gate = Gate::new();
            let inside = Arc::new(AtomicUsize::new(0));
            for _ in 0..workers {
                let (gate, inside) = (gate.clone(), inside.clone());
                runtime
                    .spawn(async move {
                        inside.fetch_add(1, Ordering::SeqCst);
                        gate.wait();
                    })
                    .detach();
            }
            support::wait_until(|| inside.load(Ordering::SeqCst) == workers);
            let handle = runtime.handle().clone();
            let report = runtime.shutdown(Duration::ZERO);
            assert_eq!(report.running().len(), workers);
            gate.open();
            support::wait_until(|| handle.tasks().is_empty());
        });
    });
}

#[test]
fn an_endless_grace_is_as_long_as_it_takes() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            let tasks: Vec<_> = (0..20).map(|_| waiting(&runtime, drops.tracked())).collect();
            let held = Pair::new();
            runtime
                .spawn_blocking({
                    let held = held.clone();
                    move || held.hold()
                })
                .detach();
            held.arrived.wait();
            let release = thread::spawn(move || held.released.open());
            let report = runtime.shutdown(Duration::MAX);
            assert!(report.is_clean(), "{report}");
            assert_eq!(drops.count(), tasks.len());
            release.join().unwrap();
        });
    });
}

#[test]
fn a_shutdown_in_the_background_waits_for_nothing() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (held, drops) = (Pair::new(), Drops::new());
            let idle = waiting(&runtime, drops.tracked());
            let closure = runtime.spawn_blocking({
                let held = held.clone();
                move || held.hold()
            });
            held.arrived.wait();
            runtime.shutdown_background();
            // The rest happens by itself.
            support::wait_until(|| idle.is_finished());
            assert_eq!(drops.count(), 1);
            held.released.open();
            futures_lite::future::block_on(closure).unwrap();
        });
    });
}

#[test]
fn a_spawn_after_shutdown_reports_that_it_was_cancelled() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let handle = runtime.handle().clone();
            drop(runtime);
            let drops = Drops::new();
            let tracked = drops.tracked();
            let task = handle.spawn(async move { tracked.touch() });
            assert!(task.is_finished());
            assert!(futures_lite::future::block_on(task).unwrap_err().is_cancelled());
            let tracked = drops.tracked();
            let closure = handle.spawn_blocking(move || tracked.touch());
            assert!(closure.is_finished());
            assert!(futures_lite::future::block_on(closure).unwrap_err().is_cancelled());
            assert_eq!(drops.count(), 2);
            assert!(handle.tasks().is_empty());
            let metrics = handle.metrics();
            assert_eq!((metrics.live_tasks(), metrics.queued_tasks()), (0, 0));
        });
    });
}

#[test]
fn a_spawn_that_races_with_the_shutdown_either_runs_or_is_cancelled() {
    within(LIMIT, || {
        for round in 0..100 {
            let runtime = unwatched(1 + round % 4);
            let handle = runtime.handle().clone();
            let drops = Drops::new();
            let started = Gate::new();
            let spawner = thread::spawn({
                let (drops, started) = (drops.clone(), started.clone());
                move || {
                    let spawned = (0..200).map(|n| {
                        if n == 20 {
                            started.open();
                        }
                        let tracked = drops.tracked();
                        if n % 4 == 0 {
                            handle.spawn_blocking(move || tracked.touch())
                        } else {
                            handle.spawn(async move {
                                tracked.touch();
                                if n % 4 == 1 {
                                    pending::<()>().await;
                                }
                            })
                        }
                    });
                    spawned.collect::<Vec<_>>()
                }
            });
            started.wait();
            drop(runtime);
            for task in spawner.join().unwrap() {
                if let Err(error) = futures_lite::future::block_on(task) {
                    assert!(error.is_cancelled());
                }
            }
            assert_eq!(drops.count(), 200);
        }
    });
}

#[test]
fn a_runtime_can_be_dropped_inside_its_own_main_future() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = unwatched(workers);
            let handle = runtime.handle().clone();
            let drops = Drops::new();
            let idle = waiting(&runtime, drops.tracked());
            let inside = handle.block_on(async move {
                let task = spawn(async { yield_now().await });
                drop(runtime);
                // Cancelled or finished; either way it ends.
                let _either = task.await;
                idle.await.unwrap_err().is_cancelled()
            });
            assert!(inside);
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn a_runtime_can_be_dropped_inside_its_own_task() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = unwatched(workers);
            let handle = runtime.handle().clone();
            let drops = Drops::new();
            let idle = waiting(&runtime, drops.tracked());
            let reached = Gate::new();
            let task = handle.spawn({
                let reached = reached.clone();
                async move {
                    drop(runtime);
                    reached.open();
                    pending::<()>().await;
                }
            });
            reached.wait();
            assert!(futures_lite::future::block_on(task).unwrap_err().is_cancelled());
            assert!(futures_lite::future::block_on(idle).unwrap_err().is_cancelled());
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn a_runtime_can_be_dropped_inside_a_task_of_another() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let (outer, inner) = (support::runtime(workers), unwatched(workers));
            let drops = Drops::new();
            let idle = waiting(&inner, drops.tracked());
            let task = outer.spawn(async move {
                drop(inner);
                idle.await.unwrap_err().is_cancelled()
            });
            assert!(outer.block_on(task).unwrap());
            assert_eq!(drops.count(), 1);
            assert!(outer.block_on(async {
                let inner = unwatched(2);
                let task = inner.spawn(pending::<()>());
                drop(inner);
                task.await.unwrap_err().is_cancelled()
            }));
        }
    });
}

#[test]
fn a_runtime_can_be_dropped_inside_its_own_closure() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = unwatched(workers);
            let handle = runtime.handle().clone();
            let drops = Drops::new();
            let idle = waiting(&runtime, drops.tracked());
            let closure = handle.spawn_blocking(move || {
                drop(runtime);
                7
            });
            assert_eq!(futures_lite::future::block_on(closure).unwrap(), 7);
            assert!(futures_lite::future::block_on(idle).unwrap_err().is_cancelled());
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn a_runtime_can_be_dropped_by_a_future_of_it_that_is_dropped() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = unwatched(workers);
            let handle = runtime.handle().clone();
            let task = handle.spawn(async move {
                let _runtime = runtime;
                pending::<()>().await;
            });
            support::wait_until(|| task.state() == TaskState::Suspended);
            task.abort();
            assert!(futures_lite::future::block_on(task).unwrap_err().is_cancelled());
            let after = handle.spawn(async {});
            assert!(futures_lite::future::block_on(after).unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn a_runtime_that_only_its_own_task_holds_is_kept_by_it() {
    within(LIMIT, || {
        let runtime = unwatched(2);
        let handle = runtime.handle().clone();
        let go = Gate::new();
        let task = handle.spawn({
            let go = go.clone();
            async move {
                go.pass().await;
                runtime.handle().metrics().workers()
            }
        });
        let again = handle.spawn(async { 1 });
        assert_eq!(futures_lite::future::block_on(again).unwrap(), 1);
        go.open();
        assert_eq!(futures_lite::future::block_on(task).unwrap(), 2);
    });
}

#[test]
fn shutting_down_with_a_grace_inside_async_code_does_not_hang() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = unwatched(workers);
            let handle = runtime.handle().clone();
            let report = handle.block_on(async move {
                spawn(pending::<()>()).detach();
                runtime.shutdown(Duration::from_secs(1))
            });
            assert!(report.running().len() <= 1, "{report}");
        }
    });
}

/// Wakes the task when it is dropped, and keeps its waker for later.
struct Wakes {
    waker: Option<Waker>,
    kept: Arc<Mutex<Vec<Waker>>>,
}

impl Future for Wakes {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake_by_ref();
            self.kept.lock().unwrap().push(waker);
        }
    }
}

#[test]
fn wakers_can_outlive_the_runtime() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let kept: Arc<Mutex<Vec<Waker>>> = Arc::default();
            for _ in 0..50 {
                runtime.spawn(Wakes { waker: None, kept: kept.clone() }).detach();
            }
            runtime
                .spawn({
                    let kept = kept.clone();
                    poll_fn(move |cx| {
                        kept.lock().unwrap().push(cx.waker().clone());
                        Poll::Ready(())
                    })
                })
                .detach();
            support::wait_until(|| runtime.handle().metrics().polls() >= 51);
            drop(runtime);
            let wakers = std::mem::take(&mut *kept.lock().unwrap());
            assert_eq!(wakers.len(), 51);
            for waker in wakers {
                waker.wake_by_ref();
                let copy = waker.clone();
                assert!(copy.will_wake(&waker));
                copy.wake();
                drop(waker.clone());
                thread::spawn(move || waker.wake()).join().unwrap();
            }
        });
    });
}

#[test]
fn the_waker_of_a_main_future_can_outlive_the_runtime() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            // More threads than places, so that both kinds of waker are met.
            let wakers: Mutex<Vec<Waker>> = Mutex::default();
            let barrier = std::sync::Barrier::new(8);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        runtime.block_on(poll_fn(|cx| {
                            barrier.wait();
                            wakers.lock().unwrap().push(cx.waker().clone());
                            Poll::Ready(())
                        }));
                    });
                }
            });
            wakers.lock().unwrap().iter().for_each(Waker::wake_by_ref);
            drop(runtime);
            for waker in wakers.into_inner().unwrap() {
                waker.wake_by_ref();
                let copy = waker.clone();
                waker.wake();
                drop(copy);
            }
        });
    });
}

#[test]
fn wakes_that_race_with_the_shutdown_do_no_harm() {
    within(LIMIT, || {
        for round in 0..60 {
            let runtime = unwatched(1 + round % 4);
            let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
            let started = Arc::new(AtomicUsize::new(0));
            for _ in 0..10 {
                let (wakers, started) = (wakers.clone(), started.clone());
                let mut is_first = true;
                runtime
                    .spawn(poll_fn(move |cx| {
                        if std::mem::take(&mut is_first) {
                            wakers.lock().unwrap().push(cx.waker().clone());
                            started.fetch_add(1, Ordering::SeqCst);
                        }
                        Poll::<()>::Pending
                    }))
                    .detach();
            }
            support::wait_until(|| started.load(Ordering::SeqCst) == 10);
            let stop = Arc::new(AtomicBool::new(false));
            let waking = Gate::new();
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let wakers = wakers.lock().unwrap().clone();
                    let (stop, waking) = (stop.clone(), waking.clone());
                    thread::spawn(move || {
                        while !stop.load(Ordering::Relaxed) {
                            wakers.iter().for_each(Waker::wake_by_ref);
                            waking.open();
                        }
                        wakers.into_iter().for_each(Waker::wake);
                    })
                })
                .collect();
            waking.wait();
            drop(runtime);
            stop.store(true, Ordering::Relaxed);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

#[test]
fn a_joiner_of_another_runtime_is_woken_by_the_shutdown() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let other = support::runtime(1);
            let handles: Vec<_> = (0..20).map(|_| runtime.spawn(pending::<()>())).collect();
            let joiner = other.spawn(async move {
                let mut cancelled = 0;
                for handle in handles {
                    cancelled += usize::from(handle.await.unwrap_err().is_cancelled());
                }
                cancelled
            });
            support::wait_until(|| joiner.state() == TaskState::Suspended);
            drop(runtime);
            assert_eq!(other.block_on(joiner).unwrap(), 20);
        });
    });
}

#[test]
fn tasks_that_own_each_others_handles_are_all_dropped() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            let mut last: JoinHandle<()> = waiting(&runtime, drops.tracked());
            for _ in 0..1000 {
                let tracked = drops.tracked();
                last = runtime.spawn(async move {
                    tracked.touch();
                    let _either = last.await;
                });
            }
            last.detach();
            drop(runtime);
            assert_eq!(drops.count(), 1001);
        });
    });
}

#[test]
fn a_future_that_blocks_in_its_drop_is_waited_for() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (held, drops) = (Pair::new(), Drops::new());
            let holds = Holds(held.clone(), drops.tracked());
            let task = runtime.spawn(async move {
                let _holds = holds;
                pending::<()>().await;
            });
            support::wait_until(|| task.state() == TaskState::Suspended);
            let release = thread::spawn(move || {
                held.arrived.wait();
                held.released.open();
            });
            drop(runtime);
            assert_eq!(drops.count(), 1);
            release.join().unwrap();
        });
    });
}

/// Calls `end` as a thread in `block_on` drops what a task returned, and is held there.
fn while_an_output_is_dropped_in_block_on(end: impl Fn(Runtime, &Pair, &Drops)) {
    // Ends: few of these tasks are stolen.
    loop {
        let (runtime, held, drops) = (unwatched(1), Pair::new(), Drops::new());
        let is_over = Gate::new();
        let guest = thread::spawn({
            let returned = Holds(held.clone(), drops.tracked());
            let (handle, is_over) = (runtime.handle().clone(), is_over.clone());
            move || {
                handle.block_on(async {
                    spawn(async { returned }).detach();
                    is_over.pass().await;
                });
            }
        });
        let id = guest.thread().id();
        held.arrived.wait();
        end(runtime, &held, &drops);
        is_over.open();
        guest.join().unwrap();
        support::wait_until(|| drops.count() == 1);
        if drops.only().thread == id {
            break;
        }
    }
}

#[test]
fn what_a_task_returned_in_block_on_is_dropped_before_the_shutdown_returns() {
    within(LIMIT, || {
        for _ in 0..20 {
            while_an_output_is_dropped_in_block_on(|runtime, held, drops| {
                let (handle, released) = (runtime.handle().clone(), held.released.clone());
                let release = thread::spawn(move || {
                    // The shutdown has begun once it refuses.
                    support::wait_until(|| handle.spawn(async {}).state() == TaskState::Cancelled);
                    (0..1000).for_each(|_| thread::yield_now());
                    released.open();
                });
                drop(runtime);
                assert_eq!(drops.count(), 1);
                release.join().unwrap();
            });
        }
    });
}

#[test]
fn a_shutdown_reports_what_is_still_being_dropped_in_block_on() {
    within(LIMIT, || {
        while_an_output_is_dropped_in_block_on(|runtime, held, drops| {
            // On most machines the workers have left by then, and only this is reported.
            let report = runtime.shutdown(Duration::from_millis(200));
            assert!(!report.is_clean() && report.running().is_empty(), "{report}");
            assert!(report.threads() > 0 && drops.count() == 0, "{report}");
            held.released.open();
        });
    });
}

#[test]
fn a_closure_that_spawns_while_the_runtime_ends_is_told_so() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let held = Pair::new();
            let closure = runtime.spawn_blocking({
                let held = held.clone();
                move || {
                    held.hold();
                    let task = spawn(async {});
                    // The pool may still be open: it closes a moment later.
                    let closure = spawn_blocking(|| ());
                    Handle::current().block_on(async {
                        let ends = !closure.await.is_err_and(|error| error.is_panic());
                        ends && task.await.unwrap_err().is_cancelled()
                    })
                }
            });
            held.arrived.wait();
            let handle = runtime.handle().clone();
            let release = thread::spawn(move || {
                // The shutdown has begun once it refuses.
                support::wait_until(|| handle.spawn(async {}).state() == TaskState::Cancelled);
                held.released.open();
            });
            drop(runtime);
            assert!(futures_lite::future::block_on(closure).unwrap());
            release.join().unwrap();
        });
    });
}

/// Counts its wakes.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_joiner_is_woken_exactly_once_by_the_shutdown() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let waker: Arc<Counting> = Arc::default();
            let mut task = runtime.spawn(pending::<()>());
            let polled =
                Pin::new(&mut task).poll(&mut Context::from_waker(&Waker::from(waker.clone())));
            assert!(polled.is_pending());
            drop(runtime);
            assert_eq!(waker.0.load(Ordering::SeqCst), 1);
        });
    });
}

#[test]
fn a_process_that_exits_with_a_runtime_that_was_leaked_ends() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let runtime = unwatched(2);
            runtime.spawn(pending::<()>()).detach();
            runtime.spawn_blocking(|| ()).detach();
            std::mem::forget(runtime);
        });
        expect_success(&output);
    });
}

#[test]
fn a_runtime_in_a_thread_local_can_be_dropped_with_its_thread() {
    thread_local! {
        static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    }
    within(LIMIT, || {
        for first_enters in [true, false] {
            println!("enters first: {first_enters}");
            let (futures, closures, held) = (Drops::new(), Drops::new(), Pair::new());
            let (future, closure, holding) = (futures.tracked(), closures.tracked(), held.clone());
            let (sender, receiver) = mpsc::channel();
            let thread = thread::spawn(move || {
                if first_enters {
                    // The runtime's own thread-locals are then older, and dropped later.
                    unwatched(1).block_on(async {});
                }
                let mut builder = Builder::new();
                let runtime = builder.worker_threads(2).max_blocking_threads(1).build().unwrap();
                RUNTIME.set(Some(runtime));
                RUNTIME.with_borrow(|runtime| {
                    let runtime = runtime.as_ref().unwrap();
                    waiting(runtime, future).detach();
                    runtime.block_on(async { spawn(async {}).await.unwrap() });
                    let arrived = holding.arrived.clone();
                    runtime.spawn_blocking(move || holding.hold()).detach();
                    arrived.wait();
                    let queued = runtime.spawn_blocking(move || closure.touch());
                    sender.send((runtime.handle().clone(), queued)).unwrap();
                });
            });
            let (handle, queued) = receiver.recv().unwrap();
            support::wait_until(|| handle.spawn(async {}).state() == TaskState::Cancelled);
            // Cancelled by the thread that ends; the one that runs is waited for.
            support::wait_until(|| queued.is_finished());
            held.released.open();
            thread.join().unwrap();
            assert!(futures_lite::future::block_on(queued).unwrap_err().is_cancelled());
            assert_eq!((futures.count(), closures.count()), (1, 1));
        }
    });
}

#[test]
fn a_runtime_can_be_dropped_by_its_own_task_in_a_thread_that_ends() {
    struct AtEnd(Option<Runtime>);
    impl Drop for AtEnd {
        fn drop(&mut self) {
            let runtime = self.0.take().unwrap();
            let (handle, dropped) = (runtime.handle().clone(), Gate::new());
            let (spawner, is_dropped) = (handle.clone(), dropped.clone());
            // The runtime is dropped first.
            let returned = (runtime, OpensAtDrop(dropped));
            handle.block_on(async move {
                spawner.spawn(async { returned }).detach();
                is_dropped.pass().await;
            });
        }
    }
    struct OpensAtDrop(Gate);
    impl Drop for OpensAtDrop {
        fn drop(&mut self) {
            self.0.open();
        }
    }
    thread_local! {
        static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
    }
    within(LIMIT, || {
        for first_enters in [true, false] {
            let thread = thread::spawn(move || {
                if first_enters {
                    // The runtime's own thread-locals are then older, and dropped later.
                    unwatched(1).block_on(async {});
                }
                AT_END.set(Some(AtEnd(Some(unwatched(1)))));
                unwatched(1).block_on(async {});
            });
            thread.join().unwrap();
        }
    });
}

/// Stacks in memory that are `bytes` long, of threads that live or are kept for others to come.
#[cfg(target_os = "linux")]
fn stacks(bytes: usize) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let sizes = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let at = |number| usize::from_str_radix(number, 16).ok();
        rest.starts_with("rw-p").then_some(at(end)? - at(start)?)
    });
    sizes.filter(|size| size.abs_diff(bytes) < 1 << 16).count()
}

#[cfg(target_os = "linux")]
#[test]
fn threads_that_end_after_a_shutdown_keep_no_stack_though_a_handle_is_kept() {
    /// Of these the C library keeps eight at most.
    const STACK_BYTES: usize = 5 << 20;
    const RUNTIMES: usize = 16;

    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            let before = support::threads();
            let handles: Vec<_> = (0..RUNTIMES)
                .map(|_| {
                    let mut builder = Builder::new();
                    let runtime =
                        builder.worker_threads(2).thread_stack_size(STACK_BYTES).build().unwrap();
                    let (handle, held) = (runtime.handle().clone(), Pair::new());
                    let (in_task, in_closure) = (held.clone(), Gate::new());
                    runtime.spawn(async move { in_task.hold() }).detach();
                    let opened = in_closure.clone();
                    runtime.spawn_blocking(move || opened.wait()).detach();
                    held.arrived.wait();
                    assert!(stacks(STACK_BYTES) >= 3);
                    runtime.shutdown_background();
                    held.released.open();
                    in_closure.open();
                    support::wait_until(|| support::threads() == before);
                    handle
                })
                .collect();
            let left = stacks(STACK_BYTES);
            assert!(left < RUNTIMES, "{left} stacks of no thread, with {} handles", handles.len());
        }));
    });
}
