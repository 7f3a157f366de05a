//! Nothing is left behind: no descriptor, no thread, no allocation.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::{Child, LIMIT, expect_success, within};
use tenter::task::TaskState;
use tenter::{Builder, Runtime, spawn, yield_now};

/// The system's allocator, with a count of what it gave out and has not got back.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's duties are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller's duties are the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn runtime() -> Runtime {
    Builder::new().worker_threads(2).build().unwrap()
}

/// Runs `body` this often in a process of its own, once before it counts, and fails if
/// descriptors or threads are left, or allocations of more than every eighth time.
fn leaves_nothing(times: usize, body: impl Fn()) {
    std::panic::set_hook(Box::new(|_| ()));
    // What is made once and kept (thread-locals, the tables of locks) is there after a few.
    let warm_up = times / 10 + 1;
    (0..warm_up).for_each(|_| body());
    let (descriptors, threads) = (support::descriptors(), support::threads());
    let allocated = ALLOCATED.load(Ordering::Relaxed);
    (0..times).for_each(|_| body());
    // Where nobody joins a thread it ends by itself, soon.
    support::wait_until(|| support::threads() <= threads);
    support::wait_until(|| support::descriptors() <= descriptors);
    // What the queues' collector has not freed yet is bounded.
    let left = ALLOCATED.load(Ordering::Relaxed).saturating_sub(allocated);
    if left >= times / 8 + 50 {
        // The panic hook says nothing.
        eprintln!("{left} allocations are left of {times} times");
        std::process::exit(1);
    }
}

#[test]
fn a_thousand_runtimes_leave_no_descriptor_thread_or_allocation() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            leaves_nothing(1000, || {
                let runtime = runtime();
                runtime.block_on(async { spawn(async {}).await.unwrap() });
            });
        }));
    });
}

#[test]
fn runtimes_that_end_in_the_middle_of_work_leave_nothing() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            leaves_nothing(200, || {
                let runtime = runtime();
                for _ in 0..5 {
                    runtime.spawn(pending::<()>()).detach();
                    runtime
                        .spawn(async {
                            loop {
                                yield_now().await;
                            }
                        })
                        .detach();
                    runtime.spawn_blocking(|| ()).detach();
                    runtime.spawn(async { panic!("on purpose") }).detach();
                }
            });
        }));
    });
}

#[test]
fn runtimes_that_are_dropped_on_their_own_threads_leave_nothing() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            leaves_nothing(100, || {
                let in_task = runtime();
                in_task.handle().clone().spawn(async move { drop(in_task) }).detach();
                let in_future = runtime();
                let handle = in_future.handle().clone();
                let task = handle.spawn(async move {
                    let _runtime = in_future;
                    pending::<()>().await;
                });
                task.abort();
                let in_closure = runtime();
                let handle = in_closure.handle().clone();
                handle.spawn_blocking(move || drop(in_closure)).detach();
                let in_main = runtime();
                in_main.handle().clone().block_on(async move { drop(in_main) });
            });
        }));
    });
}

#[test]
fn runtimes_that_nobody_waits_for_leave_nothing() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            leaves_nothing(100, || {
                let background = runtime();
                background.spawn(pending::<()>()).detach();
                background.spawn_blocking(|| ()).detach();
                background.shutdown_background();
                let no_grace = runtime();
                no_grace.spawn(pending::<()>()).detach();
                drop(no_grace.shutdown(Duration::ZERO));
                let panics = runtime();
                let panic = AssertUnwindSafe(|| panics.block_on(async { panic!("on purpose") }));
                assert!(catch_unwind(panic).is_err());
            });
        }));
    });
}

#[test]
fn handles_and_wakers_that_are_kept_keep_no_descriptor_and_no_thread() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            let (descriptors, threads) = (support::descriptors(), support::threads());
            let mut kept = Vec::new();
            for _ in 0..50 {
                let runtime = runtime();
                let (sender, receiver) = async_channel::bounded(1);
                let task = runtime.spawn(std::future::poll_fn(move |cx| {
                    let _either = sender.try_send(cx.waker().clone());
                    std::task::Poll::<()>::Pending
                }));
                let waker = receiver.recv_blocking().unwrap();
                kept.push((task.abort_handle(), task, waker));
            }
            support::wait_until(|| support::threads() == threads);
            support::wait_until(|| support::descriptors() == descriptors);
            assert!(kept.iter().all(|(_, task, _)| task.state() == TaskState::Cancelled));
        }));
    });
}

#[test]
fn a_handle_that_is_kept_keeps_no_thread() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            let threads = support::threads();
            let kept: Vec<_> = (0..20).map(|_| runtime().handle().clone()).collect();
            support::wait_until(|| support::threads() == threads);
            assert!(kept.iter().all(|handle| handle.tasks().is_empty()));
        }));
    });
}

#[test]
fn tasks_leave_no_allocation_however_they_end() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            let runtime = runtime();
            leaves_nothing(2000, || {
                runtime.block_on(async {
                    // Joined, detached, panicked and joined or not, aborted, named.
                    assert_eq!(spawn(async { Box::new(1) }).await.map(|n| *n).unwrap(), 1);
                    spawn(async { Box::new(2) }).detach();
                    let panicked = spawn(async { panic!("{}", std::hint::black_box(3)) });
                    drop(panicked.await.unwrap_err());
                    spawn(async { panic!("{}", std::hint::black_box(4)) }).detach();
                    spawn(pending::<Box<u32>>()).cancel().await;
                    let finished = spawn(async { Box::new(5) });
                    while !finished.is_finished() {
                        yield_now().await;
                    }
                    let abort = finished.abort_handle();
                    drop(finished);
                    drop(abort);
                    let builder = tenter::task::Builder::new().name("named");
                    builder.spawn(async {}).await.unwrap();
                    tenter::spawn_blocking(|| Box::new(6)).await.unwrap();
                });
            });
        }));
    });
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", std::hint::black_box(1));
    }
}

#[test]
fn panics_that_are_contained_leave_no_allocation() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            let mut builder = Builder::new();
            builder.worker_threads(2).on_unobserved(|_| drop(Bomb));
            let runtime = builder.build().unwrap();
            leaves_nothing(2000, || {
                runtime.block_on(async {
                    // In an output's drop, by the runner and by the handle.
                    spawn(async { Bomb }).detach();
                    let finished = spawn(async { Bomb });
                    while !finished.is_finished() {
                        yield_now().await;
                    }
                    drop(finished);
                    // In the hook, and in a payload.
                    spawn(async { std::panic::panic_any(Box::new(2)) }).detach();
                    let closure = tenter::spawn_blocking(|| Bomb);
                    while !closure.is_finished() {
                        yield_now().await;
                    }
                    drop(closure);
                    // In a future's drop: the joiner's.
                    let bomb = Bomb;
                    let task = spawn(async move {
                        let _bomb = &bomb;
                        pending::<()>().await;
                    });
                    task.cancel().await;
                    // Those that nobody waits for.
                    while runtime.handle().metrics().live_tasks() > 0 {
                        yield_now().await;
                    }
                });
            });
        }));
    });
}

#[test]
fn a_runtime_that_could_not_be_built_leaves_nothing() {
    within(LIMIT, || {
        expect_success(&Child::new().run(|| {
            leaves_nothing(100, || {
                assert!(Builder::new().worker_threads(0).build().is_err());
                let mut builder = Builder::new();
                assert!(builder.worker_threads(2).thread_stack_size(1 << 60).build().is_err());
            });
        }));
    });
}
