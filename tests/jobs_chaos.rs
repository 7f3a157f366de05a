//! Workers killed at random and all at once, from everywhere, while they are replaced: each job
//! ends exactly once, in a result or an error, and does what it does at most once an attempt.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::collections::BTreeMap;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use futures_lite::future::block_on;
use rustix::process::Signal;
use support::{Journal, apart, children, is_alive, kill, note, until, watchdog};
use tenter::Runtime;
use tenter::jobs::{Builder, JobError, PoolMetrics, ProcessPool, Run};

/// Beyond what the longest of these takes on a busy machine.
const LONG: Duration = Duration::from_secs(240);

/// Deaths that are no reason to give up.
const MANY: u32 = 1_000_000;

const JOBS: u32 = 10_000;

/// A small generator of random numbers (xorshift), the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[tenter::job]
fn id() -> u32 {
    process::id()
}

/// Notes that it runs, and returns its number and its worker.
#[tenter::job]
fn notes(journal: &str, number: u32) -> (u32, u32) {
    note(journal, &number.to_string());
    (number, process::id())
}

#[tenter::job]
fn doubles(number: u64) -> u64 {
    number * 2
}

#[tenter::job]
fn reverses(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reverse();
    bytes
}

/// Notes that it runs, takes some time, and returns its number and its worker.
#[tenter::job]
fn works(journal: &str, number: u32, spins: u32) -> (u32, u32) {
    note(journal, &number.to_string());
    (0..spins).for_each(|_| std::hint::spin_loop());
    (number, process::id())
}

#[tenter::job]
fn panics() {
    panic!("as it must");
}

fn builder(workers: usize) -> Builder {
    let mut builder = ProcessPool::builder();
    builder.workers(workers).breaker(MANY);
    builder
}

/// How often each number stands in the journal.
fn counts(journal: &Journal) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for line in journal.lines() {
        *counts.entry(line.parse().expect("whole lines are written")).or_default() += 1;
    }
    counts
}

/// Nothing is in the pool any more, and all that was is accounted for.
#[track_caller]
fn assert_adds_up(metrics: &PoolMetrics) {
    assert_eq!((metrics.queued(), metrics.running()), (0, 0), "{metrics:?}");
    let ended = metrics.completed() + metrics.failed() + metrics.cancelled();
    assert_eq!(metrics.submitted(), ended, "{metrics:?}");
}

/// The worker that returned something last, if it was not asked for yet.
///
/// It is up: a worker that is killed again and again before it is up is another matter.
#[derive(Clone, Default)]
struct Latest(Arc<AtomicU32>);

impl Latest {
    /// Runs a job that returns its worker.
    async fn run(self, run: Run<(u32, u32)>) -> Result<u32, JobError> {
        let (number, worker) = run.await?;
        self.0.store(worker, Ordering::Relaxed);
        Ok(number)
    }

    fn killer(&self, seed: u64, pause: Duration) -> Killer {
        let latest = Arc::clone(&self.0);
        let take = move || Some(latest.swap(0, Ordering::Relaxed)).filter(|worker| *worker != 0);
        Killer::start(seed, pause, move |_| take())
    }
}

/// A thread that kills a worker of the pool now and then, until it is told to stop.
struct Killer {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

impl Killer {
    fn start(
        seed: u64,
        pause: Duration,
        mut victim: impl FnMut(&mut Random) -> Option<u32> + Send + 'static,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let told = stop.clone();
        let thread = thread::spawn(move || {
            let (mut random, mut kills) = (Random(seed), 0);
            while !told.load(Ordering::Relaxed) {
                if let Some(worker) = victim(&mut random) {
                    kill(worker, Signal::KILL);
                    kills += 1;
                }
                thread::sleep(pause * random.below(3) as u32 / 2);
            }
            kills
        });
        Self { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[tenter::test]
async fn ten_thousand_jobs_with_random_kills_each_end_once() {
    let _watchdog = watchdog(LONG);
    let (pool, journal) = (builder(3).build().unwrap(), Journal::new());
    let latest = Latest::default();
    let killer = latest.killer(7, Duration::from_millis(10));
    let mut random = Random(11);
    let runs: Vec<_> = (0..JOBS)
        .map(|number| {
            let call = works::job(journal.path(), number, random.below(20_000) as u32);
            tenter::spawn(latest.clone().run(pool.run(call)))
        })
        .collect();
    let (mut completed, mut died) = (Vec::new(), Vec::new());
    for (number, run) in (0..).zip(runs) {
        match run.await.unwrap() {
            Ok(result) => {
                assert_eq!(result, number);
                completed.push(number);
            }
            Err(JobError::Died { signal: Some(9), .. }) => died.push(number),
            Err(other) => panic!("{number}: {other:?}"),
        }
    }
    let kills = killer.stop();
    println!("{} completed, {} died, {kills} kills", completed.len(), died.len());
    let counts = counts(&journal);
    for number in &completed {
        assert_eq!(counts.get(number), Some(&1), "{number}");
    }
    assert!(died.iter().all(|number| counts.get(number).is_none_or(|count| *count == 1)));
    let metrics = pool.metrics();
    assert_adds_up(&metrics);
    assert_eq!((metrics.submitted(), metrics.retried()), (u64::from(JOBS), 0));
    assert_eq!(metrics.completed(), completed.len() as u64);
    assert!(metrics.deaths() >= died.len() as u64, "{metrics:?}");
    assert!(!completed.is_empty() && !died.is_empty());
}

#[tenter::test]
async fn idempotent_jobs_outlive_the_kills_and_run_no_more_often_than_they_may() {
    let _watchdog = watchdog(LONG);
    const RETRIES: u32 = 3;
    let (pool, journal) = (builder(3).send_ahead(2).build().unwrap(), Journal::new());
    let latest = Latest::default();
    let killer = latest.killer(5, Duration::from_millis(10));
    let mut random = Random(13);
    let runs: Vec<_> = (0..JOBS / 2)
        .map(|number| {
            let call = works::job(journal.path(), number, random.below(20_000) as u32);
            tenter::spawn(latest.clone().run(pool.run(call.idempotent(RETRIES))))
        })
        .collect();
    let mut died = 0;
    for (number, run) in (0..).zip(runs) {
        match run.await.unwrap() {
            Ok(result) => assert_eq!(result, number),
            Err(error) => {
                assert!(error.is_died(), "{number}: {error:?}");
                died += 1;
            }
        }
    }
    let kills = killer.stop();
    let metrics = pool.metrics();
    println!("{died} died {RETRIES} times, {} ran again, {kills} kills", metrics.retried());
    assert!(counts(&journal).values().all(|count| *count <= 1 + RETRIES));
    assert_adds_up(&metrics);
    assert!(metrics.retried() > 0, "{metrics:?}");
}

#[tenter::test]
async fn all_workers_killed_at_once_a_hundred_times_cost_what_they_had() {
    let _watchdog = watchdog(LONG);
    const WORKERS: usize = 4;
    let pool = builder(WORKERS).build().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..2 * WORKERS as u64)
        .map(|n| {
            let (pool, done) = (pool.clone(), done.clone());
            tenter::spawn(async move {
                let (mut completed, mut died) = (0_u64, 0_u64);
                for number in n.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    match pool.run(doubles::job(number)).await {
                        Ok(result) => {
                            assert_eq!(result, 2 * number);
                            completed += 1;
                        }
                        Err(JobError::Died { signal: Some(9), .. }) => died += 1,
                        Err(other) => panic!("{other:?}"),
                    }
                }
                (completed, died)
            })
        })
        .collect();
    let mut killed = 0;
    for _ in 0..100 {
        let before = pool.metrics().completed();
        until(|| {
            let metrics = pool.metrics();
            let are_up =
                metrics.workers() == WORKERS && metrics.idle() + metrics.running() == WORKERS;
            metrics.completed() > before + 10 && are_up
        })
        .await;
        let workers = pool.workers();
        workers.iter().for_each(|worker| kill(*worker, Signal::KILL));
        until(|| !workers.iter().any(|worker| is_alive(*worker))).await;
        killed += workers.len() as u64;
    }
    done.store(true, Ordering::Relaxed);
    let (mut completed, mut died) = (0, 0);
    for task in load {
        let (more_completed, more_died) = task.await.unwrap();
        completed += more_completed;
        died += more_died;
    }
    println!("{killed} killed, {completed} completed, {died} died");
    assert!(died <= killed, "{died} jobs died with {killed} workers");
    let metrics = pool.metrics();
    assert_adds_up(&metrics);
    assert_eq!((metrics.completed(), metrics.failed()), (completed, died));
    assert!(pool.run(id::job()).await.is_ok());
}

#[tenter::test]
async fn workers_killed_while_idle_lose_no_job() {
    let _watchdog = watchdog(LONG);
    let pool = builder(3).build().unwrap();
    for round in 0..60 {
        for worker in pool.workers() {
            kill(worker, Signal::KILL);
        }
        let runs: Vec<_> = (0..3).map(|n| tenter::spawn(pool.run(doubles::job(n)))).collect();
        for (n, run) in (0..).zip(runs) {
            let result = run.await.unwrap();
            assert_eq!(result.unwrap_or_else(|error| panic!("{round}: {error}")), 2 * n);
        }
        until(|| pool.metrics().idle() == 3).await;
    }
    assert_eq!(pool.metrics().failed(), 0);
}

/// Runs a thousand jobs in a pool that replaces its workers: none is lost, none runs twice.
async fn recycles(builder: &mut Builder) -> BTreeMap<u32, u32> {
    let (pool, journal) = (builder.build().unwrap(), Journal::new());
    let runs: Vec<_> =
        (0..1000).map(|n| tenter::spawn(pool.run(notes::job(journal.path(), n)))).collect();
    let mut workers = BTreeMap::new();
    for (n, run) in (0..).zip(runs) {
        let (number, worker) = run.await.unwrap().unwrap_or_else(|error| panic!("{n}: {error}"));
        assert_eq!(number, n);
        *workers.entry(worker).or_default() += 1;
    }
    let counts = counts(&journal);
    assert!(counts.len() == 1000 && counts.values().all(|count| *count == 1), "{counts:?}");
    let metrics = pool.metrics();
    assert_adds_up(&metrics);
    assert_eq!((metrics.failed(), metrics.deaths(), metrics.retried()), (0, 0, 0), "{metrics:?}");
    println!("{} workers, {} recycled", workers.len(), metrics.recycled());
    assert!(metrics.recycled() as usize >= workers.len().saturating_sub(3), "{metrics:?}");
    let current = pool.workers();
    until(|| {
        // Of this process's children: a number may be another process's by now.
        let children = children();
        let mut old = children.iter().filter(|child| workers.contains_key(child));
        !old.any(|old| is_alive(*old) && !current.contains(old) && !pool.workers().contains(old))
    })
    .await;
    workers
}

#[tenter::test]
async fn recycling_under_load_loses_no_job_and_runs_none_twice() {
    let _watchdog = watchdog(LONG);
    let workers = recycles(builder(3).max_jobs(7)).await;
    assert!(workers.values().all(|jobs| *jobs <= 7), "{workers:?}");
    assert!(workers.len() >= 1000 / 7);
    let workers = recycles(builder(3).max_jobs(10).send_ahead(4)).await;
    assert!(workers.values().all(|jobs| *jobs <= 10), "{workers:?}");
    let workers = recycles(builder(2).max_jobs(1)).await;
    assert_eq!(workers.len(), 1000);
    // Every worker is too large, or too old, after each job.
    recycles(builder(3).max_rss(1 << 20)).await;
    recycles(builder(3).max_age(Duration::from_millis(5))).await;
}

#[tenter::test]
async fn recycling_and_kills_together_lose_nothing_that_does_not_die() {
    let _watchdog = watchdog(LONG);
    let pool = builder(3).max_jobs(20).send_ahead(3).build().unwrap();
    let journal = Journal::new();
    let latest = Latest::default();
    let killer = latest.killer(3, Duration::from_millis(20));
    let runs: Vec<_> = (0..2000)
        .map(|n| tenter::spawn(latest.clone().run(pool.run(notes::job(journal.path(), n)))))
        .collect();
    let (mut completed, mut died) = (0, 0);
    for run in runs {
        match run.await.unwrap() {
            Ok(_) => completed += 1,
            Err(JobError::Died { .. }) => died += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    println!("{completed} completed, {died} died, {} kills", killer.stop());
    assert!(counts(&journal).values().all(|count| *count == 1));
    assert_adds_up(&pool.metrics());
}

#[tenter::test]
async fn anything_at_once_from_anywhere_ends() {
    let _watchdog = watchdog(LONG);
    for seed in 1..=4 {
        let mut builder = builder(3);
        let pool = builder.max_queued(50).max_jobs(50).send_ahead(seed as usize % 3).build();
        let pool = pool.unwrap();
        let victims = pool.clone();
        let killer = Killer::start(seed, Duration::from_millis(30), move |random| {
            let workers = victims.workers();
            workers.get(random.below(workers.len().max(1) as u64) as usize).copied()
        });
        let tasks = (0..30).map(|n| {
            let pool = pool.clone();
            tenter::spawn(async move { acts(&pool, &mut Random(seed * 100 + n)).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        killer.stop();
        until(|| pool.metrics().queued() + pool.metrics().running() == 0).await;
        assert_adds_up(&pool.metrics());
        if seed % 2 == 0 {
            pool.shutdown(Duration::from_secs(5)).await;
            assert!(pool.workers().is_empty());
        }
    }
}

/// Does some things with the pool, whichever.
async fn acts(pool: &ProcessPool, random: &mut Random) {
    for _ in 0..50 {
        let number = random.below(1000);
        match random.below(8) {
            0..3 => {
                if let Ok(result) = pool.run(doubles::job(number)).await {
                    assert_eq!(result, 2 * number);
                }
            }
            3 => {
                let bytes: Vec<u8> = (0..300 * number).map(|n| n as u8).collect();
                if let Ok(mut result) = pool.run(reverses::job(bytes.clone())).await {
                    result.reverse();
                    assert_eq!(result, bytes);
                }
            }
            4 => {
                let error = pool.run(panics::job()).await.unwrap_err();
                // Here workers are killed that are not up yet, too.
                let is_one = error.is_panicked() || error.is_died();
                assert!(is_one || matches!(error, JobError::Spawn(_)), "{error}");
            }
            5 => {
                let run = pool.run(doubles::job(number));
                let limit = Duration::from_micros(number);
                drop(tenter::time::timeout(limit, run).await);
            }
            6 => drop(pool.try_run(doubles::job(number).detach())),
            _ => {
                let call = doubles::job(number).timeout(Duration::from_micros(number));
                drop(pool.run(call.idempotent(1)).await);
            }
        }
    }
}

#[tenter::test]
async fn a_pool_is_used_from_four_threads_and_two_runtimes() {
    let _watchdog = watchdog(LONG);
    let pool = builder(3).build().unwrap();
    let other = Runtime::builder().worker_threads(2).build().unwrap();
    apart(|| {
        thread::scope(|scope| {
            for n in 0..4 {
                let (pool, other) = (&pool, &other);
                scope.spawn(move || {
                    for number in 0..300 {
                        let run = pool.run(doubles::job(number));
                        let result = match n % 3 {
                            0 => block_on(run),
                            1 => other.block_on(run),
                            _ => other.block_on(other.spawn(run)).unwrap(),
                        };
                        assert_eq!(result.unwrap(), 2 * number);
                    }
                });
            }
        });
        // That runtime has no part in the pool's life.
        drop(other);
        assert_eq!(block_on(pool.run(doubles::job(4))).unwrap(), 8);
    });
    assert_adds_up(&pool.metrics());
}
