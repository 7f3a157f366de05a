//! The inputs that are kept, without a fuzzer, and bugs that they must find.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn run_all<R>(name: &str, target: fn(&[u8]) -> R) -> Vec<R> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let inputs: Vec<PathBuf> = entries.collect();
    assert!(inputs.len() >= 10, "this is not the corpus: {}", folder.display());
    target(&[]);
    let run = |path: PathBuf| {
        // What it prints is seen if it panics.
        println!("{}", path.display());
        target(&fs::read(path).unwrap())
    };
    inputs.into_iter().map(run).collect()
}

#[test]
fn the_kept_streams_are_decoded_in_pieces_as_at_once() {
    let frames = run_all("frames", tenter_fuzz::frames);
    // A decoder that refuses everything would pass too.
    let are_some = frames.iter().filter(|frames| **frames > 0).count();
    assert!(are_some > frames.len() / 4, "{are_some} of {} streams have frames", frames.len());
}

#[test]
fn the_kept_bodies_are_read_as_they_were_written() {
    run_all("bodies", tenter_fuzz::bodies);
}

#[test]
fn the_kept_programs_of_timers_do_what_a_sorted_map_does() {
    run_all("timers", tenter_fuzz::timers);
}

#[test]
fn the_kept_programs_of_queues_do_what_a_few_deques_do() {
    run_all("queue", tenter_fuzz::queue);
}

#[test]
fn the_kept_programs_of_tasks_do_what_their_machine_does() {
    run_all("word", tenter_fuzz::word);
}

/// Bugs that the shipped code has switches for, and that one thread can run into.
const SEEDED: [(&str, &[&str]); 3] = [
    (
        "the_kept_programs_of_timers_do_what_a_sorted_map_does",
        &[
            "driver: its end wakes nobody",
            "driver: look at the sleeper after setting a timer",
            "timers: a dropped timer stays set",
            "timers: a fired timer keeps its waker",
            "timers: refuse after shutdown",
        ],
    ),
    (
        "the_kept_programs_of_queues_do_what_a_few_deques_do",
        &[
            "aside: the thread stays a worker",
            "aside: what is queued stays behind",
            "guest: a wake does not unpark",
            "idle: a guest that is stuck stands for a worker",
            "park: the sleeper in the driver is not woken",
            "relief: the extent is not raised",
            "relief: who retires it does not wake it",
            "shutdown: the sleepers are not woken",
        ],
    ),
    (
        "the_kept_programs_of_tasks_do_what_their_machine_does",
        &[
            "join: a dropped handle takes the waker that it shares",
            "join: a handle that goes late leaves the output",
            "join: an output that was taken is dropped too",
            "join: announce the waker before it is stored",
            "join: replace the waker while it is shared",
            "owned: a reference without a count",
            "owned: a refused task keeps the list's count",
            "owned: bind without looking at closed",
            "task: a wake by value keeps its count",
            "task: abort a complete task",
            "task: abort queues what is queued",
            "task: an abort during the run is overlooked",
            "task: drop the renotified verdict",
            "task: leave the output to a handle that is gone",
            "task: two wakers make two Notified",
            "task: wake a complete task",
        ],
    ),
];

/// How long a test of this file may take with a bug.
const LIMIT: Duration = Duration::from_secs(120);

/// A process for each: what a bug of this kind leads to may be an abort.
#[test]
fn the_kept_programs_find_bugs_that_are_put_in() {
    for (test, bugs) in SEEDED {
        assert!(succeeds(test, ""), "{test} fails without a bug");
        for bug in bugs {
            assert!(!succeeds(test, bug), "{test} overlooks {bug:?}");
        }
    }
}

/// Runs a test of this file with a bug in the shipped code.
fn succeeds(test: &str, bug: &str) -> bool {
    let this = std::env::current_exe().unwrap();
    let listed = Command::new(&this).args(["--list", "--exact", test]).output().unwrap();
    assert!(listed.stdout.starts_with(test.as_bytes()), "there is no test {test}");
    let mut run = Command::new(&this)
        .args(["--exact", test])
        .env("TENTER_SEEDED_BUG", bug)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    // Ends: at the limit.
    loop {
        if let Some(status) = run.try_wait().unwrap() {
            return status.success();
        }
        if start.elapsed() > LIMIT {
            run.kill().unwrap();
            run.wait().unwrap();
            panic!("{test} hangs with {bug:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
