//! Bugs of blocking pools.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use futures_lite::future::block_on;
use tenter::{Builder, JoinHandle, Runtime, spawn_blocking};

use crate::quiet;
use crate::support::{
    Child, Drops, Gate, LIMIT, Pair, STACK, expect_success, limit_addresses, unlimit_addresses,
    wait_until, within,
};

/// Closures that all wait until the last of them runs: each needs a thread of its own.
fn that_meet(count: usize) -> Vec<JoinHandle<()>> {
    let barrier = Arc::new(Barrier::new(count));
    let meet = |_| {
        let barrier = barrier.clone();
        spawn_blocking(move || {
            barrier.wait();
        })
    };
    (0..count).map(meet).collect()
}

async fn join(closures: Vec<JoinHandle<()>>) {
    for closure in closures {
        closure.await.unwrap();
    }
}

/// tokio #8056: `spawn_blocking` hangs.
///
/// A thread was counted as idle until it ran the job that it had been woken for. A job that was
/// pushed in between woke "the idle thread" instead of starting one, and stayed in the queue for as
/// long as the others ran; if they waited for it, for ever. So: threads that become idle, and at
/// once closures of which each needs a thread while others hold theirs.
///
/// Here a thread leaves the idle list under the lock, as it is chosen (B3), and as long as a job is
/// queued another one is roused or started (B1). Model: models/blocking.rs
/// `a_job_behind_one_that_waits_gets_a_thread_of_its_own`.
#[test]
fn a_closure_is_not_left_to_a_thread_that_was_just_given_another() {
    within(LIMIT, || {
        for _ in 0..200 {
            let runtime = quiet(1);
            let held = Pair::new();
            runtime.block_on(async {
                let holder = spawn_blocking({
                    let held = held.clone();
                    move || held.hold()
                });
                held.arrived.pass().await;
                for count in [2, 1, 3, 2, 4] {
                    join(that_meet(1)).await;
                    join(that_meet(1)).await;
                    join(that_meet(count)).await;
                }
                held.released.open();
                holder.await.unwrap();
            });
        }
    });
}

/// tokio #8406: a `spawn_blocking` task is silently orphaned.
///
/// The system had no thread left for the pool's first job. That was forgiven as long as the pool
/// had threads, for one of them would come back to the queue; but the only ones it counted were
/// the workers, which never look there. Who awaited the job hung, without an error.
///
/// Here the pool counts its own threads alone (B6), and a job that neither has one nor gets one
/// is given back and cancelled. Models: models/blocking.rs
/// `a_first_thread_that_cannot_be_started_gives_the_job_back`,
/// `a_thread_that_cannot_be_started_strands_no_job`.
#[test]
fn a_closure_for_which_there_is_no_thread_is_cancelled_and_not_forgotten() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            within(LIMIT, || {
                let runtime = Builder::new().worker_threads(2).thread_stack_size(STACK).build();
                let runtime = runtime.unwrap();
                let drops = Drops::new();
                limit_addresses(STACK / 2);
                let from_inside = runtime.spawn({
                    let tracked = drops.tracked();
                    async move { spawn_blocking(move || tracked.touch()).await }
                });
                let error = runtime.block_on(from_inside).unwrap().expect_err("there is no thread");
                assert!(error.is_cancelled());
                assert_eq!(drops.count(), 1);
                unlimit_addresses();
                assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 1)).unwrap(), 1);
            });
        });
        expect_success(&output);
    });
}

/// tokio #7918 and #7922: the count of idle threads is taken down twice.
///
/// A job was queued and took the idle thread off the count, the pool was shut down before that
/// thread was awake, and the thread took itself off the count again: a panic, or a count beyond all
/// bounds. So: closures are pushed to a pool of idle threads just as it is closed.
///
/// Here idle threads are a list and not a count, and who takes one off it has set its flag under
/// the same lock (B3); after the end nobody becomes idle (B5). Models: models/blocking.rs
/// `closing_sends_idle_threads_home`, `a_job_pushed_against_shutdown_is_run_cancelled_or_given_back`.
#[test]
fn closures_that_come_as_an_idle_pool_ends_are_run_or_cancelled() {
    // In these rounds what is a race in the others is decided.
    const BEFORE_THE_END: u32 = 0;
    const AFTER_THE_END: u32 = 1;
    within(LIMIT, || {
        let (mut run, mut cancelled) = (0, 0);
        for round in 0..300 {
            // Not watched: the test must have the only handle.
            let runtime = Runtime::builder().worker_threads(1).build().unwrap();
            runtime.block_on(async { join(that_meet(3)).await });
            let (handle, start) = (runtime.handle().clone(), Barrier::new(2));
            let (runs, is_dropped) = (Arc::new(AtomicUsize::new(0)), Gate::new());
            let closures: Vec<_> = thread::scope(|scope| {
                let pushing = scope.spawn(|| {
                    start.wait();
                    if round == AFTER_THE_END {
                        is_dropped.wait();
                    }
                    let push = |_| {
                        let runs = runs.clone();
                        handle.spawn_blocking(move || runs.fetch_add(1, Ordering::Relaxed))
                    };
                    (0..10).map(push).collect()
                });
                start.wait();
                if round == BEFORE_THE_END {
                    wait_until(|| runs.load(Ordering::Relaxed) > 0);
                }
                drop(runtime);
                is_dropped.open();
                pushing.join().unwrap()
            });
            let ended = closures.into_iter().map(block_on).filter(Result::is_ok).count();
            assert_eq!(ended, runs.load(Ordering::Relaxed));
            assert!(round != AFTER_THE_END || ended == 0, "{ended} were run after the end");
            run += ended;
            cancelled += 10 - ended;
        }
        println!("{run} were run, {cancelled} cancelled");
    });
}
