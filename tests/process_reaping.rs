//! No zombie is left, whatever becomes of the handle, its task and its runtime.
#![cfg(target_os = "linux")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use futures_lite::future::poll_once;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use support::{
    Child as Process, Gate, LIMIT, children, descriptors, expect_success, is_alive, kill,
    process_state, runtime, threads, threads_named, until, wait_until, within,
};
use tenter::process::{Child, ChildStdin, Command, Stdio};

/// Runs a test in a process of its own, whose children are all those of the test.
macro_rules! alone {
    ($body:expr) => {
        expect_success(&Process::new().run(|| {
            within(LIMIT, $body);
            within(LIMIT, || wait_until(|| children().is_empty() && reapers() == 0));
        }))
    };
}

/// Threads that reap.
fn reapers() -> usize {
    threads_named("tenter-reaper")
}

/// A program that runs until its input ends, in this process's hands.
fn cat() -> (Child, ChildStdin, u32) {
    let mut child = command().spawn().unwrap();
    let (stdin, id) = (child.stdin.take().unwrap(), child.id().unwrap());
    (child, stdin, id)
}

/// The same, killed with its handle.
fn mortal() -> (Child, ChildStdin, u32) {
    let mut child = command().kill_on_drop(true).spawn().unwrap();
    let (stdin, id) = (child.stdin.take().unwrap(), child.id().unwrap());
    (child, stdin, id)
}

fn command() -> Command {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command
}

#[test]
fn a_child_whose_handle_was_dropped_runs_on_and_is_reaped() {
    alone!(|| {
        runtime(1).block_on(async {
            let (child, stdin, id) = cat();
            drop(child);
            assert!(is_alive(id));
            until(|| reapers() == 1).await;
            drop(stdin);
            until(|| process_state(id).is_none()).await;
            until(|| reapers() == 0).await;
        });
    });
}

#[test]
fn a_child_that_had_ended_needs_no_reaper() {
    alone!(|| {
        runtime(1).block_on(async {
            let (child, stdin, id) = cat();
            drop(stdin);
            until(|| process_state(id) == Some('Z')).await;
            drop(child);
            assert_eq!(process_state(id), None);
            assert_eq!(reapers(), 0);
        });
    });
}

#[test]
fn a_child_is_killed_with_its_handle_if_told_so() {
    alone!(|| {
        runtime(1).block_on(async {
            let (child, _stdin, id) = mortal();
            drop(child);
            until(|| process_state(id).is_none()).await;

            // Also one that is stopped, and one that waits in vain.
            let (child, _stdin, id) = mortal();
            child.signal(libc::SIGSTOP).unwrap();
            until(|| process_state(id) == Some('T')).await;
            drop(child);
            until(|| process_state(id).is_none()).await;

            let (mut child, _stdin, id) = mortal();
            assert!(poll_once(child.wait()).await.is_none());
            drop(child);
            until(|| process_state(id).is_none()).await;
        });
    });
}

#[test]
fn a_child_is_killed_with_the_task_that_is_aborted() {
    alone!(|| {
        runtime(2).block_on(async {
            let (mut child, _stdin, id) = mortal();
            let waits = Gate::new();
            let task = {
                let waits = waits.clone();
                tenter::spawn(async move {
                    assert!(poll_once(child.wait()).await.is_none());
                    waits.open();
                    child.wait().await
                })
            };
            waits.pass().await;
            task.abort();
            assert!(task.await.expect_err("it was aborted").is_cancelled());
            until(|| process_state(id).is_none()).await;
        });
    });
}

#[test]
fn a_child_is_killed_by_a_panic() {
    alone!(|| {
        runtime(1).block_on(async {
            let mut id = 0;
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let (_child, _stdin, number) = mortal();
                id = number;
                std::panic::resume_unwind(Box::new("on purpose"));
            }));
            assert!(panicked.is_err());
            until(|| process_state(id).is_none()).await;
        });
    });
}

#[test]
fn children_of_a_runtime_that_is_dropped_are_reaped() {
    alone!(|| {
        let runtime = runtime(2);
        let ((mortal_id, cat_id), (mortal_stdin, cat_stdin)) = runtime.block_on(async {
            let (mut one, one_stdin, one_id) = mortal();
            let (mut other, other_stdin, other_id) = cat();
            let waits = Gate::new();
            drop(tenter::spawn(async move { one.wait().await }));
            let waiting = waits.clone();
            drop(tenter::spawn(async move {
                assert!(poll_once(other.wait()).await.is_none());
                waiting.open();
                other.wait().await
            }));
            waits.pass().await;
            ((one_id, other_id), (one_stdin, other_stdin))
        });
        drop(runtime);
        wait_until(|| process_state(mortal_id).is_none());
        assert!(is_alive(cat_id), "it was not to be killed");
        drop((mortal_stdin, cat_stdin));
        wait_until(|| process_state(cat_id).is_none());
    });
}

#[test]
fn a_handle_may_outlive_the_runtime() {
    alone!(|| {
        let runtime = runtime(1);
        let (child, stdin, id) = runtime.block_on(async { cat() });
        let (other, _stdin, other_id) = runtime.block_on(async { mortal() });
        drop(runtime);
        drop((child, other));
        wait_until(|| process_state(other_id).is_none());
        assert!(is_alive(id));
        drop(stdin);
        wait_until(|| process_state(id).is_none());
    });
}

#[test]
fn the_futures_of_status_and_output_may_be_dropped() {
    alone!(|| {
        runtime(1).block_on(async {
            let mut sleep = Command::new("sleep");
            sleep.arg("1000").stdout(Stdio::null());
            drop(sleep.status());
            let left = children();
            assert_eq!(left.len(), 1, "it runs on");
            kill(left[0], Signal::KILL);
            until(|| children().is_empty()).await;

            sleep.kill_on_drop(true);
            drop(sleep.status());
            let output = sleep.output();
            assert!(poll_once(output).await.is_none());
            until(|| children().is_empty()).await;
        });
    });
}

#[test]
fn a_crowd_of_orphans_is_reaped_by_one_thread_that_goes() {
    const ORPHANS: usize = 100;
    alone!(|| {
        let runtime = runtime(2);
        let started: Vec<_> = runtime.block_on(async { (0..ORPHANS).map(|_| cat()).collect() });
        let (mut handles, mut pipes) = (Vec::new(), Vec::new());
        for (child, stdin, _) in started {
            handles.push(child);
            pipes.push(stdin);
        }
        let later = handles.split_off(ORPHANS / 2);
        let droppers = [handles, later].map(|handles| thread::spawn(move || drop(handles)));
        droppers.into_iter().for_each(|dropper| dropper.join().unwrap());
        wait_until(|| reapers() == 1);
        // The first to come is the last to end.
        while pipes.len() > 1 {
            pipes.pop();
        }
        wait_until(|| children().len() == 1);
        assert_eq!(reapers(), 1);
        drop(pipes);
        wait_until(|| children().is_empty() && reapers() == 0);
    });
}

#[test]
fn orphans_come_while_the_reaper_goes() {
    alone!(|| {
        runtime(2).block_on(async {
            let droppers: Vec<_> = (0..2)
                .map(|_| {
                    tenter::spawn(async {
                        for _ in 0..100 {
                            drop(mortal());
                            tenter::yield_now().await;
                        }
                    })
                })
                .collect();
            for dropper in droppers {
                dropper.await.unwrap();
            }
            until(|| children().is_empty() && reapers() == 0).await;
        });
    });
}

#[test]
fn orphans_leave_no_descriptor() {
    alone!(|| {
        runtime(1).block_on(async {
            let (child, stdin, _) = cat();
            drop((child, stdin));
            until(|| children().is_empty() && reapers() == 0).await;
            let before = descriptors();
            for _ in 0..20 {
                let (child, stdin, _) = cat();
                drop((child, stdin));
            }
            until(|| children().is_empty() && reapers() == 0).await;
            assert_eq!(descriptors(), before);
        });
    });
}

#[test]
fn the_system_is_full_of_threads_and_still_no_zombie_stays() {
    alone!(|| {
        let runtime = runtime(1);
        runtime.block_on(async {
            let (child, stdin, id) = cat();
            // A thread needs memory for its stack, of which there is no more.
            let before = threads();
            let limit = getrlimit(Resource::As);
            setrlimit(Resource::As, Rlimit { current: Some(1 << 20), ..limit }).unwrap();
            drop(child);
            setrlimit(Resource::As, limit).unwrap();
            assert_eq!(threads(), before, "a thread was started all the same");
            drop(stdin);
            until(|| process_state(id) == Some('Z')).await;
            // The next child is an opportunity.
            Command::new("true").status().await.unwrap();
            assert_eq!(process_state(id), None);
        });
    });
}
