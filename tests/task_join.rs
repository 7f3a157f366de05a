//! Handles of tasks: outputs, errors, detaching, ids, states.

mod support;

use std::collections::HashSet;
use std::future::pending;
use std::hint::black_box;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures_lite::future::poll_once;
use support::{Drops, Gate, LIMIT, for_each_worker_count, within};
use tenter::task::{self, TaskState};
use tenter::{JoinHandle, spawn, yield_now};

/// A waker that counts its wakes and opens a gate at the first.
#[derive(Default)]
struct Counting {
    wakes: AtomicUsize,
    woken: Gate,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.woken.open();
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn an_output_is_what_the_future_returned() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let text =
                runtime.block_on(async { spawn(async { "text".to_owned() }).await.unwrap() });
            assert_eq!(text, "text");
        });
    });
}

#[test]
fn an_output_of_any_size_and_alignment_arrives() {
    #[repr(align(128))]
    #[derive(Debug, PartialEq)]
    struct Aligned(u8);
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            runtime.block_on(async {
                spawn(async {}).await.unwrap();
                assert_eq!(spawn(async { Aligned(7) }).await.unwrap(), Aligned(7));
                let big = spawn(async { [3_u8; 16_384] }).await.unwrap();
                assert!(big.iter().all(|&byte| byte == 3));
                let kept = Aligned(9);
                let task = spawn(async move {
                    yield_now().await;
                    (&raw const kept).addr() % 128
                });
                assert_eq!(task.await.unwrap(), 0);
            });
        });
    });
}

#[test]
fn a_task_runs_without_being_awaited() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let ran = Gate::new();
            let handle = runtime.spawn({
                let ran = ran.clone();
                async move { ran.open() }
            });
            ran.wait();
            runtime.block_on(handle).unwrap();
        });
    });
}

#[test]
fn a_task_whose_handle_is_dropped_goes_on() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let (go, done) = (Gate::new(), Gate::new());
            let body = |go: Gate, done: Gate| async move {
                go.pass().await;
                done.open();
            };
            drop(runtime.spawn(body(go.clone(), done.clone())));
            let detached = Gate::new();
            runtime.spawn(body(go.clone(), detached.clone())).detach();
            go.open();
            done.wait();
            detached.wait();
        });
    });
}

#[test]
fn an_output_that_nobody_takes_is_dropped_once_with_the_handle() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            let output = drops.tracked();
            let handle = runtime.spawn(async move { output });
            support::wait_until(|| handle.is_finished());
            assert_eq!(drops.count(), 0);
            drop(handle);
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn a_handle_that_is_polled_after_it_returned_panics_and_does_no_harm() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            let output = drops.tracked();
            let mut handle = runtime.spawn(async move { output });
            runtime.block_on(async { drop((&mut handle).await) });
            assert_eq!(drops.count(), 1);
            for _ in 0..2 {
                let again = catch_unwind(AssertUnwindSafe(|| {
                    runtime.block_on(async { drop((&mut handle).await) })
                }));
                assert!(again.is_err());
            }
            drop(handle);
            assert_eq!(drops.count(), 1);
        });
    });
}

#[test]
fn a_handle_that_returned_an_error_panics_when_it_is_polled_again() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let mut panicked = runtime.spawn(async { panic!("on purpose") });
        let mut aborted = runtime.spawn(pending::<()>());
        aborted.abort();
        runtime.block_on(async {
            assert!((&mut panicked).await.unwrap_err().is_panic());
            assert!((&mut aborted).await.unwrap_err().is_cancelled());
        });
        for handle in [panicked, aborted] {
            let again = AssertUnwindSafe(|| drop(runtime.block_on(handle)));
            assert!(catch_unwind(again).is_err());
        }
    });
}

#[test]
fn awaiting_a_handle_by_reference_is_cancel_safe() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let go = Gate::new();
            let mut handle = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    5
                }
            });
            runtime.block_on(async {
                for _ in 0..10 {
                    assert!(poll_once(&mut handle).await.is_none());
                }
                go.open();
                assert_eq!(handle.await.unwrap(), 5);
            });
        });
    });
}

#[test]
fn only_the_waker_of_the_last_poll_is_woken() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let go = Gate::new();
            let mut handle = runtime.spawn({
                let go = go.clone();
                async move { go.pass().await }
            });
            let old: Arc<Counting> = Arc::default();
            let new: Arc<Counting> = Arc::default();
            assert!(poll(&mut handle, &Waker::from(old.clone())).is_pending());
            assert!(poll(&mut handle, &Waker::from(new.clone())).is_pending());
            assert!(poll(&mut handle, &Waker::from(new.clone())).is_pending());
            go.open();
            new.woken.wait();
            assert!(poll(&mut handle, Waker::noop()).is_ready());
            assert_eq!(new.wakes.load(Ordering::SeqCst), 1);
            assert_eq!(old.wakes.load(Ordering::SeqCst), 0);
        });
    });
}

#[test]
fn the_waker_of_a_handle_is_let_go_with_the_handle() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let waker: Arc<Counting> = Arc::default();
        let mut handle = runtime.spawn(pending::<()>());
        assert!(poll(&mut handle, &Waker::from(waker.clone())).is_pending());
        assert_eq!(Arc::strong_count(&waker), 2);
        drop(handle);
        assert_eq!(Arc::strong_count(&waker), 1);
    });
}

#[test]
fn a_pending_handle_can_move_to_another_task() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let go = Gate::new();
            let mut handle = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    6
                }
            });
            runtime.block_on(async {
                // Each task leaves its waker, and hands the handle on.
                for _ in 0..5 {
                    let leaves_waker = spawn(async move {
                        assert!(poll_once(&mut handle).await.is_none());
                        Some(handle)
                    });
                    handle = leaves_waker.await.unwrap().unwrap();
                }
                let waiter = spawn(handle);
                go.open();
                assert_eq!(waiter.await.unwrap().unwrap(), 6);
            });
        });
    });
}

#[test]
fn a_pending_handle_can_move_to_another_thread_and_another_runtime() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let go = Gate::new();
            let mut handle = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    7
                }
            });
            assert!(poll(&mut handle, Waker::noop()).is_pending());
            let other = support::runtime(1);
            let waiting = Gate::new();
            let thread = thread::spawn({
                let waiting = waiting.clone();
                move || {
                    other.block_on(async {
                        assert!(poll_once(&mut handle).await.is_none());
                        waiting.open();
                        handle.await.unwrap()
                    })
                }
            });
            waiting.wait();
            go.open();
            assert_eq!(thread.join().unwrap(), 7);
        });
    });
}

#[test]
fn a_handle_whose_waker_changes_while_the_task_ends_is_woken_all_the_same() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            for round in 0..2000_u32 {
                let go = Arc::new(AtomicBool::new(false));
                let mut handle = runtime.spawn({
                    let go = go.clone();
                    async move {
                        while !go.load(Ordering::Relaxed) {
                            yield_now().await;
                        }
                        round
                    }
                });
                let mut last: Arc<Counting> = Arc::default();
                let mut polled = Poll::Pending;
                for turn in 0..8 {
                    last = Arc::default();
                    polled = poll(&mut handle, &Waker::from(last.clone()));
                    if turn == round % 8 {
                        go.store(true, Ordering::Relaxed);
                    }
                    if polled.is_ready() {
                        break;
                    }
                }
                if polled.is_pending() {
                    last.woken.wait();
                    polled = poll(&mut handle, Waker::noop());
                }
                match polled {
                    Poll::Ready(output) => assert_eq!(output.unwrap(), round),
                    Poll::Pending => panic!("woken, and not complete"),
                }
            }
        });
    });
}

#[test]
fn is_finished_becomes_true_and_stays() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let go = Gate::new();
            let handle = runtime.spawn({
                let go = go.clone();
                async move { go.pass().await }
            });
            let abort = handle.abort_handle();
            assert!(!handle.is_finished());
            assert!(!abort.is_finished());
            go.open();
            support::wait_until(|| handle.is_finished());
            assert!(abort.is_finished());
            runtime.block_on(handle).unwrap();
            assert!(abort.is_finished());
        });
    });
}

#[test]
fn a_task_is_scheduled_running_suspended_and_completed_in_turn() {
    within(LIMIT, || {
        let (runtime, begins) = support::runtime_that_begins_later();
        let (body, go) = (support::Pair::new(), Gate::new());
        let handle = runtime.spawn({
            let (body, go) = (body.clone(), go.clone());
            async move {
                body.hold();
                go.pass().await;
            }
        });
        assert_eq!(handle.state(), TaskState::Scheduled);
        begins.open();
        body.arrived.wait();
        assert_eq!(handle.state(), TaskState::Running);
        body.released.open();
        support::wait_until(|| handle.state() != TaskState::Running);
        assert_eq!(handle.state(), TaskState::Suspended);
        go.open();
        support::wait_until(|| handle.is_finished());
        assert_eq!(handle.state(), TaskState::Completed);
        assert_eq!(handle.abort_handle().state(), TaskState::Completed);
    });
}

#[test]
fn a_task_that_panicked_is_completed_and_one_that_was_aborted_is_cancelled() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let panicked = runtime.spawn(async { panic!("on purpose") });
        let aborted = runtime.spawn(pending::<()>());
        aborted.abort();
        support::wait_until(|| panicked.is_finished() && aborted.is_finished());
        assert_eq!(panicked.state(), TaskState::Completed);
        assert_eq!(aborted.state(), TaskState::Cancelled);
        assert!(runtime.block_on(panicked).unwrap_err().is_panic());
    });
}

#[test]
fn ids_are_unique_across_threads_runtimes_and_closures() {
    within(LIMIT, || {
        let runtime = support::runtime(2);
        let ids = Mutex::new(HashSet::new());
        let insert = |id| assert!(ids.lock().unwrap().insert(id), "{id} twice");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3000 {
                        insert(runtime.spawn(async {}).id());
                    }
                    for _ in 0..10 {
                        insert(runtime.spawn_blocking(|| ()).id());
                    }
                    let other = tenter::Builder::new().worker_threads(1).build().unwrap();
                    insert(other.spawn(async {}).id());
                });
            }
        });
        let inside = runtime.spawn(async {
            let ids = (0..3000).map(|_| spawn(async {}).id()).collect::<Vec<_>>();
            (task::id().unwrap(), ids)
        });
        let (own, spawned) = runtime.block_on(inside).unwrap();
        insert(own);
        spawned.into_iter().for_each(insert);
    });
}

#[test]
fn handles_of_one_task_agree_on_its_id() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let handle = runtime.spawn(async { task::id() });
        let (id, abort) = (handle.id(), handle.abort_handle());
        assert_eq!(abort.id(), id);
        assert_eq!(abort.clone().id(), id);
        assert_eq!(runtime.block_on(handle).unwrap(), Some(id));
        let panicked = runtime.spawn(async { panic!("on purpose") });
        let id = panicked.id();
        assert_eq!(runtime.block_on(panicked).unwrap_err().id(), id);
    });
}

#[test]
fn the_debug_text_of_a_handle_shows_the_id_and_the_spawn_place() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let handle = runtime.spawn(pending::<()>());
        let line = line!() - 1;
        for text in [format!("{handle:?}"), format!("{:?}", handle.abort_handle())] {
            assert!(text.contains(&handle.id().to_string()), "{text}");
            assert!(text.contains(&format!("task_join.rs:{line}")), "{text}");
        }
        assert!(format!("{handle:?}").starts_with("JoinHandle"));
    });
}

#[test]
fn a_panic_arrives_with_its_message_and_its_payload() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let error =
                runtime.block_on(runtime.spawn(async { panic!("number {}", black_box(7)) }));
            let error: tenter::JoinError = error.unwrap_err();
            assert!(error.is_panic() && !error.is_cancelled());
            assert!(error.to_string().contains("panicked: number 7"), "{error}");
            assert!(format!("{error:?}").contains("number 7"));
            assert_eq!(*error.into_panic().downcast::<String>().unwrap(), "number 7");

            let task = runtime.spawn(async { std::panic::panic_any(42_u32) });
            let error = runtime.block_on(task).unwrap_err();
            assert!(error.to_string().contains("panicked"), "{error}");
            assert_eq!(*error.try_into_panic().unwrap().downcast::<u32>().unwrap(), 42);
        });
    });
}

#[test]
fn a_cancelled_task_has_no_payload_and_gives_its_error_back() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let handle = runtime.spawn(pending::<()>());
        let id = handle.id();
        handle.abort();
        let error = runtime.block_on(handle).unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        assert_eq!(error.to_string(), format!("task {id} was cancelled"));
        let error = error.try_into_panic().unwrap_err();
        assert_eq!(error.id(), id);
        assert!(catch_unwind(AssertUnwindSafe(|| error.into_panic())).is_err());
    });
}

#[test]
fn a_join_error_becomes_an_io_error_that_still_says_why() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let task = runtime.spawn(async { panic!("the reason") });
        let result: io::Result<()> = runtime.block_on(async {
            task.await?;
            Ok(())
        });
        let error = result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert!(error.to_string().contains("the reason"));
        let inner = error.get_ref().unwrap().downcast_ref::<tenter::JoinError>().unwrap();
        assert!(inner.is_panic());
    });
}

#[test]
fn a_handle_can_be_awaited_outside_any_runtime() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let go = Gate::new();
        let handle = runtime.spawn({
            let go = go.clone();
            async move {
                go.pass().await;
                8
            }
        });
        go.open();
        assert_eq!(futures_lite::future::block_on(handle).unwrap(), 8);
    });
}

#[test]
fn a_task_can_await_a_handle_that_is_passed_to_it_by_another_task() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            // A chain: each awaits the one before it.
            let chain = runtime.spawn(async {
                let mut last: JoinHandle<u32> = spawn(async { 0 });
                for _ in 0..1000 {
                    last = spawn(async move { last.await.unwrap() + 1 });
                }
                last.await.unwrap()
            });
            assert_eq!(runtime.block_on(chain).unwrap(), 1000);
        });
    });
}

#[test]
fn a_task_that_holds_its_own_handle_can_end() {
    within(LIMIT, || {
        for_each_worker_count(|runtime| {
            let drops = Drops::new();
            let slot: Arc<Mutex<Option<JoinHandle<()>>>> = Arc::default();
            let (go, done) = (Gate::new(), Gate::new());
            let handle = runtime.spawn({
                let (slot, go, done) = (slot.clone(), go.clone(), done.clone());
                let tracked = drops.tracked();
                async move {
                    go.pass().await;
                    let own = slot.lock().unwrap().take();
                    assert!(!own.as_ref().unwrap().is_finished());
                    drop(own);
                    tracked.touch();
                    done.open();
                }
            });
            *slot.lock().unwrap() = Some(handle);
            go.open();
            done.wait();
            support::wait_until(|| drops.count() == 1);
        });
    });
}

#[test]
fn a_pinned_handle_behind_a_trait_object_can_be_awaited() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        let handle = runtime.spawn(async { 9 });
        let boxed: Box<dyn Future<Output = Result<i32, tenter::JoinError>> + Send> =
            Box::new(handle);
        let output = runtime.block_on(async { pin!(Box::into_pin(boxed)).await });
        assert_eq!(output.unwrap(), 9);
    });
}
