//! The LIFO slot: a task is in one place, and comes out once.

use loom::thread::spawn;

use super::super::support::{Bench, Parked};
use super::queue::Slot;
use crate::harness::model;
use crate::primitive::Arc;

model! {
    fn a_task_in_the_slot_goes_to_its_worker_or_to_the_thief() {
        let bench = Bench::new();
        let handle = bench.spawn(async {});
        let slot = Arc::new(Slot::new());
        assert!(slot.put(bench.pop().unwrap()).is_none());
        let stolen = Arc::clone(&slot);
        let thief = spawn(move || stolen.take().map(crate::lifecycle::Notified::run).is_some());
        let own = slot.take().map(crate::lifecycle::Notified::run).is_some();
        assert!(own != thief.join().unwrap(), "one of them has it");
        assert!(handle.is_finished());
    }
    catches "queue: load the slot, then store"
}

model! {
    fn a_task_put_in_the_slot_as_it_is_stolen_pushes_none_out_twice() {
        let bench = Bench::new();
        let first = bench.spawn(async {});
        let second = bench.spawn(async {});
        let slot = Arc::new(Slot::new());
        assert!(slot.put(bench.pop().unwrap()).is_none());
        let stolen = Arc::clone(&slot);
        let thief = spawn(move || stolen.take().map(crate::lifecycle::Notified::run).is_some());
        let before = slot.put(bench.pop().unwrap()).map(crate::lifecycle::Notified::run).is_some();
        let left = slot.take().map(crate::lifecycle::Notified::run).is_some();
        let stolen = thief.join().unwrap();
        assert_eq!(usize::from(before) + usize::from(left) + usize::from(stolen), 2);
        assert!(first.is_finished() && second.is_finished());
    }
    catches "queue: load the slot, then store"
}

model! {
    /// The thief runs what the worker's task wrote before it made the stolen one due.
    fn who_takes_from_the_slot_sees_what_was_written_before_the_put() {
        use crate::primitive::atomic::{AtomicUsize, Ordering};
        let bench = Bench::new();
        let written = Arc::new(AtomicUsize::new(0));
        let parked = Parked::new();
        let seen = Arc::clone(&written);
        let handle = bench.spawn(parked.until(move || seen.load(Ordering::Relaxed) == 1));
        let notified = bench.pop().unwrap();
        let slot = Arc::new(Slot::new());
        let stolen = Arc::clone(&slot);
        let thief = spawn(move || stolen.take().map(crate::lifecycle::Notified::run));
        written.store(1, Ordering::Relaxed);
        assert!(slot.put(notified).is_none());
        let own = slot.take().map(crate::lifecycle::Notified::run);
        let stolen = thief.join().unwrap();
        assert!(own.is_some() != stolen.is_some());
        assert!(handle.is_finished());
        drop(parked.take_waker_if_any());
    }
    catches "queue: put without Release"
}
