//! The end of a runtime that has more than tasks: child processes, groups, reads that nobody can
//! interrupt.

#![cfg(target_os = "linux")]

mod support;

use std::future::pending;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use support::{
    Child as Program, Drops, Gate, Holds, LIMIT, Pair, expect_success, wait_until, within,
};
use tenter::io::AsyncReadExt;
use tenter::process::{Child, Command};
use tenter::task::{GroupError, TaskState, task_group};
use tenter::{Builder, Runtime, spawn};

/// A grace that nothing needs.
const PLENTY: Duration = Duration::from_secs(30);

fn runtime(workers: usize) -> Runtime {
    Builder::new().worker_threads(workers).blocked_after(None).build().unwrap()
}

fn sleeping(runtime: &Runtime, kill_on_drop: bool) -> (Child, u32) {
    let _entered = runtime.enter();
    let child = Command::new("sleep").arg("1000").kill_on_drop(kill_on_drop).spawn().unwrap();
    let id = child.id().unwrap();
    (child, id)
}

#[test]
fn a_child_process_that_runs_is_named_and_goes_on() {
    within(LIMIT, || {
        for workers in [1, 2] {
            let runtime = runtime(workers);
            let (child, id) = sleeping(&runtime, false);
            // One of a task that is cancelled, one of somebody outside.
            let (other, other_id) = sleeping(&runtime, false);
            let task = runtime.spawn(async move {
                let mut other = other;
                other.wait().await
            });
            wait_until(|| task.state() == TaskState::Suspended);
            let report = runtime.shutdown(PLENTY);
            let mut ids: Vec<u32> = report.children().iter().map(|child| child.pid()).collect();
            ids.sort_unstable();
            let mut expected = [id, other_id];
            expected.sort_unstable();
            assert_eq!(ids, expected);
            assert!(report.children().iter().all(|child| child.program() == "sleep"));
            assert!(report.is_clean(), "{report}");
            let text = report.to_string();
            assert!(text.contains(&format!("child process {id} 'sleep'")), "{text}");
            drop(child);
            for id in expected {
                assert!(support::is_alive(id));
                support::kill(id, Signal::KILL);
            }
        }
    });
}

#[test]
fn a_child_process_that_has_ended_is_not_named() {
    within(LIMIT, || {
        let runtime = runtime(2);
        runtime.block_on(async {
            assert!(Command::new("true").status().await.unwrap().success());
            let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
            child.kill().await.unwrap();
        });
        assert_eq!(runtime.shutdown(PLENTY).children().len(), 0);
    });
}

#[test]
fn a_child_process_that_is_killed_on_drop_dies_with_its_task() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let (child, id) = sleeping(&runtime, true);
        let task = runtime.spawn(async move {
            let _child = child;
            pending::<()>().await
        });
        wait_until(|| task.state() == TaskState::Suspended);
        let report = runtime.shutdown(PLENTY);
        assert!(report.is_clean(), "{report}");
        wait_until(|| !support::is_alive(id));
    });
}

#[test]
fn the_children_of_a_group_have_ended_when_the_shutdown_has() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = runtime(workers);
            let drops = Drops::new();
            let (first, second) = (drops.tracked(), drops.tracked());
            let spawned = Gate::new();
            let task = runtime.spawn({
                let spawned = spawned.clone();
                async move {
                    let ended: Result<(), GroupError<()>> = task_group(async |group| {
                        group.spawn(async move {
                            let _first = first;
                            pending::<Result<(), ()>>().await
                        });
                        group.spawn(async move {
                            let _second = second;
                            pending::<Result<(), ()>>().await
                        });
                        spawned.open();
                        pending().await
                    })
                    .await;
                    ended
                }
            });
            spawned.wait();
            let report = runtime.shutdown(PLENTY);
            assert!(report.is_clean(), "{report}");
            assert_eq!((task.state(), drops.count()), (TaskState::Cancelled, 2));
        }
    });
}

#[test]
fn a_child_of_a_group_that_was_dropped_is_waited_for() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = runtime(workers);
            let (drops, held, spawned) = (Drops::new(), Pair::new(), Gate::new());
            let holds = Holds(held.clone(), drops.tracked());
            let task = runtime.spawn({
                let spawned = spawned.clone();
                async move {
                    let _ended: Result<(), GroupError<()>> = task_group(async |group| {
                        group.spawn(async move {
                            let _holds = holds;
                            pending::<Result<(), ()>>().await
                        });
                        spawned.open();
                        pending().await
                    })
                    .await;
                }
            });
            spawned.wait();
            task.abort();
            // Its drop is under way, whoever of the two began it.
            held.arrived.wait();
            let release = thread::spawn(move || held.released.open());
            drop(runtime);
            assert_eq!(drops.count(), 1);
            release.join().unwrap();
        }
    });
}

#[test]
fn a_pending_read_of_standard_input_does_not_hold_up_the_end() {
    within(LIMIT, || {
        let output = Program::new().run(|| {
            // A standard input that never says anything, and never ends.
            let (reader, _writer) = rustix::pipe::pipe().unwrap();
            rustix::stdio::dup2_stdin(&reader).unwrap();
            tenter::run(async {
                let read = spawn(async { tenter::io::stdin().read(&mut [0; 1]).await });
                support::until(|| read.state() == TaskState::Suspended).await;
            })
            .unwrap();
            let runtime = runtime(1);
            let read = runtime.spawn(async { tenter::io::stdin().read(&mut [0; 1]).await });
            wait_until(|| read.state() == TaskState::Suspended);
            let report = runtime.shutdown(PLENTY);
            assert!(report.is_clean(), "{report}");
        });
        expect_success(&output);
    });
}
