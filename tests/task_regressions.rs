//! Misuse that once did harm, and what it does now.

mod support;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::task::Poll;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

tenter::task_local! {
    static NUMBER: u32;
}

/// A panic's payload whose destructor panics.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("the payload's destructor");
    }
}

#[test]
fn cancelling_a_handle_whose_output_was_taken_yields_nothing() {
    support::within(LIMIT, || {
        support::runtime(1).block_on(async {
            let mut task = tenter::spawn(async { vec![1, 2, 3] });
            assert_eq!((&mut task).await.unwrap(), [1, 2, 3]);
            assert_eq!(task.cancel().await, None);
        });
    });
}

#[test]
fn a_task_local_that_is_given_a_value_while_it_is_borrowed_panics_and_keeps_its_value() {
    support::within(LIMIT, || {
        NUMBER.sync_scope(1, || {
            let nested = || NUMBER.with(|_| NUMBER.sync_scope(2, || ()));
            assert!(catch_unwind(AssertUnwindSafe(nested)).is_err());
            assert_eq!(NUMBER.get(), 1);
        });
    });
}

#[test]
fn a_scope_can_be_dropped_while_its_task_local_is_borrowed() {
    support::within(LIMIT, || {
        let unpolled = NUMBER.scope(2, async {});
        NUMBER.sync_scope(1, || NUMBER.with(|_| drop(unpolled)));
    });
}

#[test]
fn a_payload_whose_destructor_panics_ends_no_worker() {
    struct PanicsAgain;

    impl Drop for PanicsAgain {
        fn drop(&mut self) {
            panic_any(Grenade);
        }
    }

    support::within(LIMIT, || {
        let runtime = support::runtime(1);
        runtime.block_on(async {
            // The future panics when it is polled, and again when what it holds is dropped.
            let held = PanicsAgain;
            let future = poll_fn(move |_| -> Poll<()> {
                let _held = &held;
                panic!("the first")
            });
            let error = tenter::spawn(future).await.unwrap_err();
            assert_eq!(error.to_string().rsplit(": ").next(), Some("the first"));
            assert_eq!(tenter::spawn(async { 1 }).await.unwrap(), 1);
        });
    });
}

#[test]
fn a_closure_has_no_budget_that_could_run_out() {
    support::within(LIMIT, || {
        let runtime = support::runtime(1);
        let closure = || {
            futures_lite::future::block_on(async {
                for _ in 0..1000 {
                    tenter::task::consume_budget().await;
                }
            });
        };
        runtime.block_on(async move { tenter::spawn_blocking(closure).await.unwrap() });
    });
}

#[test]
fn a_task_that_blocks_the_thread_in_block_on_does_not_keep_the_only_worker_asleep() {
    support::within(LIMIT, || {
        let runtime = support::runtime(1);
        runtime.block_on(async {
            let blocks = tenter::spawn(async {
                let (sender, receiver) = std::sync::mpsc::channel();
                tenter::spawn(async move { sender.send(7).unwrap() }).detach();
                receiver.recv().unwrap()
            });
            assert_eq!(blocks.await.unwrap(), 7);
        });
    });
}

#[test]
fn a_task_on_the_thread_in_block_on_sees_its_own_runtime_whatever_the_main_future_entered() {
    support::within(LIMIT, || {
        let mut builder = tenter::Builder::new();
        let here = builder.worker_threads(1).build().unwrap();
        let there = builder.worker_threads(2).build().unwrap();
        let workers = |handle: tenter::Handle| handle.metrics().workers();
        here.block_on(async {
            let task = here.spawn(async move { workers(tenter::Handle::current()) });
            let _entered = there.enter();
            assert_eq!(task.await.unwrap(), 1);
            assert_eq!(workers(tenter::Handle::current()), 2);
        });
    });
}

#[test]
fn a_runtime_in_a_thread_local_of_its_own_blocking_thread_ends_with_that_thread() {
    thread_local! {
        static RUNTIME: std::cell::RefCell<Option<tenter::Runtime>> =
            const { std::cell::RefCell::new(None) };
    }
    support::within(LIMIT, || {
        let mut builder = tenter::Builder::new();
        builder.worker_threads(1).blocking_keep_alive(Duration::ZERO);
        let runtime = builder.build().unwrap();
        let handle = runtime.handle().clone();
        // The thread takes the runtime, goes idle, leaves, and drops it on its way out.
        handle.spawn_blocking(move || RUNTIME.set(Some(runtime))).detach();
        support::wait_until(|| {
            handle.spawn(async {}).state() == tenter::task::TaskState::Cancelled
        });
    });
}

#[test]
fn a_standard_error_that_cannot_be_written_to_harms_nobody() {
    const INNER: &str = "TENTER_TEST_FULL_STANDARD_ERROR";
    support::within(LIMIT, || {
        if std::env::var_os(INNER).is_none() {
            let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "a_standard_error_that_cannot_be_written_to_harms_nobody"])
                .arg("--nocapture")
                .env(INNER, "1")
                .stderr(full)
                .status()
                .unwrap();
            return assert!(status.success(), "the child says why on standard output: {status}");
        }
        let mut builder = tenter::Builder::new();
        // The first poll of each round is reported, and the monitor must live to see the second.
        let runtime = builder
            .worker_threads(2)
            .blocked_after(Some(Duration::from_millis(1)))
            .build()
            .unwrap();
        runtime.block_on(async {
            for _ in 0..2 {
                let blocks = tenter::spawn(async {
                    let (sender, receiver) = std::sync::mpsc::channel();
                    tenter::spawn(async move { sender.send(()).unwrap() }).detach();
                    receiver.recv().unwrap();
                });
                blocks.await.unwrap();
            }
        });
    });
}

#[test]
fn a_task_that_sleeps_after_its_runtime_began_to_shut_down_is_cancelled_and_does_not_panic() {
    support::within(LIMIT, || {
        let runtime = support::runtime(1);
        let handle = runtime.handle().clone();
        let (started, has_started) = std::sync::mpsc::channel();
        let (release, is_released) = std::sync::mpsc::channel::<()>();
        let task = runtime.spawn(async move {
            started.send(()).unwrap();
            is_released.recv().unwrap();
            tenter::time::sleep(Duration::from_secs(3600)).await;
        });
        has_started.recv().unwrap();
        let shutdown = std::thread::spawn(move || runtime.shutdown(Duration::MAX));
        support::wait_until(|| {
            handle.spawn(async {}).state() == tenter::task::TaskState::Cancelled
        });
        release.send(()).unwrap();
        assert!(shutdown.join().unwrap().is_clean());
        assert!(futures_lite::future::block_on(task).unwrap_err().is_cancelled());
    });
}
