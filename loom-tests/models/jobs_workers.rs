//! Workers of a pool of processes: their death, their end and the pool's cost no job that they
//! were not running.

use std::time::Duration;

use super::jobs_mock::{End, Plan, Pool, Ticket, policy};
use super::support::block_on;
use crate::harness::model;
use crate::jobs::dispatch::{Next, Policy};

model! {
    /// J4: killed from outside at any moment. A job runs once, or never where it must not again.
    fn a_worker_that_dies_as_it_answers_ends_its_job_once() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let job = pool.submit();
        let dying = worker.clone();
        let killer = loom::thread::spawn(move || dying.wire.die());
        worker.wire.work();
        pool.keep(&worker);
        killer.join().unwrap();
        pool.run_out();
        let end = job.end();
        assert!(matches!(end, Some(End::Done | End::Died)));
        assert_eq!(pool.runs(&job), 1);
    }
    catches "jobs: run again what may have run"
}

model! {
    /// J4: a worker that dies idle costs nothing, though it may be given a job meanwhile.
    fn a_job_that_is_given_to_a_dying_worker_runs_on_another() {
        let pool = Pool::new(policy(2));
        let worker = pool.worker(1);
        worker.wire.die();
        let other = pool.clone();
        let user = loom::thread::spawn(move || other.submit());
        pool.keep(&worker);
        let job = user.join().unwrap();
        assert!(job.is_in_hand());
        pool.run_out();
        assert_eq!(job.end(), Some(End::Done));
        assert_eq!(worker.wire.started(), []);
    }
    catches
        "jobs: take what was not read for started",
        "jobs: a death gives nothing out"
}

model! {
    /// J4: at most the first one is lost, and the others run before what came later.
    fn jobs_that_were_sent_ahead_come_back_in_order() {
        let pool = Pool::new(Policy { send_ahead: 2, ..policy(1) });
        let worker = pool.worker(0);
        let jobs = [pool.submit(), pool.submit(), pool.submit()];
        let (other, dying) = (pool.clone(), worker.clone());
        let user = loom::thread::spawn(move || {
            dying.wire.die();
            other.submit()
        });
        worker.wire.work();
        worker.wire.begin();
        pool.keep(&worker);
        let later = user.join().unwrap();
        pool.run_out();
        assert!(pool.starts().is_sorted(), "{:?}", pool.starts());
        let ends = jobs.map(|job| job.end().expect("it is not lost"));
        assert!(ends.iter().filter(|end| **end != End::Done).count() <= 1, "{ends:?}");
        assert_eq!(later.end(), Some(End::Done));
    }
    catches
        "jobs: lose what was sent ahead",
        "jobs: what comes back waits again"
}

model! {
    /// J1: it may run again, but nobody waits for it.
    fn a_job_that_is_cancelled_as_its_worker_dies_does_not_run_again() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let job = pool.job(Plan::again(1), 0);
        job.try_submit().unwrap();
        worker.wire.begin();
        worker.wire.die();
        let other = job.clone();
        let user = loom::thread::spawn(move || assert!(other.cancel()));
        pool.keep(&worker);
        user.join().unwrap();
        pool.run_out();
        assert_eq!(job.end(), None);
        assert_eq!(pool.runs(&job), 1);
    }
    catches "jobs: bury what has ended"
}

model! {
    /// Its items came: who takes them would get them twice.
    fn a_job_that_was_seen_in_part_does_not_run_again() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let job = pool.job(Plan::again(1), 1);
        job.try_submit().unwrap();
        worker.wire.begin();
        let taking = job.clone();
        let user = loom::thread::spawn(move || {
            assert!(matches!(block_on(taking.next()), Next::Item(1)));
            taking.job.add_credit(1);
            block_on(taking.wait())
        });
        job.job.push_item(1).unwrap();
        worker.wire.die();
        pool.keep(&worker);
        pool.run_out();
        assert_eq!(user.join().unwrap(), End::Died);
        assert_eq!(pool.runs(&job), 1);
    }
    catches "jobs: items may come again"
}

model! {
    fn a_job_that_is_submitted_as_the_pool_closes_ends_or_is_refused() {
        let pool = Pool::new(policy(1));
        let job = pool.job(Plan::again(0), 0);
        let other = job.clone();
        let user = loom::thread::spawn(move || other.try_submit().is_ok());
        pool.dispatch.close_now(pool.now);
        let was_taken = user.join().unwrap();
        pool.run_out();
        assert_eq!(job.end(), was_taken.then_some(End::Closed));
        assert_eq!(pool.counts().workers, 0);
    }
    catches "jobs: submit without looking at the phase"
}

model! {
    /// J1: the one with the worker ends by its answer or by the close, the queued one by the close.
    fn closing_at_once_ends_every_job_once() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let [running, queued] = [pool.submit(), pool.submit()];
        let other = pool.clone();
        let user = loom::thread::spawn(move || other.dispatch.close_now(other.now));
        worker.wire.work();
        pool.keep(&worker);
        user.join().unwrap();
        pool.run_out();
        assert!(matches!(running.end(), Some(End::Done | End::Closed)));
        assert_eq!(queued.end(), Some(End::Closed));
        assert_eq!(pool.counts().workers, 0);
    }
    catches "jobs: closing forgets the queue"
}

model! {
    /// Who told the workers to end does not come to kill them.
    fn closing_at_once_kills_those_that_were_told_to_end() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let job = pool.submit();
        worker.wire.begin();
        let other = pool.clone();
        let user = loom::thread::spawn(move || other.dispatch.condemn(other.now));
        pool.dispatch.close_now(pool.now);
        user.join().unwrap();
        assert!(worker.wire.is_dead());
        pool.run_out();
        assert_eq!(job.end(), Some(End::Closed));
    }
    catches "jobs: the doomed are not killed"
}

model! {
    fn who_waits_for_the_last_job_of_a_closing_pool_is_woken() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        let job = pool.submit();
        pool.dispatch.close(pool.now);
        let other = pool.clone();
        let closer = loom::thread::spawn(move || {
            block_on(std::future::poll_fn(|cx| other.dispatch.poll_quiet(cx)));
        });
        worker.wire.work();
        pool.keep(&worker);
        closer.join().unwrap();
        assert_eq!(job.end(), Some(End::Done));
    }
    catches
        "jobs: look, and then watch",
        "jobs: nobody tells who watches"
}

model! {
    fn who_waits_for_the_last_worker_of_a_closing_pool_is_woken() {
        let pool = Pool::new(policy(1));
        let worker = pool.worker(0);
        pool.dispatch.close(pool.now);
        pool.dispatch.release(pool.now);
        let other = pool.clone();
        let closer = loom::thread::spawn(move || {
            block_on(std::future::poll_fn(|cx| other.dispatch.poll_empty(cx)));
        });
        pool.keep(&worker);
        closer.join().unwrap();
        assert_eq!(pool.counts().workers, 0);
    }
    catches
        "jobs: look, and then watch",
        "jobs: nobody tells who watches"
}

model! {
    /// Or the pool waits for it until its patience is over.
    fn a_worker_that_gets_ready_as_the_pool_lets_all_go_leaves() {
        let pool = Pool::unready(policy(1));
        let worker = pool.worker(0);
        pool.dispatch.close(pool.now);
        let other = pool.clone();
        let closer = loom::thread::spawn(move || other.dispatch.release(other.now));
        pool.ready(&worker);
        closer.join().unwrap();
        pool.run_out();
        assert_eq!(pool.counts().workers, 0);
    }
    catches "jobs: who comes late stays"
}

model! {
    /// J5: the second job is submitted as the worker finishes its last.
    fn a_worker_gets_no_job_after_its_last() {
        let pool = Pool::new(Policy { max_jobs: Some(1), ..policy(1) });
        let worker = pool.worker(0);
        let first = pool.submit();
        worker.wire.work();
        let other = pool.clone();
        let user = loom::thread::spawn(move || other.submit());
        pool.keep(&worker);
        let second = user.join().unwrap();
        pool.run_out();
        assert_eq!(worker.wire.started(), [first.job.id()]);
        assert!(worker.is_buried());
        assert_eq!([first, second].map(|job| job.end()), [Some(End::Done); 2]);
        assert_eq!(pool.counts().recycled, 2);
    }
    catches "jobs: go on after the last job"
}

model! {
    /// J5, and the classical lost job: submitted as the only worker idles out.
    fn a_job_that_is_submitted_as_a_worker_idles_out_runs() {
        let pool = Pool::unready(Policy { workers_min: 0, ..policy(1) });
        pool.submit();
        pool.run_out();
        let worker = pool.worker(0);
        let other = pool.clone();
        let user = loom::thread::spawn(move || other.submit());
        pool.dispatch.idle_out(worker.key, Duration::ZERO, pool.now);
        pool.keep(&worker);
        let job = user.join().unwrap();
        assert!(!worker.is_buried() || worker.wire.given() == 1);
        pool.run_out();
        assert_eq!(job.end(), Some(End::Done));
    }
    catches "jobs: who leaves is idle"
}

model! {
    /// Recycling delays no job: one of the two has it at once.
    fn a_worn_worker_serves_until_another_is_ready_and_leaves_then() {
        let pool = Pool::new(Policy { workers_min: 0, ..policy(1) });
        pool.submit();
        pool.run_out();
        let worn = pool.worker(0);
        pool.dispatch.wear_out(worn.key, pool.now);
        let replacement = pool.worker(1);
        let other = pool.clone();
        let user = loom::thread::spawn(move || {
            let job = other.submit();
            assert!(job.is_in_hand());
            job
        });
        pool.ready(&replacement);
        let job = user.join().unwrap();
        // Ends: with the job that it may have got.
        while pool.advance(&worn) {}
        assert!(worn.is_buried());
        pool.run_out();
        assert_eq!(job.end(), Some(End::Done));
        assert!(!replacement.is_buried());
    }
    catches
        "jobs: a worn worker leaves at once",
        "jobs: nobody relieves a worn worker"
}

model! {
    /// The death that opens it fails what is queued, and no job comes in behind that.
    fn no_job_waits_behind_an_open_breaker() {
        let pool = Pool::new(Policy { breaker: 1, ..policy(1) });
        let worker = pool.worker(0);
        let running = pool.submit();
        worker.wire.begin();
        worker.wire.die();
        let job = pool.job(Plan::again(0), 0);
        let other = job.clone();
        let user = loom::thread::spawn(move || other.try_submit().is_ok());
        pool.keep(&worker);
        let was_taken = user.join().unwrap();
        pool.run_out();
        assert_eq!(running.end(), Some(End::Died));
        assert_eq!(job.end(), was_taken.then_some(End::Broken));
    }
    catches "jobs: submit without looking at the phase"
}

model! {
    fn no_job_waits_for_a_worker_that_cannot_be_started() {
        let pool = Pool::unready(Policy { failed_starts_max: 1, ..policy(1) });
        let worker = pool.worker(0);
        let job = pool.job(Plan::again(0), 0);
        let other = job.clone();
        let user = loom::thread::spawn(move || other.try_submit().is_ok());
        pool.fail_start(&worker);
        let was_taken = user.join().unwrap();
        pool.check();
        assert_eq!(job.end(), was_taken.then_some(End::NotStarted));
    }
    catches "jobs: the breaker forgets the queue"
}

model! {
    /// It is the last worker: the pool starts none for a while, unless it has none.
    fn no_job_waits_for_a_pause_when_the_last_worker_is_gone() {
        let pool = Pool::new(Policy { workers_min: 1, failed_starts_max: 1, ..policy(2) });
        let worker = pool.worker(0);
        let [running, queued] = [pool.submit(), pool.submit()];
        worker.wire.begin();
        worker.wire.die();
        let starting = pool.worker(1);
        let (other, failing) = (pool.clone(), starting.clone());
        let keeper = loom::thread::spawn(move || other.fail_start(&failing));
        pool.keep(&worker);
        keeper.join().unwrap();
        pool.run_out();
        assert_eq!(running.end(), Some(End::Died));
        assert!(matches!(queued.end(), Some(End::Done | End::NotStarted)));
    }
    catches "jobs: nothing is started in a pause"
}

model! {
    /// It was sent ahead behind one that is cancelled while another worker's death opens it.
    fn no_job_comes_back_behind_an_open_breaker() {
        let pool = Pool::new(Policy { breaker: 1, send_ahead: 1, ..policy(2) });
        let (first, second) = (pool.worker(0), pool.worker(1));
        let jobs = [(); 4].map(|()| pool.submit());
        first.wire.begin();
        second.wire.begin();
        let is_head = |job: &&Ticket| first.wire.started() == [job.job.id()];
        let head = jobs.iter().find(is_head).unwrap().clone();
        let user = loom::thread::spawn(move || assert!(head.cancel()));
        second.wire.die();
        pool.keep(&second);
        user.join().unwrap();
        // Those that were to replace one or the other.
        pool.workers().iter().skip(2).for_each(|worker| pool.fail_start(worker));
        pool.run_out();
        assert_eq!(jobs.iter().filter(|job| job.end().is_some()).count(), 3);
    }
    catches "jobs: bury behind an open breaker"
}
