//! The end of a pool: by itself, by its drop, with its runtime; and what is left of it then.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::hint::spin_loop;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use futures_lite::future::{block_on, poll_once};
use rustix::process::Signal;
use signal_hook::consts::SIGTERM;
use support::{
    Child, Journal, LIMIT, apart, children, descriptors, expect_success, is_alive, is_stopped,
    kill, note, threads, until, wait_for_note, wait_until, watchdog,
};
use tenter::Runtime;
use tenter::jobs::{self, JobError, ProcessPool};

/// A grace that no job of these tests needs.
const LONG: Duration = Duration::from_secs(50);

/// A grace that passes in a test.
const SHORT: Duration = Duration::from_millis(100);

/// How long a shutdown waits for workers without a job to exit by themselves.
const END_WAIT: Duration = Duration::from_secs(1);

unsafe extern "C" {
    /// The C library's: `f` is called when the process exits by itself.
    fn atexit(f: extern "C" fn()) -> i32;
}

/// Where the end of this process is noted.
static ENDS: OnceLock<String> = OnceLock::new();

extern "C" fn note_the_end() {
    if let Some(journal) = ENDS.get() {
        note(journal, &format!("{} exited", process::id()));
    }
}

#[tenter::job]
fn id() -> u32 {
    process::id()
}

/// Has the worker note that it exits by itself.
#[tenter::job]
fn notes_its_end(journal: &str) -> u32 {
    ENDS.set(journal.to_owned()).expect("it is set once a process");
    // SAFETY: the function is of the right type, and lives as long as the program.
    assert_eq!(unsafe { atexit(note_the_end) }, 0);
    process::id()
}

#[tenter::job]
fn holds(journal: &str) -> u32 {
    note(journal, &process::id().to_string());
    wait_for_note(journal, "go");
    process::id()
}

#[tenter::job]
fn spins(journal: &str) {
    note(journal, &process::id().to_string());
    loop {
        spin_loop();
    }
}

/// Notes when it is asked to end, and does not.
#[tenter::job]
fn hears_and_stays(journal: &str) {
    let asked = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, asked.clone()).expect("it can be caught");
    note(journal, &process::id().to_string());
    while !asked.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(1));
    }
    note(journal, "asked");
    loop {
        spin_loop();
    }
}

#[tenter::job]
fn notes(journal: &str, line: &str) {
    note(journal, line);
}

#[tenter::job(emits = u64)]
fn counts_for_ever(journal: &str) {
    note(journal, &process::id().to_string());
    for n in 0.. {
        jobs::emit::<u64>(n);
    }
}

#[tenter::job]
fn fails(by_panic: bool) {
    assert!(!by_panic, "as it was told to");
    process::abort();
}

fn pool(workers: usize) -> ProcessPool {
    ProcessPool::builder().workers(workers).build().expect("a pool starts")
}

fn runtime() -> Runtime {
    Runtime::builder().worker_threads(2).build().expect("a runtime starts")
}

/// The worker that has noted itself first.
async fn worker(journal: &Journal) -> u32 {
    journal.has_lines(1).await[0].parse().unwrap()
}

#[tenter::test]
async fn a_shutdown_takes_no_jobs_and_waits_for_those_that_run() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(2), Journal::new());
    let run = tenter::spawn(pool.run(holds::job(journal.path())));
    let worker = worker(&journal).await;
    let ending = tenter::spawn({
        let pool = pool.clone();
        async move { pool.shutdown(LONG).await }
    });
    let call = until_closed(&pool).await;
    assert!(pool.run(call).await.unwrap_err().is_closed());
    assert!(pool.map([id::job()]).await.unwrap_err().is_closed());
    assert!(pool.stream(counts_for_ever::job(journal.path())).output().await.is_err());
    assert!(is_alive(worker) && !ending.is_finished());
    journal.note("go");
    assert_eq!(run.await.unwrap().unwrap(), worker);
    let report = ending.await.unwrap();
    assert!(report.completed >= 1, "{report:?}");
    assert_eq!((report.cancelled, report.killed), (0, 0), "{report:?}");
    assert!(pool.workers().is_empty());
    assert!(!is_alive(worker));
    // And again, which is over at once.
    let report = pool.shutdown(LONG).await;
    assert_eq!((report.completed, report.cancelled, report.killed), (0, 0, 0), "{report:?}");
}

/// Waits until the pool takes no more jobs, and returns one that it did not take.
async fn until_closed(pool: &ProcessPool) -> jobs::Call<u32> {
    loop {
        match pool.try_run(id::job()) {
            Ok(run) => drop(run.await),
            Err(error) => {
                assert!(error.is_closed() && !error.is_full(), "{error}");
                assert_eq!(error.to_string(), "the pool was shut down");
                return error.into_call();
            }
        }
    }
}

#[tenter::test]
async fn a_shutdown_has_workers_exit_by_themselves() {
    let _watchdog = watchdog(LIMIT);
    loop {
        let (pool, journal) = (pool(1), Journal::new());
        let worker = pool.run(notes_its_end::job(journal.path())).await.unwrap();
        let start = Instant::now();
        pool.shutdown(LONG).await;
        let lasted = start.elapsed();
        assert!(!is_alive(worker));
        assert_eq!(pool.metrics().deaths(), 0);
        // One that does not come to it in time is killed: not each time.
        if lasted < END_WAIT || !journal.lines().is_empty() {
            assert_eq!(journal.lines(), [format!("{worker} exited")]);
            break;
        }
    }
}

#[tenter::test]
async fn a_shutdown_drops_what_waits_and_kills_what_does_not_end() {
    let _watchdog = watchdog(LIMIT);
    for grace in [Duration::ZERO, SHORT] {
        let (pool, journal) = (pool(2), Journal::new());
        let stubborn = [(); 2].map(|()| tenter::spawn(pool.run(spins::job(journal.path()))));
        let workers = journal.has_lines(2).await;
        let waiting = (0..10).map(|_| pool.try_run(notes::job(journal.path(), "ran")).unwrap());
        let waiting: Vec<_> = waiting.collect();
        let report = pool.shutdown(grace).await;
        assert_eq!((report.completed, report.cancelled, report.killed), (0, 10, 2), "{report:?}");
        assert!(!workers.iter().any(|worker| is_alive(worker.parse().unwrap())));
        for run in waiting {
            assert!(run.await.unwrap_err().is_closed());
        }
        for run in stubborn {
            let error = run.await.unwrap().unwrap_err();
            assert!(error.is_closed(), "{error}");
        }
        assert_eq!(journal.count("ran"), 0);
        let metrics = pool.metrics();
        assert_eq!((metrics.queued(), metrics.running(), metrics.workers()), (0, 0, 0));
    }
}

#[tenter::test]
async fn a_shutdown_asks_a_worker_before_it_kills_it() {
    let _watchdog = watchdog(LIMIT);
    // It may be killed before it could note that it was asked: not each time.
    loop {
        let (pool, journal) = (pool(1), Journal::new());
        let run = tenter::spawn(pool.run(hears_and_stays::job(journal.path())));
        let worker = worker(&journal).await;
        assert_eq!(pool.shutdown(Duration::ZERO).await.killed, 1);
        assert!(!is_alive(worker));
        assert!(run.await.unwrap().unwrap_err().is_closed());
        if journal.count("asked") == 1 {
            break;
        }
    }
}

#[tenter::test]
async fn a_shutdown_kills_a_worker_that_is_stopped() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(1);
    let worker = pool.run(id::job()).await.unwrap();
    kill(worker, Signal::STOP);
    until(|| is_stopped(worker)).await;
    pool.shutdown(SHORT).await;
    assert!(!is_alive(worker));
}

#[tenter::test]
async fn a_shutdown_that_nobody_waits_for_can_be_asked_for_again() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    let run = tenter::spawn(pool.run(holds::job(journal.path())));
    let worker = worker(&journal).await;
    assert!(poll_once(Box::pin(pool.shutdown(LONG))).await.is_none());
    assert!(pool.try_run(id::job()).unwrap_err().is_closed());
    let both = tenter::spawn({
        let (one, two) = (pool.clone(), pool.clone());
        async move {
            let one = tenter::spawn(async move { one.shutdown(LONG).await });
            two.shutdown(LONG).await;
            one.await.unwrap();
        }
    });
    journal.note("go");
    assert_eq!(run.await.unwrap().unwrap(), worker);
    both.await.unwrap();
    assert!(!is_alive(worker));
}

#[tenter::test]
async fn dropping_the_last_pool_ends_its_jobs_and_workers() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    let running = tenter::spawn(pool.run(spins::job(journal.path())));
    let worker = worker(&journal).await;
    let detached = tenter::spawn(pool.run(notes::job(journal.path(), "detached").detach()));
    until(|| pool.metrics().queued() == 1).await;
    let queued = pool.try_run(notes::job(journal.path(), "queued")).unwrap();
    let unpolled = pool.run(notes::job(journal.path(), "unpolled"));
    let clone = pool.clone();
    drop(pool);
    assert!(is_alive(worker) && !running.is_finished());
    assert_eq!(clone.workers(), [worker]);
    drop(clone);
    until(|| !is_alive(worker)).await;
    assert!(running.await.unwrap().unwrap_err().is_closed());
    assert!(queued.await.unwrap_err().is_closed());
    assert!(detached.await.unwrap().unwrap_err().is_closed());
    assert!(unpolled.await.unwrap_err().is_closed());
    assert_eq!(journal.lines().len(), 1);
}

#[tenter::test]
async fn a_stream_ends_with_the_pool() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    let mut stream = pool.stream(counts_for_ever::job(journal.path()));
    assert_eq!(stream.next().await.unwrap().unwrap(), 0);
    drop(pool);
    let error = loop {
        match stream.next().await.expect("an error comes first") {
            Ok(_) => (),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JobError::Closed), "{error}");
    let worker = worker(&journal).await;
    until(|| !is_alive(worker)).await;
}

#[tenter::test]
async fn a_pool_ends_with_its_runtime() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        apart(|| {
            for graceful in [false, true] {
                let runtime = runtime();
                let (pool, journal) = (runtime.block_on(async { pool(2) }), Journal::new());
                let running = pool.run(spins::job(journal.path()));
                let running = thread::spawn(move || block_on(running));
                let second = pool.run(spins::job(journal.path()));
                let second = thread::spawn(move || block_on(second));
                let workers = block_on(async {
                    wait_until(|| journal.lines().len() == 2);
                    pool.workers()
                });
                let queued = pool.try_run(id::job()).unwrap();
                if graceful {
                    runtime.shutdown(Duration::from_secs(1));
                } else {
                    drop(runtime);
                }
                for run in [running, second] {
                    let error = run.join().unwrap().unwrap_err();
                    assert!(error.is_closed(), "{error}");
                }
                assert!(block_on(queued).unwrap_err().is_closed());
                assert!(block_on(pool.run(id::job())).unwrap_err().is_closed());
                assert!(pool.try_run(id::job()).unwrap_err().is_closed());
                wait_until(|| !workers.iter().any(|worker| is_alive(*worker)));
                block_on(pool.shutdown(LONG));
                // Not even a zombie.
                wait_until(|| children().is_empty());
            }
        });
    }));
}

#[tenter::test]
async fn a_pool_that_ends_before_its_workers_are_up_leaves_nothing() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        apart(|| {
            for round in 0..40 {
                println!("round {round}");
                let runtime = runtime();
                runtime.block_on(async {
                    let pool = pool(2);
                    let mut run = pool.run(id::job());
                    for _ in 0..round % 8 {
                        if poll_once(&mut run).await.is_some() {
                            break;
                        }
                    }
                    match round % 3 {
                        0 => drop(pool),
                        1 => _ = pool.shutdown(LONG).await,
                        _ => (),
                    }
                });
                println!("ends");
                drop(runtime);
                println!("ended");
                wait_until(|| children().is_empty());
            }
        });
    }));
}

#[tenter::test]
async fn nothing_is_left_of_a_pool_whatever_its_jobs_did() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        apart(|| {
            let runtime = runtime();
            runtime.block_on(has_a_life());
            wait_until(|| children().is_empty());
            let (descriptors_before, threads_before) = (descriptors(), threads());
            for _ in 0..5 {
                runtime.block_on(has_a_life());
                wait_until(|| children().is_empty());
                wait_until(|| descriptors() <= descriptors_before);
            }
            // Idle threads of the blocking pool come and go.
            wait_until(|| threads() <= threads_before + 2);
        });
    }));
}

/// A pool with jobs of every kind, which add up, and its end.
async fn has_a_life() {
    let (pool, journal) = (pool(2), Journal::new());
    for n in 0..20 {
        pool.run(id::job()).await.unwrap();
        if n % 7 == 0 {
            assert!(pool.run(fails::job(true)).await.unwrap_err().is_panicked());
            assert!(pool.run(fails::job(false)).await.unwrap_err().is_died());
        }
    }
    let error = pool.run(spins::job(journal.path()).timeout(SHORT)).await.unwrap_err();
    assert!(error.is_timed_out());
    let mut cancelled = pool.run(spins::job(journal.path()));
    assert!(poll_once(&mut cancelled).await.is_none());
    until(|| pool.metrics().running() == 1).await;
    drop(cancelled);
    let error = pool.run(notes::job("nowhere", "at all")).await.unwrap_err();
    assert!(error.is_panicked());
    let metrics = pool.metrics();
    let (completed, failed, cancelled) =
        (metrics.completed(), metrics.failed(), metrics.cancelled());
    assert_eq!((completed, failed, cancelled), (20, 8, 1), "{metrics:?}");
    assert_eq!(metrics.submitted(), completed + failed + cancelled, "{metrics:?}");
    assert_eq!((metrics.queued(), metrics.running()), (0, 0), "{metrics:?}");
    assert_eq!((metrics.deaths(), metrics.timed_out()), (3, 1), "{metrics:?}");
    assert_eq!(metrics.deaths_by_signal().get(&6), Some(&3), "{metrics:?}");
    assert!(metrics.run_time_max() >= SHORT, "{metrics:?}");
    assert!(metrics.run_time_total() >= metrics.run_time_max(), "{metrics:?}");
    assert!(metrics.wait_time_total() >= metrics.wait_time_max(), "{metrics:?}");
    assert!(metrics.bytes_inline() > 0, "{metrics:?}");
    // 2 at first, and one for each that went.
    until(|| pool.metrics().started() >= 2 + 3 + 2).await;
    pool.shutdown(LONG).await;
    assert_eq!(pool.metrics().workers(), 0);
}

#[tenter::test]
async fn a_pool_can_not_be_made_outside_a_runtime() {
    let _watchdog = watchdog(LIMIT);
    apart(|| {
        let error = ProcessPool::new().unwrap_err();
        assert!(matches!(error, jobs::SpawnError::NoRuntime), "{error:?}");
        let runtime = runtime();
        let entered = runtime.enter();
        let pool = ProcessPool::new().unwrap();
        drop(entered);
        assert!(block_on(pool.run(id::job())).is_ok());
    });
}
