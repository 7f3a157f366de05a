//! The ledger of who searches and who sleeps. S2 to S4.

use loom::thread::spawn;

use super::idle::{Heir, Idle};
use crate::harness::model;
use crate::primitive::Arc;
use crate::primitive::deque::{Injector, Steal};
use crate::primitive::lock::{Condvar, Mutex};

/// A scheduler of which nothing is left but the inject queue and the protocol of sleep.
struct Ledger {
    idle: Idle,
    inject: Injector<u32>,
    /// One token a worker; it comes from `Idle` alone.
    tokens: Mutex<[bool; 2]>,
    given: Condvar,
}

impl Ledger {
    fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            idle: Idle::new(workers),
            inject: Injector::new(),
            tokens: Mutex::new([false; 2]),
            given: Condvar::new(),
        })
    }

    fn schedule(&self, item: u32) {
        self.inject.push(item);
        self.notify();
    }

    fn notify(&self) {
        if let Some(index) = self.idle.worker_to_wake() {
            self.give_token(index);
        }
    }

    fn give_token(&self, index: usize) {
        self.tokens.lock()[index] = true;
        self.given.notify_all();
    }

    fn wait_for_token(&self, index: usize) {
        let mut tokens = self.tokens.lock();
        while !std::mem::take(&mut tokens[index]) {
            tokens = self.given.wait(tokens);
        }
    }

    fn steal(&self) -> Option<u32> {
        loop {
            match self.inject.steal() {
                Steal::Success(item) => return Some(item),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }

    /// A searcher has found a batch, of which this is left in its own queue.
    fn bring_along(&self, item: u32) {
        self.inject.push(item);
        self.stop_searching();
    }

    fn stop_searching(&self) {
        if self.idle.stop_searching() {
            self.notify_of_work();
        }
    }

    /// What a worker does that sleeps already: somebody wakes it to search.
    fn sleep_until_woken(&self, index: usize) -> u32 {
        self.wait_for_token(index);
        assert!(!self.idle.retract(index), "who woke it took it off the list");
        self.search_and_sleep(index, true)
    }

    /// Looks, and tells of what is left.
    fn notify_of_work(&self) {
        if !self.inject.is_empty() {
            self.notify();
        }
    }

    /// What a worker does that has nothing else to do, until it has an item.
    fn search_and_sleep(&self, index: usize, mut searching: bool) -> u32 {
        loop {
            if let Some(item) = self.steal() {
                if searching {
                    self.stop_searching();
                }
                return item;
            }
            self.idle.announce(index, searching);
            if self.inject.is_empty() {
                self.wait_for_token(index);
            }
            // Woken, and then counted as searching; or back by itself.
            searching = !self.idle.retract(index);
        }
    }
}

model! {
    /// S3.
    fn a_scheduled_task_is_never_slept_through() {
        let ledger = Ledger::new(1);
        let other = Arc::clone(&ledger);
        let worker = spawn(move || other.search_and_sleep(0, false));
        ledger.schedule(1);
        assert_eq!(worker.join().unwrap(), 1);
    }
    catches
        "idle: no fence after a push",
        "idle: no fence after announcing sleep"
}

model! {
    /// S4: who pushes while somebody searches wakes nobody, and relies on the end of the search.
    fn a_push_that_relies_on_a_searcher_is_found() {
        let ledger = Ledger::new(1);
        ledger.idle.start_searching();
        let other = Arc::clone(&ledger);
        let worker = spawn(move || other.search_and_sleep(0, true));
        ledger.schedule(1);
        assert_eq!(worker.join().unwrap(), 1);
    }
    catches
        "idle: no fence after a push",
        "idle: no fence after announcing sleep"
}

model! {
    /// S4: it found a task and may be busy with it for ever.
    fn the_last_searcher_hands_on() {
        let ledger = Ledger::new(2);
        ledger.schedule(1);
        ledger.idle.announce(1, false);
        ledger.idle.start_searching();
        let first = Arc::clone(&ledger);
        let first = spawn(move || first.search_and_sleep(0, true));
        let second = Arc::clone(&ledger);
        let second = spawn(move || second.sleep_until_woken(1));
        ledger.schedule(2);
        assert_eq!(first.join().unwrap() + second.join().unwrap(), 3);
    }
    catches
        "idle: the last searcher does not hand on",
        "idle: no fence after the last search"
}

model! {
    /// S4: a searcher moves a batch to its own queue, runs the first of it, and is not the last to
    /// search: it tells nobody of the rest.
    fn the_rest_of_a_batch_is_found_by_the_last_searcher() {
        let ledger = Ledger::new(2);
        ledger.inject.push(1);
        ledger.inject.push(2);
        ledger.idle.start_searching();
        ledger.idle.start_searching();
        let local = Arc::new(Injector::new());
        let (other, queue) = (Arc::clone(&ledger), Arc::clone(&local));
        let first = spawn(move || {
            let mine = other.steal().expect("one is left for it");
            if let Some(rest) = other.steal() {
                queue.push(rest);
            }
            let is_last = other.idle.stop_searching();
            if is_last && !(queue.is_empty() && other.inject.is_empty()) {
                other.notify();
            }
            mine
        });
        let mut searching = true;
        let found = loop {
            if let Some(item) = ledger.steal().or_else(|| local.steal().success()) {
                break item;
            }
            ledger.idle.announce(0, searching);
            if ledger.inject.is_empty() && local.is_empty() {
                ledger.wait_for_token(0);
            }
            searching = !ledger.idle.retract(0);
        };
        assert_ne!(first.join().unwrap(), found);
    }
    catches "idle: who stops searching releases nothing"
}

model! {
    /// S4: who leaves something behind relies on a searcher, which finds another task and may be
    /// busy with it for ever.
    fn what_is_left_to_a_searcher_is_found() {
        let ledger = Ledger::new(2);
        ledger.schedule(1);
        ledger.idle.announce(1, false);
        ledger.idle.start_searching();
        let first = Arc::clone(&ledger);
        let first = spawn(move || first.search_and_sleep(0, true));
        let second = Arc::clone(&ledger);
        let second = spawn(move || second.sleep_until_woken(1));
        ledger.inject.push(2);
        match ledger.idle.heir() {
            Heir::Sleeper(index) => ledger.give_token(index),
            Heir::Searcher => {}
            Heir::Nobody => ledger.notify(),
        }
        assert_eq!(first.join().unwrap() + second.join().unwrap(), 3);
    }
    catches
        "idle: no fence before an heir is named",
        "idle: the last searcher does not hand on"
}

model! {
    /// S4: who searches has something in its own queue by now, and tells nobody of it as long as
    /// another searches; that one has found something too, and looks because it is the last.
    fn what_a_searcher_brings_along_is_handed_on_by_the_last_one() {
        let ledger = Ledger::new(1);
        ledger.idle.announce(0, false);
        ledger.idle.start_searching();
        ledger.idle.start_searching();
        let other = Arc::clone(&ledger);
        let sleeper = spawn(move || other.sleep_until_woken(0));
        let other = Arc::clone(&ledger);
        let searcher = spawn(move || other.stop_searching());
        ledger.bring_along(1);
        searcher.join().unwrap();
        assert_eq!(sleeper.join().unwrap(), 1);
    }
    catches "idle: the last searcher does not hand on"
}

model! {
    fn two_pushes_at_once_wake_one_searcher() {
        let ledger = Ledger::new(2);
        ledger.idle.announce(0, false);
        ledger.idle.announce(1, false);
        let other = Arc::clone(&ledger);
        let other = spawn(move || other.idle.worker_to_wake().is_some());
        let woken = ledger.idle.worker_to_wake().is_some();
        assert!(woken != other.join().unwrap());
    }
    catches "idle: no look at the searchers under the lock"
}

model! {
    /// S7: while a guest runs tasks it stands for a worker, and no sleeper is woken for a push.
    fn a_push_that_relies_on_a_guest_is_handed_on_when_it_stops() {
        let ledger = Ledger::new(1);
        ledger.idle.announce(0, false);
        ledger.idle.start_guest();
        let other = Arc::clone(&ledger);
        let worker = spawn(move || other.sleep_until_woken(0));
        let other = Arc::clone(&ledger);
        let guest = spawn(move || {
            other.idle.stop_guest();
            other.notify_of_work();
        });
        ledger.schedule(1);
        assert_eq!(worker.join().unwrap(), 1);
        guest.join().unwrap();
    }
    catches
        "idle: no fence after a guest stops",
        "idle: no fence after a push"
}

model! {
    /// S7: the monitor finds it stuck.
    fn a_push_that_relies_on_a_guest_is_handed_on_when_it_is_stuck() {
        let ledger = Ledger::new(1);
        ledger.idle.announce(0, false);
        ledger.idle.start_guest();
        let other = Arc::clone(&ledger);
        let worker = spawn(move || other.sleep_until_woken(0));
        let other = Arc::clone(&ledger);
        let monitor = spawn(move || {
            other.idle.excuse_guest();
            other.notify_of_work();
        });
        ledger.schedule(1);
        assert_eq!(worker.join().unwrap(), 1);
        monitor.join().unwrap();
    }
    catches
        "idle: no fence after a guest is excused",
        "idle: a guest that is stuck stands for a worker",
        "idle: no fence after a push"
}
