//! The protocol of a pool: who has which job, and what becomes of it when anybody fails.
//!
//! ```text
//!                  submit                     settle               finish
//!   New ──────────► Lobby ── admit ─► Queued ────────► At(worker) ────────► Ended, with a reply
//!     └──────────────────────────────►  ▲ │                │ │
//!                  submit               │ │ cancel, close  │ │ cancel: the worker is doomed
//!                                       │ └────────────────┼─┴────────────► Ended, with a failure
//!                                       └───── died ───────┘ died
//!
//!   worker:  Starting ─ ready ─► Ready ─ worn ─► Worn        dashes: the ledger's step, in
//!               │                  │               │         `Dispatch`; one lock for all
//!               │                  └─── leave ─────┴─► Leaving ─ died
//!               └─ start_failed        doom: from any ─► Doomed ─ died
//! ```
//!
//! The [`Ledger`] is plain data under one lock. A step changes it and writes down
//! what follows, in a [`Todo`]: bytes to write, processes to start or to kill, futures
//! to wake. That is done after the lock is released, because it calls the system or the user.
//! Two things then have to hold although others may come in between:
//!
//! - J1 A job ends once. The step that sets its place to `Ended` is the one that delivers its end,
//!   and every step that would end it looks at the place first, under the lock.
//!   Model: models/jobs.rs `a_job_that_is_cancelled_as_it_finishes_ends_once`.
//! - J2 No job waits while a worker is free for it: whatever makes a job due or a worker free ends
//!   in [`settle`](ledger::Ledger::settle), under the same lock.
//!   Model: models/jobs.rs `no_job_waits_while_a_worker_is_idle`.
//! - J3 A worker is doomed under the lock before it is killed without it. Jobs are given out under
//!   the lock and not to the doomed: a kill meets the job that it was meant for, or what had been
//!   sent behind it. Model: models/jobs.rs `the_kill_for_a_cancelled_job_hits_no_other`.
//! - J4 A worker's death costs at most one job: the first that it had not finished, if that may
//!   have been started. What it had finished was read from the socket before; what was sent behind,
//!   never written, or written and not read, goes back to the front of the queue.
//!   Model: models/jobs_workers.rs `a_job_that_is_given_to_a_dying_worker_runs_on_another`.
//! - J5 A worker that leaves gets no more jobs, and is told to end when it has none.
//!   Model: models/jobs_workers.rs `a_worker_gets_no_job_after_its_last`.
//! - J6 Bytes for a worker are written in the order in which it got its jobs: they are taken from
//!   the ledger by who holds the link's lock.
//!   Model: models/jobs.rs `jobs_are_written_in_the_order_in_which_they_were_given_out`.
//!
//! What is sent and how is not seen here, and so the models in `loom-tests` compile this folder as
//! it is: a [`Host`] stands for processes, a [`Link`] for one of them.

mod breaker;
mod ends;
mod job;
mod ledger;
mod queue;
mod todo;

use std::fmt::Debug;
// Not the seam's: no protocol here reads a count, and methods can be called on it.
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::primitive::lock::Mutex;
use crate::primitive::{PlainCounter, contain_drop, seeded};

use ledger::{Flight, Ledger, Phase, Stage};
use queue::Waiting;
use todo::{Few, Todo};

use job::Place;

use super::metrics::Counts;

pub(crate) use job::{Job, Next, NoCredit};
pub(crate) use ledger::Doom;
pub(crate) use queue::PRIORITIES;

/// What a job consists of, and what it may end in.
pub(crate) trait Payload: Send + Sync + Sized + 'static {
    /// The result or the error.
    type End: Send;
    /// What comes before the end.
    type Item: Send;
    /// Why a worker could not be started.
    type Trouble: Clone + Send + Debug;

    /// Which lane of the queue it waits in, 0 for the most urgent.
    fn priority(&self) -> usize;
    /// How often it may be run again when its worker has died.
    fn retries(&self) -> u32;
    /// Whether it may only be sent to a worker that has nothing.
    fn is_bulky(&self) -> bool;
    /// How long it may run, if that is limited.
    fn limits(&self) -> Option<Limits>;
    /// How long it may wait for a worker.
    fn queue_timeout(&self) -> Option<Duration> {
        None
    }
    /// How it ends that fails like this.
    fn failed(&self, failure: Failure<Self>) -> Self::End;
}

/// How long a job may run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Then it is asked to stop.
    pub(crate) soft: Option<Duration>,
    /// Then its worker is killed.
    pub(crate) hard: Option<Duration>,
}

/// Where workers come from.
pub(crate) trait Host: Send + Sync + Sized + 'static {
    type Payload: Payload;
    type Link: Link<Self::Payload>;

    /// The link to a worker that is about to be started.
    fn link(&self) -> Self::Link;
    /// Starts a worker. From then on its keeper tells what becomes of it: [`Dispatch::ready`] or
    /// [`Dispatch::start_failed`], and [`Dispatch::died`].
    fn start(dispatch: &Arc<Dispatch<Self>>, key: Key, link: Arc<Self::Link>);
}

/// One worker, as others than its keeper reach it; from any thread, and none of it waits.
pub(crate) trait Link<P: Payload>: Send + Sync + 'static {
    /// Takes jobs until there are none and writes them to the worker, all under the link's own
    /// lock (J6).
    fn flush(this: &Arc<Self>, take: &mut dyn FnMut() -> Option<Arc<Job<P>>>);
    /// Kills the worker, now or as soon as it has a process.
    fn kill(&self);
    /// Has the keeper look at the worker again.
    fn nudge(&self);
}

/// A worker of a pool; no other has, or had, the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u64);

/// How a job fails.
#[derive(Debug)]
pub(crate) enum Failure<P: Payload> {
    /// Its worker died while it may have run.
    Died(Death),
    /// It ran for longer than this.
    TimedOut(Duration),
    /// Its worker sent what no worker sends.
    Protocol(String),
    /// It waited for longer than it was to.
    WaitedTooLong,
    /// The pool was closed.
    Closed,
    /// The breaker is open.
    Broken { deaths: u32, stderr: String },
    /// No worker could be started.
    Start(P::Trouble),
}

/// What is known of a worker's death.
#[derive(Clone, Debug, Default)]
pub(crate) struct Death {
    pub(crate) signal: Option<i32>,
    pub(crate) code: Option<i32>,
    /// The last lines of its standard error.
    pub(crate) stderr: String,
    /// The last frame that was written to it was a job, and it had not read all of it.
    pub(crate) last_unread: bool,
}

/// The numbers by which the ledger decides.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) workers_min: usize,
    pub(crate) workers_max: usize,
    pub(crate) hot_spare: bool,
    pub(crate) send_ahead: usize,
    pub(crate) max_jobs: Option<u64>,
    pub(crate) max_queued: usize,
    /// Deaths in a row that open the breaker.
    pub(crate) breaker: u32,
    /// Failed starts in a row that open the breaker.
    pub(crate) failed_starts_max: u32,
    /// How long the breaker stays open.
    pub(crate) pause: Duration,
}

/// Whether a job may wait for room in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Wait,
    Now,
}

/// Why a job was not taken.
#[derive(Debug)]
pub(crate) enum Refusal<P: Payload> {
    /// The queue is full.
    Full,
    Failed(Failure<P>),
}

/// A worker spoke of a job that it is not running.
#[derive(Debug)]
pub(crate) struct NotRunning;

/// What the worker's first job is, for its keeper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) id: u64,
    pub(crate) since: Instant,
    pub(crate) limits: Option<Limits>,
}

/// A pool's ledger and its host.
pub(crate) struct Dispatch<H: Host> {
    host: H,
    ledger: Mutex<Ledger<H>>,
    ids: PlainCounter,
}

impl<H: Host> Dispatch<H> {
    pub(crate) fn new(host: H, policy: Policy) -> Arc<Self> {
        let ledger = Mutex::new(Ledger::new(policy));
        Arc::new(Self { host, ledger, ids: PlainCounter::new(1) })
    }

    pub(crate) fn host(&self) -> &H {
        &self.host
    }

    /// Starts the workers that are missing: those that the pool keeps whether there are jobs or not,
    /// when it begins, and those that were not started in a pause, at its end.
    pub(crate) fn start_workers(self: &Arc<Self>, now: Instant) {
        self.step(now, |_, _| {});
    }

    /// A job that is not submitted yet; `credit` items of it may come.
    pub(crate) fn job(&self, payload: H::Payload, credit: u64) -> Arc<Job<H::Payload>> {
        let id = self.ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(Job::new(id, payload, credit))
    }

    /// Does one step under the lock, gives out what it made free (J2), and then does what follows.
    fn step<R>(
        self: &Arc<Self>,
        now: Instant,
        change: impl FnOnce(&mut Ledger<H>, &mut Todo<H>) -> R,
    ) -> R {
        let mut todo = Todo::new();
        let mut ledger = self.ledger.lock();
        let result = change(&mut ledger, &mut todo);
        ledger.settle(&self.host, now, &mut todo);
        drop(ledger);
        todo.run(self);
        result
    }
}

/// What users do.
impl<H: Host> Dispatch<H> {
    /// Queues a job, once; its end comes by [`Job::poll_end`].
    ///
    /// # Errors
    ///
    /// The pool does not take it, and it is as if it had never been submitted.
    pub(crate) fn submit(
        self: &Arc<Self>,
        job: &Arc<Job<H::Payload>>,
        room: Room,
        now: Instant,
    ) -> Result<(), Refusal<H::Payload>> {
        self.step(now, |ledger, _| {
            if !seeded::is("jobs: submit without looking at the phase") {
                ledger.check_open(now).map_err(Refusal::Failed)?;
            }
            let waiting = Waiting { job: Arc::clone(job), since: now };
            let is_full = ledger.queue.len() >= ledger.policy.max_queued;
            if !is_full {
                ledger.counts.submitted += 1;
                ledger.queue.push_back(waiting);
            } else if room == Room::Wait {
                ledger.lobby.push_back(waiting);
            } else {
                return Err(Refusal::Full);
            }
            Ok(())
        })
    }

    /// Withdraws a job, for this reason, and tells whether its end was still open.
    pub(crate) fn withdraw(
        self: &Arc<Self>,
        job: &Arc<Job<H::Payload>>,
        why: Withdraw,
        now: Instant,
    ) -> bool {
        self.step(now, |ledger, todo| match job.place() {
            Place::New | Place::Ended => false,
            Place::Lobby if why == Withdraw::WaitedTooLong => {
                ledger.counts.submitted += 1;
                ledger.fail(Arc::clone(job), Failure::WaitedTooLong, todo);
                ledger.lobby.forget_one();
                true
            }
            Place::Queued if why == Withdraw::WaitedTooLong => {
                ledger.fail(Arc::clone(job), Failure::WaitedTooLong, todo);
                ledger.queue.forget_one();
                true
            }
            Place::Lobby => {
                // J1.
                job.set_place(Place::Ended);
                ledger.lobby.forget_one();
                true
            }
            Place::Queued if seeded::is("jobs: withdraw, and leave it in the queue") => true,
            Place::Queued | Place::At(_)
                if why == Withdraw::Detached && !seeded::is("jobs: withdraw a detached job") =>
            {
                false
            }
            Place::Queued => {
                job.set_place(Place::Ended);
                ledger.queue.forget_one();
                ledger.counts.cancelled += 1;
                true
            }
            Place::At(_) if why == Withdraw::WaitedTooLong => false,
            Place::At(key) => {
                // J1: what the worker may still say of it is not delivered.
                job.set_place(Place::Ended);
                ledger.counts.cancelled += 1;
                if ledger.head(key).is_some_and(|flight| flight.job.id() == job.id()) {
                    ledger.doom(key, Doom::Cancelled, todo);
                }
                true
            }
        })
    }

    /// Takes no more jobs; those that it has go on.
    pub(crate) fn close(self: &Arc<Self>, now: Instant) {
        self.step(now, |ledger, _| {
            if ledger.phase == Phase::Open {
                ledger.phase = Phase::Closing;
            }
        });
    }

    /// Ends every job and has every worker killed; tells how many jobs were waiting and running.
    pub(crate) fn close_now(self: &Arc<Self>, now: Instant) -> (usize, usize) {
        self.end_all(now, true)
    }

    /// The same for workers that are going to be asked to end: the caller asks them, and kills
    /// those that do not.
    pub(crate) fn condemn(self: &Arc<Self>, now: Instant) -> (usize, usize) {
        self.end_all(now, false)
    }

    fn end_all(self: &Arc<Self>, now: Instant, is_kill: bool) -> (usize, usize) {
        self.step(now, |ledger, todo| {
            let waiting = ledger.queue.len() + ledger.lobby.len();
            let running = ledger.running();
            ledger.phase = Phase::Closed;
            if !seeded::is("jobs: closing forgets the queue") {
                ledger.fail_waiting(|| Failure::Closed, todo);
            }
            let keys: Vec<_> = ledger.workers.keys().copied().collect();
            for key in keys {
                ledger.doom(key, Doom::Closed, todo);
            }
            if !is_kill || !seeded::is("jobs: the doomed are not killed") {
                todo.kill = Few::new();
            }
            if is_kill && !seeded::is("jobs: the doomed are not killed") {
                // Also those that were doomed before: who doomed them may not come to it.
                let links = ledger.workers.values().map(|entry| Arc::clone(&entry.link));
                links.for_each(|link| todo.kill.push(link));
            }
            (waiting, running)
        })
    }

    /// Has every worker end by itself; the pool is closed and quiet.
    pub(crate) fn release(self: &Arc<Self>, now: Instant) {
        self.step(now, |ledger, todo| {
            ledger.is_released = true;
            let keys: Vec<_> = ledger.workers.keys().copied().collect();
            for key in keys {
                ledger.leave(key, todo);
            }
        });
    }

    /// Waits, after [`Dispatch::close`], until no job is queued or with a worker.
    pub(crate) fn poll_quiet(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_ledger(cx, Ledger::is_quiet)
    }

    /// Waits, after [`Dispatch::close`], until no worker is left.
    pub(crate) fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_ledger(cx, |ledger| ledger.workers.is_empty())
    }

    /// Waits, after [`Dispatch::close`], until all is written that dead workers have said.
    pub(crate) fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_ledger(cx, |ledger| ledger.lingering == 0)
    }

    fn poll_ledger(
        &self,
        cx: &mut Context<'_>,
        is_done: impl FnOnce(&Ledger<H>) -> bool,
    ) -> Poll<()> {
        // The clone is the user's code: not under the lock.
        let waker = cx.waker().clone();
        let mut ledger = self.ledger.lock();
        if is_done(&ledger) {
            return Poll::Ready(());
        }
        if seeded::is("jobs: look, and then watch") {
            drop(ledger);
            ledger = self.ledger.lock();
        }
        // Every step in these phases empties the list and wakes who was in it.
        if !ledger.watchers.iter().any(|known| known.will_wake(&waker)) {
            ledger.watchers.push(waker);
        }
        Poll::Pending
    }

    /// The link to the worker that has the job.
    pub(crate) fn link_of(&self, job: &Job<H::Payload>) -> Option<Arc<H::Link>> {
        let ledger = self.ledger.lock();
        match job.place() {
            Place::At(key) => ledger.workers.get(&key).map(|entry| Arc::clone(&entry.link)),
            _ => None,
        }
    }

    /// Every worker's link.
    pub(crate) fn links(&self) -> Vec<Arc<H::Link>> {
        let ledger = self.ledger.lock();
        ledger.workers.values().map(|entry| Arc::clone(&entry.link)).collect()
    }

    /// The counters, all of one moment.
    pub(crate) fn counts(&self) -> Counts {
        self.ledger.lock().count()
    }
}

/// What a worker's keeper tells, and asks.
impl<H: Host> Dispatch<H> {
    /// The worker can take jobs.
    pub(crate) fn ready(self: &Arc<Self>, key: Key, now: Instant) {
        self.step(now, |ledger, todo| {
            let Some(entry) = ledger.workers.get_mut(&key) else { return };
            ledger.breaker.failed_starts = 0;
            if matches!(entry.stage, Stage::Starting) {
                entry.stage = Stage::Ready;
                ledger.rest(key, now, todo);
                ledger.relieve(todo);
            }
        });
    }

    /// The worker could not be started, or ended before it was ready. `is_final`: nor will another.
    ///
    /// If the pool makes a pause, the caller has to [start them](Dispatch::start_workers) at the end.
    pub(crate) fn start_failed(
        self: &Arc<Self>,
        key: Key,
        trouble: <H::Payload as Payload>::Trouble,
        is_final: bool,
        now: Instant,
    ) -> Option<Instant> {
        self.step(now, |ledger, todo| ledger.start_failed(key, trouble, is_final, now, todo))
    }

    /// Begins to take what the worker has sent in one piece.
    pub(crate) fn batch(self: &Arc<Self>, key: Key) -> Batch<'_, H> {
        Batch { dispatch: self, key, has_finished: false, todo: Todo::new() }
    }

    /// The job that the worker runs, if its number is `id`.
    ///
    /// # Errors
    ///
    /// It runs another, or none.
    pub(crate) fn running(&self, key: Key, id: u64) -> Result<Arc<Job<H::Payload>>, NotRunning> {
        let ledger = self.ledger.lock();
        let head = ledger.head(key).filter(|flight| flight.job.id() == id);
        head.map(|flight| Arc::clone(&flight.job)).ok_or(NotRunning)
    }

    /// What the worker runs, and since when.
    pub(crate) fn head(&self, key: Key) -> Option<Head> {
        let ledger = self.ledger.lock();
        let Flight { job, since } = ledger.head(key)?;
        Some(Head { id: job.id(), since: *since, limits: job.payload().limits() })
    }

    /// Kills the worker, which still runs `id`, because that took longer than `after`.
    pub(crate) fn time_out(self: &Arc<Self>, key: Key, id: u64, after: Duration, now: Instant) {
        self.step(now, |ledger, todo| {
            let is_running = ledger.head(key).is_some_and(|flight| flight.job.id() == id);
            if is_running || seeded::is("jobs: time out whatever runs") {
                ledger.doom(key, Doom::TimedOut(after), todo);
            }
        });
    }

    /// Kills the worker for this reason.
    pub(crate) fn doom(self: &Arc<Self>, key: Key, doom: Doom, now: Instant) {
        self.step(now, |ledger, todo| ledger.doom(key, doom, todo));
    }

    /// Replaces the worker; it goes on until the replacement is ready.
    pub(crate) fn wear_out(self: &Arc<Self>, key: Key, now: Instant) {
        self.step(now, |ledger, todo| ledger.wear_out(key, todo));
    }

    /// Lets the worker go if it has been idle for as long as `timeout` and the pool has enough
    /// without it. If it stays, it is to be asked again when as much has passed since the result.
    pub(crate) fn idle_out(self: &Arc<Self>, key: Key, timeout: Duration, now: Instant) -> Instant {
        self.step(now, |ledger, todo| {
            let entry = ledger.workers.get(&key).filter(|_| ledger.idle.contains(&key));
            let Some(since) = entry.map(|entry| entry.idle_since) else { return now };
            if now.saturating_duration_since(since) < timeout {
                return since;
            }
            if ledger.has_enough_without(key) {
                ledger.leave(key, todo);
            }
            now
        })
    }

    /// Whether the worker is to be told to end: it leaves and has nothing.
    pub(crate) fn is_to_end(&self, key: Key) -> bool {
        let ledger = self.ledger.lock();
        ledger.workers.get(&key).is_some_and(|entry| {
            matches!(entry.stage, Stage::Leaving) && entry.in_flight.is_empty()
        })
    }

    /// The worker's process is dying: it gets nothing more, but what it has sent is still taken.
    ///
    /// Nothing is started in its place yet: that would keep its job's caller, who is about to be
    /// told, waiting for the processor.
    pub(crate) fn dying(&self, key: Key) {
        self.ledger.lock().see_dying(key);
    }

    /// The worker's process is gone, and all that it had sent was taken.
    pub(crate) fn died(self: &Arc<Self>, key: Key, death: &Death, now: Instant) {
        if seeded::is("jobs: a death gives nothing out") {
            return self.ledger.lock().bury(key, death, now, &mut Todo::new());
        }
        self.step(now, |ledger, todo| ledger.bury(key, death, now, todo));
    }

    /// What a dead worker has said is about to be written.
    ///
    /// Nothing is started for it yet: how the worker ended is about to be told.
    pub(crate) fn linger(&self) {
        self.ledger.lock().lingering += 1;
    }

    /// What a dead worker has said is written.
    pub(crate) fn lingered(self: &Arc<Self>, now: Instant) {
        self.step(now, |ledger, _| ledger.lingering -= 1);
    }

    /// Writes what the worker was given and not sent yet.
    pub(crate) fn flush(&self, key: Key, link: &Arc<H::Link>) {
        if seeded::is("jobs: take before the link is locked") {
            let mut ledger = self.ledger.lock();
            let mut job = ledger.workers.get_mut(&key).and_then(|entry| entry.unsent.pop_front());
            drop(ledger);
            return Link::flush(link, &mut || job.take());
        }
        Link::flush(link, &mut || {
            let mut ledger = self.ledger.lock();
            let entry = ledger.workers.get_mut(&key)?;
            // J4: what the doomed and the dying have not been sent goes back.
            if entry.is_lost() { None } else { entry.unsent.pop_front() }
        });
    }
}

/// Replies of a worker, taken one by one and then made up for all at once: what it gets next is
/// written in one piece, and before anybody is woken for what it has done.
#[must_use = "what was finished makes the worker free"]
pub(crate) struct Batch<'a, H: Host> {
    dispatch: &'a Arc<Dispatch<H>>,
    key: Key,
    has_finished: bool,
    todo: Todo<H>,
}

impl<H: Host> Batch<'_, H> {
    /// The worker has finished its first job, whose number is `id`.
    ///
    /// Returns the job, to be [delivered](deliver), or `None` if nobody waits for it.
    ///
    /// # Errors
    ///
    /// It is not running that job.
    pub(crate) fn finish(
        &mut self,
        id: u64,
        is_ok: bool,
        now: Instant,
    ) -> Result<Option<Arc<Job<H::Payload>>>, NotRunning> {
        self.has_finished = true;
        let mut ledger = self.dispatch.ledger.lock();
        ledger.finish(self.key, id, is_ok, now, &mut self.todo)
    }

    /// Gives out what became free (J2); tells whether anything did.
    pub(crate) fn settle(mut self, now: Instant) -> bool {
        if !self.has_finished {
            return false;
        }
        let mut ledger = self.dispatch.ledger.lock();
        ledger.rest(self.key, now, &mut self.todo);
        if !seeded::is("jobs: an answer gives nothing out") {
            ledger.settle(&self.dispatch.host, now, &mut self.todo);
        }
        drop(ledger);
        self.todo.run(self.dispatch);
        true
    }
}

/// Gives a finished job its end, and wakes who waits for it.
pub(crate) fn deliver<P: Payload>(job: Arc<Job<P>>, end: P::End) {
    job.end(end);
    contain_drop(|| drop(job));
}

/// Why a job is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withdraw {
    /// Nobody waits for it any more: it is taken from the queue, or its worker is killed.
    Dropped,
    /// Nobody waits for it any more, and it goes on unless it still waits for room in the queue.
    Detached,
    /// It waits for a worker, and has for too long.
    WaitedTooLong,
}
