//! Runs programs under random schedules, and runs them again with each seeded bug.
//!
//! | variable | what it says |
//! |---|---|
//! | `TENTER_SHUTTLE_SCHEDULES` | schedules of every program under each scheduler, instead of what the program says |
//! | `TENTER_SHUTTLE_SEED` | where they begin, instead of somewhere new each time |
//! | `TENTER_SHUTTLE_REPLAY` | the file of one schedule that failed, to be run once more |
//!
//! A run prints its seed. One that fails also writes its schedule to a file and says where;
//! `TENTER_SHUTTLE_REPLAY=FILE cargo shuttle NAME::at_random` takes that very schedule again.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::time::Instant;

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler,
    UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::panics;
use crate::primitive::{poller, seeded, thread};
use crate::verdict::{self, Verdict};

/// Threads lose their place so often in one schedule by priorities.
const CHANGES: usize = 5;

/// Steps a schedule has at most: beyond, the program spins.
const STEPS: usize = 400_000;

/// Tasks are polled on the stacks of threads, and optimised code needs little.
const STACK_BYTES: usize = 1 << 18;

/// Where the schedules begin that must catch a bug: the same each time.
const SEED_OF_CATCHES: &str = "1";

/// Schedules, under each scheduler, in which a bug must be caught.
const SCHEDULES_OF_CATCHES: &str = "10000";

/// Declares a program: a runtime in use, run under so many schedules by each scheduler.
///
/// It becomes several tests: `at_random` chooses every step's thread by chance, `by_priority`
/// lets the first thread that can run, by an order that changes a few times a schedule
/// (probabilistic concurrency testing), `again` sees that the seed decides everything, and
/// `catches` runs the program with each seeded bug, in a process of its own, and demands that one
/// of the two fails.
macro_rules! program {
    (
        $(#[doc = $doc:literal])*
        $(#[schedules = $schedules:literal])?
        fn $name:ident() $body:block
        catches $($bug:literal),+ $(,)?
    ) => {
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn program() $body

            const SCHEDULES: usize = $crate::harness::schedules(0 $(+ $schedules)?);

            #[test]
            fn at_random() {
                $crate::harness::at_random(SCHEDULES, program);
            }

            #[test]
            fn by_priority() {
                $crate::harness::by_priority(SCHEDULES, program);
            }

            #[test]
            fn again() {
                $crate::harness::again(program);
            }

            #[test]
            fn catches() {
                $($crate::harness::must_fail(module_path!(), $bug);)+
            }
        }
    };
}
pub(crate) use program;

/// What a program asks for, or the usual number.
pub(crate) const fn schedules(asked: usize) -> usize {
    if asked == 0 { 300 } else { asked }
}

/// Runs `program` under schedules in which chance says at every step who is next.
pub(crate) fn at_random(schedules: usize, program: fn()) {
    if let Some(file) = std::env::var_os("TENTER_SHUTTLE_REPLAY") {
        let replay = ReplayScheduler::new_from_file(file).expect("the file of a schedule");
        return run(replay, program);
    }
    let schedules = number("TENTER_SHUTTLE_SCHEDULES").unwrap_or(schedules);
    run(RandomScheduler::new_from_seed(seed(), schedules), program);
}

/// Runs `program` under schedules in which the same thread goes on for as long as it can, but
/// for a few moments.
pub(crate) fn by_priority(schedules: usize, program: fn()) {
    let schedules = number("TENTER_SHUTTLE_SCHEDULES").unwrap_or(schedules);
    run(PctScheduler::new_from_seed(seed(), CHANGES, schedules), program);
}

/// Runs each of a few schedules twice, and demands that threads take the same steps: what fails
/// can be run again.
pub(crate) fn again(program: fn()) {
    let random = RandomScheduler::new_from_seed(seed(), 5);
    run(UncontrolledNondeterminismCheckScheduler::new(random), program);
}

fn run(scheduler: impl Scheduler + 'static, program: fn()) {
    panics::note(|| eprintln!("in schedule {}:", BEGUN.get()));
    BEGUN.set(0);
    let start = Instant::now();
    let schedules = Runner::new(scheduler, config()).run(move || {
        BEGUN.set(BEGUN.get() + 1);
        thread::fail_starts(0);
        poller::reset_clock();
        program();
        panics::expect_none();
    });
    // Others may have panicked after the last schedule's main thread looked.
    panics::expect_none();
    println!("{schedules} schedules in {:.2} s", start.elapsed().as_secs_f64());
    if let Some(bug) = seeded::active() {
        assert!(seeded::was_consulted(), "{} {bug:?}", verdict::UNASKED);
        println!("{} {bug:?}", verdict::SURVIVED);
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    // Of orderings, which it does not check, and of statics, which no program outlives.
    config.silence_warnings = true;
    config.failure_persistence = if seeded::active().is_some() {
        FailurePersistence::None
    } else {
        FailurePersistence::File(Some(std::env::temp_dir()))
    };
    config
}

std::thread_local! {
    /// Schedules that were begun.
    static BEGUN: Cell<usize> = const { Cell::new(0) };
}

fn seed() -> u64 {
    let seed = number("TENTER_SHUTTLE_SEED").unwrap_or_else(|| RandomState::new().hash_one(()));
    println!("TENTER_SHUTTLE_SEED={seed}");
    seed
}

/// What the environment asks for.
fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Runs the program of `path` with the seeded bug, in a process of its own for each scheduler,
/// and demands that one of them fails.
pub(crate) fn must_fail(path: &str, bug: &str) {
    // libtest's names lack the crate's.
    let (_, path) = path.split_once("::").expect("a module path");
    let mut report = String::new();
    for scheduler in ["at_random", "by_priority"] {
        let test = format!("{path}::{scheduler}");
        let start = Instant::now();
        let (succeeded, text) = run_seeded(&test, bug);
        let seconds = start.elapsed().as_secs_f64();
        match verdict::judge(succeeded, &text) {
            Verdict::Caught(why) => {
                let schedule = text.lines().find(|line| line.starts_with("in schedule "));
                let schedule = schedule.unwrap_or("in no schedule:");
                println!("caught {bug:?} {scheduler} in {seconds:.2} s, {schedule} {why}");
                return;
            }
            verdict => report += &format!("{test}, {bug:?}: {verdict}\n{text}\n"),
        }
    }
    panic!("{report}");
}

fn run_seeded(test: &str, bug: &str) -> (bool, String) {
    let binary = std::env::current_exe().expect("the path of this test binary");
    let output = Command::new(binary)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(verdict::SEEDED, bug)
        .env("TENTER_SHUTTLE_SEED", SEED_OF_CATCHES)
        .env("TENTER_SHUTTLE_SCHEDULES", SCHEDULES_OF_CATCHES)
        .env_remove("TENTER_SHUTTLE_REPLAY")
        .output()
        .expect("this test binary runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}
