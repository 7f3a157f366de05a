//! What becomes of workers, and of what they started, when somebody goes: the parent, the worker,
//! the pool.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::hint::spin_loop;
use std::process::{self, Command};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{
    Child, Journal, LIMIT, Running, apart, is_alive, is_stopped, kill, note, until, watchdog,
};
use tenter::Runtime;
use tenter::jobs::{JobError, ProcessPool};

unsafe extern "C" {
    /// The C library's: the child is a copy of this process, with one thread.
    fn fork() -> i32;
}

#[tenter::job]
fn id() -> u32 {
    process::id()
}

#[tenter::job]
fn notes_and_spins(journal: &str) {
    note(journal, &format!("{}", process::id()));
    loop {
        spin_loop();
    }
}

#[tenter::job]
fn notes_and_stops(journal: &str) {
    note(journal, &format!("{}", process::id()));
    kill(process::id(), Signal::STOP);
    // Another of its threads may be the first to see the signal.
    loop {
        spin_loop();
    }
}

/// Starts another program, notes both, and does what comes next.
#[tenter::job]
#[allow(clippy::zombie_processes)] // The job's group is killed before anybody could wait.
fn starts_a_program(journal: &str, next: Next) -> u32 {
    let program = Command::new("sleep").arg("1000").spawn().expect("there is a program to sleep");
    note(journal, &format!("{}", program.id()));
    next.act();
    process::id()
}

/// Forks without another program, notes the child, and does what comes next.
#[tenter::job]
fn forks(journal: &str, next: Next) -> u32 {
    // SAFETY: the child does nothing but wait for its end, by system calls.
    let child = unsafe { fork() };
    if child == 0 {
        loop {
            std::thread::sleep(Duration::from_secs(1000));
        }
    }
    assert!(child > 0, "there is room for a process");
    note(journal, &format!("{child}"));
    next.act();
    process::id()
}

/// What a job does when it has a child.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum Next {
    Return,
    Spin,
    Abort,
}

impl Next {
    fn act(self) {
        match self {
            Self::Return => (),
            Self::Spin => loop {
                spin_loop();
            },
            Self::Abort => process::abort(),
        }
    }
}

/// Makes a pool of its own, in the worker, and waits in it for a job that spins.
#[tenter::job]
fn nests(journal: &str, levels: u32) {
    let journal = journal.to_owned();
    let ended = tenter::run(async move {
        let pool = ProcessPool::builder().workers(1).build().expect("a pool starts");
        note(&journal, &format!("{}", process::id()));
        if levels == 0 {
            pool.run(notes_and_spins::job(&journal)).await
        } else {
            pool.run(nests::job(&journal, levels - 1)).await
        }
    });
    ended.expect("a runtime starts").expect("it does not end");
}

fn runtime() -> Runtime {
    Runtime::builder().worker_threads(2).build().expect("a runtime starts")
}

/// Starts a child that lives as [`has_a_busy_pool`], and returns it and its workers.
fn parent(life: impl FnOnce()) -> (Running, Vec<u32>) {
    let mut child = Child::new().start(life);
    let line = child.line_of("workers");
    let workers: Vec<u32> = line.split(' ').map(|worker| worker.parse().unwrap()).collect();
    assert_eq!(workers.len(), 4);
    (child, workers)
}

/// Makes a pool of an idle worker, busy ones and a stopped one, tells who they are, and ends.
fn has_a_busy_pool(end: impl FnOnce(ProcessPool) + Send) {
    apart(|| {
        let runtime = runtime();
        let (pool, workers) = runtime.block_on(busy_pool());
        println!("workers {}", workers.map(|worker| worker.to_string()).join(" "));
        let _entered = runtime.enter();
        end(pool);
    });
}

/// A pool of four workers: two that spin, one that is stopped, one that is idle.
async fn busy_pool() -> (ProcessPool, [u32; 4]) {
    let journal = Journal::new();
    let pool = ProcessPool::builder().workers(4).build().unwrap();
    for _ in 0..2 {
        tenter::spawn(pool.run(notes_and_spins::job(journal.path()))).detach();
    }
    tenter::spawn(pool.run(notes_and_stops::job(journal.path()))).detach();
    let busy = journal.has_lines(3).await;
    let busy: Vec<u32> = busy.iter().map(|line| line.parse().unwrap()).collect();
    until(|| busy.iter().any(|worker| is_stopped(*worker))).await;
    let idle = pool.run(id::job()).await.unwrap();
    (pool, [busy[0], busy[1], busy[2], idle])
}

/// Waits until all are gone, and says how long it took.
async fn all_go(what: &str, processes: &[u32]) {
    let start = Instant::now();
    until(|| !processes.iter().any(|process| is_alive(*process))).await;
    println!("{what}: all gone after {:?}", start.elapsed());
}

/// What a child does that is to be ended from outside.
fn wait_for_ever(pool: ProcessPool) {
    let _pool = pool;
    loop {
        std::thread::park();
    }
}

#[tenter::test]
async fn no_worker_outlives_a_parent_that_is_killed() {
    let _watchdog = watchdog(LIMIT);
    for _ in 0..3 {
        let (mut parent, workers) = parent(|| has_a_busy_pool(wait_for_ever));
        assert!(workers.iter().all(|worker| is_alive(*worker)), "{workers:?}");
        parent.kill();
        all_go("the parent was killed", &workers).await;
    }
}

#[tenter::test]
async fn no_worker_outlives_a_parent_that_exits() {
    let _watchdog = watchdog(LIMIT);
    let (mut parent, workers) = parent(|| has_a_busy_pool(|_pool| process::exit(0)));
    assert!(parent.wait().success());
    all_go("the parent exited", &workers).await;
}

#[tenter::test]
async fn no_worker_outlives_a_parent_that_aborts() {
    let _watchdog = watchdog(LIMIT);
    let (mut parent, workers) = parent(|| has_a_busy_pool(|_pool| process::abort()));
    assert!(!parent.wait().success());
    all_go("the parent aborted", &workers).await;
}

#[tenter::test]
async fn no_worker_outlives_a_parent_whose_pool_is_leaked() {
    let _watchdog = watchdog(LIMIT);
    let (mut parent, workers) = parent(|| has_a_busy_pool(std::mem::forget));
    assert!(parent.wait().success());
    all_go("the pool was leaked", &workers).await;
}

#[tenter::test]
async fn a_parent_that_is_stopped_and_goes_on_has_lost_nothing() {
    let _watchdog = watchdog(LIMIT);
    let mut child = Child::new().start(|| {
        apart(|| {
            runtime().block_on(async {
                let pool = ProcessPool::builder().workers(2).build().unwrap();
                let journal = Journal::new();
                println!("journal {}", journal.path());
                let mut jobs = 0;
                while journal.count("go") == 0 {
                    pool.run(id::job()).await.unwrap();
                    jobs += 1;
                }
                println!("jobs {jobs}, {} died", pool.metrics().deaths());
            });
        });
    });
    let journal = child.line_of("journal");
    kill(child.id(), Signal::STOP);
    until(|| is_stopped(child.id())).await;
    note(&journal, "go");
    kill(child.id(), Signal::CONT);
    let jobs = child.line_of("jobs");
    assert!(jobs.ends_with(" 0 died"), "{jobs}");
    assert!(child.wait().success());
}

#[tenter::test]
async fn ctrl_c_reaches_the_parent_alone() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).build().unwrap();
    let worker = pool.run(id::job()).await.unwrap();
    let own = rustix::process::getpgid(None).unwrap();
    let pid = rustix::process::Pid::from_raw(worker as i32);
    let group = rustix::process::getpgid(pid).unwrap();
    assert_ne!(own, group);
    assert_eq!(Some(group), pid, "it is a group of its own");
}

/// The process that a job has noted.
async fn noted(journal: &Journal) -> u32 {
    journal.has_lines(1).await[0].parse().unwrap()
}

#[tenter::test]
async fn what_a_job_started_goes_with_its_worker() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).build().unwrap();
    for by_fork in [false, true] {
        for (next, limit) in [(Next::Spin, Some(Duration::from_millis(500))), (Next::Abort, None)] {
            // It may be killed before it could note what it started: not each time.
            let grandchild: u32 = loop {
                let journal = Journal::new();
                let mut call = match by_fork {
                    false => starts_a_program::job(journal.path(), next),
                    true => forks::job(journal.path(), next),
                };
                if let Some(limit) = limit {
                    call = call.timeout(limit);
                }
                let error = pool.run(call).await.unwrap_err();
                match next {
                    Next::Abort => assert!(
                        matches!(error, JobError::Died { signal: Some(6), .. }),
                        "{by_fork}: {error}"
                    ),
                    _ => assert!(matches!(error, JobError::TimedOut { .. }), "{by_fork}: {error}"),
                }
                if let Some(line) = journal.lines().first() {
                    break line.parse().unwrap();
                }
                assert!(limit.is_some(), "{by_fork}: it aborts when it has noted it");
            };
            assert!(pool.run(id::job()).await.is_ok());
            all_go(&format!("{next:?}, by fork: {by_fork}"), &[grandchild]).await;
        }
    }
}

#[tenter::test]
async fn what_a_job_left_behind_goes_with_the_pool() {
    let _watchdog = watchdog(LIMIT);
    for by_fork in [false, true] {
        for ends_well in [false, true] {
            let pool = ProcessPool::builder().workers(1).build().unwrap();
            let journal = Journal::new();
            let call = match by_fork {
                false => starts_a_program::job(journal.path(), Next::Return),
                true => forks::job(journal.path(), Next::Return),
            };
            let worker = pool.run(call).await.unwrap();
            assert_eq!(pool.run(id::job()).await.unwrap(), worker);
            let grandchild = noted(&journal).await;
            if ends_well {
                pool.shutdown(Duration::from_secs(5)).await;
            }
            drop(pool);
            let what = format!("by fork: {by_fork}, shut down: {ends_well}");
            all_go(&what, &[worker, grandchild]).await;
        }
    }
}

#[tenter::test]
async fn what_a_job_started_goes_with_the_parent() {
    let _watchdog = watchdog(LIMIT);
    let mut parent = Child::new().start(|| {
        apart(|| {
            runtime().block_on(async {
                let (one, two) = (Journal::new(), Journal::new());
                let pool = ProcessPool::builder().workers(2).build().unwrap();
                let call = starts_a_program::job(one.path(), Next::Spin);
                tenter::spawn(pool.run(call)).detach();
                tenter::spawn(pool.run(forks::job(two.path(), Next::Spin))).detach();
                let (one, two) = (noted(&one).await, noted(&two).await);
                let workers = pool.workers();
                println!("processes {one} {two} {} {}", workers[0], workers[1]);
                std::future::pending::<()>().await;
            });
        });
    });
    let line = parent.line_of("processes");
    let processes: Vec<u32> = line.split(' ').map(|process| process.parse().unwrap()).collect();
    assert!(processes.iter().all(|process| is_alive(*process)), "{processes:?}");
    parent.kill();
    all_go("the parent was killed", &processes).await;
}

#[tenter::test]
async fn a_worker_that_goes_takes_the_workers_of_its_own_pool_along() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).build().unwrap();
    let journal = Journal::new();
    let run = tenter::spawn(pool.run(nests::job(journal.path(), 1)));
    let processes: Vec<u32> =
        journal.has_lines(3).await.iter().map(|line| line.parse().unwrap()).collect();
    assert!(processes.iter().all(|process| is_alive(*process)), "{processes:?}");
    kill(processes[0], Signal::KILL);
    assert!(run.await.unwrap().unwrap_err().is_died());
    all_go("the worker was killed", &processes).await;
}

#[tenter::test]
async fn pools_in_pools_end_at_the_fourth() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).build().unwrap();
    let journal = Journal::new();
    let run = tenter::spawn(pool.run(nests::job(journal.path(), 10)));
    // The innermost pool is refused, and the panics come back through all of them.
    let error = run.await.unwrap().unwrap_err();
    assert!(matches!(&error, JobError::Panicked { message, .. } if message.contains("TooDeep")));
    assert!(journal.lines().len() <= 4, "{:?}", journal.lines());
}
