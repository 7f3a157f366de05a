//! What a job says before its end: how far it is, and items, no more of them than are taken.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::process;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::StreamExt;
use support::{
    Child, Gate, Journal, LIMIT, apart, expect_success, has_note, is_alive, memory_peak, note,
    process_state, until, watchdog,
};
use tenter::Runtime;
use tenter::jobs::{self, Call, JobError, JobStream, ProcessPool};

/// How far a job may be ahead of who takes its items, at most: what it may emit at first, with
/// room for what is given later.
const AHEAD_MAX: usize = 256;

const MEBIBYTE: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Row {
    number: u64,
    text: String,
}

#[tenter::job]
fn id() -> u32 {
    process::id()
}

/// Emits rows, notes each once it is emitted, and returns how many there were.
#[tenter::job(emits = Row)]
fn rows(journal: &str, count: u64) -> u64 {
    note(journal, &process::id().to_string());
    for number in 0..count {
        jobs::emit(Row { number, text: format!("row {number}") });
        note(journal, "emitted");
    }
    count
}

#[tenter::job(emits = u64)]
fn counts(count: u64) -> u64 {
    (0..count).for_each(jobs::emit);
    count
}

#[tenter::job(emits = u64)]
fn counts_for_ever(journal: &str) {
    note(journal, &process::id().to_string());
    for n in 0.. {
        jobs::emit::<u64>(n);
    }
}

#[tenter::job(emits = Vec<u8>)]
fn blocks(count: usize, bytes: usize) -> Vec<u8> {
    for n in 0..count {
        jobs::emit(vec![n as u8; bytes]);
    }
    vec![255; bytes]
}

/// Emits some and ends in another way than by returning.
#[tenter::job(emits = u64)]
fn ends_badly(count: u64, how: &str) {
    (0..count).for_each(jobs::emit);
    match how {
        "panic" => panic!("after {count}"),
        "abort" => process::abort(),
        _ => loop {
            std::thread::park();
        },
    }
}

#[tenter::job(emits = u64)]
fn emits_what_it_did_not_declare() {
    jobs::emit("a text");
}

#[tenter::job]
fn emits_without_a_declaration() {
    jobs::emit(1_u64);
}

#[tenter::job(emits = u64)]
fn emits_until_asked_to_stop() -> u64 {
    let mut count = 0;
    while !jobs::cancelled() {
        jobs::emit(count);
        count += 1;
    }
    count
}

/// Says how far it is until that has been seen: of two reports soon after each other the second
/// is left out.
#[tenter::job]
fn reports(journal: &str, fractions: Vec<f64>) {
    for fraction in fractions {
        while !has_note(journal, &fraction.to_string()) {
            jobs::progress(fraction);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[tenter::job]
fn reports_at_once(count: u32) -> u32 {
    (0..count).for_each(|n| jobs::progress(f64::from(n) / f64::from(count)));
    count
}

#[tenter::job]
fn reports_nonsense() {
    jobs::progress(f64::NAN);
    jobs::progress(f64::INFINITY);
    jobs::progress(-3.0);
    jobs::progress(1e300);
}

fn pool() -> ProcessPool {
    ProcessPool::builder().workers(1).build().expect("a pool starts")
}

/// All that a stream has to give.
async fn collect<R, T>(stream: &mut JobStream<R, T>) -> Result<Vec<T>, (Vec<T>, JobError)>
where
    JobStream<R, T>: StreamExt<Item = Result<T, JobError>> + Unpin,
{
    let mut items = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(item) => items.push(item),
            Err(error) => return Err((items, error)),
        }
    }
    Ok(items)
}

#[tenter::test]
async fn items_come_in_order_and_then_the_result() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(), Journal::new());
    for count in [0, 1, 31, 32, 33, 1000] {
        let mut stream = pool.stream(rows::job(journal.path(), count));
        let items = collect(&mut stream).await.unwrap();
        let expected = (0..count).map(|number| Row { number, text: format!("row {number}") });
        assert_eq!(items, expected.collect::<Vec<_>>());
        assert!(stream.next().await.is_none());
        assert_eq!(stream.output().await.unwrap(), count);
    }
    assert!(pool.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn the_result_is_there_for_who_takes_no_item() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    assert_eq!(pool.stream(counts::job(10_000)).output().await.unwrap(), 10_000);
    // As it is for who takes some.
    let mut stream = pool.stream(counts::job(10_000));
    assert_eq!(stream.next().await.unwrap().unwrap(), 0);
    assert_eq!(stream.output().await.unwrap(), 10_000);
}

#[tenter::test]
async fn a_job_is_not_further_ahead_than_its_credit() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(), Journal::new());
    let mut stream = pool.stream(rows::job(journal.path(), 2000));
    assert_eq!(stream.next().await.unwrap().unwrap().number, 0);
    let worker: u32 = journal.lines()[0].parse().unwrap();
    let mut taken = 1;
    while taken < 2000 {
        if taken % 97 == 1 {
            // Until it waits for somebody, or is done, and has done nothing since.
            let mut before = 0;
            until(|| {
                let emitted = journal.count("emitted");
                let rests = process_state(worker) == Some('S') && emitted == before;
                before = emitted;
                rests
            })
            .await;
        }
        let emitted = journal.count("emitted");
        assert!(emitted <= taken + AHEAD_MAX, "{emitted} are emitted, {taken} taken");
        assert_eq!(stream.next().await.unwrap().unwrap().number, taken as u64);
        taken += 1;
    }
    assert_eq!(stream.output().await.unwrap(), 2000);
}

#[tenter::test]
async fn items_of_any_size_come_whole_and_the_parents_memory_is_bounded() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        apart(|| {
            let runtime = Runtime::builder().worker_threads(2).build().unwrap();
            runtime.block_on(async {
                let pool = pool();
                for (count, bytes) in [(100, 1000), (100, 65_536), (100, 100_000), (400, MEBIBYTE)]
                {
                    let mut stream = pool.stream(blocks::job(count, bytes));
                    for n in 0..count {
                        if n % 50 == 0 {
                            tenter::time::sleep(Duration::from_millis(20)).await;
                        }
                        let block = stream.next().await.unwrap().unwrap();
                        assert_eq!(block.len(), bytes);
                        assert!(block.iter().all(|byte| *byte == n as u8), "{n} of {bytes}");
                    }
                    assert!(stream.next().await.is_none());
                    assert_eq!(stream.output().await.unwrap(), vec![255; bytes]);
                }
            });
            assert!(memory_peak() < 200 * MEBIBYTE, "{}", memory_peak());
        });
    }));
}

#[tenter::test]
async fn dropping_a_stream_kills_the_worker() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    for items in [0, 1, 100] {
        let journal = Journal::new();
        let mut stream = pool.stream(counts_for_ever::job(journal.path()));
        for n in 0..items {
            assert_eq!(stream.next().await.unwrap().unwrap(), n);
        }
        if items == 0 {
            // It starts when it is polled, and may have an item by the end of that.
            let _ = futures_lite::future::poll_once(stream.next()).await;
        }
        let worker = journal.has_lines(1).await[0].parse().unwrap();
        drop(stream);
        until(|| !is_alive(worker)).await;
        assert_ne!(pool.run(id::job()).await.unwrap(), worker);
    }
    assert_eq!((pool.metrics().cancelled(), pool.metrics().deaths()), (3, 0));
}

#[tenter::test]
async fn a_stream_whose_job_fails_gives_the_items_first() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    for count in [0, 10, 100] {
        let mut stream = pool.stream(ends_badly::job(count, "panic"));
        let (items, error) = collect(&mut stream).await.unwrap_err();
        assert_eq!(items, (0..count).collect::<Vec<_>>());
        assert!(error.is_panicked(), "{error}");
        assert!(stream.next().await.is_none());
        let mut stream = pool.stream(ends_badly::job(count, "abort"));
        let (items, error) = collect(&mut stream).await.unwrap_err();
        assert_eq!(items, (0..count).collect::<Vec<_>>());
        assert!(matches!(error, JobError::Died { signal: Some(6), .. }), "{error}");
        assert!(stream.next().await.is_none());
        let call = ends_badly::job(count, "not").timeout(Duration::from_millis(500));
        let mut stream = pool.stream(call);
        let (items, error) = collect(&mut stream).await.unwrap_err();
        assert!(items.len() as u64 <= count);
        assert!(error.is_timed_out(), "{error}");
    }
    let error = pool.stream(ends_badly::job(5, "panic")).output().await.unwrap_err();
    assert!(error.is_panicked(), "{error}");
}

#[tenter::test]
async fn a_job_emits_only_what_it_declares() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let before = pool.run(id::job()).await.unwrap();
    let error = pool.stream(emits_what_it_did_not_declare::job()).output().await.unwrap_err();
    assert!(error.is_panicked(), "{error}");
    let error = pool.run(emits_without_a_declaration::job()).await.unwrap_err();
    assert!(error.is_panicked(), "{error}");
    assert_eq!(pool.run(id::job()).await.unwrap(), before);
}

#[tenter::test]
async fn a_job_that_waits_for_credit_hears_that_it_should_stop() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let call = emits_until_asked_to_stop::job().soft_timeout(Duration::from_millis(100));
    let mut stream = pool.stream(call);
    let items = collect(&mut stream).await.unwrap();
    assert_eq!(items, (0..items.len() as u64).collect::<Vec<_>>());
    assert_eq!(stream.output().await.unwrap(), items.len() as u64);
    assert!(pool.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn many_streams_at_once_keep_their_items_apart() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(3).build().unwrap();
    let streams = (0..12).map(|n| {
        let mut stream = pool.stream(counts::job(n * 50));
        tenter::spawn(async move {
            let items = collect(&mut stream).await.unwrap();
            assert_eq!(items, (0..n * 50).collect::<Vec<_>>());
            assert_eq!(stream.output().await.unwrap(), n * 50);
        })
    });
    for stream in streams.collect::<Vec<_>>() {
        stream.await.unwrap();
    }
}

/// Notes every fraction that the pool tells of this call.
fn watched<R>(call: Call<R>) -> (Call<R>, Arc<Mutex<Vec<f64>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    (call.on_progress(move |fraction| sink.lock().unwrap().push(fraction)), seen)
}

#[tenter::test]
async fn progress_arrives_while_the_job_runs() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(), Journal::new());
    let fractions = vec![0.0, 0.25, 0.5, 1.0];
    let (call, seen) = watched(reports::job(journal.path(), fractions.clone()));
    let run = tenter::spawn(pool.run(call));
    for fraction in &fractions {
        until(|| seen.lock().unwrap().last() == Some(fraction)).await;
        journal.note(&fraction.to_string());
    }
    run.await.unwrap().unwrap();
    seen.lock().unwrap().dedup();
    assert_eq!(*seen.lock().unwrap(), fractions);
}

#[tenter::test]
async fn progress_is_never_in_the_way() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let (call, seen) = watched(reports_at_once::job(1_000_000));
    assert_eq!(pool.run(call).await.unwrap(), 1_000_000);
    let seen = seen.lock().unwrap().clone();
    assert!(seen.len() < 100_000 && seen.is_sorted(), "{} frames", seen.len());
    // Nobody is told, and nobody minds.
    assert_eq!(pool.run(reports_at_once::job(1000)).await.unwrap(), 1000);
    let (call, seen) = watched(reports_nonsense::job());
    pool.run(call).await.unwrap();
    assert!(seen.lock().unwrap().iter().all(|fraction| fraction.is_finite()));
    assert!(pool.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn a_panic_at_a_progress_report_harms_no_job() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(), Journal::new());
    let gate = Gate::new();
    let called = gate.clone();
    let call = reports::job(journal.path(), vec![0.5]).on_progress(move |_| {
        called.open();
        std::panic::resume_unwind(Box::new("no progress"));
    });
    let run = tenter::spawn(pool.run(call));
    gate.pass().await;
    journal.note("0.5");
    run.await.unwrap().unwrap();
    assert!(pool.run(id::job()).await.is_ok());
}

#[test]
fn outside_a_worker_nobody_listens() {
    jobs::progress(0.5);
    jobs::emit(1_u64);
    assert_eq!(counts(3), 3);
    assert!(!jobs::cancelled() && !jobs::is_worker());
}
