//! The blocking pool: many jobs, threads that leave and come, an end at any moment.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use super::support::{Books, Entry, Signal, below, dawdle, one_in, up_to};
use crate::blocking::{Config, Counts, Job, Pool};
use crate::harness::program;
use crate::primitive::lock::{Mutex, let_time_pass};
use crate::primitive::thread::fail_starts;

const THREADS: usize = 3;
const PUSHERS: usize = 3;

/// Jobs that one thread pushes, at most.
const JOBS: usize = 6;

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    run: usize,
    cancelled: usize,
    refused: usize,
}

/// A job that notes what becomes of it.
struct Noted {
    tally: Arc<Mutex<Tally>>,
    entry: Entry,
    /// Given by the job: its pusher waits for it.
    done: Arc<Signal>,
    panics: bool,
}

impl Job for Noted {
    fn run(self) {
        dawdle(4);
        self.tally.lock().run += 1;
        self.done.give();
        if self.panics {
            std::panic::resume_unwind(Box::new("a job that panics"));
        }
    }

    fn cancel(self) {
        self.tally.lock().cancelled += 1;
        self.done.give();
    }

    fn is_abandonable(&self) -> bool {
        false
    }
}

/// One thread's jobs, some of which it waits for.
fn push(pool: &Pool<Noted>, books: &Arc<Books>, tally: &Arc<Mutex<Tally>>, jobs: usize) {
    for _ in 0..jobs {
        dawdle(6);
        let done = Signal::new();
        let job = Noted {
            tally: Arc::clone(tally),
            entry: books.entry(),
            done: Arc::clone(&done),
            panics: one_in(6),
        };
        if one_in(6) {
            fail_starts(1);
        }
        match pool.spawn(job) {
            Ok(()) if below(2) == 0 => done.wait(),
            Ok(()) => {}
            Err(rejected) => {
                drop(rejected);
                tally.lock().refused += 1;
            }
        }
    }
}

program! {
    /// Every job is run, cancelled or given back, once; nobody waits for one that is forgotten;
    /// and all threads leave, whenever their time runs out and the pool closes.
    fn every_job_is_run_cancelled_or_given_back() {
        let pool = Pool::new(Config {
            threads_max: up_to(THREADS),
            keep_alive: Duration::from_secs(1),
            stack_bytes: None,
            thread_name: Box::new(String::new),
            on_start: None,
            on_stop: None,
        });
        let (books, tally) = (Books::new(), Arc::new(Mutex::new(Tally::default())));
        let jobs = up_to(JOBS);
        let pushers = [(); PUSHERS].map(|()| {
            let (pool, books, tally) = (pool.clone(), Arc::clone(&books), Arc::clone(&tally));
            thread::spawn(move || push(&pool, &books, &tally, jobs))
        });
        let clock = thread::spawn(|| {
            for _ in 0..below(40) {
                dawdle(4);
                let_time_pass();
            }
        });
        let closes_early = one_in(2);
        if closes_early {
            dawdle(80);
            pool.close();
        }
        for pusher in pushers {
            pusher.join().unwrap();
        }
        pool.close();
        assert!(pool.wait(None));
        clock.join().unwrap();
        assert_eq!(pool.counts(), Counts::default());
        let tally = *tally.lock();
        assert_eq!(tally.run + tally.cancelled + tally.refused, PUSHERS * jobs, "{tally:?}");
        books.assert_balanced("jobs");
    }
    catches
        "blocking: the clock beats the baton",
        "blocking: closing wakes nobody",
        "blocking: closing forgets the queue",
        "blocking: a thread leaves without a signal",
        "blocking: a job's panic ends its thread",
        "blocking: a closed pool takes jobs",
}
