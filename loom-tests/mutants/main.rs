//! Breaks the shipped rooms on purpose, one line at a time, and demands that a model of
//! `loom-tests` notices.
//!
//! Three kinds of mutants; none needs compiling, since loom's half of the seam can be told by the
//! environment what to leave out:
//!
//! - **seeded**: the named switches in `src`. Every model that names one must catch it.
//! - **orderings**: every atomic access and fence of `src` that is stronger than Relaxed loses its
//!   Acquire, its Release, the Acquire of its failure; a fence its place in the order of all
//!   fences, and itself. Some model that passes over the call must fail.
//! - **steps**: a read-modify-write becomes a read and a write, a notification is left out, and
//!   one that is for all goes to one. Only on request, and to be read by people: what one step
//!   leaves out, another may well make up for.
//!
//! Which calls there are, and which models pass over them, is recorded before, by a run of every
//! model as it is. What no model can catch stands in `argued.txt` with the reason why it stays.

#![forbid(unsafe_code)]

mod argued;
mod mutant;
mod options;
mod report;
mod run;
mod source;
mod suite;
#[path = "../verdict.rs"]
mod verdict;

use std::path::Path;
use std::process::ExitCode;

use argued::Argued;
use options::Options;
use report::Report;
use source::Sources;
use suite::Suite;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    if options.help {
        println!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    match check(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loom-mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as it should be.
fn check(options: &Options) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
    let sources = Sources::read(&root)?;
    let argued = Argued::read(&root.join("loom-tests/mutants/argued.txt"))?;
    let suite = Suite::build(&root)?;
    let models = suite.record()?;
    let catches = suite.catches()?;
    let plan = mutant::plan(&sources, &models, &catches)?;
    let mutants = options.choose(&plan.mutants, &argued);
    if options.list {
        mutants.iter().for_each(|mutant| println!("{mutant}"));
        return Ok(true);
    }
    let results = run::all(&suite, &mutants, &argued);
    let report = Report::new(&results);
    println!("\n{report}");
    let mut is_well = report.is_well();
    if options.is_everything() {
        for stale in argued.unknown(&plan.mutants) {
            println!("argued.txt is about what is not there: {stale}");
            is_well = false;
        }
        for model in &plan.idle {
            println!("it names no seeded bug: {model}");
        }
        for problem in &plan.problems {
            println!("{problem}");
            is_well = false;
        }
    }
    Ok(is_well)
}
