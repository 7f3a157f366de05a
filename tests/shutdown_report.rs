//! Shutdown that names the culprit: what is waited for, for how long, and what is said about it.

mod support;

use std::cell::RefCell;
use std::fs::{self, File};
use std::future::pending;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use support::{Child, Drops, Gate, Holds, Journal, LIMIT, Pair, wait_until, within};
use tenter::runtime::ShutdownReport;
use tenter::task::{self, TaskState};
use tenter::{Builder, Handle, JoinHandle, Runtime, spawn, spawn_blocking, yield_now};

/// A grace that passes: far more than what is not stuck takes.
const GRACE: Duration = Duration::from_secs(2);

/// A grace that is over long before the watchdog comes, and that nothing needs.
const PLENTY: Duration = Duration::from_secs(30);

fn runtime(workers: usize) -> Runtime {
    Builder::new().worker_threads(workers).blocked_after(None).build().unwrap()
}

thread_local! {
    static LOCAL: RefCell<Option<Holds>> = const { RefCell::new(None) };
}

#[test]
fn tasks_that_are_left_when_run_ends_are_dropped_on_a_worker() {
    within(LIMIT, || {
        let drops = Drops::new();
        let tasks = tenter::run(async {
            let tasks: Vec<JoinHandle<()>> = (0..10)
                .map(|_| {
                    let tracked = drops.tracked();
                    spawn(async move {
                        tracked.touch();
                        pending().await
                    })
                })
                .collect();
            yield_now().await;
            tasks
        });
        assert_eq!(drops.count(), 10);
        assert!(tasks.unwrap().iter().all(|task| task.state() == TaskState::Cancelled));
    });
    within(LIMIT, || {
        let drops = Drops::new();
        let tracked = drops.tracked();
        let runtime = runtime(2);
        let task = runtime.spawn(async move {
            tracked.touch();
            pending::<()>().await
        });
        wait_until(|| task.state() == TaskState::Suspended);
        let id = task.id();
        drop(runtime);
        let dropped = drops.only();
        assert_eq!(dropped.task, Some(id));
        assert_ne!(dropped.thread, thread::current().id());
        let name = dropped.thread_name.unwrap();
        assert!(name.starts_with("tenter-"), "{name}");
    });
}

#[test]
fn what_a_future_spawns_as_the_shutdown_drops_it_is_cancelled() {
    /// Spawns when it is dropped, and keeps the handles.
    struct Spawns(Arc<Mutex<Vec<JoinHandle<()>>>>);

    impl Drop for Spawns {
        fn drop(&mut self) {
            self.0.lock().unwrap().extend([spawn(async {}), spawn_blocking(|| ())]);
        }
    }

    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = runtime(workers);
            let spawned: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
            let task = runtime.spawn({
                let spawns = Spawns(spawned.clone());
                async move {
                    let _spawns = spawns;
                    pending::<()>().await;
                }
            });
            wait_until(|| task.state() == TaskState::Suspended);
            let report = runtime.shutdown(PLENTY);
            assert!(report.is_clean(), "{report}");
            let spawned = std::mem::take(&mut *spawned.lock().unwrap());
            assert_eq!(spawned.len(), 2);
            for handle in spawned {
                assert!(futures_lite::future::block_on(handle).unwrap_err().is_cancelled());
            }
        }
    });
}

#[test]
fn a_clean_report_has_nothing_to_say() {
    within(LIMIT, || {
        let runtime = runtime(2);
        runtime.spawn_blocking(|| ()).detach();
        let task = runtime.spawn(pending::<()>());
        let report = runtime.shutdown(PLENTY);
        assert!(task.is_finished());
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.threads(), report.children().len()), (0, 0));
        assert_eq!(report.to_string().lines().count(), 1, "{report}");
        assert!(report.to_string().contains("0 still running"), "{report}");
        assert!(report.to_string().ends_with("cancelled, 0 still running"), "{report}");
    });
}

#[test]
fn tasks_that_spin_are_all_named_and_go_on() {
    within(LIMIT, || {
        for workers in [1, 2] {
            let runtime = runtime(workers);
            let (stop, spinning) =
                (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let entered = runtime.enter();
            let tasks: Vec<_> = (0..workers)
                .map(|number| {
                    let (stop, spinning) = (stop.clone(), spinning.clone());
                    task::Builder::new().name(format!("spins {number}")).spawn(async move {
                        spinning.fetch_add(1, Ordering::SeqCst);
                        while !stop.load(Ordering::Relaxed) {
                            thread::yield_now();
                        }
                    })
                })
                .collect();
            drop(entered);
            wait_until(|| spinning.load(Ordering::SeqCst) == workers);
            let report = runtime.shutdown(Duration::from_millis(20));
            let mut names: Vec<_> = report.running().iter().map(|task| task.name()).collect();
            names.sort_unstable();
            assert_eq!(names, [Some("spins 0"), Some("spins 1")][..workers]);
            assert!(report.threads() >= workers && !report.is_clean(), "{report}");
            assert!(tasks.iter().all(|task| !task.is_finished()));
            stop.store(true, Ordering::Relaxed);
            for task in tasks {
                futures_lite::future::block_on(task).unwrap();
            }
        }
    });
}

#[test]
fn a_shutdown_by_a_task_waits_for_nothing_and_names_the_task() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = runtime(workers);
            let entered = runtime.handle().clone();
            let reported: Arc<Mutex<Option<ShutdownReport>>> = Arc::default();
            let idle = runtime.spawn(pending::<()>());
            let task = entered.spawn({
                let reported = reported.clone();
                async move {
                    let report = runtime.shutdown(Duration::MAX);
                    *reported.lock().unwrap() = Some(report);
                }
            });
            let (id, _) = (task.id(), futures_lite::future::block_on(task).unwrap());
            let report = reported.lock().unwrap().take().unwrap();
            assert!(!report.is_clean());
            assert!(report.running().iter().any(|task| task.id() == id), "{report}");
            assert!(report.threads() > 0, "{report}");
            assert!(futures_lite::future::block_on(idle).unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn a_shutdown_by_a_closure_waits_for_nothing_and_names_the_closure() {
    within(LIMIT, || {
        let runtime = runtime(2);
        let handle = runtime.handle().clone();
        let closure = handle.spawn_blocking(move || runtime.shutdown(Duration::MAX));
        let id = closure.id();
        let report = futures_lite::future::block_on(closure).unwrap();
        let named = report.running().iter().find(|task| task.id() == id);
        assert!(named.is_some_and(|closure| closure.is_blocking()), "{report}");
        assert!(!report.is_clean());
    });
}

#[test]
fn two_runtimes_can_shut_each_other_down() {
    within(LIMIT, || {
        for _ in 0..20 {
            let (one, other) = (runtime(1), runtime(1));
            let (first, second) = (one.handle().clone(), other.handle().clone());
            let grace = Duration::from_millis(20);
            let a = first.spawn(async move { other.shutdown(grace) });
            let b = second.spawn(async move { one.shutdown(grace) });
            // Each waits for the other's task, which waits for it, for no longer than the grace; one
            // that comes late is cancelled, and drops the other runtime with its future.
            let ends = |task: JoinHandle<_>| futures_lite::future::block_on(task).is_ok();
            assert!(ends(a) | ends(b));
        }
    });
}

#[test]
fn a_thread_that_hangs_in_a_thread_locals_destructor_does_not_outlast_the_grace() {
    within(LIMIT, || {
        let runtime = runtime(1);
        let held = Pair::new();
        let holds = Holds(held.clone(), ());
        let task = runtime.spawn(async move { LOCAL.set(Some(holds)) });
        wait_until(|| task.is_finished());
        let report = runtime.shutdown(GRACE);
        held.arrived.wait();
        assert!(report.running().is_empty(), "{report}");
        assert_eq!((report.threads(), report.is_clean()), (1, false));
        assert!(report.to_string().contains("1 thread left"), "{report}");
        held.released.open();
    });
}

#[test]
fn a_blocking_thread_that_hangs_in_a_destructor_does_not_outlast_the_grace() {
    within(LIMIT, || {
        let runtime = runtime(1);
        // Two that hang: neither joins the other for ever.
        let both: [Pair; 2] = Default::default();
        let (started, go) = (Arc::new(AtomicUsize::new(0)), Gate::new());
        let closures = both.clone().map(|held| {
            let (started, go, holds) = (started.clone(), go.clone(), Holds(held, ()));
            runtime.spawn_blocking(move || {
                LOCAL.set(Some(holds));
                started.fetch_add(1, Ordering::SeqCst);
                go.wait();
            })
        });
        wait_until(|| started.load(Ordering::SeqCst) == 2);
        go.open();
        wait_until(|| closures.iter().all(JoinHandle::is_finished));
        let report = runtime.shutdown(GRACE);
        assert!(report.running().is_empty(), "{report}");
        assert_eq!((report.threads(), report.is_clean()), (2, false));
        for held in both {
            held.arrived.wait();
            held.released.open();
        }
    });
}

#[test]
fn a_drop_waits_for_the_destructors_of_thread_locals() {
    within(LIMIT, || {
        for (workers, in_closure) in [(1, false), (2, false), (4, false), (1, true)] {
            let runtime = runtime(workers);
            let (held, ended) = (Pair::new(), Arc::new(AtomicBool::new(false)));
            let holds = Holds(held.clone(), ());
            let task = if in_closure {
                runtime.spawn_blocking(move || LOCAL.set(Some(holds)))
            } else {
                runtime.spawn(async move { LOCAL.set(Some(holds)) })
            };
            wait_until(|| task.is_finished());
            let release = thread::spawn({
                let ended = ended.clone();
                move || {
                    held.arrived.wait();
                    ended.store(true, Ordering::SeqCst);
                    held.released.open();
                }
            });
            drop(runtime);
            assert!(ended.load(Ordering::SeqCst));
            release.join().unwrap();
        }
    });
}

#[test]
fn a_thread_that_hangs_in_on_thread_stop_does_not_outlast_the_grace() {
    within(LIMIT, || {
        let held = Pair::new();
        let holds = held.clone();
        let mut builder = Builder::new();
        builder.worker_threads(1).on_thread_stop(move || holds.hold());
        let report = builder.build().unwrap().shutdown(GRACE);
        assert_eq!((report.threads(), report.is_clean()), (1, false), "{report}");
        held.released.open();
    });
}

/// What the process has said on standard error so far, which goes to a file.
fn said(variable: &str) -> String {
    fs::read_to_string(std::env::var(variable).unwrap()).unwrap()
}

/// Where a child finds its own standard error.
const STDERR: &str = "TENTER_TEST_STDERR";

/// Runs `body` in a child whose standard error it can read with [`said`], and returns that.
fn listening(body: impl FnOnce()) -> String {
    let journal = Journal::new();
    let stderr = File::options().append(true).open(journal.path()).unwrap();
    let output = Child::new().env(STDERR, journal.path()).stderr(Stdio::from(stderr)).run(body);
    let text = fs::read_to_string(journal.path()).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

/// Blocks until the process has said something about every one of these.
fn until_said(parts: &[&str]) {
    wait_until(|| {
        let text = said(STDERR);
        parts.iter().all(|part| text.contains(part))
    });
}

#[test]
fn a_runtime_that_waits_for_its_end_says_once_what_it_waits_for() {
    within(LIMIT, || {
        let parts = ["'slow task'", "'slow closure'"];
        let text = listening(|| {
            let runtime = runtime(2);
            let entered = runtime.enter();
            let builder = |name| task::Builder::new().name(name);
            let held = Pair::new();
            let holds = held.clone();
            builder("slow task").spawn(async move { holds.hold() }).detach();
            let started = Gate::new();
            let starts = started.clone();
            builder("slow closure")
                .spawn_blocking(move || {
                    starts.open();
                    until_said(&parts);
                })
                .detach();
            builder("quick closure").spawn_blocking(|| ()).detach();
            held.arrived.wait();
            started.wait();
            // The slow ones are left: what has not run in time is named, be it never so quick.
            wait_until(|| runtime.handle().tasks().len() == 2);
            drop(entered);
            let release = thread::spawn(move || {
                until_said(&parts);
                held.released.open();
            });
            drop(runtime);
            release.join().unwrap();
        });
        for part in parts {
            let lines: Vec<_> = text.lines().filter(|line| line.contains(part)).collect();
            assert_eq!(lines.len(), 1, "{text}");
            assert!(lines[0].contains("shutdown_report.rs:"), "{text}");
        }
        assert!(!text.contains("quick"), "{text}");
    });
}

#[test]
fn run_says_what_it_waits_for_too() {
    within(LIMIT, || {
        let text = listening(|| {
            tenter::run(async {
                let (held, named) = (Pair::new(), task::Builder::new().name("slow closure"));
                let holds = held.clone();
                named
                    .spawn_blocking(move || {
                        holds.arrived.open();
                        until_said(&["'slow closure'"]);
                    })
                    .detach();
                held.arrived.pass().await;
            })
            .unwrap();
        });
        assert_eq!(
            text.lines().filter(|line| line.contains("'slow closure'")).count(),
            1,
            "{text}"
        );
    });
}

#[test]
fn a_runtime_that_waits_for_a_destructor_says_that_it_waits_for_a_thread() {
    within(LIMIT, || {
        let text = listening(|| {
            let runtime = runtime(1);
            let held = Pair::new();
            let holds = Holds(held.clone(), ());
            let task = runtime.spawn(async move { LOCAL.set(Some(holds)) });
            wait_until(|| task.is_finished());
            let release = thread::spawn(move || {
                until_said(&["thread-local"]);
                held.released.open();
            });
            drop(runtime);
            release.join().unwrap();
        });
        assert_eq!(
            text.lines().filter(|line| line.contains("1 of its threads")).count(),
            1,
            "{text}"
        );
    });
}

#[test]
fn a_shutdown_with_a_grace_reports_to_its_caller_alone() {
    within(LIMIT, || {
        let text = listening(|| {
            let runtime = runtime(1);
            let held = Pair::new();
            let holds = held.clone();
            runtime.spawn_blocking(move || holds.hold()).detach();
            held.arrived.wait();
            assert_eq!(runtime.shutdown(GRACE).running().len(), 1);
            held.released.open();
        });
        assert_eq!(text, "");
    });
}

#[test]
fn a_queued_closure_that_is_aborted_is_dropped_without_being_run() {
    within(LIMIT, || {
        let runtime = Builder::new().worker_threads(1).max_blocking_threads(1).build().unwrap();
        let held = Pair::new();
        let holds = held.clone();
        let first = runtime.spawn_blocking(move || holds.hold());
        held.arrived.wait();
        let (drops, ran) = (Drops::new(), Arc::new(AtomicBool::new(false)));
        let queued = runtime.spawn_blocking({
            let (tracked, ran) = (drops.tracked(), ran.clone());
            move || {
                tracked.touch();
                ran.store(true, Ordering::SeqCst);
            }
        });
        queued.abort();
        held.released.open();
        assert_eq!(runtime.block_on(queued.cancel()), None);
        assert_eq!((drops.count(), ran.load(Ordering::SeqCst)), (1, false));
        futures_lite::future::block_on(first).unwrap();
    });
}

#[test]
fn a_future_in_block_on_outlives_the_shutdown_by_another_thread() {
    within(LIMIT, || {
        for workers in [1, 2, 4] {
            let runtime = runtime(workers);
            let handle = runtime.handle().clone();
            let (inside, go) = (Gate::new(), Gate::new());
            let waits = thread::spawn({
                let (inside, go) = (inside.clone(), go.clone());
                move || {
                    handle.block_on(async move {
                        let task = spawn(pending::<()>());
                        inside.open();
                        go.pass().await;
                        let late = Handle::current().spawn(async {}).await;
                        (task.await.unwrap_err().is_cancelled(), late.unwrap_err().is_cancelled())
                    })
                }
            });
            inside.wait();
            let report = runtime.shutdown(PLENTY);
            assert_eq!((report.cancelled(), report.is_clean()), (1, true), "{report}");
            go.open();
            assert_eq!(waits.join().unwrap(), (true, true));
        }
    });
}
