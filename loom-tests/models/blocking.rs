//! The blocking pool: no queued job is slept through, no thread is lost from the count.

use std::time::Duration;

use super::support::{Bench, Tracked};
use crate::blocking::{Config, Counts, Job, Pool};
use crate::harness::model;
use crate::lifecycle::Notified;
use crate::primitive::Arc;
use crate::primitive::lock::{Condvar, Mutex, let_time_pass};
use crate::primitive::thread::fail_starts;

/// What became of the jobs of one run.
#[derive(Default)]
struct Ledger {
    counts: Mutex<Tally>,
    changed: Condvar,
}

#[derive(Default)]
struct Tally {
    started: usize,
    run: usize,
    cancelled: usize,
    gate_open: bool,
}

/// A job that notes what becomes of it; its `Arc` is loom's, so a job that is lost is a leak.
struct Noted {
    ledger: Arc<Ledger>,
    body: fn(&Ledger),
}

impl Ledger {
    fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn job(this: &Arc<Self>, body: fn(&Ledger)) -> Noted {
        Noted { ledger: Arc::clone(this), body }
    }

    fn note(&self, what: fn(&mut Tally)) {
        what(&mut self.counts.lock());
        self.changed.notify_all();
    }

    fn wait_until(&self, done: impl Fn(&Tally) -> bool) {
        let mut counts = self.counts.lock();
        while !done(&counts) {
            counts = self.changed.wait(counts);
        }
    }

    fn wait_for_runs(&self, n: usize) {
        self.wait_until(|counts| counts.run >= n);
    }
}

impl Job for Noted {
    fn run(self) {
        (self.body)(&self.ledger);
        self.ledger.note(|counts| counts.run += 1);
    }

    fn cancel(self) {
        self.ledger.note(|counts| counts.cancelled += 1);
    }
}

fn at_once(_: &Ledger) {}

fn after_another(ledger: &Ledger) {
    ledger.wait_for_runs(1);
}

fn behind_the_gate(ledger: &Ledger) {
    ledger.note(|counts| counts.started += 1);
    ledger.wait_until(|counts| counts.gate_open);
}

fn panicking(ledger: &Ledger) {
    ledger.note(|counts| counts.started += 1);
    std::panic::resume_unwind(Box::new("a job that panics"));
}

fn pool<J: Job>(threads_max: usize) -> Pool<J> {
    Pool::new(Config {
        threads_max,
        keep_alive: Duration::from_secs(1),
        stack_bytes: None,
        thread_name: Box::new(String::new),
        on_start: None,
        on_stop: None,
    })
}

/// Closes the pool and waits, as a runtime that is dropped does.
fn end<J: Job>(pool: &Pool<J>) {
    pool.close();
    assert!(pool.wait(None));
    assert_eq!(pool.counts(), Counts::default());
}

model! {
    /// The classical lost job: pushed while the only thread's keep-alive runs out.
    fn a_thread_roused_as_its_time_runs_out_takes_the_job() {
        let pool = pool(1);
        let ledger = Ledger::new();
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        ledger.wait_for_runs(1);
        let clock = loom::thread::spawn(let_time_pass);
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        ledger.wait_for_runs(2);
        clock.join().unwrap();
        end(&pool);
    }
    catches "blocking: the clock beats the baton"
}

model! {
    fn a_job_pushed_as_the_last_thread_leaves_gets_another() {
        let pool = pool(1);
        let ledger = Ledger::new();
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        ledger.wait_for_runs(1);
        let_time_pass();
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        ledger.wait_for_runs(2);
        end(&pool);
    }
    catches "blocking: a leaving thread counts as alive"
}

model! {
    /// Liveness of the pool: N jobs that wait get N threads, though one thread is roused at once.
    fn a_job_behind_one_that_waits_gets_a_thread_of_its_own() {
        let pool = pool(2);
        let ledger = Ledger::new();
        pool.spawn(Ledger::job(&ledger, after_another)).unwrap();
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        ledger.wait_for_runs(2);
        end(&pool);
    }
    catches "blocking: the roused thread passes nothing on"
}

model! {
    fn a_job_pushed_against_shutdown_is_run_cancelled_or_given_back() {
        let pool = pool(1);
        let ledger = Ledger::new();
        let (other, others) = (pool.clone(), Arc::clone(&ledger));
        let pusher = loom::thread::spawn(move || {
            usize::from(other.spawn(Ledger::job(&others, at_once)).is_err())
        });
        end(&pool);
        let refused = pusher.join().unwrap();
        pool.wait(None);
        let counts = ledger.counts.lock();
        assert_eq!(counts.run + counts.cancelled + refused, 1);
        drop(counts);
        assert_eq!(pool.counts().queued, 0);
    }
    catches "blocking: a closed pool takes jobs"
}

model! {
    fn closing_sends_idle_threads_home() {
        let pool = pool(1);
        let ledger = Ledger::new();
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        ledger.wait_for_runs(1);
        end(&pool);
    }
    catches "blocking: closing wakes nobody"
}

model! {
    /// B4: the job is queued in trust of a thread that is being started, and then cannot be, while
    /// the only other one's time runs out.
    fn a_thread_that_cannot_be_started_strands_no_job() {
        let pool = pool(2);
        let ledger = Ledger::new();
        pool.spawn(Ledger::job(&ledger, behind_the_gate)).unwrap();
        ledger.wait_until(|counts| counts.started == 1);
        fail_starts(1);
        let (other, others) = (pool.clone(), Arc::clone(&ledger));
        let second = loom::thread::spawn(move || {
            others.note(|counts| counts.gate_open = true);
            others.wait_for_runs(2);
            let_time_pass();
            usize::from(other.spawn(Ledger::job(&others, at_once)).is_ok())
        });
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        let taken = second.join().unwrap();
        ledger.wait_for_runs(2 + taken);
        end(&pool);
    }
    catches "blocking: the last thread leaves during a start"
}

model! {
    fn a_first_thread_that_cannot_be_started_gives_the_job_back() {
        let pool = pool(1);
        let ledger = Ledger::new();
        fail_starts(1);
        let rejected = pool.spawn(Ledger::job(&ledger, at_once)).unwrap_err();
        assert!(rejected.error.is_some());
        drop(rejected);
        assert_eq!(pool.counts(), Counts::default());
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        ledger.wait_for_runs(1);
        end(&pool);
    }
    catches "blocking: a start that failed stays counted"
}

model! {
    fn a_job_that_panics_ends_neither_the_thread_nor_the_count() {
        let pool = pool(1);
        let ledger = Ledger::new();
        pool.spawn(Ledger::job(&ledger, panicking)).unwrap();
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        ledger.wait_for_runs(1);
        end(&pool);
    }
    catches "blocking: a job's panic ends its thread"
}

/// A closure of `spawn_blocking`: a task that is polled once, on the pool.
struct Closure(Notified);

impl Job for Closure {
    fn run(self) {
        self.0.run();
    }

    fn cancel(self) {
        self.0.cancel();
    }
}

model! {
    /// Its owner aborts it, the pool closes, and a thread starts it: one of them ends it.
    fn a_closure_ends_once_whoever_comes_first() {
        let bench = Bench::new();
        let pool = pool::<Closure>(1);
        let tracked = Tracked::new();
        let output = tracked.clone();
        let handle = bench.spawn(async { output });
        pool.spawn(Closure(bench.pop().unwrap())).unwrap();
        let aborter = handle.abort_handle();
        let owner = loom::thread::spawn(move || aborter.abort());
        end(&pool);
        owner.join().unwrap();
        assert!(handle.is_finished());
        drop(handle);
        assert_eq!(tracked.count(), 1);
    }
    catches
        "blocking: closing forgets the queue",
        "task: abort queues what is queued"
}
