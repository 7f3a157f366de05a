//! Tasks that panic, wherever they can: no worker dies, no other task is lost, and no panic of a
//! task that nobody looked at is silent.

mod support;

use std::future::{pending, poll_fn};
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use support::{Child, Drops, Gate, LIMIT, Pair, Tracked, expect_success, within};
use tenter::task::{self, TaskState};
use tenter::{Builder, Runtime, spawn, yield_now};

/// Panics when it is dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// A future that panics in its polls, its drop, or both.
struct Panicking {
    in_poll: bool,
    in_drop: bool,
    tracked: Tracked,
}

impl Future for Panicking {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.tracked.touch();
        assert!(!self.in_poll, "in poll");
        Poll::Ready(())
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        assert!(!self.in_drop, "in drop");
    }
}

type Messages = Arc<Mutex<Vec<String>>>;

/// A runtime that keeps what it is told of failures that nobody looked at.
fn runtime(workers: usize) -> (Runtime, Messages) {
    let messages = Messages::default();
    let mut builder = Builder::new();
    let to = messages.clone();
    builder.on_unobserved(move |failure| to.lock().unwrap().push(failure.message().to_owned()));
    let runtime = builder.worker_threads(workers).build().unwrap();
    support::watch(runtime.handle());
    (runtime, messages)
}

fn for_each_worker_count(body: impl Fn(Runtime, Messages)) {
    for workers in [1, 2, 4] {
        println!("with {workers} workers");
        let (runtime, messages) = runtime(workers);
        body(runtime, messages);
    }
}

fn taken(messages: &Messages) -> Vec<String> {
    std::mem::take(&mut messages.lock().unwrap())
}

/// Every worker still runs tasks, and the caller's thread does.
fn assert_works(runtime: &Runtime) {
    let workers = runtime.handle().metrics().workers();
    let barrier = Arc::new(std::sync::Barrier::new(workers));
    let tasks = (0..workers).map(|_| {
        let barrier = barrier.clone();
        // From outside, so that each is for a worker.
        runtime.spawn(async move { barrier.wait().is_leader() })
    });
    let tasks: Vec<_> = tasks.collect();
    // All of them at once, or the watchdog comes. Not in `block_on`, which would take part.
    support::wait_until(|| tasks.iter().all(|task| task.is_finished()));
    assert_eq!(runtime.block_on(async { spawn(async { 1 }).await.unwrap() }), 1);
}

#[test]
fn a_panic_in_poll_is_the_joiners_and_drops_the_future() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let drops = Drops::new();
            let future = Panicking { in_poll: true, in_drop: false, tracked: drops.tracked() };
            let error = runtime.block_on(runtime.spawn(future)).unwrap_err();
            assert!(error.to_string().contains("in poll"));
            assert_eq!(drops.count(), 1);
            assert_works(&runtime);
            assert!(taken(&messages).is_empty());
        });
    });
}

#[test]
fn a_panic_in_the_drop_of_a_future_that_returned_is_the_joiners() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let drops = Drops::new();
            let future = Panicking { in_poll: false, in_drop: true, tracked: drops.tracked() };
            let error = runtime.block_on(runtime.spawn(future)).unwrap_err();
            assert!(error.to_string().contains("in drop"));
            assert_eq!(drops.count(), 1);
            assert_works(&runtime);
            assert!(taken(&messages).is_empty());
        });
    });
}

#[test]
fn of_a_panic_in_poll_and_one_in_drop_the_first_is_the_joiners() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let drops = Drops::new();
            let future = Panicking { in_poll: true, in_drop: true, tracked: drops.tracked() };
            let error = runtime.block_on(runtime.spawn(future)).unwrap_err();
            assert!(error.to_string().contains("in poll"), "{error}");
            assert_eq!(drops.count(), 1);
            assert_works(&runtime);
            assert!(taken(&messages).is_empty());
        });
    });
}

#[test]
fn a_panic_in_the_drop_of_an_aborted_future_is_the_joiners() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let handle = runtime.spawn(async {
                let _bomb = Bomb("at the abort");
                pending::<()>().await;
            });
            support::wait_until(|| handle.state() == TaskState::Suspended);
            handle.abort();
            let error = runtime.block_on(handle).unwrap_err();
            assert!(error.is_panic(), "{error}");
            assert!(error.to_string().contains("at the abort"));
            assert_works(&runtime);
            assert!(taken(&messages).is_empty());
        });
    });
}

#[test]
fn a_panic_in_the_drop_of_a_future_that_was_never_polled_is_contained() {
    within(LIMIT, || {
        let (runtime, messages) = runtime(1);
        let busy = Pair::new();
        let blocker = runtime.spawn({
            let busy = busy.clone();
            async move { busy.hold() }
        });
        busy.arrived.wait();
        let handle = runtime.spawn({
            let bomb = Bomb("never polled");
            async move { drop(bomb) }
        });
        handle.abort();
        drop(handle);
        busy.released.open();
        runtime.block_on(blocker).unwrap();
        support::wait_until(|| !messages.lock().unwrap().is_empty());
        assert_eq!(taken(&messages), ["never polled"]);
        assert_works(&runtime);
    });
}

#[test]
fn a_panic_in_the_drop_of_an_output_that_nobody_wants_harms_nobody() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, _| {
            let go = Gate::new();
            let drops = Drops::new();
            let handle = runtime.spawn({
                let (go, tracked) = (go.clone(), drops.tracked());
                async move {
                    go.pass().await;
                    (Bomb("output"), tracked)
                }
            });
            // Detached before it ends: the runner drops the output.
            handle.detach();
            go.open();
            support::wait_until(|| drops.count() == 1);
            // Detached after it ended: this thread does, and is spared the panic.
            let tracked = drops.tracked();
            let handle = runtime.spawn(async move { (Bomb("output"), tracked) });
            support::wait_until(|| handle.is_finished());
            drop(handle);
            assert_eq!(drops.count(), 2);
            assert_works(&runtime);
        });
    });
}

#[test]
fn a_panic_in_the_drop_of_an_output_whose_future_panics_in_drop_is_contained() {
    struct Both(Drops);
    impl Future for Both {
        type Output = (Bomb, Tracked);
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready((Bomb("output"), self.0.tracked()))
        }
    }
    impl Drop for Both {
        fn drop(&mut self) {
            panic!("future");
        }
    }
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let drops = Drops::new();
            let Err(error) = runtime.block_on(runtime.spawn(Both(drops.clone()))) else {
                panic!("the future panicked in its drop");
            };
            assert!(error.to_string().contains("future"), "{error}");
            assert_eq!(drops.count(), 1);
            assert_works(&runtime);
            assert!(taken(&messages).is_empty());
        });
    });
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_harms_nobody() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let handle = runtime.spawn(async { panic_any(Bomb("payload")) });
            support::wait_until(|| handle.is_finished());
            drop(handle);
            support::wait_until(|| !messages.lock().unwrap().is_empty());
            assert_eq!(taken(&messages).len(), 1);
            assert_works(&runtime);
        });
    });
}

/// A waker that panics whatever is done with it but cloning.
struct BadWaker {
    dropped: Arc<AtomicUsize>,
}

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        panic!("in wake");
    }
}

impl Drop for BadWaker {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
        if !std::thread::panicking() {
            panic!("in the waker's drop");
        }
    }
}

#[test]
fn a_waker_of_a_joiner_that_panics_harms_nobody() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, _| {
            let dropped = Arc::new(AtomicUsize::new(0));
            let go = Gate::new();
            let mut handle = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    3
                }
            });
            let waker = Waker::from(Arc::new(BadWaker { dropped: dropped.clone() }));
            let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            // The handle has the only one that is left.
            drop(waker);
            go.open();
            support::wait_until(|| dropped.load(Ordering::SeqCst) == 1);
            assert_eq!(runtime.block_on(handle).unwrap(), 3);
            assert_works(&runtime);
        });
    });
}

#[test]
fn a_waker_of_a_joiner_that_panics_in_its_drop_harms_neither_handle_nor_task() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, _| {
            let dropped = Arc::new(AtomicUsize::new(0));
            let mut handle = runtime.spawn(pending::<()>());
            let waker = Waker::from(Arc::new(BadWaker { dropped: dropped.clone() }));
            let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            drop(waker);
            let abort = handle.abort_handle();
            drop(handle);
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            abort.abort();
            support::wait_until(|| abort.is_finished());
            assert_works(&runtime);
        });
    });
}

#[test]
fn a_waker_that_panics_when_it_is_replaced_leaves_the_handle_sound() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, _| {
            let dropped = Arc::new(AtomicUsize::new(0));
            let go = Gate::new();
            let mut handle = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    4
                }
            });
            let waker = Waker::from(Arc::new(BadWaker { dropped: dropped.clone() }));
            let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            drop(waker);
            // The panic may come out of the poll that replaces the waker.
            let _either = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())).is_pending()
            }));
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
            go.open();
            assert_eq!(runtime.block_on(handle).unwrap(), 4);
            assert_works(&runtime);
        });
    });
}

tenter::task_local! {
    static LOCAL: Bomb;
}

#[test]
fn a_panic_in_the_drop_of_a_task_local_is_the_joiners() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let task = runtime.spawn(LOCAL.scope(Bomb("local"), async { yield_now().await }));
            let error = runtime.block_on(task).unwrap_err();
            assert!(error.to_string().contains("local"), "{error}");
            assert!(LOCAL.try_with(|_| ()).is_err());
            assert_works(&runtime);
            assert!(taken(&messages).is_empty());
        });
    });
}

#[test]
fn a_panic_in_a_task_that_drops_another_runtimes_last_handle_harms_neither() {
    within(LIMIT, || {
        let (outer, _) = runtime(2);
        let (inner, _) = runtime(1);
        let task = outer.spawn(async move {
            let _inner = inner;
            panic!("with a runtime in the future");
        });
        let error: tenter::JoinError = outer.block_on(task).unwrap_err();
        assert!(error.is_panic());
        assert_works(&outer);
    });
}

#[test]
fn a_hundred_thousand_panics_lose_no_worker_and_no_task() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            std::panic::set_hook(Box::new(|_| ()));
            let (runtime, messages) = runtime(2);
            let done = Arc::new(AtomicUsize::new(0));
            let tasks = (0..20_000).map(|n| {
                let done = done.clone();
                runtime.spawn(async move {
                    yield_now().await;
                    assert!(n % 2 == 0, "odd");
                    done.fetch_add(1, Ordering::Relaxed);
                })
            });
            let tasks: Vec<_> = tasks.collect();
            let failed = runtime.block_on(async {
                let mut failed = 0;
                for task in tasks {
                    failed += usize::from(task.await.is_err());
                }
                failed
            });
            assert_eq!((failed, done.load(Ordering::Relaxed)), (10_000, 10_000));
            assert!(taken(&messages).is_empty());
            assert_works(&runtime);
        });
        expect_success(&output);
    });
}

#[test]
fn a_detached_task_that_panics_is_reported_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let go = Gate::new();
            let handle = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    panic!("detached");
                }
            });
            handle.detach();
            go.open();
            support::wait_until(|| !messages.lock().unwrap().is_empty());
            drop(runtime);
            assert_eq!(taken(&messages), ["detached"]);
        });
    });
}

#[test]
fn a_handle_that_is_dropped_after_the_panic_without_a_look_reports_it_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let handle = runtime.spawn(async { panic!("not looked at") });
            support::wait_until(|| handle.is_finished());
            let abort = handle.abort_handle();
            assert!(taken(&messages).is_empty());
            drop(handle);
            assert_eq!(taken(&messages), ["not looked at"]);
            drop((abort, runtime));
            assert!(taken(&messages).is_empty());
        });
    });
}

#[test]
fn a_panic_that_was_awaited_is_not_reported() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let error = runtime.block_on(runtime.spawn(async { panic!("awaited") }));
            drop(error.unwrap_err());
            drop(runtime);
            assert!(taken(&messages).is_empty());
        });
    });
}

#[test]
fn a_panic_whose_handle_outlives_the_runtime_is_reported_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let handle = runtime.spawn(async { panic!("outlived") });
            support::wait_until(|| handle.is_finished());
            drop(runtime);
            assert!(taken(&messages).is_empty());
            drop(handle);
            assert_eq!(taken(&messages), ["outlived"]);
        });
    });
}

#[test]
fn a_panic_of_a_task_that_is_cancelled_is_reported() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            let handle = runtime.spawn(async { panic!("before the cancel") });
            support::wait_until(|| handle.is_finished());
            assert_eq!(runtime.block_on(handle.cancel()), None);
            assert_eq!(taken(&messages), ["before the cancel"]);
        });
    });
}

#[test]
fn a_closure_that_panics_unobserved_is_reported_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            runtime.spawn_blocking(|| panic!("in a closure")).detach();
            support::wait_until(|| !messages.lock().unwrap().is_empty());
            drop(runtime);
            assert_eq!(taken(&messages), ["in a closure"]);
        });
    });
}

#[test]
fn what_is_reported_has_the_id_the_name_the_place_and_the_message() {
    within(LIMIT, || {
        let reports = Messages::default();
        let to = reports.clone();
        let mut builder = Builder::new();
        builder.worker_threads(1).on_unobserved(move |failure| {
            to.lock().unwrap().push(format!(
                "{}|{:?}|{}|{}",
                failure.id(),
                failure.name(),
                failure.location(),
                failure.message(),
            ));
        });
        let runtime = builder.build().unwrap();
        let _entered = runtime.enter();
        let named = task::Builder::new().name("culprit").spawn(async { panic!("a reason") });
        let line = line!() - 1;
        support::wait_until(|| named.is_finished());
        let id = named.id();
        drop(named);
        let reports = taken(&reports);
        let expected = format!("{id}|Some(\"culprit\")|tests/panics.rs:{line}:");
        assert!(reports[0].starts_with(&expected), "{reports:?} is not {expected}");
        assert!(reports[0].ends_with("|a reason"), "{reports:?}");
    });
}

#[test]
fn a_hook_that_panics_harms_nobody() {
    within(LIMIT, || {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let mut builder = Builder::new();
        builder.worker_threads(2).on_unobserved(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            panic!("in the hook");
        });
        let runtime = builder.build().unwrap();
        for _ in 0..10 {
            runtime.spawn(async { panic!("on purpose") }).detach();
        }
        support::wait_until(|| calls.load(Ordering::SeqCst) == 10);
        assert_works(&runtime);
    });
}

#[test]
fn without_a_hook_an_unobserved_panic_is_one_line_on_standard_error() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            // What is left on standard error is the runtime's own.
            std::panic::set_hook(Box::new(|_| ()));
            let mut builder = Builder::new();
            let runtime = builder.worker_threads(1).blocked_after(None).build().unwrap();
            let _entered = runtime.enter();
            let handle = task::Builder::new().name("culprit").spawn(async { panic!("a reason") });
            support::wait_until(|| handle.is_finished());
            drop(handle);
        });
        expect_success(&output);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in ["'culprit'", "panics.rs:", "a reason"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    });
}

#[test]
fn a_panic_in_a_task_at_shutdown_is_contained_and_reported() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, messages| {
            for _ in 0..20 {
                let handle = runtime.spawn(async {
                    let _bomb = Bomb("at shutdown");
                    pending::<()>().await;
                });
                support::wait_until(|| handle.state() == TaskState::Suspended);
                handle.detach();
            }
            drop(runtime);
            assert_eq!(taken(&messages), ["at shutdown"; 20]);
        });
    });
}

#[test]
fn wakers_of_a_task_that_panicked_do_nothing() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, _| {
            let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
            let handle = runtime.spawn({
                let wakers = wakers.clone();
                poll_fn(move |cx| {
                    let mut wakers = wakers.lock().unwrap();
                    if wakers.is_empty() {
                        wakers.extend((0..100).map(|_| cx.waker().clone()));
                        return Poll::<()>::Pending;
                    }
                    drop(wakers);
                    panic!("at the second poll");
                })
            });
            support::wait_until(|| handle.state() == TaskState::Suspended);
            let copies: Vec<Waker> = wakers.lock().unwrap().clone();
            copies.into_iter().for_each(Waker::wake);
            assert!(runtime.block_on(handle).unwrap_err().is_panic());
            let polls = runtime.handle().metrics().polls();
            let wakers = std::mem::take(&mut *wakers.lock().unwrap());
            wakers.iter().for_each(Waker::wake_by_ref);
            wakers.into_iter().for_each(Waker::wake);
            assert_eq!(runtime.handle().metrics().polls(), polls);
            assert_works(&runtime);
        });
    });
}
