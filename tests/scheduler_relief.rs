//! Threads stuck in a task, up to all workers at once: everything else goes on.

mod support;

use std::fs;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use support::{Child, Gate, LIMIT, Pair, expect_success, threads_named, within};
use tenter::net::{TcpListener, TcpStream};
use tenter::{Builder, Runtime, spawn, task, time, yield_now};

const WORKERS: [usize; 2] = [1, 2];

/// Reliefs that one runtime has at the same time, at most.
const RELIEFS_MAX: usize = 64;

/// Keeps every worker in a task until the gate is opened.
fn block_all(runtime: &Runtime, workers: usize) -> Gate {
    let gate = Gate::new();
    let inside = Arc::new(Barrier::new(workers + 1));
    for _ in 0..workers {
        let (gate, inside) = (gate.clone(), inside.clone());
        let blocked = async move {
            inside.wait();
            gate.wait();
        };
        runtime.spawn(blocked).detach();
    }
    inside.wait();
    gate
}

/// Runs `body` with runtimes whose workers are all blocked.
fn while_blocked(body: impl Fn(&Runtime)) {
    while_blocked_and_after(|runtime, gate| {
        body(runtime);
        gate.open();
    });
}

/// The same; `body` opens the gate.
fn while_blocked_and_after(body: impl Fn(&Runtime, &Gate)) {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            let gate = block_all(&runtime, workers);
            body(&runtime, &gate);
        }
    });
}

#[test]
fn timers_fire_though_every_worker_is_blocked() {
    while_blocked(|runtime| {
        let task = runtime.spawn(async {
            for _ in 0..50 {
                time::sleep(Duration::from_millis(1)).await;
            }
        });
        support::wait_until(|| task.is_finished());
    });
}

#[test]
fn an_echo_goes_on_though_every_worker_is_blocked() {
    while_blocked(|runtime| {
        let task = runtime.spawn(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = [0; 8];
                while stream.read_exact(&mut bytes).await.is_ok() {
                    stream.write_all(&bytes).await.unwrap();
                }
            });
            let mut client = TcpStream::connect(address).await.unwrap();
            for n in 0..200_u64 {
                client.write_all(&n.to_le_bytes()).await.unwrap();
                let mut bytes = [0; 8];
                client.read_exact(&mut bytes).await.unwrap();
                assert_eq!(u64::from_le_bytes(bytes), n);
            }
            drop(client);
            server.await.unwrap();
        });
        support::wait_until(|| task.is_finished());
    });
}

#[test]
fn spawned_tasks_run_though_every_worker_is_blocked() {
    while_blocked(|runtime| {
        for n in 0..500 {
            let task = runtime.spawn(async move {
                yield_now().await;
                spawn(async move { n }).await.unwrap()
            });
            support::wait_until(|| task.is_finished());
        }
    });
}

#[test]
fn a_main_future_goes_on_though_every_worker_is_blocked() {
    while_blocked(|runtime| {
        let sum = runtime.block_on(async {
            let mut sum = 0;
            for n in 0..50 {
                time::sleep(Duration::from_micros(100)).await;
                sum += tenter::spawn_blocking(move || n).await.unwrap();
                sum += runtime.handle().spawn(async move { n }).await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 2450);
    });
}

#[test]
fn what_the_only_worker_queued_before_it_blocked_runs() {
    within(LIMIT, || {
        for count in [1, 2, 1000] {
            let runtime = support::runtime(1);
            let task = runtime.spawn(async move {
                // The last is in front of the queue, the others are in it.
                let gates: Vec<_> = (0..count).map(|_| Gate::new()).collect();
                for gate in gates.clone() {
                    spawn(async move { gate.open() }).detach();
                }
                gates.iter().for_each(Gate::wait);
            });
            support::wait_until(|| task.is_finished());
        }
    });
}

#[test]
fn what_is_queued_behind_a_blocked_task_runs_though_all_others_are_busy() {
    within(LIMIT, || {
        let runtime = support::runtime(2);
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..10 {
            let stop = stop.clone();
            let yielding = async move {
                while !stop.load(Ordering::Relaxed) {
                    yield_now().await;
                }
            };
            runtime.spawn(yielding).detach();
        }
        for _ in 0..3 {
            let blocked = runtime.spawn(async {
                let gates = [Gate::new(), Gate::new(), Gate::new()];
                for gate in gates.clone() {
                    spawn(async move { gate.open() }).detach();
                }
                gates.iter().for_each(Gate::wait);
            });
            support::wait_until(|| blocked.is_finished());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn tasks_that_all_wait_for_a_later_one_without_suspending_come_to_an_end() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            let gates: Vec<_> = (0..20).map(|_| Gate::new()).collect();
            let tasks: Vec<_> = (0..19)
                .map(|n| {
                    let (own, next) = (gates[n].clone(), gates[n + 1].clone());
                    runtime.spawn(async move {
                        next.wait();
                        own.open();
                    })
                })
                .collect();
            let last = gates[19].clone();
            runtime.spawn(async move { last.open() }).detach();
            support::wait_until(|| tasks.iter().all(|task| task.is_finished()));
            assert!(gates[0].is_open());
        }
    });
}

#[test]
fn a_guest_that_is_stuck_in_a_task_holds_up_nobody() {
    within(LIMIT, || {
        let runtime = support::runtime(1);
        runtime.block_on(async {
            // It runs on this thread, and waits for what others are to do.
            let stuck = spawn(async {
                let handle = tenter::Handle::current();
                for _ in 0..20 {
                    let gate = Gate::new();
                    let opens = gate.clone();
                    support::apart(|| handle.spawn(async move { opens.open() }).detach());
                    gate.wait();
                }
            });
            stuck.await.unwrap();
        });
    });
}

#[test]
fn there_is_a_bound_to_reliefs_and_all_leave() {
    within(LIMIT, || {
        let name = "rlf-a";
        let runtime = Builder::new().worker_threads(2).thread_name(name).build().unwrap();
        support::watch(runtime.handle());
        let metrics = || runtime.handle().metrics();
        let (gate, inside) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..2 * RELIEFS_MAX)
            .map(|_| {
                let (gate, inside) = (gate.clone(), inside.clone());
                runtime.spawn(async move {
                    inside.fetch_add(1, Ordering::Relaxed);
                    gate.wait();
                })
            })
            .collect();
        support::wait_until(|| inside.load(Ordering::Relaxed) == RELIEFS_MAX + 2);
        assert_eq!(metrics().relief_workers(), RELIEFS_MAX);
        assert_eq!(threads_named("rlf-a-relief"), RELIEFS_MAX);
        gate.open();
        support::wait_until(|| tasks.iter().all(|task| task.is_finished()));
        support::wait_until(|| metrics().relief_workers() == 0);
        support::wait_until(|| threads_named("rlf-a-relief") == 0);
        // And again, in the same places.
        let gate = block_all(&runtime, 2);
        let task = runtime.spawn(async {});
        support::wait_until(|| task.is_finished());
        assert!((1..=RELIEFS_MAX).contains(&metrics().relief_workers()));
        gate.open();
    });
}

#[test]
fn reliefs_leave_though_there_is_always_something_to_do() {
    while_blocked_and_after(|runtime, gate| {
        let goes_on = Arc::new(AtomicBool::new(true));
        let busy: Vec<_> = (0..64)
            .map(|_| {
                let goes_on = Arc::clone(&goes_on);
                runtime.spawn(async move {
                    while goes_on.load(Ordering::Relaxed) {
                        yield_now().await;
                    }
                })
            })
            .collect();
        let metrics = || runtime.handle().metrics();
        support::wait_until(|| metrics().relief_workers() > 0);
        gate.open();
        support::wait_until(|| metrics().relief_workers() == 0);
        goes_on.store(false, Ordering::Relaxed);
        support::wait_until(|| busy.iter().all(tenter::JoinHandle::is_finished));
    });
}

#[test]
fn a_lock_around_block_on_in_a_closure_is_not_waited_for_by_its_own_thread() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = support::runtime(workers);
            let lock = Arc::new(std::sync::Mutex::new(0));
            let (handle, held) = (runtime.handle().clone(), Arc::clone(&lock));
            let closure = runtime.spawn_blocking(move || {
                for _ in 0..50 {
                    let mut count = held.lock().unwrap();
                    *count += 1;
                    handle.block_on(time::sleep(Duration::from_micros(50)));
                }
            });
            for _ in 0..200 {
                let lock = Arc::clone(&lock);
                runtime.spawn(async move { *lock.lock().unwrap() += 1 }).detach();
            }
            support::wait_until(|| closure.is_finished());
            support::wait_until(|| *lock.lock().unwrap() == 250);
        }
    });
}

#[test]
fn workers_that_compute_are_not_relieved_one_by_one() {
    within(LIMIT, || {
        const COMPUTING: usize = 12;
        let runtime = support::runtime(COMPUTING);
        let stop = Arc::new(AtomicBool::new(false));
        let inside = Arc::new(Barrier::new(COMPUTING + 1));
        for _ in 0..COMPUTING {
            let (stop, inside) = (stop.clone(), inside.clone());
            let computing = async move {
                inside.wait();
                while !stop.load(Ordering::Relaxed) {
                    spin_loop();
                }
            };
            runtime.spawn(computing).detach();
        }
        inside.wait();
        for _ in 0..5 {
            let task = runtime.spawn(time::sleep(Duration::from_millis(1)));
            support::wait_until(|| task.is_finished());
        }
        let reliefs = runtime.handle().metrics().relief_workers();
        assert!((1..COMPUTING).contains(&reliefs), "{reliefs} reliefs");
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn threads_of_reliefs_run_the_callbacks_and_bear_the_name() {
    within(LIMIT, || {
        let started = Arc::new(AtomicUsize::new(0));
        let stopped = Arc::new(AtomicUsize::new(0));
        let (starts, stops) = (started.clone(), stopped.clone());
        let runtime = Builder::new()
            .worker_threads(1)
            .thread_name("rlf-b")
            .on_thread_start(move || {
                starts.fetch_add(1, Ordering::Relaxed);
            })
            .on_thread_stop(move || {
                stops.fetch_add(1, Ordering::Relaxed);
            })
            .build()
            .unwrap();
        support::watch(runtime.handle());
        let gate = block_all(&runtime, 1);
        let task = runtime.spawn(async { thread::current().name().map(str::to_owned) });
        support::wait_until(|| task.is_finished());
        let name = runtime.block_on(task).unwrap();
        assert!(name.is_some_and(|name| name.starts_with("rlf-b-relief-")));
        gate.open();
        drop(runtime);
        // The worker and a relief, or more: the first may have been kept from its core.
        let started = started.load(Ordering::Relaxed);
        assert!(started >= 2, "{started} threads");
        assert_eq!(stopped.load(Ordering::Relaxed), started);
        // A thread that was joined is about to leave the list.
        support::wait_until(|| threads_named("rlf-b") == 0);
    });
}

/// Whether a thread of this process sleeps in a system call with no time limit.
fn sleeps_for_good(name: &str) -> bool {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is there");
    let read = |path: &std::path::Path, file| fs::read_to_string(path.join(file)).ok();
    let mut paths = tasks.filter_map(|task| Some(task.ok()?.path()));
    let path = paths.find(|path| read(path, "comm").is_some_and(|found| found.trim() == name));
    // A thread gives itself its name.
    let call = path.and_then(|path| read(&path, "syscall")).unwrap_or_default();
    // The number of futex, then its arguments: the fourth is the limit.
    let words: Vec<_> = call.split_whitespace().collect();
    words.len() > 4 && words[0] == "202" && words[4] == "0x0"
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_monitor_sleeps_for_good_once_the_reliefs_have_left() {
    within(LIMIT, || {
        let runtime = Builder::new().worker_threads(2).thread_name("rlf-c").build().unwrap();
        support::watch(runtime.handle());
        support::wait_until(|| sleeps_for_good("rlf-c-monitor"));
        let gate = block_all(&runtime, 2);
        let task = runtime.spawn(async {});
        support::wait_until(|| task.is_finished());
        assert!(!sleeps_for_good("rlf-c-monitor"));
        gate.open();
        support::wait_until(|| threads_named("rlf-c-relief") == 0);
        support::wait_until(|| sleeps_for_good("rlf-c-monitor"));
    });
}

#[test]
fn each_blocked_poll_is_reported_once_by_its_name() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let mut builder = Builder::new();
            builder.worker_threads(2).blocked_after(Some(Duration::from_millis(1)));
            let runtime = builder.build().unwrap();
            let _entered = runtime.enter();
            let held = [Pair::new(), Pair::new(), Pair::new()];
            for (number, held) in held.iter().cloned().enumerate() {
                let name = format!("culprit {number}");
                task::Builder::new().name(name).spawn(async move { held.hold() }).detach();
            }
            held.iter().for_each(|held| held.arrived.wait());
            // As many as there are tasks, for as long as it takes; and not one more after that.
            support::wait_until(|| runtime.handle().metrics().blocked_polls() == 3);
            let task = runtime.spawn(async {
                for _ in 0..20 {
                    time::sleep(Duration::from_millis(1)).await;
                }
            });
            support::wait_until(|| task.is_finished());
            held.iter().for_each(|held| held.released.open());
        });
        expect_success(&output);
        let text = String::from_utf8(output.stderr).unwrap();
        for number in 0..3 {
            assert_eq!(text.matches(&format!("culprit {number}")).count(), 1, "{text}");
        }
    });
}

#[test]
fn help_comes_though_reports_are_turned_off() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            let runtime = Builder::new().worker_threads(2).blocked_after(None).build().unwrap();
            let gate = block_all(&runtime, 2);
            let task = runtime.spawn(time::sleep(Duration::from_millis(1)));
            support::wait_until(|| task.is_finished());
            assert_eq!(runtime.handle().metrics().blocked_polls(), 0);
            gate.open();
        });
        expect_success(&output);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn a_runtime_ends_though_its_workers_are_blocked_as_it_begins_to() {
    within(LIMIT, || {
        for workers in WORKERS {
            let runtime = Builder::new().worker_threads(workers).thread_name("rlf-d").build();
            let runtime = runtime.unwrap();
            support::watch(runtime.handle());
            let gate = block_all(&runtime, workers);
            let pending = runtime.spawn(std::future::pending::<()>());
            let report = runtime.shutdown(Duration::from_millis(10));
            assert!(report.running().len() >= workers, "{report}");
            // A relief has dropped what was aborted, or is about to.
            support::wait_until(|| pending.is_finished());
            gate.open();
            support::wait_until(|| threads_named("rlf-d") == 0);
        }
    });
}

#[test]
fn runtimes_that_end_while_reliefs_come_and_go_leave_no_thread() {
    within(LIMIT, || {
        for _ in 0..20 {
            let runtime = Builder::new().worker_threads(1).thread_name("rlf-e").build().unwrap();
            let gate = block_all(&runtime, 1);
            let blocked: Vec<_> = (0..3)
                .map(|_| {
                    let gate = gate.clone();
                    runtime.spawn(async move { gate.wait() })
                })
                .collect();
            let ending = thread::spawn(move || drop(runtime));
            gate.open();
            ending.join().unwrap();
            assert!(blocked.iter().all(|task| task.is_finished()));
            support::wait_until(|| threads_named("rlf-e") == 0);
        }
    });
}
