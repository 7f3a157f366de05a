//! A pool without processes: what the models of `jobs::dispatch` are made of.
//!
//! A [`Wire`] is the link to a worker and the worker itself, which works, answers and dies when a
//! model says so. The keeper's part is played by [`Pool::keep`], in the order that the ledger asks
//! for: a worker that dies is given nothing more, then what it has sent is taken, then its link is
//! closed, then its death is told.

use std::sync::atomic::{AtomicBool as Flag, Ordering::Relaxed};
use std::sync::{Arc, Mutex as Plain};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) use super::jobs_wire::{End, Plan};

use super::jobs_wire::Wire;
use crate::jobs::Counts;
use crate::jobs::dispatch::{
    Dispatch, Host, Job, Key, Next, Policy, Refusal, Room, Withdraw, deliver,
};
use crate::primitive::atomic::trust_drops;

/// Rounds in which a pool has run all its jobs.
const ROUNDS_MAX: usize = 200;

/// A worker, for who plays its keeper.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) key: Key,
    pub(crate) wire: Arc<Wire>,
    /// What its keeper did.
    was_readied: Arc<Flag>,
    was_buried: Arc<Flag>,
}

impl Worker {
    pub(crate) fn was_readied(&self) -> bool {
        self.was_readied.load(Relaxed)
    }

    pub(crate) fn is_buried(&self) -> bool {
        self.was_buried.load(Relaxed)
    }
}

/// Where workers come from: it only notes that they are to be started.
#[derive(Default)]
pub(crate) struct Mock {
    /// Looked at by a model before and after its threads run, and not meanwhile.
    workers: Plain<Vec<Worker>>,
}

impl Host for Mock {
    type Payload = Plan;
    type Link = Wire;

    fn link(&self) -> Wire {
        Wire::default()
    }

    fn start(dispatch: &Arc<Dispatch<Self>>, key: Key, wire: Arc<Wire>) {
        let worker = Worker { key, wire, was_readied: Arc::default(), was_buried: Arc::default() };
        dispatch.host().workers.lock().unwrap().push(worker);
    }
}

/// A policy with as many workers as this, always.
pub(crate) fn policy(workers: usize) -> Policy {
    Policy {
        workers_min: workers,
        workers_max: workers,
        hot_spare: false,
        send_ahead: 0,
        max_jobs: None,
        max_queued: 8,
        breaker: 100,
        failed_starts_max: 3,
        pause: Duration::from_secs(1),
    }
}

/// A pool, as users and keepers see it.
#[derive(Clone)]
pub(crate) struct Pool {
    pub(crate) dispatch: Arc<Dispatch<Mock>>,
    pub(crate) now: Instant,
}

impl Pool {
    /// A pool whose first workers are ready.
    pub(crate) fn new(policy: Policy) -> Self {
        let pool = Self::unready(policy);
        pool.workers().iter().for_each(|worker| pool.ready(worker));
        pool
    }

    /// A pool whose first workers are being started.
    pub(crate) fn unready(policy: Policy) -> Self {
        // Jobs are held by std's `Arc`.
        trust_drops();
        let now = Instant::now();
        let dispatch = Dispatch::new(Mock::default(), policy);
        dispatch.start_workers(now);
        Self { dispatch, now }
    }

    pub(crate) fn workers(&self) -> Vec<Worker> {
        self.dispatch.host().workers.lock().unwrap().clone()
    }

    pub(crate) fn worker(&self, n: usize) -> Worker {
        self.workers().swap_remove(n)
    }

    /// A job that is not submitted; `credit` items of it may come.
    pub(crate) fn job(&self, plan: Plan, credit: u64) -> Ticket {
        let job = self.dispatch.job(plan, credit);
        Ticket { pool: self.clone(), job }
    }

    pub(crate) fn submit(&self) -> Ticket {
        let ticket = self.job(Plan::again(0), 0);
        ticket.try_submit().expect("the pool takes it");
        ticket
    }

    pub(crate) fn ready(&self, worker: &Worker) {
        worker.was_readied.store(true, Relaxed);
        self.dispatch.ready(worker.key, self.now);
    }

    /// The worker cannot be started, for now.
    pub(crate) fn fail_start(&self, worker: &Worker) {
        self.dispatch.start_failed(worker.key, (), false, self.now);
        worker.was_buried.store(true, Relaxed);
    }

    /// What a keeper does when it is woken, once; tells whether there was anything to do.
    pub(crate) fn keep(&self, worker: &Worker) -> bool {
        let is_over = worker.wire.is_dead();
        if is_over {
            self.dispatch.dying(worker.key);
        }
        let answers = worker.wire.read();
        if !answers.is_empty() {
            let mut batch = self.dispatch.batch(worker.key);
            let finished = answers.iter().map(|id| batch.finish(*id, true, self.now));
            let done: Vec<_> = finished.map(|job| job.expect("it runs what it answers")).collect();
            batch.settle(self.now);
            done.into_iter().flatten().for_each(|job| deliver(job, End::Done));
        }
        if is_over {
            self.bury(worker);
        } else if self.dispatch.is_to_end(worker.key) {
            worker.wire.die();
            self.bury(worker);
        } else {
            return !answers.is_empty();
        }
        true
    }

    fn bury(&self, worker: &Worker) {
        let death = worker.wire.close();
        self.dispatch.died(worker.key, &death, self.now);
        worker.was_buried.store(true, Relaxed);
    }

    /// Plays every worker and every keeper until there is nothing to do, and checks the books.
    pub(crate) fn run_out(&self) {
        for _ in 0..ROUNDS_MAX {
            let advanced = self.workers().iter().filter(|worker| self.advance(worker)).count();
            if advanced == 0 {
                return self.check();
            }
        }
        panic!("the pool does not come to rest: {:?}", self.counts());
    }

    /// Plays a worker and its keeper for a moment; tells whether there was anything to do.
    pub(crate) fn advance(&self, worker: &Worker) -> bool {
        if worker.is_buried() {
            return false;
        }
        let is_new = !worker.was_readied() && !worker.wire.is_dead();
        if is_new {
            self.ready(worker);
        }
        let has_worked = worker.wire.work();
        self.keep(worker) || has_worked || is_new
    }

    pub(crate) fn counts(&self) -> Counts {
        self.dispatch.counts()
    }

    /// Every job that was taken is counted in one place, and none is left.
    pub(crate) fn check(&self) {
        let counts = self.counts();
        let ended = counts.completed + counts.failed + counts.cancelled;
        assert_eq!((counts.queued, counts.running), (0, 0), "a job is left: {counts:?}");
        assert_eq!(counts.submitted, ended, "{counts:?}");
        assert!(counts.idle <= counts.workers, "{counts:?}");
    }

    /// How often a job was begun, on any worker.
    pub(crate) fn runs(&self, ticket: &Ticket) -> usize {
        self.starts().iter().filter(|id| **id == ticket.job.id()).count()
    }

    /// Every job that was begun: in order, for workers that follow each other.
    pub(crate) fn starts(&self) -> Vec<u64> {
        self.workers().iter().flat_map(|worker| worker.wire.started()).collect()
    }
}

/// A job and its pool.
#[derive(Clone)]
pub(crate) struct Ticket {
    pool: Pool,
    pub(crate) job: Arc<Job<Plan>>,
}

impl Ticket {
    /// Later steps on this job are of that time.
    pub(crate) fn now_is(&mut self, now: Instant) {
        self.pool.now = now;
    }

    pub(crate) fn try_submit(&self) -> Result<(), Refusal<Plan>> {
        self.pool.dispatch.submit(&self.job, Room::Wait, self.pool.now)
    }

    pub(crate) fn cancel(&self) -> bool {
        self.withdraw(Withdraw::Dropped)
    }

    pub(crate) fn withdraw(&self, why: Withdraw) -> bool {
        self.pool.dispatch.withdraw(&self.job, why, self.pool.now)
    }

    /// Whether a worker has it.
    pub(crate) fn is_in_hand(&self) -> bool {
        self.pool.dispatch.link_of(&self.job).is_some()
    }

    /// Takes its end, if it has one.
    pub(crate) fn end(&self) -> Option<End> {
        match self.job.poll_end(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        }
    }

    /// Waits for its end.
    pub(crate) async fn wait(&self) -> End {
        std::future::poll_fn(|cx| self.job.poll_end(cx)).await
    }

    /// Waits for its next item, or its end.
    pub(crate) async fn next(&self) -> Next<Plan> {
        std::future::poll_fn(|cx| self.job.poll_next(cx)).await
    }
}
