//! Aborting and cancelling tasks, at every moment of their life.

mod support;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;

use futures_lite::future::poll_once;
use support::{Drops, Gate, LIMIT, Pair, for_each_worker_count, within};
use tenter::task::TaskState;
use tenter::{spawn, yield_now};

#[test]
fn a_task_that_is_aborted_before_its_first_poll_is_never_polled() {
    within(LIMIT, || {
        let (runtime, begins) = support::runtime_that_begins_later();
        let (drops, polled) = (Drops::new(), Arc::new(AtomicBool::new(false)));
        let handle = runtime.spawn({
            let (tracked, polled) = (drops.tracked(), polled.clone());
            async move {
                polled.store(true, Ordering::SeqCst);
                tracked.touch();
            }
        });
        handle.abort();
        assert_eq!(drops.count(), 0);
        assert!(!handle.is_finished());
        begins.open();
        assert!(runtime.block_on(handle).unwrap_err().is_cancelled());
        assert!(!polled.load(Ordering::SeqCst));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn aborting_an_idle_task_drops_its_future_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            let tracked = drops.tracked();
            let handle = runtime.spawn(async move {
                tracked.touch();
                pending::<()>().await;
            });
            support::wait_until(|| handle.state() == TaskState::Suspended);
            handle.abort();
            let error = runtime.block_on(handle).unwrap_err();
            assert!(error.is_cancelled());
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn an_abort_while_the_future_runs_takes_effect_at_the_next_await_point() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (drops, held) = (Drops::new(), Pair::new());
            let after = Arc::new(AtomicUsize::new(0));
            let handle = runtime.spawn({
                let (tracked, held, after) = (drops.tracked(), held.clone(), after.clone());
                async move {
                    held.hold();
                    after.fetch_add(1, Ordering::SeqCst);
                    yield_now().await;
                    after.fetch_add(10, Ordering::SeqCst);
                    tracked.touch();
                }
            });
            held.arrived.wait();
            handle.abort();
            assert_eq!((drops.count(), handle.state()), (0, TaskState::Running));
            held.released.open();
            assert!(runtime.block_on(handle).unwrap_err().is_cancelled());
            assert_eq!((drops.count(), after.load(Ordering::SeqCst)), (1, 1));
        });
    });
}

#[test]
fn a_task_that_ends_without_another_await_point_keeps_its_output_despite_an_abort() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let held = Pair::new();
            let handle = runtime.spawn({
                let held = held.clone();
                async move {
                    held.hold();
                    11
                }
            });
            held.arrived.wait();
            handle.abort();
            held.released.open();
            assert_eq!(runtime.block_on(handle).unwrap(), 11);
        });
    });
}

#[test]
fn aborting_a_task_that_has_ended_changes_nothing() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let handle = runtime.spawn(async { 12 });
            support::wait_until(|| handle.is_finished());
            handle.abort();
            handle.abort_handle().abort();
            assert_eq!(handle.state(), TaskState::Completed);
            assert_eq!(runtime.block_on(handle).unwrap(), 12);
        });
    });
}

#[test]
fn aborting_twice_is_aborting_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            let tracked = drops.tracked();
            let handle = runtime.spawn(async move {
                tracked.touch();
                pending::<()>().await;
            });
            let abort = handle.abort_handle();
            handle.abort();
            abort.abort();
            handle.abort();
            assert!(runtime.block_on(handle).unwrap_err().is_cancelled());
            abort.abort();
            assert_eq!((drops.count(), abort.state()), (1, TaskState::Cancelled));
        });
    });
}

#[test]
fn the_future_of_an_aborted_task_is_dropped_on_a_thread_of_the_runtime() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let mut builder = tenter::Builder::new();
            let runtime = builder.worker_threads(workers).thread_name("dropper").build().unwrap();
            support::watch(runtime.handle());
            let drops = Drops::new();
            let tracked = drops.tracked();
            let handle = runtime.spawn(async move {
                tracked.touch();
                pending::<()>().await;
            });
            let id = handle.id();
            support::wait_until(|| handle.state() == TaskState::Suspended);
            handle.abort();
            support::wait_until(|| handle.is_finished());
            let dropped = drops.only();
            assert_ne!(dropped.thread, thread::current().id());
            assert!(dropped.thread_name.unwrap().starts_with("dropper"));
            assert_eq!(dropped.task, Some(id));
        }
    });
}

#[test]
fn a_task_can_abort_itself() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (sender, receiver) = async_channel::bounded::<tenter::AbortHandle>(1);
            let drops = Drops::new();
            let tracked = drops.tracked();
            let handle = runtime.spawn(async move {
                let own = receiver.recv().await.unwrap();
                own.abort();
                // Not at once: it runs.
                tracked.touch();
                pending::<()>().await;
            });
            sender.send_blocking(handle.abort_handle()).unwrap();
            assert!(runtime.block_on(handle).unwrap_err().is_cancelled());
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn a_task_that_wakes_itself_all_the_time_can_be_aborted() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let started = Gate::new();
            let yielding = runtime.spawn({
                let started = started.clone();
                async move {
                    loop {
                        started.open();
                        yield_now().await;
                    }
                }
            });
            let waking = runtime.spawn(std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            }));
            started.wait();
            yielding.abort();
            waking.abort();
            let error: tenter::JoinError = runtime.block_on(yielding).unwrap_err();
            assert!(error.is_cancelled());
            assert!(runtime.block_on(waking).unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn cancel_returns_the_output_of_a_task_that_finished_first() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let handle = runtime.spawn(async { "done".to_owned() });
            support::wait_until(|| handle.is_finished());
            assert_eq!(runtime.block_on(handle.cancel()).as_deref(), Some("done"));
        });
    });
}

#[test]
fn cancel_returns_when_the_future_is_really_dropped() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            for _ in 0..200 {
                let drops = Drops::new();
                let tracked = drops.tracked();
                let handle = runtime.spawn(async move {
                    tracked.touch();
                    pending::<()>().await;
                });
                assert_eq!(runtime.block_on(handle.cancel()), None);
                assert_eq!(drops.count(), 1);
            }
        });
    });
}

#[test]
fn cancel_waits_for_a_poll_that_is_under_way() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (drops, held) = (Drops::new(), Pair::new());
            let handle = runtime.spawn({
                let (tracked, held) = (drops.tracked(), held.clone());
                async move {
                    held.hold();
                    tracked.touch();
                    pending::<()>().await;
                }
            });
            held.arrived.wait();
            runtime.block_on(async {
                let mut cancel = std::pin::pin!(handle.cancel());
                assert!(poll_once(&mut cancel).await.is_none());
                assert_eq!(drops.count(), 0);
                held.released.open();
                assert_eq!(cancel.await, None);
                assert_eq!(drops.count(), 1);
            });
        });
    });
}

#[test]
fn cancel_that_is_dropped_leaves_the_task_aborted() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (drops, held) = (Drops::new(), Pair::new());
            let handle = runtime.spawn({
                let (tracked, held) = (drops.tracked(), held.clone());
                async move {
                    held.hold();
                    tracked.touch();
                    pending::<()>().await;
                }
            });
            held.arrived.wait();
            let abort = handle.abort_handle();
            runtime.block_on(async { assert!(poll_once(handle.cancel()).await.is_none()) });
            held.released.open();
            support::wait_until(|| abort.is_finished());
            assert_eq!((abort.state(), drops.count()), (TaskState::Cancelled, 1));
        });
    });
}

#[test]
fn cancel_takes_effect_only_when_it_is_awaited() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let handle = runtime.spawn(pending::<()>());
        let abort = handle.abort_handle();
        drop(handle.cancel());
        // As with every future that was never polled; the handle in it was dropped, not aborted.
        runtime.block_on(yield_now());
        assert!(!abort.is_finished());
    });
}

#[test]
fn an_abort_handle_outlives_the_task_the_handle_and_the_runtime() {
    within(LIMIT, || {
        let drops = Drops::new();
        let (ended, dropped) = {
            let runtime = tenter::Builder::new().worker_threads(2).build().unwrap();
            let tracked = drops.tracked();
            let ended = runtime.spawn(async move { tracked.touch() });
            let tracked = drops.tracked();
            let dropped = runtime.spawn(async move {
                tracked.touch();
                pending::<()>().await;
            });
            (ended.abort_handle(), dropped.abort_handle())
        };
        assert_eq!(drops.count(), 2);
        for handle in [ended, dropped] {
            handle.clone().abort();
            assert!(handle.is_finished());
            assert!(!format!("{handle:?}").is_empty());
        }
    });
}

#[test]
fn an_abort_handle_keeps_neither_future_nor_output() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let drops = Drops::new();
        let (future, output) = (drops.tracked(), drops.tracked());
        let handle = runtime.spawn(async move {
            future.touch();
            output
        });
        let abort = handle.abort_handle();
        drop(runtime.block_on(handle));
        assert_eq!(drops.count(), 2);
        drop(abort);
    });
}

#[test]
fn of_many_who_abort_and_a_task_that_ends_exactly_one_has_its_way() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            for _ in 0..300 {
                let drops = Drops::new();
                let go = Gate::new();
                let handle = runtime.spawn({
                    let (tracked, go) = (drops.tracked(), go.clone());
                    async move {
                        go.pass().await;
                        tracked
                    }
                });
                thread::scope(|scope| {
                    for _ in 0..2 {
                        let abort = handle.abort_handle();
                        let go = go.clone();
                        scope.spawn(move || {
                            go.wait();
                            abort.abort();
                        });
                    }
                    go.open();
                });
                match runtime.block_on(handle) {
                    Ok(output) => {
                        assert_eq!(drops.count(), 0);
                        drop(output);
                    }
                    Err(error) => assert!(error.is_cancelled()),
                }
                assert_eq!(drops.count(), 1);
            }
        });
    });
}

#[test]
fn aborting_a_task_that_waits_for_another_leaves_the_other_alone() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let go = Gate::new();
            let inner = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    go.is_open()
                }
            });
            let abort = inner.abort_handle();
            let outer = runtime.spawn(async move { inner.await.unwrap() });
            support::wait_until(|| outer.state() == TaskState::Suspended);
            runtime.block_on(async {
                assert_eq!(outer.cancel().await, None);
                assert!(!abort.is_finished());
                go.open();
                while !abort.is_finished() {
                    yield_now().await;
                }
                assert_eq!(abort.state(), TaskState::Completed);
                spawn(async {}).await.unwrap();
            });
        });
    });
}
