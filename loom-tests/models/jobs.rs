//! Jobs of a pool of processes: given out without delay and in order, ended once, never lost.

use std::time::Duration;

use super::jobs_mock::{End, Plan, Pool, policy};
use super::support::{Parker, block_on};
use crate::harness::model;
use crate::jobs::dispatch::{Next, Policy, Withdraw};
use crate::primitive::Arc;

model! {
    /// J2: submitted while the only worker becomes free.
    fn no_job_waits_while_a_worker_is_idle() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        pool.submit();
        worker.wire.work();
        let other = pool.clone();
        let user = loom::thread::spawn(move || other.submit());
        pool.keep(&worker);
        let second = user.join().unwrap();
        assert!(second.is_in_hand());
        assert_eq!(worker.wire.unread(), 1);
        pool.run_out();
        assert_eq!(second.end(), Some(End::Done));
    }
    catches "jobs: an answer gives nothing out"
}

model! {
    /// The idle worker has answered what nobody asked, which makes it no more idle than it is.
    fn a_worker_has_one_job_at_a_time() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let other = pool.clone();
        let user = loom::thread::spawn(move || [other.submit(), other.submit()]);
        let mut batch = pool.dispatch.batch(worker.key);
        assert!(batch.finish(u64::MAX, true, pool.now).is_err());
        batch.settle(pool.now);
        let jobs = user.join().unwrap();
        assert_eq!(worker.wire.unread(), 1);
        pool.run_out();
        assert_eq!(jobs.map(|job| job.end()), [Some(End::Done); 2]);
    }
    catches "jobs: the idle come to rest"
}

model! {
    /// J6: a worker answers in the order in which it reads, and that is the ledger's.
    fn jobs_are_written_in_the_order_in_which_they_were_given_out() {
        let pool = Pool::new(Policy { send_ahead: 1, ..policy(1) });
        let other = pool.clone();
        let user = loom::thread::spawn(move || other.submit());
        let jobs = [pool.submit(), user.join().unwrap()];
        pool.run_out();
        assert_eq!(jobs.map(|job| job.end()), [Some(End::Done); 2]);
    }
    catches "jobs: take before the link is locked"
}

model! {
    /// J1.
    fn a_job_that_is_cancelled_as_it_finishes_ends_once() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let job = pool.submit();
        let other = job.clone();
        let user = loom::thread::spawn(move || other.cancel());
        worker.wire.work();
        pool.keep(&worker);
        let was_cancelled = user.join().unwrap();
        pool.run_out();
        assert_eq!(job.end(), (!was_cancelled).then_some(End::Done));
    }
    catches "jobs: deliver what was withdrawn", "jobs: a finished job can be withdrawn"
}

model! {
    /// J3: its worker has answered and is about to get the next job.
    fn the_kill_for_a_cancelled_job_hits_no_other() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let [cancelled, next] = [pool.submit(), pool.submit()];
        worker.wire.work();
        let user = loom::thread::spawn(move || cancelled.cancel());
        pool.keep(&worker);
        worker.wire.begin();
        user.join().unwrap();
        pool.run_out();
        assert_eq!(next.end(), Some(End::Done));
        assert_eq!(pool.runs(&next), 1);
    }
    catches "jobs: kill a worker that may get another job"
}

model! {
    fn a_job_that_is_cancelled_as_it_is_given_out_is_not_delivered() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let [first, queued] = [pool.submit(), pool.submit()];
        worker.wire.work();
        let other = queued.clone();
        let user = loom::thread::spawn(move || assert!(other.cancel()));
        pool.keep(&worker);
        user.join().unwrap();
        pool.run_out();
        assert_eq!(first.end(), Some(End::Done));
        assert_eq!(queued.end(), None);
        assert_eq!(pool.counts().cancelled, 1);
    }
    catches "jobs: withdraw, and leave it in the queue"
}

model! {
    /// J1 and J3: a time-out is of one job, whatever its worker does by then.
    fn a_time_out_ends_the_job_that_it_is_of_or_none() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let [slow, next] = [pool.submit(), pool.submit()];
        let (other, key, id) = (pool.clone(), worker.key, slow.job.id());
        let clock = loom::thread::spawn(move || {
            other.dispatch.time_out(key, id, Duration::from_secs(1), other.now);
        });
        worker.wire.work();
        pool.keep(&worker);
        worker.wire.begin();
        clock.join().unwrap();
        pool.run_out();
        assert!(matches!(slow.end(), Some(End::Done | End::TimedOut)));
        assert_eq!(next.end(), Some(End::Done));
    }
    catches "jobs: time out whatever runs"
}

model! {
    /// The one behind may have begun when the kill comes, and dies then; it has not timed out.
    fn a_time_out_is_not_of_the_job_that_was_sent_ahead() {
        let pool = Pool::new(Policy { send_ahead: 1, ..policy(1) });
        let worker = pool.worker(0);
        let [slow, behind] = [pool.submit(), pool.submit()];
        let (other, key, id) = (pool.clone(), worker.key, slow.job.id());
        let clock = loom::thread::spawn(move || {
            other.dispatch.time_out(key, id, Duration::from_secs(1), other.now);
        });
        worker.wire.work();
        worker.wire.begin();
        pool.keep(&worker);
        clock.join().unwrap();
        pool.run_out();
        assert!(matches!(slow.end(), Some(End::Done | End::TimedOut)));
        assert!(matches!(behind.end(), Some(End::Done | End::Died)));
    }
    catches "jobs: the next one has timed out"
}

model! {
    fn who_waits_for_a_job_sees_its_end() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let job = pool.submit();
        let waiting = job.clone();
        let user = loom::thread::spawn(move || block_on(waiting.wait()));
        worker.wire.work();
        pool.keep(&worker);
        assert_eq!(user.join().unwrap(), End::Done);
    }
    catches "jobs: store the waker without looking again"
}

model! {
    /// The worker sends as many items as it was told to, and each of them arrives.
    fn items_come_in_order_and_before_the_end() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let job = pool.job(Plan::again(0), 1);
        job.try_submit().unwrap();
        let credit = Parker::new();
        let (taking, told) = (job.clone(), Arc::clone(&credit));
        let user = loom::thread::spawn(move || {
            let mut items = Vec::new();
            while let Next::Item(item) = block_on(taking.next()) {
                items.push(item);
                taking.job.add_credit(1);
                Parker::waker(&told).wake();
            }
            items
        });
        job.job.push_item(1).unwrap();
        credit.park();
        job.job.push_item(2).unwrap();
        worker.wire.work();
        pool.keep(&worker);
        assert_eq!(user.join().unwrap(), [1, 2]);
    }
    catches
        "jobs: an item wakes nobody",
        "jobs: store the waker without looking again"
}

model! {
    /// It is in front of a full queue: it was not taken, so it does not go on without its future.
    fn a_detached_job_goes_on_once_it_was_taken() {
        let pool = Pool::new(Policy { max_queued: 1, ..policy(1) });
        let worker = pool.worker(0);
        pool.submit();
        pool.submit();
        let last = pool.submit();
        worker.wire.work();
        let other = last.clone();
        let user = loom::thread::spawn(move || other.withdraw(Withdraw::Detached));
        pool.keep(&worker);
        let was_withdrawn = user.join().unwrap();
        pool.run_out();
        assert_eq!(last.end(), (!was_withdrawn).then_some(End::Done));
        assert_eq!(pool.counts().submitted, 2 + u64::from(!was_withdrawn));
    }
    catches "jobs: withdraw a detached job"
}
