//! The owned list: T8, and what shutdown relies on.

use loom::thread::spawn;

use super::support::{Bench, Gate, Parked, Tracked};
use crate::harness::model;
use crate::primitive::Arc;

model! {
    /// Once the list is closed, whoever aborts what is in it has aborted everything.
    fn a_task_is_in_the_list_before_it_closes_or_refused() {
        let bench = Bench::new();
        let spawner = spawn({
            let bench = Arc::clone(&bench);
            move || {
                let parked = Parked::new();
                drop(bench.spawn(parked.until(|| false)));
            }
        });
        bench.owned().close();
        let left = bench.owned().len();
        spawner.join().unwrap();
        assert_eq!(bench.owned().len(), left, "a closed list does not grow");
        bench.owned().abort_all();
        bench.drain();
        assert!(bench.owned().is_empty());
    }
    catches "owned: bind without looking at closed"
}

model! {
    fn a_task_that_completes_as_all_are_aborted_is_freed_once() {
        let bench = Bench::new();
        let tracked = Tracked::new();
        let output = tracked.clone();
        drop(bench.spawn(async { output }));
        let notified = bench.pop().unwrap();
        let runner = spawn(move || notified.run());
        bench.owned().close();
        bench.owned().abort_all();
        runner.join().unwrap();
        assert_eq!(bench.drain(), 0);
        assert!(bench.owned().is_empty());
        assert_eq!(tracked.count(), 1);
    }
    catches "owned: a reference without a count"
}

model! {
    fn neighbours_that_complete_at_once_leave_the_list_whole() {
        let bench = Bench::new();
        let gate = Gate::new();
        let last = bench.spawn(Gate::wait(&gate));
        bench.pop().unwrap().run();
        drop(bench.spawn(async {}));
        drop(bench.spawn(async {}));
        let (first, second) = (bench.pop().unwrap(), bench.pop().unwrap());
        let other = spawn(move || first.run());
        second.run();
        other.join().unwrap();
        assert_eq!(bench.owned().len(), 1);
        gate.open();
        bench.drain();
        assert!(bench.owned().is_empty() && last.is_finished());
    }
    catches "owned: release touches the links outside the lock"
}
