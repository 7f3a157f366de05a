//! Failures that nobody looked at: each is reported, once, and nothing else is.

mod support;

use std::fmt;
use std::future::pending;
use std::io;
use std::panic::{Location, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;

use support::{Child, Drops, Gate, LIMIT, Pair, expect_success, wait_until, within};
use tenter::task::{self, AbortHandle, Id, TaskState, spawn_detached};
use tenter::{Builder, Handle, JoinHandle, Runtime, spawn, spawn_blocking};

/// What a hook was told.
#[derive(Clone, Debug)]
struct Failure {
    id: Id,
    name: Option<String>,
    location: &'static Location<'static>,
    message: String,
    is_panic: bool,
    thread: thread::ThreadId,
}

/// What all hooks of a runtime were told.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Vec<Failure>>>);

impl Failures {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn messages(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|failure| failure.message.clone()).collect()
    }

    /// Waits for the first.
    fn first(&self) -> Failure {
        wait_until(|| self.count() > 0);
        self.0.lock().unwrap()[0].clone()
    }
}

/// A runtime whose failures are kept.
fn runtime(workers: usize) -> (Runtime, Failures) {
    let failures = Failures::default();
    let to = failures.clone();
    let mut builder = Builder::new();
    builder.worker_threads(workers).on_unobserved(move |failure| {
        to.0.lock().unwrap().push(Failure {
            id: failure.id(),
            name: failure.name().map(str::to_owned),
            location: failure.location(),
            message: failure.message().to_owned(),
            is_panic: failure.is_panic(),
            thread: thread::current().id(),
        });
    });
    let runtime = builder.build().unwrap();
    support::watch(runtime.handle());
    (runtime, failures)
}

fn for_each_worker_count(body: impl Fn(Runtime, Failures)) {
    for workers in [1, 2, 4] {
        println!("with {workers} workers");
        let (runtime, failures) = runtime(workers);
        body(runtime, failures);
    }
}

/// Waits until the runtime has no task left that could still report something.
fn settle(runtime: &Runtime) {
    wait_until(|| runtime.handle().tasks().is_empty());
}

async fn fails(message: &'static str) -> Result<(), &'static str> {
    Err(message)
}

/// An error that panics in its `Debug`, its `Drop`, or neither.
struct BadError {
    in_debug: bool,
    in_drop: bool,
}

impl fmt::Debug for BadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!self.in_debug, "in debug");
        f.write_str("BadError")
    }
}

impl Drop for BadError {
    fn drop(&mut self) {
        assert!(!self.in_drop, "in drop");
    }
}

#[test]
fn an_error_of_a_detached_task_is_reported_once_with_id_name_place_and_text() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let entered = runtime.enter();
            let task = task::Builder::new().name("saver").spawn_detached(async {
                Err::<(), _>(io::Error::new(io::ErrorKind::StorageFull, "no room"))
            });
            let line = line!() - 3;
            drop(entered);
            let failure = failures.first();
            drop(runtime);
            assert_eq!(failures.count(), 1);
            assert_eq!((failure.id, failure.name.as_deref()), (task.id(), Some("saver")));
            assert!(failure.location.file().ends_with("unobserved.rs"), "{failure:?}");
            assert_eq!(failure.location.line(), line);
            assert!(failure.message.contains("StorageFull"), "{failure:?}");
            assert!(failure.message.contains("no room"), "{failure:?}");
            assert!(!failure.is_panic);
            assert_eq!(task.state(), TaskState::Completed);
        });
    });
}

#[test]
fn each_way_to_spawn_a_detached_task_notes_the_place_of_the_call() {
    within(LIMIT, || {
        let (runtime, failures) = runtime(2);
        runtime.handle().spawn_detached(fails("of a handle"));
        let first = line!() - 1;
        runtime.block_on(async { spawn_detached(fails("inside")) });
        let second = line!() - 1;
        wait_until(|| failures.count() == 2);
        let lines = |message: &str| {
            let failures = failures.0.lock().unwrap();
            let failure = failures.iter().find(|failure| failure.message.contains(message));
            failure.unwrap().location.line()
        };
        assert_eq!((lines("of a handle"), lines("inside")), (first, second));
    });
}

#[test]
fn a_detached_task_that_succeeds_or_is_cancelled_reports_nothing() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let handle = runtime.handle();
            let drops = Drops::new();
            let (first, second) = (drops.tracked(), drops.tracked());
            handle.spawn_detached(async move { Ok::<_, io::Error>(first) });
            let aborted = handle.spawn_detached(async move {
                second.touch();
                pending::<Result<(), io::Error>>().await
            });
            aborted.abort();
            wait_until(|| (drops.count(), aborted.state()) == (2, TaskState::Cancelled));
            let waits = handle.spawn_detached(pending::<Result<(), io::Error>>());
            drop(runtime);
            assert_eq!(waits.state(), TaskState::Cancelled);
            assert_eq!(failures.count(), 0);
        });
    });
}

#[test]
fn a_detached_task_that_panics_is_reported_as_a_panic_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let task = runtime.handle().spawn_detached(async {
                if pending_once().await {
                    panic!("no error at all");
                }
                Ok::<(), io::Error>(())
            });
            let failure = failures.first();
            drop(runtime);
            assert_eq!(failures.messages(), ["no error at all"]);
            assert_eq!((failure.id, failure.is_panic), (task.id(), true));
        });
    });
}

/// Is ready, with `true`, at the second poll.
async fn pending_once() -> bool {
    tenter::yield_now().await;
    true
}

#[test]
fn ten_thousand_errors_are_ten_thousand_reports() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let tasks: Vec<AbortHandle> = runtime.block_on(async {
                (0..10_000).map(|n| spawn_detached(async move { Err::<(), _>(n) })).collect()
            });
            wait_until(|| failures.count() >= tasks.len());
            drop(runtime);
            let mut numbers: Vec<usize> =
                failures.messages().iter().map(|message| message.parse().unwrap()).collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..10_000));
        });
    });
}

#[test]
fn spawning_a_detached_task_outside_a_runtime_panics_and_says_why() {
    within(LIMIT, || {
        let panic = catch_unwind(|| spawn_detached(fails("nowhere"))).unwrap_err();
        let text = panic.downcast_ref::<&str>().unwrap();
        assert!(text.contains("no runtime"), "{text}");
        let panic =
            catch_unwind(|| task::Builder::new().name("x").spawn_detached(fails("nowhere")));
        assert!(panic.is_err());
    });
}

#[test]
fn a_detached_task_that_comes_after_the_shutdown_is_cancelled_and_reports_nothing() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let handle = runtime.handle().clone();
            drop(runtime);
            let drops = Drops::new();
            let tracked = drops.tracked();
            let task = handle.spawn_detached(async move {
                tracked.touch();
                Err::<(), _>("too late")
            });
            assert_eq!((task.state(), drops.count()), (TaskState::Cancelled, 1));
            assert_eq!(failures.count(), 0);
        });
    });
}

#[test]
fn an_error_whose_debug_text_panics_is_reported_all_the_same() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let handle = runtime.handle();
            handle.spawn_detached(async {
                Err::<(), _>(BadError { in_debug: true, in_drop: false })
            });
            settle(&runtime);
            assert_eq!(failures.messages(), ["an error whose `Debug` panics"]);
            assert!(!failures.first().is_panic);
        });
    });
}

#[test]
fn an_error_whose_drop_panics_is_two_failures() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let handle = runtime.handle();
            handle.spawn_detached(async {
                Err::<(), _>(BadError { in_debug: false, in_drop: true })
            });
            settle(&runtime);
            wait_until(|| failures.count() == 2);
            assert_eq!(failures.messages(), ["BadError", "in drop"]);
        });
    });
}

#[test]
fn an_output_whose_drop_panics_is_reported() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let bad = || BadError { in_debug: false, in_drop: true };
            let handle = runtime.handle();
            handle.spawn_detached(async move { Ok::<_, io::Error>(bad()) });
            assert_eq!(failures.first().message, "in drop");
            drop(runtime);
            assert_eq!(failures.count(), 1);
        });
    });
}

#[test]
fn a_report_is_made_inside_the_task_and_its_runtime() {
    within(LIMIT, || {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let to = seen.clone();
        let mut builder = Builder::new();
        builder.worker_threads(1).on_unobserved(move |failure| {
            let in_runtime = Handle::try_current().is_some();
            to.lock().unwrap().push((failure.id(), task::id(), in_runtime));
        });
        let runtime = builder.build().unwrap();
        let task = runtime.handle().spawn_detached(fails("inside"));
        wait_until(|| task.is_finished());
        assert_eq!(*seen.lock().unwrap(), [(task.id(), Some(task.id()), true)]);
    });
}

#[test]
fn a_detached_handle_reports_an_error_that_comes_later() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let go = Gate::new();
            let handle = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    Err::<(), _>("later")
                }
            });
            wait_until(|| handle.state() == TaskState::Suspended);
            let (id, location) = (handle.id(), handle.location());
            handle.detach_reporting();
            assert_eq!(failures.count(), 0);
            go.open();
            let failure = failures.first();
            drop(runtime);
            assert_eq!(failures.messages(), ["\"later\""]);
            assert_eq!((failure.id, failure.location, failure.is_panic), (id, location, false));
            assert_ne!(failure.thread, thread::current().id());
        });
    });
}

#[test]
fn a_detached_handle_reports_an_error_that_is_there_already() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let handle = runtime.spawn(fails("before"));
            wait_until(|| handle.is_finished());
            assert_eq!(failures.count(), 0);
            let entered = runtime.enter();
            handle.detach_reporting();
            assert_eq!(failures.messages(), ["\"before\""]);
            drop(entered);
            drop(runtime);
            assert_eq!(failures.count(), 1);
        });
    });
}

#[test]
fn outside_a_runtime_an_error_that_is_there_already_is_a_line_on_standard_error() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let runtime = Builder::new().worker_threads(1).blocked_after(None).build().unwrap();
            let handle = runtime.spawn(fails("a reason"));
            wait_until(|| handle.is_finished());
            handle.detach_reporting();
        });
        expect_success(&output);
        expect_one_line(&output.stderr, &["unobserved.rs:", "failed", "a reason"]);
    });
}

#[test]
fn a_detached_handle_reports_a_panic_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let go = Gate::new();
            let before: JoinHandle<Result<(), ()>> = runtime.spawn(async { panic!("before") });
            wait_until(|| before.is_finished());
            before.detach_reporting();
            assert_eq!(failures.messages(), ["before"]);
            let later: JoinHandle<Result<(), ()>> = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    panic!("later")
                }
            });
            wait_until(|| later.state() == TaskState::Suspended);
            later.detach_reporting();
            go.open();
            wait_until(|| failures.count() == 2);
            drop(runtime);
            assert_eq!(failures.messages(), ["before", "later"]);
            assert!(failures.0.lock().unwrap().iter().all(|failure| failure.is_panic));
        });
    });
}

#[test]
fn a_detached_handle_of_a_task_that_succeeds_or_is_cancelled_reports_nothing() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let drops = Drops::new();
            let tracked = drops.tracked();
            runtime.spawn(async move { Ok::<_, ()>(tracked) }).detach_reporting();
            let waits = runtime.spawn(pending::<Result<(), ()>>());
            let abort = waits.abort_handle();
            waits.detach_reporting();
            abort.abort();
            wait_until(|| drops.count() == 1 && abort.is_finished());
            runtime.spawn(pending::<Result<(), ()>>()).detach_reporting();
            drop(runtime);
            assert_eq!(failures.count(), 0);
        });
    });
}

#[test]
fn a_detached_handle_whose_error_was_taken_reports_nothing() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let mut handle = runtime.spawn(fails("taken"));
            let taken = runtime.block_on(async { (&mut handle).await });
            assert_eq!(taken.unwrap(), Err("taken"));
            handle.detach_reporting();
            drop(runtime);
            assert_eq!(failures.count(), 0);
        });
    });
}

#[test]
fn an_error_that_comes_as_its_handle_is_detached_is_reported_once() {
    within(LIMIT, || {
        let (runtime, failures) = runtime(2);
        let _entered = runtime.enter();
        for round in 0..2000 {
            let handle = runtime.spawn(async move { Err::<(), _>(round) });
            // By turns at once and a moment later.
            (0..round % 20 * 10).for_each(|_| std::hint::spin_loop());
            handle.detach_reporting();
        }
        settle(&runtime);
        wait_until(|| failures.count() >= 2000);
        let mut messages = failures.messages();
        messages.sort_unstable();
        messages.dedup();
        assert_eq!((failures.count(), messages.len()), (2000, 2000));
    });
}

#[test]
fn the_waker_that_a_handle_had_before_it_was_detached_is_given_up() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let drops = Drops::new();
            let go = Gate::new();
            let mut handle = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    Err::<(), _>("for the hook")
                }
            });
            let waker = Waker::from(Arc::new(Tracks(drops.tracked())));
            let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            drop(waker);
            assert_eq!(drops.count(), 0);
            handle.detach_reporting();
            assert_eq!(drops.count(), 1);
            go.open();
            assert_eq!(failures.first().message, "\"for the hook\"");
        });
    });
}

/// A waker that only lives and goes.
struct Tracks(#[allow(dead_code)] support::Tracked);

impl Wake for Tracks {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_handle_that_was_awaited_by_reference_and_dropped_reports_nothing() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let mut handle: JoinHandle<()> = runtime.spawn(async { panic!("looked at") });
            let error = runtime.block_on(async { (&mut handle).await }).unwrap_err();
            assert!(error.is_panic());
            drop((handle, error, runtime));
            assert_eq!(failures.count(), 0);
        });
    });
}

#[test]
fn a_handle_that_was_polled_too_early_and_dropped_reports_the_panic_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            for dropped_first in [true, false] {
                let go = Gate::new();
                let mut handle: JoinHandle<()> = runtime.spawn({
                    let go = go.clone();
                    async move {
                        go.pass().await;
                        panic!("later");
                    }
                });
                let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending());
                let abort = handle.abort_handle();
                if dropped_first {
                    drop(handle);
                    go.open();
                } else {
                    go.open();
                    wait_until(|| handle.is_finished());
                    drop(handle);
                }
                wait_until(|| abort.is_finished() && failures.count() == 1);
                assert_eq!(failures.messages(), ["later"]);
                failures.0.lock().unwrap().clear();
            }
            drop(runtime);
            assert_eq!(failures.count(), 0);
        });
    });
}

#[test]
fn a_joiner_that_is_cancelled_leaves_the_panic_to_the_hook() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let go = Gate::new();
            let inner: JoinHandle<()> = runtime.spawn({
                let go = go.clone();
                async move {
                    go.pass().await;
                    panic!("the joiner is gone");
                }
            });
            let joiner = runtime.spawn(inner);
            wait_until(|| joiner.state() == TaskState::Suspended);
            assert!(runtime.block_on(joiner.cancel()).is_none());
            assert_eq!(failures.count(), 0);
            go.open();
            assert_eq!(failures.first().message, "the joiner is gone");
            drop(runtime);
            assert_eq!(failures.count(), 1);
        });
    });
}

#[test]
fn a_task_whose_future_panics_as_it_is_cancelled_is_reported_once() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let waits = || {
                let handle = runtime.spawn(async {
                    let _bad = BadError { in_debug: false, in_drop: true };
                    pending::<()>().await;
                });
                wait_until(|| handle.state() == TaskState::Suspended);
                handle
            };
            // By who waits for the end.
            assert_eq!(runtime.block_on(waits().cancel()), None);
            assert_eq!(failures.count(), 1);
            // By nobody: the handle is gone when it comes to pass, or goes afterwards.
            let handle = waits();
            let abort = handle.abort_handle();
            drop(handle);
            abort.abort();
            wait_until(|| failures.count() == 2);
            let handle = waits();
            handle.abort();
            wait_until(|| handle.is_finished());
            drop(handle);
            assert_eq!(failures.count(), 3);
            drop(runtime);
            assert_eq!(failures.messages(), ["in drop"; 3]);
        });
    });
}

#[test]
fn a_closure_that_panics_is_reported_whether_its_handle_goes_before_or_after() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let held = Pair::new();
            let handle = runtime.spawn_blocking({
                let held = held.clone();
                move || {
                    held.hold();
                    panic!("in a closure");
                }
            });
            held.arrived.wait();
            drop::<JoinHandle<()>>(handle);
            held.released.open();
            assert_eq!(failures.first().message, "in a closure");
            let handle: JoinHandle<()> = runtime.spawn_blocking(|| panic!("in a second"));
            wait_until(|| handle.is_finished());
            assert_eq!(failures.count(), 1);
            drop(handle);
            assert_eq!(failures.messages(), ["in a closure", "in a second"]);
            let awaited: JoinHandle<()> = runtime.spawn_blocking(|| panic!("in a third"));
            assert!(runtime.block_on(awaited).unwrap_err().is_panic());
            drop(runtime);
            assert_eq!(failures.count(), 2);
        });
    });
}

#[test]
fn an_error_of_a_closure_is_reported_if_its_handle_says_so() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            runtime.spawn_blocking(|| Err::<(), _>("of a closure")).detach_reporting();
            let failure = failures.first();
            assert_eq!((failure.message.as_str(), failure.is_panic), ("\"of a closure\"", false));
            drop(runtime);
            assert_eq!(failures.count(), 1);
        });
    });
}

#[test]
fn an_error_of_a_plain_task_that_is_detached_reports_nothing() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            let drops = Drops::new();
            let tracked = drops.tracked();
            runtime.spawn(async move { Err::<(), _>(tracked) }).detach();
            wait_until(|| drops.count() == 1);
            drop(runtime);
            assert_eq!(failures.count(), 0);
        });
    });
}

/// A runtime whose hook runs `f`, and how often it was called.
fn hooked(
    workers: usize,
    f: impl Fn(usize) + Send + Sync + 'static,
) -> (Runtime, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let mut builder = Builder::new();
    builder
        .worker_threads(workers)
        .blocked_after(None)
        .on_unobserved(move |_| f(counted.fetch_add(1, Ordering::SeqCst)));
    let runtime = builder.build().unwrap();
    support::watch(runtime.handle());
    (runtime, calls)
}

#[test]
fn a_hook_that_panics_is_called_for_the_next_failure_too() {
    within(LIMIT, || {
        let (runtime, calls) = hooked(2, |_| panic!("in the hook"));
        for _ in 0..10 {
            runtime.handle().spawn_detached(fails("an error"));
            runtime.spawn(fails("an error")).detach_reporting();
            runtime.spawn(async { panic!("a panic") }).detach();
        }
        wait_until(|| calls.load(Ordering::SeqCst) == 30);
        assert_eq!(runtime.block_on(async { spawn(async { 1 }).await.unwrap() }), 1);
        drop(runtime);
        assert_eq!(calls.load(Ordering::SeqCst), 30);
    });
}

#[test]
fn a_hook_may_spawn_and_what_it_spawns_may_fail_too() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let (runtime, calls) = hooked(workers, |call| {
                if call < 10 {
                    spawn_detached(fails("again"));
                    spawn_blocking(move || assert!(call > 0, "in a closure")).detach();
                }
            });
            runtime.handle().spawn_detached(fails("the first"));
            // The first, those that the first ten calls spawn, and that of one closure.
            wait_until(|| calls.load(Ordering::SeqCst) == 12);
            settle(&runtime);
            drop(runtime);
            assert_eq!(calls.load(Ordering::SeqCst), 12);
        }
    });
}

#[test]
fn a_hook_may_abort_the_task_that_it_is_called_for_and_others() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let all: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
            let aborted = all.clone();
            let (runtime, calls) = hooked(workers, move |_| {
                aborted.lock().unwrap().iter().for_each(AbortHandle::abort)
            });
            let waits = runtime.spawn(pending::<()>());
            let go = Gate::new();
            let failing = runtime.handle().spawn_detached({
                let go = go.clone();
                async move {
                    go.pass().await;
                    Err::<(), _>("aborts itself")
                }
            });
            all.lock().unwrap().extend([waits.abort_handle(), failing.clone()]);
            go.open();
            assert!(runtime.block_on(waits).unwrap_err().is_cancelled());
            wait_until(|| failing.is_finished());
            // It returned before the abort, which came too late.
            assert_eq!(failing.state(), TaskState::Completed);
            assert_eq!(calls.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn a_hook_that_blocks_holds_up_only_its_own_worker() {
    within(LIMIT, || {
        let held = Pair::new();
        let holds = held.clone();
        let (runtime, calls) = hooked(2, move |_| holds.hold());
        let task = runtime.handle().spawn_detached(fails("held"));
        held.arrived.wait();
        // The other worker is there for the rest.
        let other = runtime.spawn(async { 5 });
        wait_until(|| other.is_finished());
        assert!(!task.is_finished());
        held.released.open();
        wait_until(|| task.is_finished());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_hook_that_waits_for_a_task_by_blocking_is_refused() {
    within(LIMIT, || {
        let refused = Arc::new(AtomicBool::new(false));
        let noted = refused.clone();
        let (runtime, calls) = hooked(1, move |_| {
            let waits = catch_unwind(|| Handle::current().block_on(async {}));
            noted.store(waits.is_err(), Ordering::SeqCst);
        });
        runtime.handle().spawn_detached(fails("in a hook"));
        wait_until(|| calls.load(Ordering::SeqCst) == 1);
        drop(runtime);
        assert!(refused.load(Ordering::SeqCst));
    });
}

#[test]
fn a_failure_during_the_shutdown_is_reported_before_the_shutdown_is_over() {
    within(LIMIT, || {
        for_each_worker_count(|runtime, failures| {
            for _ in 0..10 {
                let detached = runtime.handle().spawn_detached(pending::<Result<(), ()>>());
                wait_until(|| detached.state() == TaskState::Suspended);
                let panics = runtime.spawn(async {
                    let _bad = BadError { in_debug: false, in_drop: true };
                    pending::<Result<(), ()>>().await
                });
                wait_until(|| panics.state() == TaskState::Suspended);
                panics.detach_reporting();
            }
            let held = Pair::new();
            let closure: JoinHandle<()> = runtime.spawn_blocking({
                let held = held.clone();
                move || {
                    held.hold();
                    panic!("in a closure");
                }
            });
            held.arrived.wait();
            closure.detach();
            let release = thread::spawn(move || held.released.open());
            drop(runtime);
            let mut messages = failures.messages();
            messages.sort_unstable();
            assert_eq!(messages.pop().as_deref(), Some("in drop"));
            assert_eq!(messages.len(), 10);
            assert_eq!(messages.iter().filter(|message| *message == "in a closure").count(), 1);
            release.join().unwrap();
        });
    });
}

#[test]
fn a_hook_that_spawns_during_the_shutdown_is_told_that_it_is_too_late() {
    within(LIMIT, || {
        let states: Arc<Mutex<Vec<TaskState>>> = Arc::default();
        let noted = states.clone();
        let (runtime, calls) = hooked(2, move |_| {
            let task = spawn_detached(fails("too late"));
            noted.lock().unwrap().push(task.state());
        });
        let panics = runtime.spawn(async {
            let _bad = BadError { in_debug: false, in_drop: true };
            pending::<()>().await;
        });
        wait_until(|| panics.state() == TaskState::Suspended);
        panics.detach();
        drop(runtime);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(*states.lock().unwrap(), [TaskState::Cancelled]);
    });
}

#[track_caller]
fn expect_one_line(stderr: &[u8], parts: &[&str]) {
    let text = String::from_utf8(stderr.to_vec()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn without_a_hook_an_error_is_one_line_on_standard_error() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let runtime = Builder::new().worker_threads(1).blocked_after(None).build().unwrap();
            let _entered = runtime.enter();
            let task = task::Builder::new().name("culprit").spawn_detached(fails("a reason"));
            wait_until(|| task.is_finished());
        });
        expect_success(&output);
        expect_one_line(&output.stderr, &["'culprit'", "unobserved.rs:", "failed", "\"a reason\""]);
    });
}

#[test]
fn a_hook_that_aborts_the_process_ends_it() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let mut builder = Builder::new();
            builder.worker_threads(1).on_unobserved(|failure| {
                eprintln!("{failure}");
                std::process::abort();
            });
            let runtime = builder.build().unwrap();
            runtime.handle().spawn_detached(fails("the last"));
            runtime.block_on(pending::<()>());
        });
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("the last"), "{text}");
    });
}
