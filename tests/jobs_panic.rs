//! Jobs that panic: the worker stays, and the error says what happened.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::panic::{panic_any, resume_unwind};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use support::{LIMIT, watchdog};
use tenter::jobs::{Call, JobError, ProcessPool};

static RUNS: AtomicU32 = AtomicU32::new(0);

/// The worker, and how many jobs of this it has run.
#[tenter::job]
fn worker() -> (u32, u32) {
    (process::id(), RUNS.fetch_add(1, Ordering::Relaxed))
}

/// The line that [`panics`] panics in.
const LINE: u32 = line!() + 4;

#[tenter::job]
fn panics(text: &str) -> u32 {
    panic!("it was {text}")
}

#[tenter::job]
fn panics_with_a_number() {
    panic_any(7_u32);
}

#[tenter::job]
fn resumes_a_panic() {
    resume_unwind(Box::new("resumed"));
}

#[tenter::job]
fn panics_at_length(bytes: usize) {
    panic!("{}", "é".repeat(bytes / 2));
}

/// Its drop panics too.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[tenter::job]
fn panics_with_a_bomb() {
    panic_any(Bomb);
}

#[tenter::job]
fn panics_while_it_panics() {
    let _bomb = Bomb;
    panic!("first");
}

#[tenter::job]
fn panics_in_a_thread() -> bool {
    std::thread::spawn(|| panic!("in a thread")).join().is_err()
}

#[tenter::job]
fn catches_its_panic() -> bool {
    std::panic::catch_unwind(|| panic!("caught")).is_err()
}

#[tenter::job]
fn panics_after_it_caught_one() {
    catches_its_panic();
    panic!("the second");
}

fn pool() -> ProcessPool {
    ProcessPool::builder().workers(1).build().expect("a pool starts")
}

/// Runs a job that panics, and returns its message, location and backtrace. The worker stays.
async fn panic_of<R>(pool: &ProcessPool, call: Call<R>) -> (String, String, Option<String>)
where
    R: serde::de::DeserializeOwned + Send + std::fmt::Debug + 'static,
{
    let before = pool.run(worker::job()).await.unwrap();
    let error = pool.run(call).await.unwrap_err();
    let after = pool.run(worker::job()).await.unwrap();
    assert_eq!((before.0, before.1 + 1), after, "{error}");
    assert_eq!(pool.metrics().deaths(), 0);
    assert!(error.is_panicked(), "{error:?}");
    match error {
        JobError::Panicked { message, location, backtrace, .. } => (message, location, backtrace),
        other => panic!("{other:?}"),
    }
}

#[tenter::test]
async fn a_panic_comes_with_its_message_and_place_and_the_worker_stays() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    for n in 0..10 {
        let (message, location, backtrace) = panic_of(&pool, panics::job(&n.to_string())).await;
        assert_eq!(message, format!("it was {n}"));
        assert!(location.starts_with(&format!("{}:{LINE}:", file!())), "{location}");
        assert_eq!(backtrace, None);
    }
}

#[tenter::test]
async fn a_panic_comes_with_a_backtrace_when_asked() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).backtrace(true).build().unwrap();
    let (message, _, backtrace) = panic_of(&pool, panics::job("me")).await;
    assert_eq!(message, "it was me");
    let backtrace = backtrace.expect("it was asked for");
    assert!(backtrace.contains("jobs_panic::panics"), "{backtrace}");
}

#[tenter::test]
async fn a_panic_with_any_payload_leaves_the_worker_whole() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    panic_of(&pool, panics_with_a_number::job()).await;
    let (message, ..) = panic_of(&pool, resumes_a_panic::job()).await;
    assert_eq!(message, "resumed");
    let (message, ..) = panic_of(&pool, panics_after_it_caught_one::job()).await;
    assert_eq!(message, "the second");
}

#[tenter::test]
async fn a_panic_of_any_length_arrives_in_part() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    for bytes in [1 << 10, 1 << 16, (1 << 16) + 2, 10 << 20] {
        let (message, ..) = panic_of(&pool, panics_at_length::job(bytes)).await;
        assert!(message.len() <= bytes && message.starts_with("éééé"), "{}", message.len());
    }
}

#[tenter::test]
async fn a_panic_whose_payload_panics_too_costs_one_job() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let error = pool.run(panics_with_a_bomb::job()).await.unwrap_err();
    assert!(error.is_panicked() || error.is_died(), "{error}");
    assert!(pool.run(worker::job()).await.is_ok());
    // Here the language itself aborts.
    let error = pool.run(panics_while_it_panics::job()).await.unwrap_err();
    assert!(error.is_died(), "{error}");
    assert!(pool.run(worker::job()).await.is_ok());
}

#[tenter::test]
async fn a_panic_that_the_job_deals_with_is_none_of_the_pools_business() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    assert!(pool.run(panics_in_a_thread::job()).await.unwrap());
    assert!(pool.run(catches_its_panic::job()).await.unwrap());
    assert_eq!(pool.metrics().failed(), 0);
}
