//! How many workers and jobs a pool has, when workers are started, replaced and given up, and how
//! all of it is counted.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_lite::future::poll_once;
use support::{Journal, LIMIT, apart, is_alive, note, until, wait_for_note, wait_until, watchdog};
use tenter::Runtime;
use tenter::jobs::{Builder, JobError, ProcessPool, Run};

const MIB: u64 = 1 << 20;

/// How long a pool that is broken starts no worker.
const PAUSE: Duration = Duration::from_secs(1);

#[tenter::job]
fn id() -> u32 {
    process::id()
}

/// Runs until the test lets it go.
#[tenter::job]
fn held(journal: &str) -> u32 {
    note(journal, "arrived");
    wait_for_note(journal, "go");
    process::id()
}

#[tenter::job]
fn keeps(bytes: u64) -> u32 {
    static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    KEPT.lock().unwrap().push(vec![1; bytes as usize]);
    process::id()
}

#[tenter::job]
fn panics() {
    panic!("it was asked to");
}

#[tenter::job]
fn spins() {
    loop {
        std::hint::spin_loop();
    }
}

#[tenter::job]
fn count_bytes(bytes: Vec<u8>) -> u64 {
    bytes.len() as u64
}

/// Dies until the journal has a line that says otherwise.
#[tenter::job]
fn dies(journal: &str) -> u32 {
    let text = fs::read_to_string(journal).expect("the journal is there");
    if !text.lines().any(|line| line == "mended") {
        eprintln!("the disk is on fire");
        process::abort();
    }
    process::id()
}

fn pool(set: impl FnOnce(&mut Builder) -> &mut Builder) -> ProcessPool {
    let mut builder = ProcessPool::builder();
    set(&mut builder);
    builder.build().expect("a pool starts")
}

/// A job of a pool that has a worker for it, and has it now.
async fn hold(pool: &ProcessPool, journal: &Journal) -> Run<u32> {
    let before = journal.count("arrived");
    let job = pool.try_run(held::job(journal.path())).expect("the queue has room");
    until(|| journal.count("arrived") > before).await;
    job
}

/// How a job fails in a pool that broke after `before`; `None` if it ran because the pause is over.
async fn refusal(pool: &ProcessPool, before: Instant) -> Option<JobError> {
    let ran = pool.run(id::job()).await;
    assert!(ran.is_err() || before.elapsed() >= PAUSE, "the pool is not broken");
    ran.err()
}

#[tenter::test]
async fn a_full_queue_hands_jobs_back_or_has_them_wait() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(1).max_queued(2));
    let journal = Journal::new();
    let holder = hold(&pool, &journal).await;
    let queued = [(); 2].map(|()| pool.try_run(id::job()).expect("there is room"));

    let refused = pool.try_run(id::job()).unwrap_err();
    assert!(refused.is_full() && !refused.is_closed());
    assert_eq!(refused.to_string(), "the pool's queue is full");
    let call = refused.into_call();
    assert!(pool.try_run(call.clone()).unwrap_err().is_full());

    // One that waits for room is not taken yet, and one that is dropped there leaves nothing.
    let mut waiting = pool.run(call.clone());
    assert!(poll_once(&mut waiting).await.is_none());
    let mut dropped = pool.run(call.clone());
    assert!(poll_once(&mut dropped).await.is_none());
    drop(dropped);
    let metrics = pool.metrics();
    assert_eq!((metrics.submitted(), metrics.running(), metrics.queued()), (3, 1, 2));

    journal.note("go");
    let worker = holder.await.unwrap();
    for job in queued {
        assert_eq!(job.await.unwrap(), worker);
    }
    assert_eq!(waiting.await.unwrap(), worker);
    assert!(pool.try_run(call.clone()).expect("there is room").await.is_ok());
    let metrics = pool.metrics();
    assert_eq!((metrics.submitted(), metrics.completed()), (5, 5));

    pool.shutdown(Duration::MAX).await;
    let refused = pool.try_run(call).unwrap_err();
    assert!(refused.is_closed() && !refused.is_full());
    assert_eq!(refused.to_string(), "the pool was shut down");
}

#[tenter::test]
async fn workers_start_on_demand_and_never_more_than_allowed() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(..=3));
    assert_eq!(pool.metrics().started(), 0);
    let journal = Journal::new();
    let jobs: Vec<_> = (0..8).map(|_| pool.try_run(held::job(journal.path())).unwrap()).collect();
    until(|| journal.count("arrived") == 3).await;
    let metrics = pool.metrics();
    assert_eq!((metrics.workers(), metrics.running(), metrics.queued()), (3, 3, 5));
    assert_eq!(pool.workers().len(), 3);
    journal.note("go");
    let mut workers = BTreeSet::new();
    for job in jobs {
        workers.insert(job.await.unwrap());
        assert!(pool.workers().len() <= 3);
    }
    assert_eq!(workers.len(), 3);
    assert_eq!(workers, BTreeSet::from_iter(pool.workers()));
    assert_eq!(pool.metrics().started(), 3);
}

#[tenter::test]
async fn one_job_after_the_other_needs_one_worker() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(..=3));
    let first = pool.run(id::job()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(pool.run(id::job()).await.unwrap(), first);
    }
    assert_eq!(pool.workers(), [first]);
}

#[tenter::test]
async fn idle_workers_go_except_the_fewest_allowed() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(1..=3).idle_timeout(Some(Duration::from_millis(5))));
    // The one is there without a job.
    until(|| pool.metrics().idle() == 1).await;
    for _ in 0..3 {
        let journal = Journal::new();
        let jobs = [(); 3].map(|()| pool.try_run(held::job(journal.path())).unwrap());
        until(|| journal.count("arrived") == 3).await;
        let all = pool.workers();
        assert_eq!(all.len(), 3);
        journal.note("go");
        for job in jobs {
            job.await.unwrap();
        }
        until(|| pool.workers().len() == 1).await;
        until(|| all.iter().filter(|worker| is_alive(**worker)).count() == 1).await;
    }
    until(|| pool.metrics().workers() == 1).await;
    assert_eq!((pool.metrics().deaths(), pool.metrics().completed()), (0, 9));
}

#[tenter::test]
async fn idle_workers_stay_without_a_timeout_and_go_to_the_last_with_none_to_keep() {
    let _watchdog = watchdog(LIMIT);
    let staying = pool(|b| b.workers(..=1).idle_timeout(None));
    let going = pool(|b| b.workers(..=1).idle_timeout(Some(Duration::from_millis(1))));
    let worker = staying.run(id::job()).await.unwrap();
    assert_ne!(going.run(id::job()).await.unwrap(), worker);
    until(|| going.workers().is_empty()).await;
    assert_eq!(staying.workers(), [worker]);
    assert_eq!(staying.run(id::job()).await.unwrap(), worker);
    // It comes back with the next job.
    assert!(going.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn a_hot_spare_is_there_before_it_is_needed() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(..=2).hot_spare(true));
    let journal = Journal::new();
    let mut jobs = Vec::new();
    for busy in 0..=2 {
        until(|| pool.metrics().idle() == 1).await;
        let metrics = pool.metrics();
        assert_eq!((metrics.running(), metrics.workers()), (busy, busy + 1));
        jobs.push(pool.try_run(held::job(journal.path())).unwrap());
    }
    // Both that may work do, and the spare does not.
    until(|| journal.count("arrived") == 2).await;
    let metrics = pool.metrics();
    assert_eq!((metrics.running(), metrics.queued(), metrics.workers()), (2, 1, 3));
    journal.note("go");
    for job in jobs {
        job.await.unwrap();
    }
}

#[tenter::test]
async fn a_busy_worker_is_sent_as_many_jobs_ahead_as_asked() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(1).send_ahead(2));
    let journal = Journal::new();
    let holder = hold(&pool, &journal).await;
    let jobs = [(); 4].map(|()| pool.try_run(id::job()).unwrap());
    let metrics = pool.metrics();
    assert_eq!((metrics.running(), metrics.queued()), (3, 2));
    journal.note("go");
    let worker = holder.await.unwrap();
    for job in jobs {
        assert_eq!(job.await.unwrap(), worker);
    }
}

#[tenter::test]
async fn a_death_costs_none_of_the_jobs_that_were_sent_ahead() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(1).send_ahead(8));
    let journal = Journal::new();
    let (holder, dying) = (hold(&pool, &journal).await, dies::job(journal.path()));
    let dying = pool.try_run(dying).unwrap();
    let jobs = [(); 6].map(|()| pool.try_run(id::job()).unwrap());
    journal.note("go");
    let first = holder.await.unwrap();
    assert!(dying.await.unwrap_err().is_died());
    for job in jobs {
        assert_ne!(job.await.unwrap(), first);
    }
}

#[tenter::test]
async fn a_pool_whose_workers_keep_dying_is_broken_until_one_succeeds() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(..=1).breaker(3));
    let journal = Journal::new();
    // Those in the queue fail, and those that come, unless it was whole again: not each time.
    let errors = loop {
        let before = Instant::now();
        let jobs = [(); 3].map(|()| pool.try_run(dies::job(journal.path())).unwrap());
        let behind = pool.try_run(id::job()).unwrap();
        for job in jobs {
            assert!(job.await.unwrap_err().is_died());
        }
        let queued = behind.await.unwrap_err();
        if let Some(next) = refusal(&pool, before).await {
            break [queued, next];
        }
    };
    for error in errors {
        let JobError::Broken { deaths, stderr, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*deaths, 3);
        assert!(stderr.contains("the disk is on fire"), "{stderr}");
        assert!(error.to_string().contains("the disk is on fire"), "{error}");
    }
    // After a while one is tried; its death breaks the pool again.
    let mut before = Instant::now();
    while !pool.run(dies::job(journal.path())).await.unwrap_err().is_died() {
        tenter::time::sleep(Duration::from_millis(1)).await;
        before = Instant::now();
    }
    if let Some(error) = refusal(&pool, before).await {
        assert!(matches!(error, JobError::Broken { .. }), "{error:?}");
    }
    // Its success mends it: the number of deaths starts again.
    journal.note("mended");
    while let Err(error) = pool.run(dies::job(journal.path())).await {
        assert!(matches!(error, JobError::Broken { .. }), "{error:?}");
        tenter::time::sleep(Duration::from_millis(1)).await;
    }
    let other = Journal::new();
    for _ in 0..2 {
        assert!(pool.run(dies::job(other.path())).await.unwrap_err().is_died());
    }
    assert!(pool.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn workers_are_replaced_after_so_many_jobs() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(1).max_jobs(3));
    let mut workers = Vec::new();
    for _ in 0..12 {
        workers.push(pool.run(id::job()).await.unwrap());
    }
    let turns: Vec<_> = workers.chunk_by(|a, b| a == b).map(<[u32]>::len).collect();
    assert_eq!(turns, [3; 4], "{workers:?}");
    let metrics = pool.metrics();
    assert_eq!((metrics.recycled(), metrics.deaths(), metrics.completed()), (4, 0, 12));
}

#[tenter::test]
async fn a_worker_that_has_grown_too_large_is_replaced() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(1).max_rss(96 * MIB));
    let first = pool.run(keeps::job(MIB)).await.unwrap();
    let large = pool.run(keeps::job(128 * MIB)).await.unwrap();
    assert_eq!(first, large);
    while pool.run(id::job()).await.unwrap() == large {}
    until(|| !is_alive(large)).await;
    assert_eq!((pool.metrics().recycled(), pool.metrics().deaths()), (1, 0));
}

#[tenter::test]
async fn a_worker_that_is_too_old_is_replaced() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(1).max_age(Duration::from_millis(20)));
    let first = pool.run(id::job()).await.unwrap();
    while pool.run(id::job()).await.unwrap() == first {}
    until(|| !is_alive(first)).await;
    assert!(pool.metrics().recycled() >= 1);
    assert_eq!(pool.metrics().deaths(), 0);
}

#[tenter::test]
async fn every_job_is_counted_in_one_place() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(1));
    for _ in 0..3 {
        pool.run(id::job()).await.unwrap();
    }
    let metrics = pool.metrics();
    assert!(metrics.bytes_inline() > 0 && metrics.bytes_slab() == 0, "{metrics:?}");
    assert!(metrics.run_time_max() <= metrics.run_time_total(), "{metrics:?}");
    assert!(metrics.wait_time_max() <= metrics.wait_time_total(), "{metrics:?}");
    assert!(metrics.run_time_total() > Duration::ZERO, "{metrics:?}");
    assert_eq!(pool.run(count_bytes::job(vec![1; MIB as usize])).await.unwrap(), MIB);
    assert!(pool.metrics().bytes_slab() >= MIB);

    assert!(pool.run(panics::job()).await.unwrap_err().is_panicked());
    let journal = Journal::new();
    assert!(pool.run(dies::job(journal.path())).await.unwrap_err().is_died());
    let twice = dies::job(journal.path()).idempotent(1);
    assert!(pool.run(twice).await.unwrap_err().is_died());
    let short = Duration::from_millis(20);
    assert!(pool.run(spins::job().timeout(short)).await.unwrap_err().is_timed_out());

    let holder = hold(&pool, &journal).await;
    let late = pool.try_run(id::job().queue_timeout(short)).unwrap();
    assert!(late.await.unwrap_err().is_timed_out());
    let dropped = pool.try_run(id::job()).unwrap();
    let left = pool.try_run(id::job()).unwrap();
    drop(dropped);
    let metrics = pool.metrics();
    assert_eq!((metrics.running(), metrics.queued()), (1, 1));
    assert_eq!((metrics.completed(), metrics.failed(), metrics.cancelled()), (4, 5, 1));
    assert_eq!(metrics.submitted(), 12);
    assert_eq!((metrics.timed_out(), metrics.retried()), (2, 1));
    assert_eq!(metrics.deaths(), 3);
    assert_eq!(metrics.deaths_by_signal().into_iter().collect::<Vec<_>>(), [(6, 3)]);
    // The first, one for each death, and one for the job that was killed for its time.
    assert_eq!((metrics.started(), metrics.recycled()), (5, 0));

    // What runs is cancelled too.
    drop(holder);
    assert!(left.await.is_ok());
    let metrics = pool.metrics();
    assert_eq!((metrics.running(), metrics.queued()), (0, 0));
    assert_eq!((metrics.completed(), metrics.cancelled(), metrics.deaths()), (5, 2, 3));
}

#[tenter::test]
async fn a_pool_that_was_never_used_ends_with_its_last_handle() {
    let _watchdog = watchdog(LIMIT);
    apart(|| {
        let runtime = Runtime::builder().worker_threads(1).build().unwrap();
        let pool = {
            let _entered = runtime.enter();
            ProcessPool::builder().workers(2).build().unwrap()
        };
        let second = pool.clone();
        drop(pool);
        wait_until(|| second.workers().len() == 2);
        let workers = second.workers();
        drop(second);
        wait_until(|| !workers.iter().any(|worker| is_alive(*worker)));
    });
}

#[tenter::test]
async fn a_map_takes_calls_when_there_is_room_and_dropped_it_kills_what_runs() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(2));
    let (journal, taken) = (Journal::new(), AtomicUsize::new(0));
    let mut map = Box::pin(pool.map((0_u64..).map(|_| {
        taken.fetch_add(1, Ordering::Relaxed);
        held::job(journal.path())
    })));
    assert!(poll_once(&mut map).await.is_none());
    until(|| journal.count("arrived") == 2).await;
    assert!((3..=8).contains(&taken.load(Ordering::Relaxed)), "{taken:?}");
    let workers = pool.workers();
    drop(map);
    until(|| !workers.iter().any(|worker| is_alive(*worker))).await;
    assert!(pool.run(id::job()).await.is_ok());
    let metrics = pool.metrics();
    assert_eq!(metrics.cancelled(), taken.load(Ordering::Relaxed) as u64);
}

#[tenter::test]
async fn a_panic_of_a_maps_iterator_comes_through_and_stops_its_jobs() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(1..=2));
    until(|| pool.metrics().idle() == 1).await;
    let workers = pool.workers();
    let journal = Journal::new();
    let path = journal.path().to_owned();
    let calls = (0..).map(move |n| {
        assert!(n < 1, "no more of these");
        held::job(&path)
    });
    let error = tenter::spawn(pool.map(calls)).await.unwrap_err();
    assert!(error.is_panic(), "{error}");
    until(|| !workers.iter().any(|worker| is_alive(*worker))).await;
    assert_eq!(pool.metrics().cancelled(), 1);
    assert!(pool.run(id::job()).await.is_ok());
}
