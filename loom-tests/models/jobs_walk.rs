//! One thread that does to a pool whatever comes to its mind, many times: the books of the ledger
//! balance after every step, and in the end every job has ended as it may.

use std::task::{Context, Waker};
use std::time::Duration;

use super::jobs_mock::{End, Plan, Pool, Ticket, Worker, policy};
use crate::jobs::dispatch::{Doom, Policy, Room, Withdraw};

/// Walks that are taken, and steps of each.
const WALKS: u64 = 1000;
const STEPS: usize = 60;

/// Branch points of a walk at most. A walk has one thread, so there is nothing to explore.
const BRANCHES: usize = 1_000_000;

#[test]
fn the_books_balance_on_random_walks() {
    for seed in 1..=WALKS {
        let mut builder = loom::model::Builder::new();
        builder.max_branches = BRANCHES;
        builder.check(move || {
            crate::primitive::atomic::check_drops();
            Walk::new(seed).take();
        });
    }
}

struct Walk {
    seed: u64,
    random: u64,
    policy: Policy,
    pool: Pool,
    jobs: Vec<Followed>,
    is_closed: bool,
}

/// A job, and what was done to it.
struct Followed {
    ticket: Ticket,
    retries: usize,
    was_refused: bool,
    was_withdrawn: bool,
    end: Option<End>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut pick = |n: u64| below(&mut random, n);
        let workers_max = 1 + pick(3) as usize;
        let policy = Policy {
            workers_min: pick(1 + workers_max as u64) as usize,
            workers_max,
            hot_spare: pick(4) == 0,
            send_ahead: pick(3) as usize,
            max_jobs: (pick(3) == 0).then(|| 1 + pick(4)),
            max_queued: 1 + pick(6) as usize,
            breaker: if pick(3) == 0 { 1 + pick(3) as u32 } else { 1000 },
            failed_starts_max: 1 + pick(3) as u32,
            ..policy(1)
        };
        let pool = Pool::unready(policy.clone());
        Self { seed, random, policy, pool, jobs: Vec::new(), is_closed: false }
    }

    fn take(mut self) {
        for _ in 0..STEPS {
            self.step();
            self.check();
        }
        // The pause of a breaker, or between starts, is over.
        self.pool.now += Duration::from_secs(2);
        self.pool.dispatch.start_workers(self.pool.now);
        self.pool.run_out();
        self.jobs.iter_mut().for_each(Followed::finish);
        let runs: Vec<_> = self.jobs.iter().map(|job| self.pool.runs(&job.ticket)).collect();
        for (job, runs) in self.jobs.iter().zip(runs) {
            job.check(runs, self.seed);
        }
        self.end();
    }

    fn pick(&mut self, n: usize) -> usize {
        below(&mut self.random, n as u64) as usize
    }

    fn step(&mut self) {
        match self.pick(20) {
            0..=5 => self.submit(),
            6 | 7 => self.withdraw(),
            8 => self.pool.now += Duration::from_millis(300),
            9 if self.pick(10) == 0 => self.close(),
            _ => self.work(),
        }
    }

    fn submit(&mut self) {
        let retries = self.pick(3).saturating_sub(1);
        let mut plan = Plan::again(retries as u32);
        plan.is_bulky = self.pick(4) == 0;
        let ticket = self.pool.job(plan, 0);
        let room = if self.pick(3) == 0 { Room::Now } else { Room::Wait };
        let was_refused = self.pool.dispatch.submit(&ticket.job, room, self.pool.now).is_err();
        let (was_withdrawn, end) = (false, None);
        self.jobs.push(Followed { ticket, retries, was_refused, was_withdrawn, end });
    }

    fn withdraw(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let at = self.pick(self.jobs.len());
        let why = [Withdraw::Dropped, Withdraw::Detached, Withdraw::WaitedTooLong][self.pick(3)];
        let job = &mut self.jobs[at];
        job.ticket.now_is(self.pool.now);
        let is_out = job.ticket.withdraw(why);
        if why == Withdraw::WaitedTooLong {
            job.end = job.ticket.end().or(job.end);
            assert!(!is_out || job.end == Some(End::WaitedTooLong));
        } else {
            job.was_withdrawn |= is_out;
        }
    }

    fn work(&mut self) {
        let living: Vec<_> = self.living().collect();
        if living.is_empty() {
            return;
        }
        let worker = &living[self.pick(living.len())];
        let (pool, now) = (&self.pool, self.pool.now);
        if !worker.was_readied() && !worker.wire.is_dead() {
            return match below(&mut self.random, 4) {
                0 => pool.fail_start(worker),
                _ => pool.ready(worker),
            };
        }
        match below(&mut self.random, 16) {
            0..=3 => drop(worker.wire.begin()),
            4..=7 => drop(worker.wire.work()),
            8 => worker.wire.die(),
            9 => drop(pool.dispatch.idle_out(worker.key, Duration::ZERO, now)),
            10 => pool.dispatch.wear_out(worker.key, now),
            11 => {
                if let Some(head) = pool.dispatch.head(worker.key) {
                    pool.dispatch.time_out(worker.key, head.id, Duration::from_secs(1), now);
                }
            }
            12 if below(&mut self.random, 4) == 0 => {
                pool.dispatch.doom(worker.key, Doom::Protocol(String::new()), now);
            }
            12 => {
                let mut batch = pool.dispatch.batch(worker.key);
                assert!(batch.finish(u64::MAX, true, now).is_err());
                batch.settle(now);
            }
            _ => drop(pool.keep(worker)),
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        let (dispatch, now) = (&self.pool.dispatch, self.pool.now);
        match below(&mut self.random, 3) {
            0 => dispatch.close(now),
            1 => drop(dispatch.close_now(now)),
            _ => self.release(),
        }
    }

    /// Closes the pool, and lets the workers go if they have nothing to do.
    fn release(&self) {
        let (dispatch, now) = (&self.pool.dispatch, self.pool.now);
        dispatch.close(now);
        if dispatch.poll_quiet(&mut Context::from_waker(Waker::noop())).is_ready() {
            dispatch.release(now);
        }
    }

    fn living(&self) -> impl Iterator<Item = Worker> + use<> {
        self.pool.workers().into_iter().filter(|worker| !worker.is_buried())
    }

    /// What holds after every step.
    fn check(&self) {
        let (counts, seed) = (self.pool.counts(), self.seed);
        let ended = counts.completed + counts.failed + counts.cancelled;
        let present = (counts.queued + counts.running) as u64;
        assert_eq!(counts.submitted, ended + present, "walk {seed}: {counts:?}");
        let mut busy = 0;
        for worker in self.living() {
            let in_hand = worker.wire.in_hand();
            busy += usize::from(in_hand > 0);
            assert!(in_hand <= 1 + self.policy.send_ahead, "walk {seed}: {in_hand} in hand");
            let max = self.policy.max_jobs.unwrap_or(u64::MAX);
            assert!(worker.wire.given() <= max, "walk {seed}: more than its last");
        }
        assert!(busy <= self.policy.workers_max, "walk {seed}: {busy} are busy");
        let is_dying = self.living().any(|worker| worker.wire.is_dead());
        let is_used = counts.idle == 0 || busy == self.policy.workers_max || is_dying;
        assert!(counts.queued == 0 || is_used, "walk {seed}: a job waits: {counts:?}");
    }

    /// What holds when all has come to rest.
    fn end(&self) {
        let counts = self.pool.counts();
        if !self.is_closed {
            assert!(
                counts.workers <= self.policy.workers_max + 1,
                "walk {}: {counts:?}",
                self.seed
            );
        }
        self.release();
        self.pool.run_out();
        assert_eq!(self.pool.counts().workers, 0, "walk {}", self.seed);
    }
}

impl Followed {
    fn finish(&mut self) {
        let end = self.ticket.end();
        assert!(end.is_none() || self.end.is_none());
        self.end = end.or(self.end);
    }

    fn check(&self, runs: usize, seed: u64) {
        let has_ended = !self.was_refused && !self.was_withdrawn;
        assert_eq!(self.end.is_some(), has_ended, "walk {seed}: {:?}", self.end);
        assert!(runs <= 1 + self.retries, "walk {seed}: it was run {runs} times");
        assert!(self.end != Some(End::Done) || runs > 0, "walk {seed}: it never ran");
    }
}

/// A number below `n`.
fn below(random: &mut u64, n: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (*random >> 11) % n
}
