//! The options of a pool: which values each takes, and that each does what it says.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::hint::black_box;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use support::{
    Child, Journal, LIMIT, apart, expect_success, is_alive, note, runtime, until, wait_for_note,
    watchdog, within,
};
use tenter::Runtime;
use tenter::jobs::{Builder, JobError, ProcessPool, Run, SpawnError};

const MIB: u64 = 1 << 20;

/// What a worker of this program does before its first job, for tests of how workers start.
const ROLE: &str = "OPTIONS_TEST_ROLE";

/// How long a worker takes at least that dawdles before its first job.
const DAWDLE: Duration = Duration::from_millis(2100);

#[tenter::job_init]
fn begin() {
    match env::var(ROLE).as_deref() {
        Ok("waits") => loop {
            std::thread::park();
        },
        Ok("dawdles") => std::thread::sleep(DAWDLE),
        Ok("panics") => panic!("nothing to begin with"),
        Ok("exits") => {
            eprintln!("no licence for this machine");
            process::exit(7);
        }
        Ok("babbles") => babble(),
        _ => {}
    }
}

/// Writes what is no message to every socket there is, and waits.
fn babble() {
    for entry in fs::read_dir("/proc/self/fd").expect("/proc is there") {
        let path = entry.expect("/proc can be read").path();
        if !fs::read_link(&path).is_ok_and(|to| to.as_os_str().as_bytes().starts_with(b"socket:")) {
            continue;
        }
        let number = path.file_name().and_then(OsStr::to_str).expect("it is a number");
        // SAFETY: the descriptor was just listed, and nothing else runs in this process that
        // would close it.
        let socket = unsafe { BorrowedFd::borrow_raw(number.parse().expect("it is a number")) };
        let _ = rustix::io::write(socket, &[0xa5; 4096]);
    }
    loop {
        std::thread::park();
    }
}

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
fn variable(name: &str) -> Option<Vec<u8>> {
    env::var_os(name).map(|value| value.as_bytes().to_vec())
}

#[tenter::job]
fn variables() -> Vec<String> {
    env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
}

#[tenter::job]
fn directory() -> PathBuf {
    env::current_dir().expect("there is one")
}

#[tenter::job]
fn program() -> PathBuf {
    env::current_exe().expect("there is one")
}

#[tenter::job]
fn niceness() -> i32 {
    let stat = fs::read_to_string("/proc/thread-self/stat").expect("/proc is there");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    fields.split_whitespace().nth(16).and_then(|field| field.parse().ok()).expect("it is a number")
}

#[tenter::job]
fn allocates(bytes: u64) -> usize {
    black_box(vec![1_u8; bytes as usize]).len()
}

#[tenter::job]
fn bytes(count: u64) -> Vec<u8> {
    vec![7; count as usize]
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

#[tenter::job]
fn prints(text: &str) {
    println!("{text} to the one");
    eprintln!("{text} to the other");
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

fn temporary(name: &str) -> PathBuf {
    let name = format!("options-{}-{name}", process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Sets one option, or more.
type Set = fn(&mut Builder) -> &mut Builder;

#[test]
fn every_bad_value_is_refused_with_the_option_the_value_and_what_is_allowed() {
    let bad: [(&str, Set, &str); 32] = [
        ("workers", |b| b.workers(0), "is 0: no job could ever run; at least 1 is needed"),
        ("workers", |b| b.workers(0..=0), "is 0: no job could ever run; at least 1 is needed"),
        ("workers", |b| b.workers(..=0), "is 0: no job could ever run; at least 1 is needed"),
        ("workers", |b| b.workers(RangeOf(3, 2).range()), "is 3..=2, which is empty"),
        ("workers", |b| b.workers(5000), "is 5000, more than 4096"),
        ("workers", |b| b.workers(usize::MAX), "is 18446744073709551615, more than 4096"),
        ("idle_timeout", |b| b.idle_timeout(Some(Duration::ZERO)), "is 0: "),
        ("max_jobs", |b| b.max_jobs(0), "is 0: no worker could have a job; at least 1 is needed"),
        ("max_rss", |b| b.max_rss(0), "is 0 bytes, less than 1048576"),
        ("max_rss", |b| b.max_rss(512), "is 512 bytes, less than 1048576"),
        ("max_age", |b| b.max_age(Duration::ZERO), "is 0: "),
        ("memory_limit", |b| b.memory_limit(0), "is 0 bytes, less than 16777216"),
        ("memory_limit", |b| b.memory_limit(4096), "is 4096 bytes, less than 16777216"),
        ("niceness", |b| b.niceness(-1), "is -1, not between 0 and 19"),
        ("niceness", |b| b.niceness(20), "is 20, not between 0 and 19"),
        ("env", |b| b.env("", "x"), "has the variable name \"\", which is empty"),
        ("env", |b| b.env("A=B", "x"), "has the variable name \"A=B\", which must have neither"),
        ("env", |b| b.env("A\0", "x"), "has the variable name \"A\\0\", which must have neither"),
        ("env", |b| b.env("A", "x\0y"), "has the value \"x\\0y\" for \"A\", with a NUL in it"),
        ("env", |b| b.env("TENTER_JOBS_WORKER", "x"), "which is the pool's own"),
        ("env_remove", |b| b.env_remove("A=B"), "has the variable name \"A=B\", which must"),
        ("current_dir", |b| b.current_dir("/no/such"), "is \"/no/such\", not a directory: No such"),
        ("current_dir", |b| b.current_dir("Cargo.toml"), "is \"Cargo.toml\", not a directory: "),
        ("worker_exe", |b| b.worker_exe("/no/such"), "is \"/no/such\", not a program: No such"),
        ("worker_exe", |b| b.worker_exe("src"), "is \"src\", not a program: is a directory"),
        ("worker_exe", |b| b.worker_exe("Cargo.toml"), "not a program: it is not executable"),
        ("worker_exe", |b| b.worker_exe("a\0b"), "is \"a\\0b\", not a program: "),
        ("start_timeout", |b| b.start_timeout(Duration::ZERO), "is 0: "),
        ("max_queued", |b| b.max_queued(0), "is 0: no job could be taken; at least 1 is needed"),
        ("send_ahead", |b| b.send_ahead(1025), "is 1025, more than 1024"),
        ("breaker", |b| b.breaker(0), "is 0: the pool would be broken from the start; at least 1"),
        ("max_message", |b| b.max_message(65_535), "is 65535 bytes, not between 65536 and "),
    ];
    for (name, set, text) in bad {
        let error = set(&mut ProcessPool::builder()).build().expect_err(name);
        let SpawnError::Invalid { option, message, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*option, name);
        assert!(message.starts_with(name) && message.contains(text), "{message}");
        assert_eq!(error.to_string(), *message);
        let error = std::io::Error::from(error);
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

/// A range that the compiler does not see to be empty.
struct RangeOf(usize, usize);

impl RangeOf {
    fn range(&self) -> std::ops::RangeInclusive<usize> {
        self.0..=self.1
    }
}

#[test]
fn a_pool_belongs_to_a_runtime() {
    within(LIMIT, || {
        let error = ProcessPool::new().unwrap_err();
        assert!(matches!(error, SpawnError::NoRuntime), "{error}");
        // An entered one will do. Nothing is started for a pool without jobs.
        let runtime = runtime(1);
        let _entered = runtime.enter();
        let pool = ProcessPool::new().unwrap();
        assert_eq!(pool.workers(), []);
    });
}

#[tenter::test]
async fn the_largest_values_are_taken_and_harm_nothing() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| {
        b.workers(0..=4096)
            .idle_timeout(Some(Duration::MAX))
            .max_jobs(u64::MAX)
            .max_rss(u64::MAX)
            .max_age(Duration::MAX)
            .memory_limit(u64::MAX)
            .niceness(0)
            .start_timeout(Duration::MAX)
            .max_queued(usize::MAX)
            .send_ahead(1024)
            .breaker(u32::MAX)
            .max_message(1 << (usize::BITS - 2))
    });
    for n in 0..10 {
        assert_eq!(pool.run(bytes::job(n)).await.unwrap().len() as u64, n);
    }
    pool.map((0..100).map(|_| id::job())).await.unwrap();
}

#[tenter::test]
async fn the_smallest_values_are_taken_and_harm_nothing() {
    let _watchdog = watchdog(LIMIT);
    let shortest = Duration::from_nanos(1);
    let pool = pool(|b| {
        b.workers(..=1)
            .idle_timeout(Some(shortest))
            .max_jobs(1)
            .max_rss(MIB)
            .max_age(shortest)
            .memory_limit(16 * MIB)
            .max_queued(1)
            .breaker(1)
            .max_message(64 << 10)
    });
    let all = pool.map((0..20).map(|_| id::job())).await.unwrap();
    assert_eq!(BTreeSet::from_iter(&all).len(), 20, "{all:?}");
    assert_eq!(pool.metrics().deaths(), 0);
}

#[tenter::test]
async fn one_builder_builds_several_pools() {
    let _watchdog = watchdog(LIMIT);
    let mut builder = ProcessPool::builder();
    let one = builder.workers(1).env("NUMBER", "one").build().unwrap();
    let two = builder.env("NUMBER", "two").build().unwrap();
    let number = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap()).unwrap();
    assert_eq!(number(one.run(variable::job("NUMBER")).await.unwrap()), "one");
    assert_eq!(number(two.run(variable::job("NUMBER")).await.unwrap()), "two");
}

#[tenter::test]
async fn workers_are_as_nice_as_asked() {
    let _watchdog = watchdog(LIMIT);
    let own = niceness();
    assert_eq!(pool(|b| b).run(niceness::job()).await.unwrap(), own);
    assert_eq!(pool(|b| b.niceness(19)).run(niceness::job()).await.unwrap(), 19);
    assert_eq!(niceness(), own);
}

#[tenter::test]
async fn workers_are_at_least_as_nice_as_their_parent() {
    let _watchdog = watchdog(LIMIT);
    let output = Child::new().run(|| {
        apart(|| {
            // Of this thread, and of those that it starts. Whoever runs the tests may be nice too.
            rustix::process::nice(7).unwrap();
            let own = niceness();
            Runtime::new().unwrap().block_on(async {
                for (asked, expected) in [(3, own), (own, own), (19, 19)] {
                    let pool = pool(|b| b.niceness(asked));
                    assert_eq!(pool.run(niceness::job()).await.unwrap(), expected);
                }
            });
        });
    });
    expect_success(&output);
}

#[tenter::test]
async fn workers_have_the_environment_that_was_set() {
    let _watchdog = watchdog(LIMIT);
    let inherited = env::var_os("PATH").expect("tests have a path");
    let pool = pool(|b| {
        b.env("ADDED", "as text")
            .env("BYTES", OsStr::from_bytes(b"\xff="))
            .env("EMPTY", "")
            .env("BACK", "1")
            .env_remove("BACK")
            .env_remove("HOME")
            .env("HOME", "/home/of/the/worker")
    });
    let expected = [
        ("PATH", Some(inherited.as_bytes())),
        ("ADDED", Some(b"as text".as_slice())),
        ("BYTES", Some(b"\xff=")),
        ("EMPTY", Some(b"")),
        ("BACK", None),
        ("HOME", Some(b"/home/of/the/worker")),
    ];
    for (name, value) in expected {
        let found = pool.run(variable::job(name)).await.unwrap();
        assert_eq!(found.as_deref(), value, "{name}");
    }
}

#[tenter::test]
async fn a_cleared_environment_has_what_was_set_after_that_and_nothing_else() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.env("BEFORE", "1").env_clear().env("AFTER", "1"));
    let mut names = pool.run(variables::job()).await.unwrap();
    names.retain(|name| !name.starts_with("TENTER_JOBS_"));
    assert_eq!(names, ["AFTER"]);
}

#[tenter::test]
async fn workers_start_in_their_directory() {
    let _watchdog = watchdog(LIMIT);
    let own = env::current_dir().unwrap();
    assert_eq!(pool(|b| b).run(directory::job()).await.unwrap(), own);
    let elsewhere = pool(|b| b.current_dir("/proc"));
    assert_eq!(elsewhere.run(directory::job()).await.unwrap(), Path::new("/proc"));
    // A relative one is relative to the parent's.
    let below = pool(|b| b.current_dir("src"));
    assert_eq!(below.run(directory::job()).await.unwrap(), own.join("src"));
}

#[tenter::test]
async fn workers_run_the_program_that_was_named() {
    let _watchdog = watchdog(LIMIT);
    // The same file under another name: one that is written could not be run at once.
    let other = temporary("other-name");
    fs::hard_link(env::current_exe().unwrap(), &other).unwrap();
    let pool = pool(|b| b.workers(1).worker_exe(&other).current_dir("/"));
    assert_eq!(pool.run(program::job()).await.unwrap(), fs::canonicalize(&other).unwrap());
    fs::remove_file(&other).unwrap();
    // The one that runs goes on; there will be no second one.
    assert!(pool.run(id::job()).await.is_ok());
    let journal = Journal::new();
    assert!(pool.run(dies::job(journal.path())).await.unwrap_err().is_died());
    let error = pool.run(id::job()).await.unwrap_err();
    let JobError::Spawn(SpawnError::Io(error)) = &error else { panic!("{error:?}") };
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[tenter::test]
async fn a_program_that_is_no_worker_fails_the_job_and_shows_what_it_said() {
    let _watchdog = watchdog(LIMIT);
    for (program, expected) in [("/bin/true", 0), ("/bin/false", 1)] {
        let pool = pool(|b| b.worker_exe(program));
        let error = pool.run(id::job()).await.unwrap_err();
        let JobError::Spawn(SpawnError::Exited { signal, code, .. }) = &error else {
            panic!("{error:?}")
        };
        assert_eq!((*signal, *code), (None, Some(expected)));
        assert!(error.to_string().contains("tenter::jobs::init()"), "{error}");
        assert_eq!(pool.metrics().failed(), 1);
    }
    // It does not know its arguments.
    let pool = pool(|b| b.worker_exe("/bin/sleep"));
    let error = pool.run(id::job()).await.unwrap_err();
    let JobError::Spawn(SpawnError::Exited { stderr, .. }) = &error else { panic!("{error:?}") };
    assert!(stderr.contains("sleep"), "{stderr}");
}

#[tenter::test]
async fn a_worker_that_ends_before_it_is_ready_fails_the_job_with_its_last_words() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.env(ROLE, "exits"));
    let error = pool.run(id::job()).await.unwrap_err();
    let JobError::Spawn(SpawnError::Exited { signal, code, stderr, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!((*signal, *code), (None, Some(7)));
    assert!(stderr.lines().any(|line| line == "no licence for this machine"), "{stderr}");
}

#[tenter::test]
async fn a_worker_whose_preparation_panics_fails_the_job_with_the_panic() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.env(ROLE, "panics"));
    let error = pool.run(id::job()).await.unwrap_err();
    let JobError::Spawn(SpawnError::Init { message, .. }) = &error else { panic!("{error:?}") };
    assert!(message.contains("nothing to begin with"), "{message}");
}

#[tenter::test]
async fn a_worker_that_babbles_before_it_is_ready_is_killed() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(..=1).env(ROLE, "babbles"));
    let error = pool.run(id::job()).await.unwrap_err();
    assert!(matches!(error, JobError::Spawn(_) | JobError::Protocol { .. }), "{error:?}");
    until(|| pool.workers().is_empty()).await;
}

#[tenter::test]
async fn a_worker_that_takes_longer_to_start_than_it_may_live_has_its_turn() {
    let _watchdog = watchdog(LIMIT);
    let age = Duration::from_secs(2);
    let start = Instant::now();
    let pool = pool(|b| b.workers(1).env(ROLE, "dawdles").max_age(age));
    pool.run(id::job()).await.unwrap();
    let workers = pool.workers();
    // Its age counts from when it was ready, which it was not before it had dawdled.
    let may_be_old = start.elapsed() >= DAWDLE + age;
    assert!(workers.len() == 1 || may_be_old, "no other is started before this one is old");
}

#[tenter::test]
async fn a_worker_that_is_not_ready_in_time_is_killed() {
    let _watchdog = watchdog(LIMIT);
    let timeout = Duration::from_millis(50);
    // It may be gone before it was seen: not each time.
    loop {
        let pool = pool(|b| b.workers(..=1).env(ROLE, "waits").start_timeout(timeout));
        let job = tenter::spawn(pool.run(id::job()));
        let mut seen = BTreeSet::new();
        until(|| {
            seen.extend(pool.workers());
            job.is_finished()
        })
        .await;
        let error = job.await.unwrap().unwrap_err();
        let JobError::Spawn(SpawnError::StartTimeout { after, .. }) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*after, timeout);
        if !seen.is_empty() {
            until(|| !seen.iter().any(|worker| is_alive(*worker))).await;
            break;
        }
    }
}

#[tenter::test]
async fn a_job_that_needs_more_than_the_limit_dies_and_others_go_on() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(|b| b.workers(2).memory_limit(128 * MIB));
    let journal = Journal::new();
    let other = hold(&pool, &journal).await;
    assert_eq!(pool.run(allocates::job(32 * MIB)).await.unwrap() as u64, 32 * MIB);
    let error = pool.run(allocates::job(256 * MIB)).await.unwrap_err();
    assert!(error.is_died(), "{error}");
    journal.note("go");
    assert!(other.await.is_ok());
    assert_eq!(pool.run(allocates::job(32 * MIB)).await.unwrap() as u64, 32 * MIB);
}

#[tenter::test]
async fn captured_lines_have_the_number_of_the_job_that_printed_them() {
    let _watchdog = watchdog(LIMIT);
    let (sender, lines) = std::sync::mpsc::channel();
    let pool = pool(|b| {
        b.workers(1).capture_output(move |line| {
            let text = line.to_str_lossy().into_owned();
            sender.send((text, line.pid, line.job)).expect("the test reads them");
        })
    });
    let worker = pool.run(id::job()).await.unwrap();
    for n in 0..50 {
        pool.run(prints::job(&n.to_string())).await.unwrap();
    }
    pool.shutdown(Duration::MAX).await;
    drop(pool);
    let mut last = 0;
    let lines: Vec<_> = tenter::spawn_blocking(move || lines.iter().collect()).await.unwrap();
    for n in 0..50 {
        let job = ["one", "other"].map(|stream| {
            let text = format!("{n} to the {stream}");
            let (_, pid, job) = lines.iter().find(|line| line.0 == text).expect(&text);
            assert_eq!(*pid, worker);
            job.expect("a job printed it")
        });
        assert!(job[0] == job[1] && job[0] > last, "{lines:?}");
        last = job[0];
    }
}

#[tenter::test]
async fn a_message_above_the_bound_fails_its_job_and_no_worker() {
    let _watchdog = watchdog(LIMIT);
    const MOST: u64 = 200_000;
    let pool = pool(|b| b.workers(1).max_message(MOST as usize));
    let worker = pool.run(id::job()).await.unwrap();
    // Some bytes are those of the message itself.
    let fits = MOST - 1000;
    assert_eq!(pool.run(bytes::job(fits)).await.unwrap().len() as u64, fits);
    assert_eq!(pool.run(count_bytes::job(vec![1; fits as usize])).await.unwrap(), fits);
    let too_large = [
        pool.run(bytes::job(MOST + 1)).await.unwrap_err(),
        pool.run(count_bytes::job(vec![1; MOST as usize + 1])).await.unwrap_err(),
    ];
    for error in too_large {
        let JobError::TooLarge { bytes, limit, .. } = error else { panic!("{error:?}") };
        assert!(bytes > MOST && limit == MOST, "{bytes} {limit}");
    }
    assert_eq!(pool.run(id::job()).await.unwrap(), worker);
}
