//! Rows about timers: a sorted set of deadlines.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use crate::rows::Outcome;
use crate::rows::timers::{LAST_AFTER, NEVER, SPREAD, lateness_outcome, lead, offset};

pub(crate) fn fire(ops: usize) -> Outcome {
    let first = Instant::now() + lead(ops);
    let mut timers: BTreeSet<_> =
        (0..ops).map(|index| (first + offset(index, ops), index)).collect();
    let mut sum = Duration::ZERO;
    while let Some(&(earliest, _)) = timers.first() {
        thread::sleep(earliest.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        while let Some(&(deadline, _)) = timers.first().filter(|(deadline, _)| *deadline <= now) {
            sum += now - deadline;
            timers.pop_first();
        }
    }
    let last = first + SPREAD + LAST_AFTER;
    thread::sleep(last.saturating_duration_since(Instant::now()));
    lateness_outcome(ops, (sum, last.elapsed()))
}

pub(crate) fn cancel(ops: usize) -> Outcome {
    let mut timers = BTreeSet::new();
    for index in 0..ops {
        let timer = (Instant::now() + NEVER, index);
        timers.insert(timer);
        black_box(&timers);
        timers.remove(&timer);
    }
    Outcome::of(ops)
}
