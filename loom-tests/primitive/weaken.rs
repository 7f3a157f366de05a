//! Mutants that need no compiling: one call of the shipped code, named by its place, loses a part
//! of what it promises.
//!
//! The stand-ins ask at every call of the shipped code whether it loses this or that part. One
//! process runs one model with at most one mutant, so the answer comes from the environment. In
//! a process that records, nothing is lost, and the questions are written down: they are the
//! mutants that this model may catch.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering as Real};

use loom::sync::atomic::Ordering;

use crate::verdict::{RECORD, WEAKEN};

/// What a call can lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// It no longer sees what came before what it reads.
    Acquire,
    /// What it writes no longer shows what came before.
    Release,
    /// A failed exchange no longer acquires.
    Failure,
    /// A fence is no longer one of all fences' order.
    SeqCst,
    /// A fence is left out.
    Fence,
    /// A read-modify-write becomes a read, and then a write.
    Atomic,
    /// A notification is left out.
    Notify,
    /// Of all who wait only one is notified.
    All,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Release => "release",
            Self::Failure => "failure",
            Self::SeqCst => "seqcst",
            Self::Fence => "fence",
            Self::Atomic => "atomic",
            Self::Notify => "notify",
            Self::All => "all",
        }
    }
}

/// What this process does.
enum Mode {
    Nothing,
    Record,
    /// The mutant, as the environment names it.
    Weaken(String),
}

static CONSULTED: AtomicBool = AtomicBool::new(false);

std::thread_local! {
    /// All threads of a model are on one real thread.
    static ASKED: RefCell<BTreeSet<(&'static Location<'static>, Part)>> =
        const { RefCell::new(BTreeSet::new()) };
}

fn mode() -> &'static Mode {
    static MODE: OnceLock<Mode> = OnceLock::new();
    MODE.get_or_init(|| match std::env::var(WEAKEN) {
        Ok(mutant) => Mode::Weaken(mutant),
        Err(_) if std::env::var_os(RECORD).is_some() => Mode::Record,
        Err(_) => Mode::Nothing,
    })
}

/// Whether the calling line loses this part.
#[track_caller]
pub(crate) fn loses(part: Part) -> bool {
    let place = Location::caller();
    match mode() {
        Mode::Nothing => false,
        Mode::Record => {
            ASKED.with_borrow_mut(|asked| asked.insert((place, part)));
            false
        }
        Mode::Weaken(mutant) => {
            let loses = names(place, part).is_some_and(|name| name == *mutant);
            if loses {
                CONSULTED.store(true, Real::Relaxed);
            }
            loses
        }
    }
}

/// How a mutant is named, if it is one of shipped code: models and stand-ins stay as they are.
fn names(place: &Location<'_>, part: Part) -> Option<String> {
    let (_, file) = place.file().rsplit_once("../src/")?;
    Some(format!("src/{file}:{}:{} {}", place.line(), place.column(), part.name()))
}

/// For the harness: the mutant that this process was started with.
pub(crate) fn active() -> Option<&'static str> {
    match mode() {
        Mode::Weaken(mutant) => Some(mutant),
        Mode::Nothing | Mode::Record => None,
    }
}

/// For the harness: whether the shipped code ever made the active mutant's call.
pub(crate) fn was_consulted() -> bool {
    CONSULTED.load(Real::Relaxed)
}

/// For the harness: writes what was asked, a mutant a line, where the environment says.
pub(crate) fn write_record() {
    let Some(path) = std::env::var_os(RECORD) else { return };
    let asked = ASKED.take();
    let names = asked.iter().filter_map(|(place, part)| names(place, *part));
    let lines: String = names.map(|name| name + "\n").collect();
    std::fs::write(path, lines).expect("the record can be written");
}

/// The ordering that is left to a load.
#[track_caller]
pub(crate) fn load(order: Ordering) -> Ordering {
    if acquires(order) && loses(Part::Acquire) { Ordering::Relaxed } else { order }
}

/// The ordering that is left to a store.
#[track_caller]
pub(crate) fn store(order: Ordering) -> Ordering {
    if releases(order) && loses(Part::Release) { Ordering::Relaxed } else { order }
}

/// The ordering that is left to a read-modify-write.
#[track_caller]
pub(crate) fn update(order: Ordering) -> Ordering {
    let acquires = acquires(order) && !loses(Part::Acquire);
    let releases = releases(order) && !loses(Part::Release);
    match (acquires, releases) {
        (true, true) if order == Ordering::SeqCst => Ordering::SeqCst,
        (true, true) => Ordering::AcqRel,
        (true, false) => Ordering::Acquire,
        (false, true) => Ordering::Release,
        (false, false) => Ordering::Relaxed,
    }
}

/// The ordering that is left to an exchange that fails.
#[track_caller]
pub(crate) fn failure(order: Ordering) -> Ordering {
    if acquires(order) && loses(Part::Failure) { Ordering::Relaxed } else { order }
}

/// The orderings of a read and a write that are together as strong as this one.
pub(crate) fn halves(order: Ordering) -> (Ordering, Ordering) {
    let load = if acquires(order) { Ordering::Acquire } else { Ordering::Relaxed };
    let store = if releases(order) { Ordering::Release } else { Ordering::Relaxed };
    (load, store)
}

/// What is left of a fence.
#[track_caller]
pub(crate) fn fence(order: Ordering) -> Option<Ordering> {
    if loses(Part::Fence) {
        None
    } else if order == Ordering::SeqCst && loses(Part::SeqCst) {
        Some(Ordering::AcqRel)
    } else {
        Some(order)
    }
}

fn acquires(order: Ordering) -> bool {
    matches!(order, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst)
}

fn releases(order: Ordering) -> bool {
    matches!(order, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst)
}
