//! Rows about timers: a sorted set of deadlines.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use crate::rows::Outcome;
use crate::rows::timers::{LAST_AFTER, NEVER, SPREAD, lead, offset};
use crate::sample::Metric;

pub(crate) fn fire(ops: usize) -> Outcome {
    let first = Instant::now() + lead(ops);
    let last = first + SPREAD + LAST_AFTER;
    let mut timers: BTreeSet<_> = (0..ops)
        .map(|index| (first + offset(index, ops), index))
        .collect();
    timers.insert((last, ops));
    while let Some((deadline, _)) = timers.first() {
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        while timers.first().is_some_and(|(deadline, _)| *deadline <= now) {
            timers.pop_first();
        }
    }
    let mut outcome = Outcome::of(ops);
    outcome
        .extra
        .push((Metric::LateNs, last.elapsed().as_nanos() as f64));
    outcome
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
