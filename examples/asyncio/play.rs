//! How a lesson is tested: to its end, or to the end of a minute.

// A lesson uses one of them or the other.
#![allow(dead_code)]

use std::time::Duration;

use watchdog::Watchdog;

#[path = "../../tests/watchdog/mod.rs"]
mod watchdog;

/// Runs a lesson. The process ends if it hangs.
pub(crate) fn play<F: Future>(lesson: F) -> F::Output {
    let _limit = limit();
    tenter::run(lesson).expect("a runtime starts")
}

/// The same for a lesson that has a runtime of its own, until this is dropped.
pub(crate) fn limit() -> Watchdog {
    watchdog::start(Duration::from_secs(60), || ())
}
