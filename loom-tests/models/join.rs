//! The join handle and its waker: T3 and T6.

use std::task::Poll;

use loom::thread::spawn;

use super::support::{Bench, Noted, Parked, Parker, Tracked, block_on, poll_once, poll_with};
use crate::harness::model;
use crate::primitive::Arc;

model! {
    fn a_handle_awaited_as_the_task_completes_gets_the_output() {
        let bench = Bench::new();
        let handle = bench.spawn(async { Tracked::new() });
        let notified = bench.pop().unwrap();
        let runner = spawn(move || notified.run());
        let output = block_on(handle).unwrap();
        assert_eq!(output.count(), 1);
        runner.join().unwrap();
    }
    catches
        "join: announce the waker before it is stored",
        "join: wait for a complete task",
        "join: an output that was taken is dropped too",
        "task: transitions do not release"
}

model! {
    fn the_last_waker_is_woken_however_often_it_was_replaced() {
        let bench = Bench::new();
        let mut handle = bench.spawn(async {});
        let notified = bench.pop().unwrap();
        let (first, second) = (Parker::new(), Parker::new());
        assert!(poll_with(&mut handle, &Parker::waker(&first)).is_pending());
        let runner = spawn(move || notified.run());
        if poll_with(&mut handle, &Parker::waker(&second)).is_pending() {
            second.park();
            assert!(poll_once(&mut handle).is_ready());
        }
        runner.join().unwrap();
    }
    catches "join: replace the waker while it is shared"
}

model! {
    fn a_handle_dropped_as_the_task_completes_leaves_no_waker_behind() {
        let bench = Bench::new();
        let parker = Parker::new();
        let mut handle = bench.spawn(async {});
        assert!(poll_with(&mut handle, &Parker::waker(&parker)).is_pending());
        let notified = bench.pop().unwrap();
        let runner = spawn(move || notified.run());
        drop(handle);
        runner.join().unwrap();
    }
    catches "join: a dropped handle takes the waker that it shares"
}

model! {
    fn cancel_returns_when_the_future_is_really_dropped() {
        let bench = Bench::new();
        let noted = Noted::new();
        let on_drop = noted.on_drop();
        let parked = Parked::new();
        let handle = bench.spawn(parked.until(move || {
            let _on_drop = &on_drop;
            false
        }));
        let notified = bench.pop().unwrap();
        let worker = spawn({
            let bench = Arc::clone(&bench);
            move || {
                notified.run();
                bench.drain();
            }
        });
        let mut cancel = std::pin::pin!(handle.cancel());
        let first = cancel.as_mut().poll(&mut std::task::Context::from_waker(
            std::task::Waker::noop(),
        ));
        if first.is_pending() {
            worker.join().unwrap();
            bench.drain();
            assert!(block_on(cancel).is_none());
        } else {
            noted.check();
            worker.join().unwrap();
        }
        drop(parked.take_waker_if_any());
    }
    catches "task: transitions do not release"
}

model! {
    fn a_handle_polled_from_two_threads_by_turns_gets_the_output_once() {
        let bench = Bench::new();
        let mut handle = bench.spawn(async { Tracked::new() });
        let notified = bench.pop().unwrap();
        let parker = Parker::new();
        let first = poll_with(&mut handle, &Parker::waker(&parker));
        assert!(first.is_pending());
        let poller = spawn(move || match poll_once(&mut handle) {
            Poll::Ready(output) => Some(output.unwrap()),
            Poll::Pending => {
                drop(handle);
                None
            }
        });
        notified.run();
        let output = poller.join().unwrap();
        assert!(output.is_none_or(|output| output.count() == 1));
    }
    catches "join: an output that was taken is dropped too"
}

model! {
    fn a_task_that_is_refused_reports_that_it_was_cancelled() {
        let bench = Bench::new();
        bench.owned().close();
        let tracked = Tracked::new();
        let captured = tracked.clone();
        let mut handle = bench.spawn(async move { captured.count() });
        assert_eq!(tracked.count(), 1);
        assert!(matches!(poll_once(&mut handle), Poll::Ready(Err(error)) if error.is_cancelled()));
    }
    catches "owned: a refused task keeps the list's count"
}
