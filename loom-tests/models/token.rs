//! The token: who meets its cancellation.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use loom::thread::spawn;

use super::token::CancelToken;
use crate::harness::model;
use crate::models::support::{Parker, block_on, poll_once, poll_with};
use crate::primitive::Arc;
use crate::primitive::atomic::{AtomicUsize, Ordering};

model! {
    fn a_token_that_is_cancelled_as_somebody_waits_is_not_slept_through() {
        let token = CancelToken::new();
        let theirs = token.clone();
        let canceller = spawn(move || theirs.cancel());
        block_on(token.cancelled());
        assert!(token.is_cancelled());
        canceller.join().unwrap();
    }
    catches
        "token: wait without a second look",
        "token: mark after the waiters are taken"
}

model! {
    fn who_sees_a_token_cancelled_sees_what_was_done_before() {
        let token = CancelToken::new();
        let written = Arc::new(AtomicUsize::new(0));
        let (theirs, reading) = (token.clone(), Arc::clone(&written));
        let watcher = spawn(move || {
            if theirs.is_cancelled() {
                assert_eq!(reading.load(Ordering::Relaxed), 1);
            }
        });
        written.store(1, Ordering::Relaxed);
        token.cancel();
        watcher.join().unwrap();
    }
    catches "token: cancel without Release"
}

model! {
    fn a_waker_that_is_replaced_as_the_token_is_cancelled_is_not_lost() {
        let token = CancelToken::new();
        let (first, second) = (Parker::new(), Parker::new());
        let mut waiting = token.cancelled();
        assert!(poll_with(&mut waiting, &Parker::waker(&first)).is_pending());
        let theirs = token.clone();
        let canceller = spawn(move || theirs.cancel());
        if poll_with(&mut waiting, &Parker::waker(&second)).is_pending() {
            second.park();
            assert!(poll_once(&mut waiting).is_ready());
        }
        drop(waiting);
        canceller.join().unwrap();
    }
    catches
        "token: wait without a second look",
        "token: mark after the waiters are taken"
}

model! {
    fn a_child_made_as_its_parent_is_cancelled_is_cancelled_too() {
        let token = CancelToken::new();
        let theirs = token.clone();
        let canceller = spawn(move || theirs.cancel());
        let child = token.child();
        canceller.join().unwrap();
        assert!(child.is_cancelled());
    }
    catches "token: a child is listed at a parent that is cancelled"
}

model! {
    fn a_future_dropped_as_its_token_is_cancelled_takes_nothing_off() {
        let token = CancelToken::new();
        let parker = Parker::new();
        let mut waiting = token.cancelled();
        assert!(poll_with(&mut waiting, &Parker::waker(&parker)).is_pending());
        let theirs = token.clone();
        let canceller = spawn(move || theirs.cancel());
        drop(waiting);
        canceller.join().unwrap();
    }
    catches "token: take off a list that was taken away"
}

model! {
    fn a_child_dropped_as_its_parent_is_cancelled_takes_nothing_off() {
        let parent = CancelToken::new();
        let (child, other) = (parent.child(), parent.child());
        let theirs = parent.clone();
        let canceller = spawn(move || theirs.cancel());
        drop(child);
        canceller.join().unwrap();
        assert!(other.is_cancelled());
    }
    catches "token: take off a list that was taken away"
}

model! {
    fn a_token_between_two_that_is_dropped_meanwhile_passes_the_cancellation_on() {
        let top = CancelToken::new();
        let middle = top.child();
        let bottom = middle.child();
        let theirs = top.clone();
        let canceller = spawn(move || theirs.cancel());
        drop(middle);
        block_on(bottom.cancelled());
        canceller.join().unwrap();
    }
    catches
        "token: wait without a second look",
        "token: mark after the waiters are taken"
}

model! {
    fn a_future_that_runs_until_then_ends_with_the_token() {
        let token = CancelToken::new();
        let theirs = token.clone();
        let canceller = spawn(move || theirs.cancel());
        {
            let until = pin!(token.run_until(std::future::pending::<()>()));
            assert!(block_on(until).is_none());
        }
        canceller.join().unwrap();
        let until = pin!(token.run_until(async {}));
        assert!(until.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
    catches "token: wait without a second look"
}
