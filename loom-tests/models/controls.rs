//! The harness itself: what a failing model looks like, and that it is seen.

use crate::harness::explore;
use crate::primitive::lock::{Condvar, Mutex, let_time_pass};
use crate::primitive::{Arc, seeded, thread};

#[test]
#[should_panic(expected = "Arc leaked")]
fn a_leak_fails_the_model() {
    explore(|| std::mem::forget(Arc::new(())));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wait_that_nobody_ends_fails_the_model() {
    explore(|| {
        // Not on the stack of who deadlocks: its destructor would run without a model.
        let pair: &'static _ = Box::leak(Box::new((Mutex::new(()), Condvar::new())));
        drop(pair.1.wait(pair.0.lock()));
    });
}

#[test]
fn a_wait_with_a_deadline_ends_when_time_passes() {
    explore(|| {
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let other = Arc::clone(&pair);
        let waiter = loom::thread::spawn(move || {
            let (lock, condvar) = &*other;
            let mut done = lock.lock();
            // The first may come too early to count; the notification comes in any case.
            while !*done {
                let timed_out;
                (done, timed_out) = condvar.wait_until(done, std::time::Instant::now());
                if timed_out {
                    return;
                }
            }
        });
        let_time_pass();
        *pair.0.lock() = true;
        pair.1.notify_one();
        waiter.join().unwrap();
    });
}

crate::harness::model! {
    /// The machinery behind `catches`.
    fn a_seeded_bug_is_caught() {
        assert!(!seeded::is("controls: a bug"));
    }
    catches "controls: a bug"
}

#[test]
#[should_panic(expected = "nobody asked for")]
fn a_seeded_bug_that_nobody_asks_for_is_an_error() {
    crate::harness::must_fail(
        concat!(module_path!(), "::a_seeded_bug_is_caught::holds"),
        "controls: no such bug",
    );
}

#[test]
#[should_panic(expected = "there is no test")]
fn a_seeded_bug_in_no_model_is_an_error() {
    crate::harness::must_fail("loom_tests::nowhere", "controls: a bug");
}
