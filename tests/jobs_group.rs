//! Jobs as children of a task group: the failure of one stops the processes of the others.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::hint::spin_loop;
use std::process;

use support::{Journal, LIMIT, is_alive, note, until, watchdog};
use tenter::TaskGroup;
use tenter::jobs::{JobError, ProcessPool};

#[tenter::job]
fn spins(journal: &str) -> u32 {
    note(journal, &process::id().to_string());
    loop {
        spin_loop();
    }
}

/// Fails, once two others have begun.
#[tenter::job]
fn fails(journal: &str) -> u32 {
    while std::fs::read_to_string(journal).expect("the journal is there").lines().count() < 2 {
        std::thread::yield_now();
    }
    panic!("this one fails");
}

#[tenter::job]
fn id() -> u32 {
    process::id()
}

#[tenter::test(worker_threads = 2)]
async fn a_job_that_fails_cancels_its_siblings_and_their_processes_are_killed() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(3).build().expect("a pool starts");
    let journal = Journal::new();
    let failed = tenter::task_group(async |group: &TaskGroup<JobError>| {
        for _ in 0..2 {
            drop(group.spawn(pool.run(spins::job(journal.path()))));
        }
        group.spawn(pool.run(fails::job(journal.path()))).await.ok();
        Ok(())
    })
    .await;
    let error = failed.expect_err("a child failed");
    assert_eq!(error.failures().len(), 1, "{error}");
    assert!(error.to_string().contains("this one fails"), "{error}");

    let spinning: Vec<u32> = journal.lines().iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(spinning.len(), 2);
    for pid in spinning {
        until(|| !is_alive(pid)).await;
    }
    // The pool goes on, with new processes.
    pool.run(id::job()).await.expect("a worker is started");
}
