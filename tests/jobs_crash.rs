//! Jobs that take their worker with them: each costs itself and nothing else.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::hint::{black_box, spin_loop};
use std::process;
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::Signal;
use support::{Journal, LIMIT, is_alive, kill, note, until, wait_for_note, watchdog};
use tenter::jobs::{self, Call, JobError, ProcessPool};

/// Bytes that a worker with a limit may allocate.
const MEMORY_LIMIT: u64 = 256 << 20;

/// How long a pool that is broken starts no worker.
const PAUSE: Duration = Duration::from_secs(1);

#[tenter::job]
fn id() -> u32 {
    process::id()
}

/// Runs until the test lets it go.
#[tenter::job]
fn bystander(journal: &str) -> u32 {
    note(journal, "arrived");
    wait_for_note(journal, "go");
    process::id()
}

#[tenter::job]
fn segfaults() -> u8 {
    // SAFETY: nobody chose an address for it, so it is over nothing else.
    let page = unsafe {
        rustix::mm::mmap_anonymous(
            std::ptr::null_mut(),
            4096,
            ProtFlags::empty(),
            MapFlags::PRIVATE,
        )
    };
    let byte = page.expect("one page is to be had").cast::<u8>();
    // SAFETY: none: nobody may read this page, and the system ends the process at the attempt.
    unsafe { byte.read_volatile() }
}

#[tenter::job]
fn aborts() {
    eprintln!("no way out");
    process::abort();
}

#[tenter::job]
fn exits(code: i32) {
    eprintln!("leaving with {code}");
    process::exit(code);
}

#[tenter::job]
fn signals_itself(signal: i32) {
    let signal = Signal::from_named_raw(signal).expect("it has a name");
    kill(process::id(), signal);
    loop {
        spin_loop();
    }
}

/// Recurses until the stack ends.
#[tenter::job]
fn overflows(depth: u64) -> u64 {
    let frame = black_box([depth; 1024]);
    if depth == u64::MAX { 0 } else { overflows(black_box(depth + 1)) + frame[7] }
}

#[tenter::job]
fn allocates_for_ever() -> usize {
    let mut blocks = Vec::new();
    loop {
        blocks.push(vec![1_u8; 1 << 20]);
        black_box(&blocks);
    }
}

#[tenter::job]
fn allocates(bytes: usize) -> usize {
    black_box(vec![1_u8; bytes]).len()
}

#[tenter::job]
fn spins() {
    loop {
        spin_loop();
    }
}

/// Notes that it runs, and dies unless it is the attempt of this number.
#[tenter::job]
fn survives_attempt(journal: &str, attempt: usize) -> usize {
    note(journal, "attempt");
    let text = std::fs::read_to_string(journal).expect("the journal is there");
    let attempts = text.lines().count();
    if attempts < attempt {
        process::abort();
    }
    attempts
}

#[tenter::job]
fn notes_and_spins(journal: &str) {
    note(journal, "attempt");
    spins();
}

#[tenter::job]
fn notes(journal: &str, line: &str) {
    note(journal, line);
}

fn pool(workers: usize) -> ProcessPool {
    ProcessPool::builder().workers(workers).build().expect("a pool starts")
}

/// Runs a job that fails beside another that does not, and returns its error: the other one keeps
/// its worker, and the next job finds one.
async fn fails_alone(pool: &ProcessPool, call: Call<()>) -> JobError {
    let journal = Journal::new();
    let beside = tenter::spawn(pool.run(bystander::job(journal.path())));
    journal.has("arrived").await;
    let before = pool.run(id::job()).await.unwrap();
    let error = pool.run(call).await.unwrap_err();
    let after = pool.run(id::job()).await.unwrap();
    assert_ne!(before, after, "{error}");
    until(|| !is_alive(before)).await;
    journal.note("go");
    let bystander = beside.await.unwrap().unwrap();
    assert!(bystander != before && bystander != after, "{error}");
    assert!(is_alive(bystander), "{error}");
    let metrics = pool.metrics();
    assert_eq!((metrics.completed(), metrics.failed()), (3, 1), "{metrics:?}");
    error
}

/// How the worker under this job ends: by a signal or with a code.
async fn death(call: Call<()>) -> (Option<i32>, Option<i32>, String) {
    let pool = pool(2);
    match fails_alone(&pool, call).await {
        JobError::Died { signal, code, stderr, .. } => {
            let metrics = pool.metrics();
            let by_signal = metrics.deaths_by_signal();
            assert_eq!(metrics.deaths(), 1, "{metrics:?}");
            assert_eq!(by_signal.into_iter().next(), signal.map(|signal| (signal, 1)));
            (signal, code, stderr)
        }
        other => panic!("{other:?}"),
    }
}

/// A call whose result does not matter.
fn anything<R>(call: Call<R>) -> Call<R>
where
    R: Send,
{
    call
}

#[tenter::test]
async fn a_segfault_costs_one_job() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(2);
    let journal = Journal::new();
    let beside = tenter::spawn(pool.run(bystander::job(journal.path())));
    journal.has("arrived").await;
    let error = pool.run(anything(segfaults::job())).await.unwrap_err();
    assert!(matches!(error, JobError::Died { signal: Some(11), code: None, .. }), "{error:?}");
    assert!(error.to_string().contains("signal 11 (SIGSEGV)"), "{error}");
    assert!(pool.run(id::job()).await.is_ok());
    journal.note("go");
    assert!(beside.await.unwrap().is_ok());
}

#[tenter::test]
async fn a_stack_overflow_costs_one_job_and_says_what_it_was() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(1);
    match pool.run(overflows::job(0)).await.unwrap_err() {
        JobError::Died { signal: Some(6), code: None, stderr, .. } => {
            assert!(stderr.contains("overflowed its stack"), "{stderr}");
        }
        other => panic!("{other:?}"),
    }
    assert!(pool.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn an_abort_costs_one_job_and_brings_the_last_words() {
    let _watchdog = watchdog(LIMIT);
    let (signal, code, stderr) = death(aborts::job()).await;
    assert_eq!((signal, code), (Some(6), None));
    assert!(stderr.lines().any(|line| line == "no way out"), "{stderr}");
}

#[tenter::test]
async fn an_exit_costs_one_job_whatever_the_code() {
    let _watchdog = watchdog(LIMIT);
    for expected in [0, 3, 101, 255] {
        let (signal, code, stderr) = death(exits::job(expected)).await;
        assert_eq!((signal, code), (None, Some(expected)));
        assert!(stderr.contains(&format!("leaving with {expected}")), "{stderr}");
    }
}

#[tenter::test]
async fn a_job_that_is_killed_by_a_signal_names_it() {
    let _watchdog = watchdog(LIMIT);
    for (expected, name) in [
        (Signal::KILL, "SIGKILL"),
        (Signal::TERM, "SIGTERM"),
        (Signal::ILL, "SIGILL"),
        (Signal::SYS, "SIGSYS"),
    ] {
        let pool = pool(2);
        let error = fails_alone(&pool, signals_itself::job(expected.as_raw())).await;
        let number = expected.as_raw();
        assert!(matches!(error, JobError::Died { signal: Some(n), .. } if n == number), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tenter::test]
async fn a_worker_that_is_stopped_is_killed_by_the_timeout() {
    let _watchdog = watchdog(LIMIT);
    let (pool, after) = (pool(2), Duration::from_millis(200));
    let stops = signals_itself::job(Signal::STOP.as_raw()).timeout(after);
    let error = fails_alone(&pool, stops).await;
    assert!(matches!(error, JobError::TimedOut { after: limit, .. } if limit == after), "{error}");
    // The pool did it.
    assert_eq!((pool.metrics().deaths(), pool.metrics().timed_out()), (0, 1));
}

#[tenter::test]
async fn a_job_that_spins_for_ever_is_killed_by_the_timeout() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(2);
    let error = fails_alone(&pool, spins::job().timeout(Duration::from_millis(200))).await;
    assert!(matches!(error, JobError::TimedOut { .. }), "{error}");
    assert!(error.is_timed_out() && error.to_string().contains("200ms"), "{error}");
}

#[tenter::test]
async fn a_job_that_needs_more_memory_than_it_may_have_dies_alone() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(2).memory_limit(MEMORY_LIMIT).build().unwrap();
    // What is within the limit works.
    let bytes = MEMORY_LIMIT as usize / 4;
    assert_eq!(pool.run(allocates::job(bytes)).await.unwrap(), bytes);
    let journal = Journal::new();
    let beside = tenter::spawn(pool.run(bystander::job(journal.path())));
    journal.has("arrived").await;
    match pool.run(allocates_for_ever::job()).await.unwrap_err() {
        JobError::Died { signal, stderr, .. } => {
            assert_eq!(signal, Some(6));
            assert!(stderr.contains("memory allocation of"), "{stderr}");
        }
        other => panic!("{other:?}"),
    }
    journal.note("go");
    assert!(beside.await.unwrap().is_ok());
    // In one piece it is not to be had either.
    let error = pool.run(allocates::job(2 * MEMORY_LIMIT as usize)).await.unwrap_err();
    assert!(error.is_died(), "{error}");
    assert_eq!(pool.run(allocates::job(bytes)).await.unwrap(), bytes);
}

#[tenter::test]
async fn a_job_that_died_is_not_run_again_unless_it_is_idempotent() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(1);
    for (retries, attempts, succeeds) in [(None, 1, false), (Some(1), 2, false), (Some(2), 3, true)]
    {
        let journal = Journal::new();
        let mut call = survives_attempt::job(journal.path(), 3);
        if let Some(retries) = retries {
            call = call.idempotent(retries);
        }
        match pool.run(call).await {
            Ok(attempts) => assert!(succeeds && attempts == 3, "{retries:?}: {attempts}"),
            Err(error) => assert!(!succeeds && error.is_died(), "{retries:?}: {error}"),
        }
        assert_eq!(journal.lines().len(), attempts, "{retries:?}");
    }
    assert_eq!(pool.metrics().retried(), 3);
    assert_eq!(pool.metrics().deaths(), 5);
}

#[tenter::test]
async fn a_job_that_timed_out_is_not_run_again() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(1);
    // It may be killed before it could note that it runs: not each time.
    loop {
        let journal = Journal::new();
        let call = notes_and_spins::job(journal.path()).idempotent(5);
        let error = pool.run(call.timeout(Duration::from_millis(200))).await.unwrap_err();
        assert!(matches!(error, JobError::TimedOut { .. }), "{error}");
        assert!(pool.run(id::job()).await.is_ok());
        assert_eq!(pool.metrics().retried(), 0);
        if !journal.lines().is_empty() {
            assert_eq!(journal.lines().len(), 1);
            break;
        }
    }
}

#[tenter::test]
async fn a_worker_that_is_killed_while_idle_costs_nothing() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(1);
    let mut last = pool.run(id::job()).await.unwrap();
    for round in 0..100 {
        kill(last, Signal::KILL);
        if round % 2 == 1 {
            // Its death is noticed, or not yet.
            until(|| !is_alive(last)).await;
        }
        let next = pool.run(id::job()).await.unwrap();
        assert_ne!(last, next);
        last = next;
    }
    // Another is started when the death is seen, which is before it is counted.
    until(|| pool.metrics().deaths() >= 100).await;
    let metrics = pool.metrics();
    assert_eq!((metrics.completed(), metrics.failed()), (101, 0), "{metrics:?}");
    assert_eq!(metrics.deaths_by_signal().get(&9), Some(&100), "{metrics:?}");
}

#[tenter::test]
async fn a_crash_costs_none_of_the_jobs_that_were_sent_ahead() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).send_ahead(8).build().unwrap();
    let journal = Journal::new();
    let first = tenter::spawn(pool.run(bystander::job(journal.path())));
    journal.has("arrived").await;
    let crash = pool.try_run(aborts::job()).unwrap();
    let behind: Vec<_> = (0..20)
        .map(|n| pool.try_run(notes::job(journal.path(), &n.to_string())).unwrap())
        .collect();
    journal.note("go");
    assert!(first.await.unwrap().is_ok());
    let error = crash.await.unwrap_err();
    assert!(error.is_died(), "{error}");
    for (n, job) in behind.into_iter().enumerate() {
        job.await.unwrap_or_else(|error| panic!("{n}: {error}"));
        assert_eq!(journal.count(&n.to_string()), 1, "{n}");
    }
}

#[tenter::test]
async fn deaths_in_a_row_break_the_pool_until_a_job_succeeds() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).breaker(3).build().unwrap();
    // A success in between, and they are not in a row.
    for _ in 0..2 {
        for _ in 0..2 {
            assert!(pool.run(aborts::job()).await.unwrap_err().is_died());
        }
        pool.run(id::job()).await.unwrap();
    }
    let error = loop {
        let mut before = Instant::now();
        for _ in 0..3 {
            before = Instant::now();
            assert!(pool.run(aborts::job()).await.unwrap_err().is_died());
        }
        match pool.run(id::job()).await {
            Err(error) => break error,
            // The pause was over: not each time.
            Ok(_) => assert!(before.elapsed() >= PAUSE, "the pool is not broken"),
        }
    };
    let JobError::Broken { deaths, stderr, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*deaths, 3);
    assert!(stderr.contains("no way out"), "{stderr}");
    assert!(error.to_string().contains("3 workers died in a row"), "{error}");
    // After a while it tries one, and is whole again.
    loop {
        match pool.run(id::job()).await {
            Ok(_) => break,
            Err(JobError::Broken { .. }) => tenter::time::sleep(Duration::from_millis(10)).await,
            Err(other) => panic!("{other:?}"),
        }
    }
    for _ in 0..2 {
        assert!(pool.run(aborts::job()).await.unwrap_err().is_died());
    }
    assert!(pool.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn a_pool_that_breaks_fails_what_waits_in_its_queue() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).breaker(2).build().unwrap();
    let journal = Journal::new();
    let first = tenter::spawn(pool.run(bystander::job(journal.path())));
    journal.has("arrived").await;
    let jobs: Vec<_> = (0..20).map(|_| pool.try_run(aborts::job()).unwrap()).collect();
    journal.note("go");
    first.await.unwrap().unwrap();
    let mut died = 0;
    for job in jobs {
        match job.await.unwrap_err() {
            JobError::Died { .. } => died += 1,
            JobError::Broken { deaths, .. } => assert!(deaths >= 2),
            other => panic!("{other:?}"),
        }
    }
    assert!(died >= 2, "{died} died");
    assert_eq!(pool.metrics().queued(), 0);
}

#[test]
fn jobs_outside_a_worker_are_plain_functions() {
    assert!(!jobs::is_worker());
    assert_eq!(id(), process::id());
    assert_eq!(allocates(10), 10);
}
