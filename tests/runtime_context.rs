//! Which runtime a thread is in: entering, leaving, nesting.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use support::{LIMIT, within};
use tenter::{Handle, Runtime, spawn, spawn_blocking};

/// A runtime that can be told from others by the names of its threads.
fn named(name: &str) -> Runtime {
    let runtime = Runtime::builder().worker_threads(1).thread_name(name).build().unwrap();
    support::watch(runtime.handle());
    runtime
}

/// The name of the runtime that this thread spawns onto.
fn current() -> Option<String> {
    Handle::try_current().map(|handle| name_of(&handle))
}

/// The name of a runtime, by that of its blocking threads.
fn name_of(handle: &Handle) -> String {
    let name = handle.spawn_blocking(|| thread::current().name().unwrap().to_owned());
    let name = futures_lite::future::block_on(name).unwrap();
    name.split('-').next().unwrap().to_owned()
}

#[test]
fn outside_there_is_no_current_runtime() {
    within(LIMIT, || {
        assert!(Handle::try_current().is_none());
        let _elsewhere = named("a");
        assert!(Handle::try_current().is_none());
    });
}

#[test]
fn tasks_closures_and_the_main_future_are_in_their_runtime() {
    within(LIMIT, || {
        let (a, b) = (named("a"), named("b"));
        let _entered = b.enter();
        a.block_on(async {
            assert_eq!(current().as_deref(), Some("a"));
            let inside = spawn(async { Handle::current() }).await.unwrap();
            assert_eq!(name_of(&inside), "a");
            let inside = spawn_blocking(Handle::current).await.unwrap();
            assert_eq!(name_of(&inside), "a");
        });
        assert_eq!(current().as_deref(), Some("b"));
    });
}

#[test]
fn entering_makes_a_runtime_current_until_the_guard_is_dropped() {
    within(LIMIT, || {
        let runtime = named("a");
        let guard = runtime.enter();
        assert_eq!(current().as_deref(), Some("a"));
        let task = spawn(async { 1 });
        assert_eq!(runtime.block_on(task).unwrap(), 1);
        drop(guard);
        assert!(Handle::try_current().is_none());
        let guard = runtime.handle().enter();
        assert_eq!(current().as_deref(), Some("a"));
        drop(guard);
        assert!(Handle::try_current().is_none());
    });
}

#[test]
fn the_innermost_runtime_is_the_current_one() {
    within(LIMIT, || {
        let (a, b) = (named("a"), named("b"));
        let outer = a.enter();
        {
            let _inner = b.enter();
            assert_eq!(current().as_deref(), Some("b"));
            let _again = a.enter();
            assert_eq!(current().as_deref(), Some("a"));
        }
        assert_eq!(current().as_deref(), Some("a"));
        b.block_on(async {
            assert_eq!(current().as_deref(), Some("b"));
            {
                let _inner = a.enter();
                assert_eq!(current().as_deref(), Some("a"));
            }
            assert_eq!(current().as_deref(), Some("b"));
        });
        drop(outer);
        assert_eq!(current(), None);
    });
}

#[test]
fn guards_that_are_dropped_out_of_order_leave_the_latest_that_is_left() {
    within(LIMIT, || {
        let (a, b, c) = (named("a"), named("b"), named("c"));
        let (first, second, third) = (a.enter(), b.enter(), c.enter());
        drop(second);
        assert_eq!(current().as_deref(), Some("c"));
        drop(first);
        assert_eq!(current().as_deref(), Some("c"));
        drop(third);
        assert_eq!(current(), None);

        let (first, second) = (a.enter(), b.enter());
        drop(first);
        assert_eq!(current().as_deref(), Some("b"));
        drop(second);
        assert_eq!(current(), None);
    });
}

#[test]
fn a_guard_that_is_leaked_leaves_the_thread_in_its_runtime() {
    within(LIMIT, || {
        let handle = {
            let runtime = named("a");
            std::mem::forget(runtime.enter());
            runtime.handle().clone()
        };
        // The runtime is gone, its handle is not.
        assert!(spawn(async {}).is_finished());
        let other = named("b");
        assert_eq!(other.block_on(async { current() }).as_deref(), Some("b"));
        assert!(Handle::try_current().is_some());
        drop(handle);
        assert!(spawn(async {}).is_finished());
    });
}

#[test]
fn a_guard_that_is_leaked_in_a_task_does_not_confuse_the_worker() {
    within(LIMIT, || {
        let (a, b) = (named("a"), named("b"));
        let handle = b.handle().clone();
        let leak = a.spawn(async move { std::mem::forget(handle.enter()) });
        a.block_on(async { leak.await.unwrap() });
        for _ in 0..100 {
            // Whichever runtime the worker thinks it is in: tasks run, and nothing hangs.
            let task = a.spawn(async { spawn(async { 1 }).await.unwrap() });
            assert_eq!(a.block_on(task).unwrap(), 1);
        }
        drop(b);
        assert_eq!(a.block_on(async { spawn(async { 2 }).await.unwrap() }), 2);
    });
}

#[test]
fn a_panic_leaves_the_runtime_that_was_entered() {
    within(LIMIT, || {
        let (a, b) = (named("a"), named("b"));
        let _entered = a.enter();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _inner = b.enter();
            panic!("on purpose");
        }));
        assert!(panic.is_err());
        assert_eq!(current().as_deref(), Some("a"));
    });
}

#[test]
fn entering_is_for_one_thread_only() {
    within(LIMIT, || {
        let runtime = named("a");
        let _entered = runtime.enter();
        thread::spawn(|| assert!(Handle::try_current().is_none())).join().unwrap();
    });
}

#[test]
fn an_entered_runtime_that_is_gone_cancels_what_is_spawned() {
    within(LIMIT, || {
        let runtime = named("a");
        let handle = runtime.handle().clone();
        let _entered = handle.enter();
        drop(runtime);
        let task = spawn(async { 1 });
        let error = futures_lite::future::block_on(task).unwrap_err();
        assert!(error.is_cancelled());
    });
}

#[test]
fn a_thread_local_that_is_dropped_after_the_context_can_ask_for_the_runtime() {
    struct Asks;
    impl Drop for Asks {
        fn drop(&mut self) {
            let _either = Handle::try_current();
            assert!(catch_unwind(|| drop(spawn(async {}))).is_err());
        }
    }
    thread_local! {
        static ASKS: Asks = const { Asks };
    }
    within(LIMIT, || {
        let runtime = named("a");
        let handle = runtime.handle().clone();
        // First touched before the context, then after it: one of the two is dropped later.
        for asks_first in [true, false] {
            let handle = handle.clone();
            let thread = thread::spawn(move || {
                if asks_first {
                    ASKS.with(|_| ());
                }
                assert_eq!(handle.block_on(async { spawn(async { 3 }).await.unwrap() }), 3);
                ASKS.with(|_| ());
            });
            thread.join().unwrap();
        }
    });
}
