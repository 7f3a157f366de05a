//! Misuse that once did harm, and what it does now.

mod support;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::task::Poll;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

tenter::task_local! {
    static NUMBER: u32;
}

/// A panic's payload whose destructor panics.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("the payload's destructor");
    }
}

#[test]
fn cancelling_a_handle_whose_output_was_taken_yields_nothing() {
    support::within(LIMIT, || {
        support::runtime(1).block_on(async {
            let mut task = tenter::spawn(async { vec![1, 2, 3] });
            assert_eq!((&mut task).await.unwrap(), [1, 2, 3]);
            assert_eq!(task.cancel().await, None);
        });
    });
}

#[test]
fn a_task_local_that_is_given_a_value_while_it_is_borrowed_panics_and_keeps_its_value() {
    support::within(LIMIT, || {
        NUMBER.sync_scope(1, || {
            let nested = || NUMBER.with(|_| NUMBER.sync_scope(2, || ()));
            assert!(catch_unwind(AssertUnwindSafe(nested)).is_err());
            assert_eq!(NUMBER.get(), 1);
        });
    });
}

#[test]
fn a_scope_can_be_dropped_while_its_task_local_is_borrowed() {
    support::within(LIMIT, || {
        let unpolled = NUMBER.scope(2, async {});
        NUMBER.sync_scope(1, || NUMBER.with(|_| drop(unpolled)));
    });
}

#[test]
fn a_payload_whose_destructor_panics_ends_no_worker() {
    struct PanicsAgain;

    impl Drop for PanicsAgain {
        fn drop(&mut self) {
            panic_any(Grenade);
        }
    }

    support::within(LIMIT, || {
        let runtime = support::runtime(1);
        runtime.block_on(async {
            // The future panics when it is polled, and again when what it holds is dropped.
            let held = PanicsAgain;
            let future = poll_fn(move |_| -> Poll<()> {
                let _held = &held;
                panic!("the first")
            });
            let error = tenter::spawn(future).await.unwrap_err();
            assert_eq!(error.to_string().rsplit(": ").next(), Some("the first"));
            assert_eq!(tenter::spawn(async { 1 }).await.unwrap(), 1);
        });
    });
}
