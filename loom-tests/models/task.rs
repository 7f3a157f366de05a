//! The state word: T1 to T5.

use std::panic::resume_unwind;

use loom::thread::spawn;

use super::support::{Bench, Gate, Parked, Tracked, poll_once};
use crate::harness::model;
use crate::primitive::Arc;
use crate::primitive::atomic::{AtomicBool, Ordering};

model! {
    fn a_wake_during_a_run_is_not_lost() {
        let bench = Bench::new();
        let gate = Gate::new();
        let handle = bench.spawn(Gate::wait(&gate));
        let notified = bench.pop().unwrap();
        let opener = spawn(move || gate.open());
        notified.run();
        opener.join().unwrap();
        bench.drain();
        assert!(handle.is_finished());
    }
    catches "task: drop the renotified verdict"
}

model! {
    /// A wake that finds the task queued already relies on a poll that is still to come: what was
    /// written before it must be visible there.
    fn a_poll_sees_what_was_written_before_each_wake_it_answers() {
        let bench = Bench::new();
        let (x, y) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let parked = Parked::new();
        let (seen_x, seen_y) = (Arc::clone(&x), Arc::clone(&y));
        let handle = bench.spawn(parked.until(move || {
            seen_x.load(Ordering::Relaxed) && seen_y.load(Ordering::Relaxed)
        }));
        bench.drain();
        let waker = parked.waker();
        let other = spawn(move || {
            x.store(true, Ordering::Relaxed);
            waker.wake_by_ref();
        });
        y.store(true, Ordering::Relaxed);
        parked.take_waker().wake();
        bench.drain();
        other.join().unwrap();
        bench.drain();
        assert!(handle.is_finished());
    }
    catches
        "task: what changes nothing writes nothing",
        "task: transitions do not release"
}

model! {
    fn two_wakers_make_one_notified() {
        let bench = Bench::new();
        let parked = Parked::new();
        let handle = bench.spawn(parked.until(|| false));
        bench.drain();
        let waker = parked.waker();
        let other = spawn(move || waker.wake_by_ref());
        parked.waker().wake_by_ref();
        other.join().unwrap();
        assert_eq!(bench.drain(), 1);
        handle.abort();
        bench.drain();
        drop(parked.take_waker());
    }
    catches "task: two wakers make two Notified"
}

model! {
    fn an_abort_during_a_run_cancels_the_task() {
        let bench = Bench::new();
        let tracked = Tracked::new();
        let captured = tracked.clone();
        let parked = Parked::new();
        let mut handle = bench.spawn(parked.until(move || captured.count() == 0));
        let notified = bench.pop().unwrap();
        let aborter = handle.abort_handle();
        let other = spawn(move || aborter.abort());
        notified.run();
        other.join().unwrap();
        bench.drain();
        assert_eq!(tracked.count(), 1, "the future is dropped");
        let result = poll_once(&mut handle);
        assert!(matches!(result, std::task::Poll::Ready(Err(error)) if error.is_cancelled()));
    }
    catches "task: an abort during the run is overlooked"
}

model! {
    fn an_abort_of_a_task_that_completes_changes_nothing() {
        let bench = Bench::new();
        let tracked = Tracked::new();
        let output = tracked.clone();
        let mut handle = bench.spawn(async { output });
        let notified = bench.pop().unwrap();
        let aborter = handle.abort_handle();
        let other = spawn(move || aborter.abort());
        notified.run();
        other.join().unwrap();
        assert_eq!(bench.drain(), 0);
        match poll_once(&mut handle) {
            std::task::Poll::Ready(Ok(output)) => assert_eq!(output.count(), 2),
            std::task::Poll::Ready(Err(error)) => {
                assert!(error.is_cancelled());
                assert_eq!(tracked.count(), 1);
            }
            std::task::Poll::Pending => panic!("the task ran"),
        }
    }
    catches "task: abort a complete task"
}

model! {
    fn an_abort_and_a_wake_make_one_notified() {
        let bench = Bench::new();
        let parked = Parked::new();
        let handle = bench.spawn(parked.until(|| false));
        bench.drain();
        let waker = parked.take_waker();
        let other = spawn(move || waker.wake());
        handle.abort();
        other.join().unwrap();
        assert_eq!(bench.drain(), 1);
        assert!(handle.is_finished());
    }
    catches "task: abort queues what is queued"
}

model! {
    /// T7, twice over.
    fn two_aborts_of_an_idle_task_drop_its_future_once() {
        let bench = Bench::new();
        let tracked = Tracked::new();
        let captured = tracked.clone();
        let parked = Parked::new();
        let handle = bench.spawn(parked.until(move || captured.count() == 0));
        bench.drain();
        drop(parked.take_waker());
        let aborter = handle.abort_handle();
        let other = spawn(move || aborter.abort());
        handle.abort();
        assert_eq!(tracked.count(), 2, "who aborts does not drop the future");
        other.join().unwrap();
        assert_eq!(bench.drain(), 1);
        assert_eq!(tracked.count(), 1);
    }
    catches "task: abort queues what is queued"
}

model! {
    fn an_output_that_nobody_takes_is_dropped_once() {
        let bench = Bench::new();
        let tracked = Tracked::new();
        let output = tracked.clone();
        let handle = bench.spawn(async { output });
        let notified = bench.pop().unwrap();
        let other = spawn(move || drop(handle));
        notified.run();
        other.join().unwrap();
        assert_eq!(tracked.count(), 1);
    }
    catches "task: leave the output to a handle that is gone"
}

model! {
    fn a_panic_that_nobody_takes_is_dropped_once() {
        let bench = Bench::new();
        let tracked = Tracked::new();
        let payload = tracked.clone();
        let handle = bench.spawn(async { resume_unwind(Box::new(Unwinding(payload))) });
        let notified = bench.pop().unwrap();
        let aborter = handle.abort_handle();
        let other = spawn(move || {
            aborter.abort();
            drop(handle);
        });
        notified.run();
        other.join().unwrap();
        assert_eq!(tracked.count(), 1);
    }
    catches "task: leave the output to a handle that is gone"
}

/// A payload: one thread's at a time, as everything in a model.
struct Unwinding(#[allow(dead_code)] Tracked);

model! {
    /// Who frees the cell sees what the others did to it.
    fn the_last_reference_frees_once() {
        let bench = Bench::new();
        let tracked = Tracked::new();
        let output = tracked.clone();
        let handle = bench.spawn(async { output });
        bench.drain();
        let aborter = handle.abort_handle();
        let other = spawn(move || drop(handle));
        drop(aborter);
        other.join().unwrap();
        assert_eq!(tracked.count(), 1);
    }
    catches "task: relaxed decrement"
}

model! {
    /// T5: shutdown frees the scheduler when every task is complete, whoever still has a waker.
    fn a_wake_of_a_complete_task_does_not_touch_the_scheduler() {
        let bench = Bench::new();
        let parked = Parked::new();
        let mut polls = 0;
        let handle = bench.spawn(parked.until(move || {
            polls += 1;
            polls == 2
        }));
        bench.drain();
        let waker = parked.waker();
        parked.take_waker().wake();
        let notified = bench.pop().unwrap();
        let other = spawn(move || waker.wake());
        notified.run();
        bench.set_gone();
        other.join().unwrap();
        drop(handle);
    }
    catches "task: wake a complete task"
}

model! {
    fn a_wake_by_value_uses_up_one_count() {
        let bench = Bench::new();
        let parked = Parked::new();
        let handle = bench.spawn(parked.until(|| false));
        bench.drain();
        let waker = parked.waker();
        let other = spawn(move || waker.wake());
        parked.take_waker().wake();
        other.join().unwrap();
        bench.drain();
        handle.abort();
        bench.drain();
        drop(handle);
    }
    catches "task: a wake by value keeps its count"
}
