//! Runs models, and runs them again with each seeded bug.

use std::process::Command;
use std::time::Instant;

use crate::panics;
use crate::primitive::{seeded, weaken};
use crate::verdict::{self, Verdict};

/// Preemptions a run has at most, unless the model or the environment says otherwise.
const PREEMPTIONS: usize = 3;

/// Preemptions on top, in the deep set.
const DEEPER: usize = if cfg!(feature = "deep") { 1 } else { 0 };

/// Steps a run has at most: beyond, the model spins.
const BRANCHES: usize = 10_000;

/// Declares a model: one invariant, explored exhaustively within the bound on preemptions.
///
/// ```text
/// model! {
///     /// Why it holds.
///     fn a_promise_as_a_sentence() { .. }
///     catches "room: the step that is left out"
/// }
/// ```
///
/// `#[preemptions = 2]` before the function is for a model that would take minutes with the usual
/// number, and was seen to catch its bugs with less.
///
/// It becomes two tests: `a_promise_as_a_sentence::holds`, and `..::catches`, which runs the
/// model with each seeded bug, in a process of its own, and demands that it fails.
macro_rules! model {
    (
        $(#[doc = $doc:literal])*
        $(#[preemptions = $bound:literal])?
        fn $name:ident() $body:block
        $(catches $($bug:literal),+ $(,)?)?
    ) => {
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn model() $body

            #[test]
            fn holds() {
                $crate::harness::explore_within(0 $(+ $bound)?, model);
            }

            $(
                #[test]
                fn catches() {
                    $($crate::harness::must_fail(concat!(module_path!(), "::holds"), $bug);)+
                }
            )?
        }
    };
}
pub(crate) use model;

/// Runs `model` under every schedule with few preemptions.
pub(crate) fn explore(model: fn()) {
    explore_within(0, model);
}

/// Runs `model` under every schedule with at most so many preemptions; 0 is the usual number.
pub(crate) fn explore_within(bound: usize, model: fn()) {
    let mut builder = loom::model::Builder::new();
    let bound = if bound == 0 { PREEMPTIONS } else { bound };
    builder.preemption_bound = Some(preemptions().unwrap_or(bound + DEEPER));
    builder.max_branches = builder.max_branches.max(BRANCHES);
    panics::note(|| ());
    let start = Instant::now();
    builder.check(move || {
        crate::primitive::thread::fail_starts(0);
        crate::primitive::lock::end_waits_for_nothing(0);
        crate::primitive::poller::reset_clock();
        crate::primitive::atomic::check_drops();
        model();
        panics::expect_none();
    });
    // Others may have panicked after the last schedule's main thread looked.
    panics::expect_none();
    println!("explored in {:.2} s", start.elapsed().as_secs_f64());
    weaken::write_record();
    if let Some(bug) = seeded::active() {
        outlive(bug, seeded::was_consulted());
    }
    if let Some(mutant) = weaken::active() {
        outlive(mutant, weaken::was_consulted());
    }
}

/// The model has passed with `mutant`.
fn outlive(mutant: &str, was_consulted: bool) {
    assert!(was_consulted, "{} {mutant:?}", verdict::UNASKED);
    println!("{} {mutant:?}", verdict::SURVIVED);
}

/// What the environment asks for.
fn preemptions() -> Option<usize> {
    let bound = std::env::var("TENTER_LOOM_PREEMPTIONS").ok()?;
    Some(bound.parse().expect("TENTER_LOOM_PREEMPTIONS is a number"))
}

/// Runs the test `path` with the seeded bug in a process of its own, and demands that it fails.
///
/// A process: a model that fails, by a deadlock above all, may end in an abort, since
/// destructors run that touch a model which is no more.
pub(crate) fn must_fail(path: &str, bug: &str) {
    // libtest's names lack the crate's.
    let (_, test) = path.split_once("::").expect("a module path");
    if std::env::var_os(verdict::LIST).is_some() {
        println!("\n{}{test}\t{bug}", verdict::LISTED);
        return;
    }
    let binary = std::env::current_exe().expect("the path of this test binary");
    let start = Instant::now();
    let output = Command::new(binary)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(verdict::SEEDED, bug)
        .output()
        .expect("this test binary runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let seconds = start.elapsed().as_secs_f64();
    match verdict::judge(output.status.success(), &text) {
        Verdict::Caught(why) => println!("caught {bug:?} in {seconds:.2} s: {why}"),
        verdict => panic!("{test}, {bug:?}: {verdict}\n{text}"),
    }
}
