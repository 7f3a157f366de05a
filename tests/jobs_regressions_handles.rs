//! What went wrong once with what a pool gives away: futures that outlive it, the numbers of its
//! jobs, and a shutdown that is polled often, or has no runtime.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::process;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::{block_on, poll_once};
use support::{
    Child, Journal, LIMIT, apart, children, expect_success, note, until, wait_for_note, wait_until,
    watchdog,
};
use tenter::Runtime;
use tenter::jobs::{self, OutputLine, ProcessPool, ShutdownReport};

/// A grace that no job of these tests needs.
const LONG: Duration = Duration::from_secs(50);

/// A grace that passes in a test.
const SHORT: Duration = Duration::from_millis(50);

#[tenter::job]
fn id() -> u32 {
    process::id()
}

#[tenter::job]
fn holds(journal: &str) -> u32 {
    note(journal, "held");
    wait_for_note(journal, "go");
    process::id()
}

#[tenter::job]
fn says(text: &str, journal: &str) {
    eprintln!("{text}");
    wait_for_note(journal, "go");
}

#[tenter::job(emits = u64)]
fn says_and_emits(text: &str, journal: &str) {
    println!("{text}");
    wait_for_note(journal, "go");
    jobs::emit(7_u64);
}

fn pool() -> ProcessPool {
    ProcessPool::builder().workers(1).build().expect("a pool starts")
}

fn runtime() -> Runtime {
    Runtime::builder().worker_threads(2).build().expect("a runtime starts")
}

#[tenter::test]
async fn a_map_does_not_keep_the_pool_any_more_than_a_run_does() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(), Journal::new());
    let calls = || [holds::job(journal.path()), id::job()];
    let mut running = Box::pin(pool.map(calls()));
    assert!(poll_once(&mut running).await.is_none());
    journal.has("held").await;
    let mut waiting = Box::pin(pool.map([id::job()]));
    assert!(poll_once(&mut waiting).await.is_none());
    let (new, run) = (pool.map(calls()), pool.run(id::job()));
    drop(pool);
    assert!(run.await.unwrap_err().is_closed());
    assert!(running.await.unwrap_err().is_closed());
    assert!(waiting.await.unwrap_err().is_closed());
    assert!(new.await.unwrap_err().is_closed());
    assert_eq!(journal.count("held"), 1);
}

#[tenter::test]
async fn runs_and_streams_know_the_number_that_their_lines_come_with() {
    let _watchdog = watchdog(LIMIT);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let keep = move |line: OutputLine<'_>| {
        sink.lock().unwrap().push((line.to_str_lossy().into_owned(), line.job));
    };
    let pool = ProcessPool::builder().workers(2).capture_output(keep).build().unwrap();
    for round in 0..20 {
        let (of_run, of_stream) = (format!("run {round}"), format!("stream {round}"));
        let journal = Journal::new();
        let mut run = pool.run(says::job(&of_run, journal.path()));
        let mut stream = pool.stream(says_and_emits::job(&of_stream, journal.path()));
        assert_eq!((run.id(), stream.id()), (None, None));
        assert!(poll_once(&mut run).await.is_none());
        assert!(poll_once(stream.next()).await.is_none());
        let ids = [(of_run, run.id()), (of_stream, stream.id())];
        assert!(ids.iter().all(|(_, id)| id.is_some()), "{ids:?}");
        assert_ne!(ids[0].1, ids[1].1);
        journal.note("go");
        run.await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), 7);
        stream.output().await.unwrap();
        until(|| ids.iter().all(|line| lines.lock().unwrap().contains(line))).await;
    }
    assert_eq!(lines.lock().unwrap().len(), 40);
}

#[tenter::test]
async fn a_job_has_its_number_as_soon_as_it_is_accepted_and_until_its_end() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(), Journal::new());
    let mut first = pool.try_run(holds::job(journal.path())).unwrap();
    let second = pool.try_run(id::job()).unwrap();
    assert!(first.id().is_some() && second.id() > first.id());
    journal.note("go");
    (&mut first).await.unwrap();
    assert_eq!(first.id(), None);
}

/// A waker that does nothing; how many there are is the count of the `Arc`.
struct Inert;

impl Wake for Inert {
    fn wake(self: Arc<Self>) {}
}

#[tenter::test]
async fn a_shutdown_that_is_polled_a_million_times_keeps_one_waker() {
    let _watchdog = watchdog(LIMIT);
    let (pool, journal) = (pool(), Journal::new());
    let holding = tenter::spawn(pool.run(holds::job(journal.path())));
    journal.has("held").await;
    let inert = Arc::new(Inert);
    let waker = Waker::from(Arc::clone(&inert));
    let mut ending = Box::pin(pool.shutdown(LONG));
    let mut poll_times = |times| {
        for _ in 0..times {
            let polled = ending.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending(), "the worker is held");
        }
        Arc::strong_count(&inert)
    };
    let (at_first, at_last) = (poll_times(10), poll_times(1_000_000));
    assert_eq!(at_last, at_first);
    journal.note("go");
    assert_eq!(ending.await.killed, 0);
    assert!(holding.await.unwrap().is_ok());
    drop(waker);
    assert_eq!(Arc::strong_count(&inert), 1);
}

/// What becomes of a runtime while its pool is there.
#[derive(Clone, Copy, Debug)]
enum End {
    Drop,
    Shutdown,
    Background,
}

impl End {
    const ALL: [Self; 3] = [Self::Drop, Self::Shutdown, Self::Background];

    fn put_to(self, runtime: Runtime) {
        match self {
            Self::Drop => drop(runtime),
            Self::Shutdown => _ = runtime.shutdown(LONG),
            Self::Background => runtime.shutdown_background(),
        }
    }
}

/// Runs `body` with a runtime, a pool on it that has a job on its way, and each end of the runtime.
fn for_each_end(body: impl Fn(End, Runtime, &ProcessPool)) {
    for (round, end) in (0..4).flat_map(|round| End::ALL.map(|end| (round, end))) {
        println!("round {round}, {end:?}");
        let (runtime, journal) = (runtime(), Journal::new());
        let pool = runtime.block_on(async { pool() });
        block_on(pool.run(id::job())).unwrap();
        let mut holding = pool.run(holds::job(journal.path()));
        assert!(block_on(poll_once(&mut holding)).is_none());
        let mut waiting = pool.run(id::job().queue_timeout(LONG));
        assert!(block_on(poll_once(&mut waiting)).is_none());
        body(end, runtime, &pool);
        assert!(block_on(holding).unwrap_err().is_closed());
        assert!(block_on(waiting).unwrap_err().is_closed());
        // It is over, and stays so.
        assert_eq!(block_on(pool.shutdown(LONG)), ShutdownReport::default());
        assert!(pool.workers().is_empty());
        wait_until(|| children().is_empty());
    }
}

#[tenter::test]
async fn a_shutdown_after_the_runtime_has_nothing_to_wait_for() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        apart(|| {
            for_each_end(|end, runtime, pool| {
                end.put_to(runtime);
                block_on(pool.shutdown(LONG));
            });
        });
    }));
}

#[tenter::test]
async fn a_shutdown_returns_when_the_runtime_ends_before_the_jobs_do() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        apart(|| {
            // It waits already: for jobs, or for the workers that it has told to end.
            for grace in [LONG, Duration::ZERO] {
                for_each_end(|end, runtime, pool| {
                    let mut ending = Box::pin(pool.shutdown(grace));
                    let _ = block_on(poll_once(&mut ending));
                    end.put_to(runtime);
                    block_on(ending);
                });
            }
        });
    }));
}

#[tenter::test]
async fn a_shutdown_on_another_thread_or_runtime_outlives_the_pools_own() {
    let _watchdog = watchdog(LIMIT);
    expect_success(&Child::new().run(|| {
        apart(|| {
            let other = runtime();
            for grace in [LONG, SHORT, Duration::ZERO] {
                for_each_end(|end, runtime, pool| {
                    let thread = thread::spawn({
                        let pool = pool.clone();
                        move || block_on(pool.shutdown(grace))
                    });
                    let task = other.spawn({
                        let pool = pool.clone();
                        async move { pool.shutdown(grace).await }
                    });
                    wait_until(|| pool.try_run(id::job()).is_err_and(|error| error.is_closed()));
                    end.put_to(runtime);
                    thread.join().expect("it does not panic");
                    block_on(task).expect("it does not panic");
                });
            }
        });
    }));
}
