//! Runs mutants, as many at once as there are processors.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::argued::Argued;
use crate::mutant::Mutant;
use crate::suite::{Shown, Suite};
use crate::verdict::Verdict;

/// A model with a mutant has this time, and so many times what it takes as it is.
const TIME_MIN: Duration = Duration::from_secs(30);
const TIMES: u32 = 20;

/// How a mutant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Caught,
    /// It survived, and there is an argument.
    Argued,
    Survived,
    /// There is an argument, and it was caught.
    Stale,
}

/// What became of a mutant.
pub(crate) struct Outlived<'a> {
    pub(crate) mutant: &'a Mutant,
    pub(crate) outcome: Outcome,
    pub(crate) time: Duration,
    /// Runs that neither caught it nor were survived: they are to be looked at.
    pub(crate) unclear: usize,
}

/// Runs all, and says of each how it ended.
pub(crate) fn all<'a>(suite: &Suite, mutants: &[&'a Mutant], argued: &Argued) -> Vec<Outlived<'a>> {
    let mut mutants = mutants.to_vec();
    // Those that are expected to survive all their models take longest.
    mutants.sort_by_key(|mutant| !argued.has(mutant));
    in_parallel(&mutants, |mutant| one(suite, mutant, argued.has(mutant)))
}

fn one<'a>(suite: &Suite, mutant: &'a Mutant, is_argued: bool) -> Outlived<'a> {
    let start = Instant::now();
    let mut caught = Vec::new();
    let mut missed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut unclear = 0;
    for (test, time) in &mutant.models {
        let shown = suite.run(test, (mutant.variable(), &mutant.value), TIME_MIN + *time * TIMES);
        let missed_how = match shown {
            Shown::Verdict(Verdict::Caught(why)) => {
                caught.push(format!("{test}: {why}"));
                if mutant.is_for_all() {
                    continue;
                }
                break;
            }
            Shown::Verdict(Verdict::Survived) => "survived".to_owned(),
            Shown::Verdict(verdict) => {
                unclear += 1;
                verdict.to_string()
            }
            Shown::TimedOut => {
                unclear += 1;
                "it takes too long".to_owned()
            }
        };
        missed.entry(missed_how).or_default().push(test);
    }
    let is_caught = !caught.is_empty() && (missed.is_empty() || !mutant.is_for_all());
    let outcome = match (is_caught, is_argued) {
        (true, false) => Outcome::Caught,
        (false, true) => Outcome::Argued,
        (false, false) => Outcome::Survived,
        (true, true) => Outcome::Stale,
    };
    let time = start.elapsed();
    say(mutant, outcome, &caught, &missed, time);
    Outlived { mutant, outcome, time, unclear }
}

fn say(
    mutant: &Mutant,
    outcome: Outcome,
    caught: &[String],
    missed: &BTreeMap<String, Vec<&str>>,
    time: Duration,
) {
    let seconds = time.as_secs_f64();
    let mut text = match outcome {
        Outcome::Caught => format!("caught   {mutant} in {seconds:.2} s"),
        Outcome::Argued => format!("argued   {mutant} in {seconds:.2} s"),
        Outcome::Survived if mutant.models.is_empty() => {
            format!("SURVIVED {mutant}: no model\n  {}", mutant.key)
        }
        Outcome::Survived => format!("SURVIVED {mutant}\n  {}", mutant.key),
        Outcome::Stale => format!("STALE    {mutant} is caught after all\n  {}", mutant.key),
    };
    if outcome == Outcome::Caught {
        for by in caught {
            text.push_str(&format!("\n  {by}"));
        }
    }
    for (how, tests) in missed {
        let is_news = outcome == Outcome::Survived || how != "survived";
        if is_news {
            text.push_str(&format!("\n  {how}: {}", tests.join(", ")));
        }
    }
    println!("{text}");
}

/// Does `work` to each of `items`, several at once, and returns the results in their order.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let result = work(item);
                    results.lock().expect("nobody panicked").insert(index, result);
                }
            });
        }
    });
    results.into_inner().expect("nobody panicked").into_values().collect()
}
