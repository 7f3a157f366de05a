//! What a worker is: what it inherits, what it keeps from job to job, when it is replaced, and
//! what happens if it does not start.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs, process};

use rustix::io::FdFlags;
use support::{Journal, LIMIT, is_alive, note, until, wait_for_note, watchdog, write_program};
use tenter::jobs::{self, JobError, ProcessPool, SpawnError};

/// A journal that a worker's start is noted in.
const STARTS: &str = "TENTER_TEST_STARTS";

/// What happens at a worker's start: `panic`, `exit`, `abort` or `hang`.
const START: &str = "TENTER_TEST_START";

static WARM: AtomicU32 = AtomicU32::new(0);

#[tenter::job_init]
fn warms_up() {
    assert!(jobs::is_worker());
    WARM.fetch_add(1000, Ordering::Relaxed);
    if let Ok(journal) = env::var(STARTS) {
        note(&journal, &process::id().to_string());
    }
    match env::var(START).as_deref() {
        Ok("panic") => panic!("too cold to start"),
        Ok("exit") => process::exit(7),
        Ok("abort") => {
            eprintln!("no start today");
            process::abort();
        }
        Ok("hang") => loop {
            std::thread::park();
        },
        _ => (),
    }
}

/// The worker, and 1000 for its start and 1 for each job that it had of this.
#[tenter::job]
fn state() -> (u32, u32) {
    (process::id(), WARM.fetch_add(1, Ordering::Relaxed))
}

#[tenter::job]
fn is_worker() -> bool {
    jobs::is_worker()
}

#[tenter::job]
fn descriptors() -> BTreeMap<i32, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").expect("/proc is there") {
        let path = entry.expect("it is listed").path();
        let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        let target = fs::read_link(&path).expect("it is open").display().to_string();
        // This is the listing's own.
        if target != format!("/proc/{}/fd", process::id()) {
            found.insert(number.expect("a number"), target);
        }
    }
    found
}

/// Which descriptors a program would inherit that a job starts.
#[tenter::job]
fn descriptors_of_a_program() -> String {
    let mut command = process::Command::new("ls");
    let output = command.args(["-l", "/proc/self/fd"]).output().expect("there is an ls");
    String::from_utf8(output.stdout).expect("it is text")
}

#[tenter::job]
fn environment() -> BTreeMap<String, String> {
    env::vars().collect()
}

#[tenter::job]
fn directory() -> String {
    env::current_dir().expect("there is one").display().to_string()
}

#[tenter::job]
fn niceness() -> i32 {
    rustix::process::getpriority_process(None).expect("it has one")
}

#[tenter::job]
fn reads_standard_input() -> usize {
    let mut text = String::new();
    std::io::stdin().read_line(&mut text).expect("it can be read")
}

/// Keeps so many bytes until the worker ends.
#[tenter::job]
fn keeps(bytes: usize) -> u32 {
    static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    KEPT.lock().unwrap().push(vec![1; bytes]);
    process::id()
}

#[tenter::job]
fn holds(journal: &str) -> u32 {
    note(journal, "arrived");
    wait_for_note(journal, "go");
    process::id()
}

fn pool() -> ProcessPool {
    ProcessPool::builder().workers(1).build().expect("a pool starts")
}

#[tenter::test]
async fn a_worker_has_its_socket_and_standard_descriptors_and_nothing_else() {
    let _watchdog = watchdog(LIMIT);
    // One that every child inherits that does not close it.
    let file = fs::File::open("/proc/self/status").unwrap();
    rustix::io::fcntl_setfd(&file, FdFlags::empty()).unwrap();
    let (secret, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    rustix::io::fcntl_setfd(&secret, FdFlags::empty()).unwrap();
    let secret_name = fs::read_link(format!("/proc/self/fd/{}", secret.as_raw_fd())).unwrap();
    let pool = pool();
    let found = pool.run(descriptors::job()).await.unwrap();
    assert_eq!(found[&0], "/dev/null", "{found:?}");
    assert!(found.contains_key(&1) && found.contains_key(&2), "{found:?}");
    let others: Vec<_> = found.iter().filter(|(number, _)| **number > 2).collect();
    assert_eq!(others.len(), 1, "{found:?}");
    assert!(others[0].1.starts_with("socket:"), "{found:?}");
    assert_ne!(*others[0].1, secret_name.display().to_string());
    // Programs that jobs start get none of it.
    let listed = pool.run(descriptors_of_a_program::job()).await.unwrap();
    assert!(!listed.contains("socket:"), "{listed}");
}

#[tenter::test]
async fn a_worker_has_nothing_more_once_large_bodies_went_through_memory() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    let call = tenter::jobs::job!(|bytes: Vec<u8>| -> Vec<u8> { bytes });
    assert_eq!(pool.run(call(vec![7; 1 << 20])).await.unwrap().len(), 1 << 20);
    let found = pool.run(descriptors::job()).await.unwrap();
    let others = found.iter().filter(|(number, _)| **number > 2);
    // The memory is mapped; its descriptor may stay.
    assert!(others.clone().count() <= 2, "{found:?}");
    for (_, target) in others {
        assert!(target.starts_with("socket:") || target.starts_with("/memfd:"), "{found:?}");
    }
    let listed = pool.run(descriptors_of_a_program::job()).await.unwrap();
    assert!(!listed.contains("socket:") && !listed.contains("memfd"), "{listed}");
}

#[tenter::test]
async fn a_worker_that_reads_its_standard_input_finds_nothing() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool();
    assert_eq!(pool.run(reads_standard_input::job()).await.unwrap(), 0);
    assert!(pool.run(is_worker::job()).await.unwrap());
}

#[tenter::test]
async fn a_worker_has_the_environment_that_it_is_given() {
    let _watchdog = watchdog(LIMIT);
    let own: BTreeMap<String, String> = env::vars().collect();
    let mut builder = ProcessPool::builder();
    builder.workers(1).env("TENTER_TEST_ONE", "1").env("TENTER_TEST_TWO", "2");
    let pool = builder.env_remove("TENTER_TEST_TWO").env_remove("PATH").build().unwrap();
    let mut found = pool.run(environment::job()).await.unwrap();
    assert_eq!(found.remove("TENTER_TEST_ONE").as_deref(), Some("1"));
    assert!(!found.contains_key("TENTER_TEST_TWO") && !found.contains_key("PATH"));
    found.retain(|name, _| !name.starts_with("TENTER_JOBS_"));
    assert!(found.iter().all(|(name, value)| own.get(name) == Some(value)), "{found:?}");
    // All but the pool's own is gone if that is asked for.
    let mut builder = ProcessPool::builder();
    let pool = builder.workers(1).env_clear().env("TENTER_TEST_ONE", "1").build().unwrap();
    let mut found = pool.run(environment::job()).await.unwrap();
    found.retain(|name, _| !name.starts_with("TENTER_JOBS_"));
    assert_eq!(found, BTreeMap::from([("TENTER_TEST_ONE".to_owned(), "1".to_owned())]));
}

#[tenter::test]
async fn a_worker_has_the_directory_and_the_niceness_that_it_is_given() {
    let _watchdog = watchdog(LIMIT);
    let own = pool();
    assert_eq!(own.run(directory::job()).await.unwrap(), directory());
    assert_eq!(own.run(niceness::job()).await.unwrap(), niceness());
    let given = ProcessPool::builder().workers(1).current_dir("/").niceness(19).build().unwrap();
    assert_eq!(given.run(directory::job()).await.unwrap(), "/");
    assert_eq!(given.run(niceness::job()).await.unwrap(), 19);
}

#[tenter::test]
async fn each_worker_warms_up_once_and_stays_warm() {
    let _watchdog = watchdog(LIMIT);
    let journal = Journal::new();
    let pool = ProcessPool::builder().workers(3).env(STARTS, journal.path()).build().unwrap();
    let mut seen = BTreeMap::new();
    let runs: Vec<_> = (0..300).map(|_| tenter::spawn(pool.run(state::job()))).collect();
    for run in runs {
        let (worker, count) = run.await.unwrap().unwrap();
        seen.entry(worker).or_insert_with(Vec::new).push(count);
    }
    for (worker, mut counts) in seen {
        counts.sort_unstable();
        let expected: Vec<_> = (1000..).take(counts.len()).collect();
        assert_eq!(counts, expected, "{worker}");
        assert_eq!(journal.count(&worker.to_string()), 1);
    }
    assert!(!jobs::is_worker());
    assert_eq!(WARM.load(Ordering::Relaxed), 0);
}

/// The error of a job in a pool whose workers start like this.
async fn start_error(start: &str, starts: usize) -> JobError {
    let journal = Journal::new();
    let mut builder = ProcessPool::builder();
    builder.workers(1).env(START, start).env(STARTS, journal.path());
    if start == "hang" {
        builder.start_timeout(Duration::from_secs(1));
    }
    let pool = builder.build().unwrap();
    let error = pool.run(is_worker::job()).await.unwrap_err();
    // It was not tried for ever.
    assert!(journal.lines().len() <= starts, "{:?}", journal.lines());
    let started = journal.lines();
    drop(pool);
    until(|| !started.iter().any(|worker| is_alive(worker.parse().unwrap()))).await;
    error
}

#[tenter::test]
async fn a_worker_that_does_not_start_fails_the_job_and_says_why() {
    let _watchdog = watchdog(LIMIT);
    let error = start_error("panic", 4).await;
    assert!(matches!(&error, JobError::Spawn(SpawnError::Init { message, .. })
        if message.contains("too cold to start") && message.contains("jobs_worker.rs")));
    let error = start_error("exit", 4).await;
    assert!(
        matches!(&error, JobError::Spawn(SpawnError::Exited { code: Some(7), .. })),
        "{error:?}"
    );
    let error = start_error("abort", 4).await;
    assert!(
        matches!(&error, JobError::Spawn(SpawnError::Exited { signal: Some(6), stderr, .. })
            if stderr.contains("no start today")),
        "{error:?}"
    );
    let error = start_error("hang", 4).await;
    assert!(matches!(&error, JobError::Spawn(SpawnError::StartTimeout { .. })), "{error:?}");
}

/// The error of a job in a pool with this program for its workers.
async fn error_of_program(program: &str, start_timeout: Duration) -> JobError {
    let mut builder = ProcessPool::builder();
    builder.workers(1).worker_exe(program).start_timeout(start_timeout);
    let pool = match builder.build() {
        Ok(pool) => pool,
        Err(error) => return JobError::Spawn(error),
    };
    pool.run(is_worker::job()).await.unwrap_err()
}

/// A program that does this.
fn script(command: &str) -> String {
    let word = command.split(' ').next().expect("there is a word");
    let path = format!("{}/{word}-{}", env!("CARGO_TARGET_TMPDIR"), process::id());
    write_program(path.as_ref(), 0o755, &format!("#!/bin/sh\nexec {command}\n"));
    path
}

#[tenter::test]
async fn a_program_that_is_no_worker_is_recognised() {
    let _watchdog = watchdog(LIMIT);
    let error = error_of_program("/bin/false", LIMIT).await;
    assert!(
        matches!(&error, JobError::Spawn(SpawnError::Exited { code: Some(1), .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("tenter::jobs::init()"), "{error}");
    // It says nothing; or it echoes what it is told, by the way that it came.
    let silent = script("sleep 1000");
    let error = error_of_program(&silent, Duration::from_millis(300)).await;
    assert!(matches!(&error, JobError::Spawn(SpawnError::StartTimeout { .. })), "{error:?}");
    let echoing = script("cat <&0 >&0");
    let error = error_of_program(&echoing, LIMIT).await;
    assert!(matches!(&error, JobError::Spawn(SpawnError::Io(_))), "{error:?}");
    assert!(error.to_string().contains("what no worker sends"), "{error}");
    let error = error_of_program("/nowhere/at/all", LIMIT).await;
    assert!(
        matches!(&error, JobError::Spawn(SpawnError::Io(_) | SpawnError::Invalid { .. })),
        "{error:?}"
    );
    fs::remove_file(&silent).unwrap();
    fs::remove_file(&echoing).unwrap();
}

#[tenter::test]
async fn a_copy_of_the_program_will_do() {
    let _watchdog = watchdog(LIMIT);
    let copy = format!("{}/copy-{}", env!("CARGO_TARGET_TMPDIR"), process::id());
    // As in `write_program`.
    let copied = process::Command::new("cp").arg(env::current_exe().unwrap()).arg(&copy).status();
    assert!(copied.unwrap().success());
    let pool = ProcessPool::builder().workers(1).worker_exe(&copy).build().unwrap();
    let ran = pool.run(is_worker::job()).await;
    fs::remove_file(&copy).unwrap();
    assert!(ran.unwrap());
}

/// Runs jobs until there have been so many workers, and returns how many jobs each one had.
///
/// `overlap`: the replacement is up before the old one goes.
async fn recycled(pool: &ProcessPool, workers: usize, overlap: bool) -> BTreeMap<u32, u32> {
    let mut seen = BTreeMap::new();
    while seen.len() < workers {
        let (worker, _) = pool.run(state::job()).await.unwrap();
        *seen.entry(worker).or_insert(0) += 1;
        assert!(pool.metrics().workers() > 0, "the replacement is started before the old one goes");
        // Twice: it asks one worker after the other, and meanwhile there may be others.
        let has_one = (0..2).any(|_| !pool.workers().is_empty());
        assert!(has_one || !overlap, "the replacement is up before the old one goes");
    }
    until(|| pool.workers().len() == 1).await;
    let metrics = pool.metrics();
    assert!(metrics.recycled() as usize >= workers - 1, "{metrics:?}");
    assert_eq!((metrics.deaths(), metrics.failed()), (0, 0), "{metrics:?}");
    let old = seen.keys().filter(|worker| !pool.workers().contains(worker));
    let old: Vec<_> = old.copied().collect();
    until(|| !old.iter().any(|worker| is_alive(*worker))).await;
    seen
}

#[tenter::test]
async fn a_worker_is_replaced_after_so_many_jobs() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).max_jobs(5).build().unwrap();
    // Its replacement starts with its last job, which may be over before that is up.
    let seen = recycled(&pool, 6, false).await;
    assert!(seen.values().all(|jobs| *jobs <= 5), "{seen:?}");
}

#[tenter::test]
async fn a_worker_is_replaced_at_some_age() {
    let _watchdog = watchdog(LIMIT);
    let age = Duration::from_millis(100);
    let pool = ProcessPool::builder().workers(1).max_age(age).build().unwrap();
    recycled(&pool, 4, true).await;
}

#[tenter::test]
async fn a_worker_is_replaced_when_it_is_too_large() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).max_rss(100 << 20).build().unwrap();
    let first = pool.run(keeps::job(10 << 20)).await.unwrap();
    assert_eq!(pool.run(keeps::job(200 << 20)).await.unwrap(), first);
    until(|| !is_alive(first)).await;
    assert_ne!(pool.run(keeps::job(1)).await.unwrap(), first);
    assert_eq!((pool.metrics().recycled(), pool.metrics().deaths()), (1, 0));
}

#[tenter::test]
async fn idle_workers_end_and_come_back() {
    let _watchdog = watchdog(LIMIT);
    let mut builder = ProcessPool::builder();
    let pool = builder.workers(..=3).idle_timeout(Some(Duration::from_millis(50))).build().unwrap();
    for _ in 0..3 {
        let journal = Journal::new();
        let runs: Vec<_> =
            (0..3).map(|_| tenter::spawn(pool.run(holds::job(journal.path())))).collect();
        journal.has_lines(3).await;
        let workers = pool.workers();
        assert_eq!(workers.len(), 3);
        journal.note("go");
        for run in runs {
            assert!(workers.contains(&run.await.unwrap().unwrap()));
        }
        until(|| pool.workers().is_empty()).await;
        until(|| !workers.iter().any(|worker| is_alive(*worker))).await;
    }
    assert_eq!(pool.metrics().deaths(), 0);
}

#[tenter::test]
async fn a_spare_worker_is_ready_when_all_others_are_busy() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(..=2).hot_spare(true).build().unwrap();
    let journal = Journal::new();
    let run = tenter::spawn(pool.run(holds::job(journal.path())));
    journal.has("arrived").await;
    until(|| pool.workers().len() == 2 && pool.metrics().idle() == 1).await;
    journal.note("go");
    run.await.unwrap().unwrap();
}
