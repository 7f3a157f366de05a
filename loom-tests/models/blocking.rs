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
    abandonable: bool,
}

impl Ledger {
    fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn job(this: &Arc<Self>, body: fn(&Ledger)) -> Noted {
        Noted { ledger: Arc::clone(this), body, abandonable: false }
    }

    fn abandonable(this: &Arc<Self>, body: fn(&Ledger)) -> Noted {
        Noted { abandonable: true, ..Self::job(this, body) }
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

    fn is_abandonable(&self) -> bool {
        self.abandonable
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

model! {
    /// B7: the end does not wait for a job that is let go only after it, and its thread then ends
    /// by itself, with what it shares with the pool.
    fn the_end_does_not_wait_for_an_abandonable_job() {
        let pool = pool(1);
        let ledger = Ledger::new();
        pool.spawn(Ledger::abandonable(&ledger, behind_the_gate)).unwrap();
        pool.close();
        assert!(pool.wait(None));
        assert_eq!(pool.counts().abandonable, pool.counts().threads);
        ledger.note(|counts| counts.gate_open = true);
        ledger.wait_until(|counts| counts.run + counts.cancelled == 1);
    }
    catches
        "blocking: abandonable jobs are waited for",
        "blocking: an abandonable job is discounted after the lock"
}

model! {
    /// B7: the thread that comes back from an abandonable job while the pool ends is waited for
    /// or not, and leaves either way.
    fn an_abandonable_job_that_ends_during_the_end_does_not_hold_it_up() {
        let pool = pool(1);
        let ledger = Ledger::new();
        pool.spawn(Ledger::abandonable(&ledger, behind_the_gate)).unwrap();
        ledger.wait_until(|counts| counts.started == 1);
        ledger.note(|counts| counts.gate_open = true);
        pool.close();
        assert!(pool.wait(None));
        ledger.wait_for_runs(1);
        assert_eq!(pool.counts().queued, 0);
    }
    catches "blocking: a thread leaves without a signal"
}

model! {
    /// B7: a thread counts again as soon as its abandonable job is over.
    fn the_end_waits_for_an_ordinary_job_behind_an_abandonable_one() {
        let pool = pool(1);
        let ledger = Ledger::new();
        pool.spawn(Ledger::abandonable(&ledger, at_once)).unwrap();
        ledger.wait_for_runs(1);
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        pool.close();
        assert!(pool.wait(None));
        let counts = ledger.counts.lock();
        assert_eq!(counts.run + counts.cancelled, 2);
    }
    catches "blocking: an abandonable job that ended is discounted for ever"
}

model! {
    /// B7: the end of the pool ignores the one and waits for the other, whichever starts first.
    #[preemptions = 2]
    fn the_end_waits_for_the_ordinary_job_beside_an_abandonable_one() {
        let pool = pool(2);
        let ledger = Ledger::new();
        pool.spawn(Ledger::abandonable(&ledger, behind_the_gate)).unwrap();
        ledger.wait_until(|counts| counts.started == 1);
        pool.spawn(Ledger::job(&ledger, at_once)).unwrap();
        pool.close();
        assert!(pool.wait(None));
        {
            let counts = ledger.counts.lock();
            assert_eq!(counts.run + counts.cancelled, 1);
        }
        ledger.note(|counts| counts.gate_open = true);
    }
    catches
        "blocking: abandonable jobs are waited for",
        "blocking: every job is as good as abandoned"
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
