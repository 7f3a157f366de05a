//! Sets of tasks: the inbox, and the members whose notes are in it.

use std::future::poll_fn;
use std::task::{Context, Waker};

use loom::thread::spawn;

use super::members::{Ended, Members};
use crate::harness::model;
use crate::models::support::{Bench, Parker, block_on};
use crate::primitive::Arc;

/// Waits on this thread for the next that ends.
fn next<T>(members: &mut Members<T>) -> Option<Ended<T>> {
    block_on(poll_fn(|cx| members.poll_next(cx)))
}

fn is_pending<T>(members: &mut Members<T>, waker: &Waker) -> bool {
    members.poll_next(&mut Context::from_waker(waker)).is_pending()
}

model! {
    fn a_task_that_ends_as_its_set_is_awaited_is_not_slept_through() {
        let bench = Bench::new();
        let mut members = Members::new();
        members.insert(bench.spawn(async { 1 }));
        let notified = bench.pop().unwrap();
        let runner = spawn(move || notified.run());
        assert_eq!(next(&mut members).unwrap().result.unwrap(), 1);
        assert!(next(&mut members).is_none());
        runner.join().unwrap();
    }
    catches
        "inbox: leave the waker without a second look",
        "inbox: wake before the note is written"
}

model! {
    fn a_task_that_ends_as_it_comes_into_the_set_is_noted() {
        let bench = Bench::new();
        let handle = bench.spawn(async { 1 });
        let notified = bench.pop().unwrap();
        let runner = spawn(move || notified.run());
        let mut members = Members::new();
        members.insert(handle);
        assert_eq!(next(&mut members).unwrap().result.unwrap(), 1);
        runner.join().unwrap();
    }
    catches "join set: a task that had ended is waited for"
}

model! {
    fn two_tasks_that_end_at_once_are_both_returned() {
        let bench = Bench::new();
        let mut members = Members::new();
        members.insert(bench.spawn(async { 1 }));
        members.insert(bench.spawn(async { 2 }));
        let (first, second) = (bench.pop().unwrap(), bench.pop().unwrap());
        let parker = Parker::new();
        assert!(is_pending(&mut members, &Parker::waker(&parker)));
        let runner = spawn(move || first.run());
        second.run();
        let sum = [next(&mut members), next(&mut members)]
            .map(|ended| ended.unwrap().result.unwrap())
            .iter()
            .sum::<i32>();
        assert_eq!(sum, 3);
        runner.join().unwrap();
        // The first of the two took the waker, and the other found none.
        assert_eq!(parker.wakes(), 1);
    }
    catches "inbox: leave the waker without a second look"
}

model! {
    fn who_waits_last_is_woken() {
        let bench = Bench::new();
        let mut members = Members::new();
        members.insert(bench.spawn(async {}));
        let notified = bench.pop().unwrap();
        let (first, second) = (Parker::new(), Parker::new());
        assert!(is_pending(&mut members, &Parker::waker(&first)));
        let runner = spawn(move || notified.run());
        if is_pending(&mut members, &Parker::waker(&second)) {
            second.park();
            assert!(!is_pending(&mut members, Waker::noop()));
        }
        runner.join().unwrap();
    }
    catches
        "inbox: leave the waker without a second look",
        "inbox: wake before the note is written"
}

model! {
    fn a_note_about_a_task_that_was_let_go_is_not_about_its_successor() {
        let bench = Bench::new();
        let mut members = Members::new();
        members.insert(bench.spawn(async { 1 }));
        let notified = bench.pop().unwrap();
        let runner = spawn(move || notified.run());
        members.detach_all();
        // In the place of the first, and not run; and one that is.
        let never = bench.spawn(async { 2 });
        members.insert(never);
        members.insert(bench.spawn(async { 3 }));
        let waiting = bench.pop().unwrap();
        bench.pop().unwrap().run();
        assert_eq!(next(&mut members).unwrap().result.unwrap(), 3);
        runner.join().unwrap();
        waiting.run();
        assert_eq!(next(&mut members).unwrap().result.unwrap(), 2);
    }
    catches "join set: a note is about whoever is in the place"
}

model! {
    fn a_set_dropped_as_its_task_ends_leaves_nothing_behind() {
        let bench = Bench::new();
        let mut members = Members::new();
        let output = Arc::new(());
        let theirs = Arc::clone(&output);
        members.insert(bench.spawn(async move { theirs }));
        let notified = bench.pop().unwrap();
        let parker = Parker::new();
        assert!(is_pending(&mut members, &Parker::waker(&parker)));
        let runner = spawn(move || notified.run());
        drop(members);
        runner.join().unwrap();
        bench.drain();
        assert_eq!(Arc::strong_count(&output), 1);
        assert!(parker.wakes() < 2);
    }
    catches "join: a dropped handle takes the waker that it shares"
}

model! {
    fn a_set_aborted_as_its_task_ends_returns_one_result() {
        let bench = Bench::new();
        let handle = bench.spawn(async { 1 });
        let notified = bench.pop().unwrap();
        let runner = spawn(move || notified.run());
        let mut members = Members::new();
        members.insert(handle);
        members.abort_all();
        bench.drain();
        let result = next(&mut members).unwrap().result;
        assert!(result.map_or_else(|error| error.is_cancelled(), |output| output == 1));
        assert!(next(&mut members).is_none());
        runner.join().unwrap();
    }
    catches "join set: a task that had ended is waited for"
}

model! {
    fn a_set_that_shuts_down_waits_until_its_task_has_ended() {
        let bench = Bench::new();
        let dropped = Arc::new(());
        let theirs = Arc::clone(&dropped);
        let mut members = Members::new();
        members.insert(bench.spawn(async move {
            let _held = theirs;
        }));
        let notified = bench.pop().unwrap();
        let runner = spawn(move || notified.run());
        members.abort_all();
        block_on(poll_fn(|cx| members.poll_discard(cx)));
        assert_eq!(Arc::strong_count(&dropped), 1);
        runner.join().unwrap();
    }
    catches
        "inbox: leave the waker without a second look",
        "inbox: wake before the note is written"
}
