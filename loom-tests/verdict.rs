//! What a run of one model with one mutant has shown: read from what its process printed.
//!
//! `harness.rs` judges the `catches` tests by it, and `mutants/` all that it runs.

use std::fmt;

/// The variable that names a seeded bug.
pub(crate) const SEEDED: &str = "TENTER_SEEDED_BUG";

/// The variable that names a call and the part that it loses: `src/room/file.rs:12:34 acquire`.
pub(crate) const WEAKEN: &str = "TENTER_WEAKEN";

/// The variable that names the file for the calls that a model passes over, and their parts.
pub(crate) const RECORD: &str = "TENTER_RECORD";

/// The variable that makes `catches` tests say what they would run.
pub(crate) const LIST: &str = "TENTER_LIST_CATCHES";

/// How a line of that list begins; the test follows, a tab, and the bug.
pub(crate) const LISTED: &str = "catches\t";

/// What a model prints that has passed in spite of a mutant.
pub(crate) const SURVIVED: &str = "the model survived the mutant";

/// What it says if the mutant changed nothing, because nobody came by.
pub(crate) const UNASKED: &str = "nobody asked for the mutant";

/// What a process says that came to a limit of the engine's or of a stand-in's. One that goes
/// round in circles comes to one of them.
const LIMITS: [&str; 6] = [
    // loom
    "exceeded maximum number of branches",
    "self.threads.len() < self.max()",
    "Is the model fully deterministic",
    "[loom internal bug]",
    // shuttle
    "exceeded max_steps bound",
    // loom-tests/primitive/deque.rs
    "a model pushes more than QUEUE_SLOTS items",
];

/// What a run has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The model failed, and this is what it said.
    Caught(String),
    Survived,
    /// No code that ran asked for the mutant.
    Unasked,
    /// The model came to a limit of loom's or of a stand-in's, which proves nothing.
    Limit(&'static str),
    /// The process died without a word, which may be for want of memory.
    Died,
    /// There is no such test.
    Missing,
}

/// What the process of one model, with one mutant, has shown.
pub(crate) fn judge(succeeded: bool, output: &str) -> Verdict {
    if !output.contains("running 1 test") {
        Verdict::Missing
    } else if output.contains(UNASKED) {
        Verdict::Unasked
    } else if succeeded || output.contains(SURVIVED) {
        Verdict::Survived
    } else if let Some(limit) = LIMITS.iter().find(|limit| output.contains(**limit)) {
        Verdict::Limit(limit)
    } else {
        // A panic that nobody printed is told of by shuttle.
        let why = output.lines().skip_while(|line| !line.contains("panicked")).nth(1);
        why.map_or(Verdict::Died, |why| Verdict::Caught(why.trim().to_owned()))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught(why) => write!(f, "caught: {why}"),
            Self::Survived => f.write_str("survived"),
            Self::Unasked => f.write_str(UNASKED),
            Self::Limit(limit) => write!(f, "a limit, which proves nothing: {limit}"),
            Self::Died => f.write_str("it died without a word, which proves nothing"),
            Self::Missing => f.write_str("there is no test of that name"),
        }
    }
}
