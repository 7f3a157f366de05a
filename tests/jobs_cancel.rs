//! Jobs that are given up: for their time, or because nobody waits for them any more; and the
//! queue that they wait in.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::hint::spin_loop;
use std::time::Duration;
use std::{fs, process, thread};

use futures_lite::future::{or, poll_once, yield_now};
use support::{Gate, Journal, LIMIT, is_alive, is_stopped, note, until, wait_for_note, watchdog};
use tenter::jobs::{self, JobError, Priority, ProcessPool};

/// A limit that passes in a test.
const SOON: Duration = Duration::from_millis(100);

/// A limit that a job which does next to nothing keeps on any machine.
const LATE: Duration = Duration::from_secs(2);

#[tenter::job]
fn id() -> u32 {
    process::id()
}

/// Notes the worker, and runs until the test lets it go.
#[tenter::job]
fn holds(journal: &str) -> u32 {
    note(journal, &process::id().to_string());
    wait_for_note(journal, "go");
    note(journal, "went");
    process::id()
}

#[tenter::job]
fn notes(journal: &str, line: &str) {
    note(journal, line);
}

#[tenter::job]
fn spins(journal: &str) {
    note(journal, &process::id().to_string());
    loop {
        spin_loop();
    }
}

/// Runs until it is asked to stop, and says how often it looked.
#[tenter::job]
fn stops_when_asked(journal: &str) -> u64 {
    note(journal, &process::id().to_string());
    let mut looks = 1;
    while !jobs::cancelled() {
        looks += 1;
    }
    note(journal, "stopped");
    looks
}

/// Whether it is asked to stop as it starts.
#[tenter::job]
fn is_asked_to_stop() -> bool {
    jobs::cancelled()
}

/// Fails, once somebody has written something.
#[tenter::job]
fn fails(journal: &str) -> u32 {
    while fs::read_to_string(journal).expect("the journal is there").is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    panic!("this one fails");
}

fn pool(workers: usize) -> ProcessPool {
    ProcessPool::builder().workers(workers).build().expect("a pool starts")
}

/// The worker that has noted itself first.
async fn worker(journal: &Journal) -> u32 {
    journal.has_lines(1).await[0].parse().unwrap()
}

#[tenter::test]
async fn the_timeout_is_of_running_time() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    let first = tenter::spawn(pool.run(holds::job(journal.path())));
    worker(&journal).await;
    let second = pool.try_run(id::job().timeout(LATE)).unwrap();
    // It waits for longer than it may run.
    tenter::time::sleep(LATE + SOON).await;
    journal.note("go");
    let first = first.await.unwrap().unwrap();
    assert_eq!(second.await.unwrap(), first);
}

#[tenter::test]
async fn a_timeout_kills_the_worker_and_the_next_job_has_another() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    // The job may be killed before it could note it.
    let worker = pool.run(id::job()).await.unwrap();
    let error = pool.run(spins::job(journal.path()).timeout(SOON)).await.unwrap_err();
    assert!(matches!(error, JobError::TimedOut { after, .. } if after == SOON), "{error}");
    until(|| !is_alive(worker)).await;
    assert_ne!(pool.run(id::job().timeout(LIMIT)).await.unwrap(), worker);
    let metrics = pool.metrics();
    assert_eq!((metrics.timed_out(), metrics.failed(), metrics.completed()), (1, 1, 2));
}

#[tenter::test]
async fn a_timeout_of_zero_and_one_without_end_are_timeouts() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    let error = pool.run(spins::job(journal.path()).timeout(Duration::ZERO)).await.unwrap_err();
    assert!(error.is_timed_out(), "{error}");
    let call = id::job().timeout(Duration::MAX).soft_timeout(Duration::MAX);
    assert!(pool.run(call.queue_timeout(Duration::MAX)).await.is_ok());
}

#[tenter::test]
async fn a_job_that_waits_too_long_is_never_started() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    let first = tenter::spawn(pool.run(holds::job(journal.path())));
    let before = worker(&journal).await;
    let call = notes::job(journal.path(), "second");
    let error = pool.run(call.queue_timeout(SOON)).await.unwrap_err();
    assert!(matches!(error, JobError::QueueTimedOut { after, .. } if after == SOON), "{error}");
    assert!(error.is_timed_out());
    journal.note("go");
    assert_eq!(first.await.unwrap().unwrap(), before);
    assert_eq!(pool.run(id::job().queue_timeout(LATE)).await.unwrap(), before);
    assert_eq!(journal.count("second"), 0);
    assert_eq!(pool.metrics().timed_out(), 1);
}

#[tenter::test]
async fn the_time_in_the_queue_ends_when_the_job_starts() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    // There is a worker, and the job need not wait until one has started.
    pool.run(id::job()).await.unwrap();
    let run = tenter::spawn(pool.run(holds::job(journal.path()).queue_timeout(LATE)));
    worker(&journal).await;
    tenter::time::sleep(LATE + SOON).await;
    journal.note("go");
    run.await.unwrap().unwrap();
}

#[tenter::test]
async fn the_soft_timeout_asks_and_the_worker_stays() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    for _ in 0..3 {
        let call = stops_when_asked::job(journal.path()).soft_timeout(SOON).timeout(LIMIT);
        assert!(pool.run(call).await.unwrap() >= 1);
        // It was that job that was asked.
        assert!(!pool.run(is_asked_to_stop::job()).await.unwrap());
    }
    assert_eq!(pool.run(id::job()).await.unwrap(), worker(&journal).await);
    assert_eq!(journal.count("stopped"), 3);
    assert!(!jobs::cancelled(), "outside a worker nobody asks");
}

#[tenter::test]
async fn a_job_that_does_not_listen_is_killed_after_the_soft_timeout() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    let call = spins::job(journal.path()).soft_timeout(SOON).timeout(SOON * 3);
    let error = pool.run(call).await.unwrap_err();
    assert!(matches!(error, JobError::TimedOut { after, .. } if after == SOON * 3), "{error}");
}

#[tenter::test]
async fn a_future_that_is_never_polled_does_nothing() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    drop(pool.run(notes::job(journal.path(), "never")));
    drop(pool.run(notes::job(journal.path(), "never").detach()));
    pool.run(id::job()).await.unwrap();
    assert_eq!((journal.lines().len(), pool.metrics().submitted()), (0, 1));
}

#[tenter::test]
async fn dropping_a_future_whose_job_waits_takes_it_from_the_queue() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    let first = tenter::spawn(pool.run(holds::job(journal.path())));
    let before = worker(&journal).await;
    let mut polled = pool.run(notes::job(journal.path(), "polled"));
    assert!(poll_once(&mut polled).await.is_none());
    let tried = pool.try_run(notes::job(journal.path(), "tried")).unwrap();
    assert_eq!(pool.metrics().queued(), 2);
    drop((polled, tried));
    assert_eq!((pool.metrics().queued(), pool.metrics().cancelled()), (0, 2));
    journal.note("go");
    assert_eq!(first.await.unwrap().unwrap(), before);
    assert_eq!(pool.run(id::job()).await.unwrap(), before);
    assert_eq!((journal.count("polled"), journal.count("tried")), (0, 0));
}

#[tenter::test]
async fn dropping_a_future_whose_job_runs_kills_the_worker() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(1);
    for stopped in [false, true] {
        let journal = Journal::new();
        let mut run = pool.run(spins::job(journal.path()));
        let worker = or(async { Err((&mut run).await) }, async { Ok(worker(&journal).await) });
        let worker = worker.await.unwrap();
        if stopped {
            support::kill(worker, rustix::process::Signal::STOP);
            until(|| is_stopped(worker)).await;
        }
        drop(run);
        until(|| !is_alive(worker)).await;
        assert_ne!(pool.run(id::job()).await.unwrap(), worker);
    }
    let metrics = pool.metrics();
    assert_eq!((metrics.cancelled(), metrics.deaths(), metrics.completed()), (2, 0, 2));
}

#[tenter::test]
async fn a_detached_job_ends_by_itself() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(1), Journal::new());
    let mut running = pool.run(holds::job(journal.path()).detach());
    assert!(poll_once(&mut running).await.is_none());
    worker(&journal).await;
    let queued = pool.try_run(notes::job(journal.path(), "queued").detach()).unwrap();
    drop((running, queued));
    journal.note("go");
    journal.has("went").await;
    journal.has("queued").await;
    until(|| pool.metrics().completed() == 2).await;
    assert_eq!(pool.metrics().cancelled(), 0);
}

#[tenter::test]
async fn futures_dropped_at_any_moment_leave_a_pool_that_works() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(2), Journal::new());
    for n in 0..500 {
        let line = n.to_string();
        let run = pool.run(notes::job(journal.path(), &line));
        let ended = or(async { Some(run.await) }, async {
            for _ in 0..n % 50 {
                yield_now().await;
            }
            None
        });
        let ended = ended.await;
        if let Some(result) = ended {
            result.unwrap();
            assert_eq!(journal.count(&line), 1);
        }
    }
    for _ in 0..10 {
        pool.run(id::job()).await.unwrap();
    }
    let metrics = pool.metrics();
    assert_eq!((metrics.failed(), metrics.deaths(), metrics.queued()), (0, 0, 0), "{metrics:?}");
    let lines = journal.lines();
    let unique = lines.iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(unique.len(), lines.len(), "a job ran twice");
}

#[tenter::test]
async fn jobs_run_by_priority_and_in_order() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal, order) = (pool(1), Journal::new(), Journal::new());
    let first = tenter::spawn(pool.run(holds::job(journal.path())));
    worker(&journal).await;
    let mut runs = Vec::new();
    for n in 0..10 {
        for (name, priority) in
            [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High)]
        {
            let call = notes::job(order.path(), &format!("{name} {n}")).priority(priority);
            runs.push(pool.try_run(call).unwrap());
        }
    }
    journal.note("go");
    first.await.unwrap().unwrap();
    for run in runs {
        run.await.unwrap();
    }
    let expected = ["high", "normal", "low"].into_iter();
    let expected: Vec<_> =
        expected.flat_map(|name| (0..10).map(move |n| format!("{name} {n}"))).collect();
    assert_eq!(order.lines(), expected);
}

#[tenter::test]
async fn a_full_queue_hands_back_or_waits() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).max_queued(2).build().unwrap();
    let (journal, order) = (Journal::new(), Journal::new());
    let first = tenter::spawn(pool.run(holds::job(journal.path())));
    worker(&journal).await;
    let call = |line: &str| notes::job(order.path(), line);
    let queued = [pool.try_run(call("a")).unwrap(), pool.try_run(call("b")).unwrap()];
    let refused = pool.try_run(call("c")).unwrap_err();
    assert!(refused.is_full() && !refused.is_closed());
    assert_eq!(refused.to_string(), "the pool's queue is full");
    // One that waits for room and is dropped is not in anybody's way.
    let mut gives_up = pool.run(call("never"));
    assert!(poll_once(&mut gives_up).await.is_none());
    let mut waits = pool.run(refused.into_call());
    assert!(poll_once(&mut waits).await.is_none());
    drop(gives_up);
    assert_eq!((pool.metrics().queued(), pool.metrics().submitted()), (2, 3));
    journal.note("go");
    waits.await.unwrap();
    for run in queued {
        run.await.unwrap();
    }
    first.await.unwrap().unwrap();
    assert_eq!(order.lines(), ["a", "b", "c"]);
}

#[tenter::test]
async fn many_that_wait_for_room_all_get_it() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(2).max_queued(3).build().unwrap();
    let runs: Vec<_> = (0..500).map(|_| tenter::spawn(pool.run(id::job()))).collect();
    for (n, run) in runs.into_iter().enumerate() {
        if n % 7 == 0 {
            drop(run.cancel().await);
        } else {
            run.await.unwrap().unwrap();
        }
    }
    assert_eq!(pool.metrics().queued(), 0);
}

#[tenter::test]
async fn a_map_keeps_the_order_and_its_first_error_stops_the_rest() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(2), Journal::new());
    let ids = pool.map((0..50).map(|_| id::job())).await.unwrap();
    assert_eq!(ids.len(), 50);
    assert!(ids.iter().all(|id| pool.workers().contains(id)));
    // One fails while another one would run for ever, and most have not begun.
    let gate = Gate::new();
    let calls = (0..50).map({
        let journal = journal.path().to_owned();
        move |n| match n {
            0 => holds::job(&journal),
            3 => fails::job(&journal),
            _ => id::job(),
        }
    });
    let opens = gate.clone();
    let mapped = tenter::spawn({
        let mapped = pool.map(calls);
        async move {
            let result = mapped.await;
            opens.open();
            result
        }
    });
    let held = worker(&journal).await;
    gate.pass().await;
    let error = mapped.await.unwrap().unwrap_err();
    assert!(matches!(&error, JobError::Panicked { message, .. } if message == "this one fails"));
    until(|| !is_alive(held)).await;
    assert_eq!(journal.count("went"), 0);
    assert!(pool.run(id::job()).await.is_ok());
    // Nothing is to do.
    assert_eq!(pool.map(Vec::<jobs::Call<u32>>::new()).await.unwrap(), []);
}
