//! What makes no sense is refused with a clear error, and what the system refuses leaks nothing.

mod support;

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{
    Child, Drops, LIMIT, STACK, expect_success, limit_addresses, unlimit_addresses, within,
};
use tenter::{Builder, Handle, Runtime};

/// The message of a setting that is refused as no valid input.
#[track_caller]
fn refusal(builder: &mut Builder) -> String {
    let error = builder.build().expect_err("a bad setting is refused");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    error.to_string()
}

/// What `f` panics with.
#[track_caller]
fn panic_message(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("a panic");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&'static str>().expect("a text")).to_owned(),
    }
}

#[test]
fn zero_workers_are_refused_by_name() {
    within(LIMIT, || {
        assert!(refusal(Builder::new().worker_threads(0)).contains("worker_threads"));
    });
}

#[test]
fn an_absurd_number_of_workers_is_refused_by_name() {
    within(LIMIT, || {
        for workers in [usize::MAX, usize::MAX / 2, 1 << 32, 1_000_000] {
            let message = refusal(Builder::new().worker_threads(workers));
            assert!(message.contains("worker_threads"), "{message}");
            assert!(message.contains(&workers.to_string()), "{message}");
        }
    });
}

#[test]
fn zero_blocking_threads_are_refused_by_name() {
    within(LIMIT, || {
        assert!(refusal(Builder::new().max_blocking_threads(0)).contains("max_blocking_threads"));
    });
}

#[test]
fn any_number_of_blocking_threads_is_a_bound_and_costs_nothing() {
    within(LIMIT, || {
        let runtime = Builder::new().worker_threads(1).max_blocking_threads(usize::MAX).build();
        let runtime = runtime.unwrap();
        let handle = runtime.spawn_blocking(|| 7);
        assert_eq!(runtime.block_on(handle).unwrap(), 7);
    });
}

#[test]
fn a_stack_too_small_to_work_on_is_refused_by_name() {
    within(LIMIT, || {
        for bytes in [0, 1, 4096] {
            let message = refusal(Builder::new().thread_stack_size(bytes));
            assert!(message.contains("thread_stack_size"), "{message}");
        }
    });
}

#[test]
fn a_stack_beyond_the_address_space_is_refused_and_does_not_panic() {
    within(LIMIT, || {
        for bytes in [usize::MAX, isize::MAX as usize + 1] {
            let message = refusal(Builder::new().thread_stack_size(bytes));
            assert!(message.contains("thread_stack_size"), "{message}");
        }
        for bytes in [isize::MAX as usize, isize::MAX as usize - 4096, 1 << 60, 1 << 48] {
            let built = Builder::new().worker_threads(2).thread_stack_size(bytes).build();
            let error = built.expect_err("the system has no such stack");
            assert!(error.to_string().contains("thread"), "{error}");
        }
    });
}

#[test]
fn the_smallest_stack_that_is_accepted_runs_tasks_and_closures() {
    within(LIMIT, || {
        let runtime = Builder::new().worker_threads(1).thread_stack_size(32 * 1024).build();
        let runtime = runtime.unwrap();
        runtime.block_on(async {
            assert_eq!(tenter::spawn(async { 1 }).await.unwrap(), 1);
            assert_eq!(tenter::spawn_blocking(|| 2).await.unwrap(), 2);
        });
    });
}

#[test]
fn a_thread_name_with_a_nul_is_refused_by_name() {
    within(LIMIT, || {
        for name in ["\0", "a\0b", "name\0"] {
            assert!(refusal(Builder::new().thread_name(name)).contains("thread_name"));
        }
    });
}

#[test]
fn an_empty_and_a_very_long_thread_name_are_accepted() {
    within(LIMIT, || {
        for name in [String::new(), "n".repeat(100_000), "Größe ⏱ 名".to_owned()] {
            let runtime = Builder::new().worker_threads(1).thread_name(name).build().unwrap();
            assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 3)).unwrap(), 3);
        }
    });
}

#[test]
fn a_blocked_after_of_zero_is_refused_by_name() {
    within(LIMIT, || {
        let message = refusal(Builder::new().blocked_after(Some(Duration::ZERO)));
        assert!(message.contains("blocked_after"), "{message}");
    });
}

#[test]
fn a_builder_that_was_refused_can_be_corrected() {
    within(LIMIT, || {
        let mut builder = Builder::new();
        refusal(builder.worker_threads(0));
        let runtime = builder.worker_threads(3).build().unwrap();
        assert_eq!(runtime.handle().metrics().workers(), 3);
        // And used again.
        assert_eq!(builder.build().unwrap().handle().metrics().workers(), 3);
    });
}

#[test]
fn the_environment_sets_the_default_number_of_workers() {
    within(LIMIT, || {
        for (value, workers) in [("3", 3), (" 5 ", 5), ("1", 1)] {
            let output =
                Child::new().env("TENTER_WORKERS", value).env("EXPECTED", value).run(|| {
                    let expected: usize =
                        std::env::var("EXPECTED").unwrap().trim().parse().unwrap();
                    let runtime = Runtime::new().unwrap();
                    assert_eq!(runtime.handle().metrics().workers(), expected);
                });
            expect_success(&output);
            assert!(workers > 0);
        }
    });
}

#[test]
fn the_builder_overrides_the_environment_even_a_bad_one() {
    within(LIMIT, || {
        let output = Child::new().env("TENTER_WORKERS", "many").run(|| {
            let runtime = Builder::new().worker_threads(2).build().unwrap();
            assert_eq!(runtime.handle().metrics().workers(), 2);
        });
        expect_success(&output);
    });
}

#[test]
fn a_number_of_workers_in_the_environment_that_makes_no_sense_is_refused_by_name() {
    within(LIMIT, || {
        for value in ["0", "-1", "many", "", "1.5", "99999999999999999999", "1000000"] {
            let output = Child::new().env("TENTER_WORKERS", value).run(|| {
                let error = Runtime::new().expect_err("a bad value is refused");
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(error.to_string().contains("TENTER_WORKERS"), "{error}");
                let error = tenter::run(async {}).expect_err("a bad value is refused");
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
            });
            expect_success(&output);
        }
    });
}

#[test]
fn without_the_environment_there_is_a_worker_for_each_core() {
    within(LIMIT, || {
        let output = Child::new().env_remove("TENTER_WORKERS").run(|| {
            let workers = Runtime::new().unwrap().handle().metrics().workers();
            assert!(workers >= 1);
        });
        expect_success(&output);
    });
}

#[test]
fn a_worker_that_cannot_be_started_is_a_clear_error_and_the_others_end() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let started = Arc::new(AtomicUsize::new(0));
            let stopped = Arc::new(AtomicUsize::new(0));
            let (descriptors, threads) = (support::descriptors(), support::threads());
            limit_addresses(10 * STACK);
            let mut builder = Builder::new();
            builder.worker_threads(100).thread_stack_size(STACK);
            let (start, stop) = (started.clone(), stopped.clone());
            builder.on_thread_start(move || {
                start.fetch_add(1, Ordering::Relaxed);
            });
            builder.on_thread_stop(move || {
                stop.fetch_add(1, Ordering::Relaxed);
            });
            for _ in 0..3 {
                let error = builder.build().expect_err("there is no room for 100 stacks");
                let text = error.to_string();
                assert!(text.contains("thread") && text.contains("not started"), "{text}");
                assert_eq!(support::descriptors(), descriptors);
                support::wait_until(|| support::threads() == threads);
            }
            let started = started.load(Ordering::Relaxed);
            assert_eq!(started, stopped.load(Ordering::Relaxed));
            // The limit is back to what allows a smaller one.
            let runtime = builder.worker_threads(1).thread_stack_size(1 << 20).build().unwrap();
            assert_eq!(runtime.block_on(async { tenter::spawn(async { 5 }).await }).unwrap(), 5);
        });
        expect_success(&output);
    });
}

#[test]
fn a_blocking_thread_that_cannot_be_started_cancels_the_closure_and_the_runtime_goes_on() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let mut builder = Builder::new();
            let runtime = builder.worker_threads(1).thread_stack_size(STACK).build().unwrap();
            let drops = Drops::new();
            let handle = {
                limit_addresses(STACK / 2);
                let tracked = drops.tracked();
                runtime.spawn_blocking(move || tracked.touch())
            };
            let error = runtime.block_on(handle).expect_err("no thread for it");
            assert!(error.is_cancelled());
            assert_eq!(drops.count(), 1);
            assert_eq!(runtime.handle().metrics().blocking_threads(), 0);
            assert_eq!(runtime.block_on(runtime.spawn(async { 6 })).unwrap(), 6);
            // Room again: the pool has not given up.
            unlimit_addresses();
            assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 7)).unwrap(), 7);
        });
        expect_success(&output);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.matches("no thread for a blocking closure").count(), 1, "{text}");
    });
}

#[test]
fn closures_that_get_too_few_threads_run_on_those_that_there_are() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let mut builder = Builder::new();
            let runtime = builder.worker_threads(1).thread_stack_size(STACK).build().unwrap();
            limit_addresses(3 * STACK + STACK / 2);
            let count = Arc::new(AtomicUsize::new(0));
            let closures = (0..1000).map(|_| {
                let count = count.clone();
                runtime.spawn_blocking(move || count.fetch_add(1, Ordering::Relaxed))
            });
            for closure in closures.collect::<Vec<_>>() {
                runtime.block_on(closure).unwrap();
            }
            assert_eq!(count.load(Ordering::Relaxed), 1000);
        });
        expect_success(&output);
    });
}

#[test]
fn a_runtime_without_a_descriptor_left_is_an_error_and_no_panic() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let threads = support::threads();
            let maximum = getrlimit(Resource::Nofile).maximum;
            let allowed = |n| setrlimit(Resource::Nofile, Rlimit { current: Some(n), maximum });
            let used = support::descriptors();
            // The limit is one of numbers.
            let free = std::fs::File::open("/dev/null").unwrap().as_raw_fd() as u64;
            for more in 0..2 {
                allowed(free + more).unwrap();
                let error = Builder::new().worker_threads(2).build().expect_err("no descriptor");
                let expected = rustix::io::Errno::MFILE.raw_os_error();
                assert_eq!(error.raw_os_error(), Some(expected), "{error}");
            }
            allowed(free + 20).unwrap();
            assert_eq!(support::descriptors(), used);
            support::wait_until(|| support::threads() == threads);
            assert_eq!(Builder::new().worker_threads(2).build().unwrap().block_on(async { 8 }), 8);
        });
        expect_success(&output);
    });
}

#[test]
fn spawning_outside_a_runtime_panics_with_advice() {
    within(LIMIT, || {
        let drops = Drops::new();
        let tracked = drops.tracked();
        let message = panic_message(|| drop(tenter::spawn(async move { tracked.touch() })));
        assert!(message.contains("no runtime") && message.contains("tenter::run"), "{message}");
        assert_eq!(drops.count(), 1);
        assert!(panic_message(|| drop(tenter::spawn_blocking(|| ()))).contains("no runtime"));
        assert!(panic_message(|| drop(Handle::current())).contains("no runtime"));
    });
}

#[test]
fn block_on_inside_a_task_panics_with_advice_and_harms_nothing() {
    within(LIMIT, || {
        support::for_each_worker_count(|runtime| {
            let handle = runtime.handle().clone();
            let task = runtime.spawn(async move { handle.block_on(async { 1 }) });
            let error = runtime.block_on(task).unwrap_err();
            assert!(error.is_panic());
            let text = error.to_string();
            assert!(text.contains("block_on") && text.contains("spawn_blocking"), "{text}");
            assert_eq!(runtime.block_on(runtime.spawn(async { 2 })).unwrap(), 2);
        });
    });
}

#[test]
fn block_on_of_another_runtime_inside_a_task_panics_with_advice() {
    within(LIMIT, || {
        let (outer, inner) = (support::runtime(1), support::runtime(1));
        let handle = inner.handle().clone();
        let error = outer.block_on(outer.spawn(async move { handle.block_on(async {}) }));
        assert!(error.unwrap_err().to_string().contains("block_on"));
        let message = panic_message(|| outer.block_on(async { inner.block_on(async {}) }));
        assert!(message.contains(".await"), "{message}");
        assert!(
            panic_message(|| outer.block_on(async { tenter::run(async {}).unwrap() }))
                .contains("block_on")
        );
    });
}
