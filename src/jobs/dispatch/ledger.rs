//! Who has which job: the queue, the lobby before it, and the workers with what they have in hand.
//!
//! Plain data and no effect. Every method runs under the ledger's lock and writes what is to be
//! done without it into a [`Todo`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::primitive::seeded;

use super::breaker::Breaker;
use super::job::{Job, Place};
use super::queue::{Queue, Waiting};
use super::todo::Todo;
use super::{Counts, Failure, Host, Key, Payload, Policy};

/// The state of a pool.
pub(super) struct Ledger<H: Host> {
    pub(super) policy: Policy,
    pub(super) phase: Phase,
    pub(super) breaker: Breaker<H>,
    pub(super) queue: Queue<H::Payload>,
    /// Jobs that wait for room in the queue. One that is dropped here was never taken, detached or
    /// not.
    pub(super) lobby: Queue<H::Payload>,
    pub(super) workers: BTreeMap<Key, Entry<H>>,
    /// Workers that are ready and have nothing, the one that had a job last at the end: it is the
    /// next to get one, so that the others may go.
    pub(super) idle: Vec<Key>,
    next_key: u64,
    /// A worker is lost, or counts less, since the pool had enough.
    pub(super) has_lost: bool,
    /// No worker is started before, because starts have failed.
    pub(super) no_start_before: Option<Instant>,
    /// Workers end as soon as they have nothing.
    pub(super) is_released: bool,
    pub(super) counts: Counts,
    /// Workers that are gone while their last words are still being written.
    pub(super) lingering: usize,
    /// Who waits for the pool to be quiet or empty.
    pub(super) watchers: Vec<Waker>,
}

/// What the pool still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Takes no job; those that it has go on.
    Closing,
    /// Its jobs have ended, its workers are killed.
    Closed,
}

/// A worker, in the ledger.
pub(super) struct Entry<H: Host> {
    pub(super) link: Arc<H::Link>,
    pub(super) stage: Stage,
    /// The first one is what it runs; those behind were sent ahead.
    pub(super) in_flight: VecDeque<Flight<H::Payload>>,
    /// Those at the end of `in_flight` that are not written to the socket yet.
    pub(super) unsent: VecDeque<Arc<Job<H::Payload>>>,
    /// Jobs that it was ever given.
    pub(super) assigned: u64,
    pub(super) idle_since: Instant,
    /// Its process is seen dying: it gets nothing more, while what it has sent is still taken.
    pub(super) is_dying: bool,
    /// It is started for one that is worn.
    is_replacement: bool,
}

/// How far a worker is in its life.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its process is started, or about to be.
    Starting,
    Ready,
    /// It goes on until its replacement is ready.
    Worn,
    /// It gets no more jobs, and ends when it has none (J5).
    Leaving,
    /// It is killed, or about to be, for what it did with this job; it gets no more (J3).
    Doomed {
        doom: Doom,
        job: Option<u64>,
    },
}

/// Why a worker is killed.
#[derive(Clone, Debug)]
pub(crate) enum Doom {
    /// Nobody waits for the job that it runs.
    Cancelled,
    /// The job that it runs took longer than this.
    TimedOut(Duration),
    /// It sent what no worker sends.
    Protocol(String),
    /// The pool is closed.
    Closed,
}

/// A job that a worker has.
pub(super) struct Flight<P: Payload> {
    pub(super) job: Arc<Job<P>>,
    /// When it came to be the first that the worker has.
    pub(super) since: Instant,
}

impl<H: Host> Entry<H> {
    pub(super) fn is_assignable(&self) -> bool {
        matches!(self.stage, Stage::Ready | Stage::Worn) && !self.is_dying
    }

    /// Whether it takes jobs, or is about to.
    pub(super) fn may_serve(&self) -> bool {
        self.is_assignable() || matches!(self.stage, Stage::Starting)
    }

    /// Whether it gets nothing any more, not even what it was given.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.stage, Stage::Doomed { .. }) || self.is_dying
    }

    /// Whether it counts when the pool asks whether it has enough.
    fn is_lasting(&self) -> bool {
        matches!(self.stage, Stage::Starting | Stage::Ready) && !self.is_dying
    }
}

impl<H: Host> Ledger<H> {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            phase: Phase::Open,
            breaker: Breaker { deaths: 0, failed_starts: 0, open: None },
            queue: Queue::new(Place::Queued),
            lobby: Queue::new(Place::Lobby),
            workers: BTreeMap::new(),
            idle: Vec::new(),
            next_key: 0,
            has_lost: true,
            no_start_before: None,
            is_released: false,
            counts: Counts::default(),
            lingering: 0,
            watchers: Vec::new(),
        }
    }

    /// Gives out jobs and starts workers, as far as there are jobs, workers and room.
    ///
    /// Every change that can make a job or a worker free ends here (J2).
    pub(super) fn settle(&mut self, host: &H, now: Instant, todo: &mut Todo<H>) {
        // Ends: each round but the last takes a job from the lobby.
        loop {
            self.give_out(now, todo);
            if !self.admit() {
                break;
            }
        }
        self.start_missing(host, now, todo);
        todo.swept.extend(self.queue.take_swept());
        todo.swept.extend(self.lobby.take_swept());
        if self.phase != Phase::Open && !seeded::is("jobs: nobody tells who watches") {
            todo.watchers.append(&mut self.watchers);
        }
    }

    fn give_out(&mut self, now: Instant, todo: &mut Todo<H>) {
        // Ends: each round takes a job from the queue.
        while let Some(Waiting { job, since }) = self.queue.front() {
            let lasted = now.saturating_duration_since(*since);
            let is_bulky = job.payload().is_bulky();
            if job.payload().queue_timeout().is_some_and(|limit| lasted > limit) {
                // Nobody polls its future, which would have ended it in time.
                let late = self.queue.pop();
                late.into_iter().for_each(|it| self.fail(it.job, Failure::WaitedTooLong, todo));
                continue;
            }
            let Some(key) = self.worker_for(is_bulky) else { break };
            let Some(waiting) = self.queue.pop() else { break };
            self.assign(key, waiting, now, todo);
        }
    }

    /// Lets jobs from the lobby into the queue, as far as it has room; tells whether any came.
    fn admit(&mut self) -> bool {
        let mut has_come = false;
        // Ends: each round takes a job from the lobby.
        while self.queue.len() < self.policy.max_queued {
            let Some(waiting) = self.lobby.pop() else { break };
            self.counts.submitted += 1;
            self.queue.push_back(waiting);
            has_come = true;
        }
        has_come
    }

    /// The worker that is to have the next job, if one can take it.
    fn worker_for(&mut self, is_bulky: bool) -> Option<Key> {
        let is_busy = |entry: &&Entry<H>| !entry.in_flight.is_empty();
        let max = self.policy.workers_max;
        // A hot spare, or a replacement, is one more than may work at once.
        if self.workers.len() <= max || self.workers.values().filter(is_busy).count() < max {
            if let Some(key) = self.idle.pop() {
                return Some(key);
            }
        }
        // Nothing is sent behind a job while the pool may still have a worker more.
        if self.policy.send_ahead == 0 || is_bulky || self.is_growing() {
            return None;
        }
        let has_room = |entry: &&Entry<H>| {
            entry.is_assignable()
                && (1..=self.policy.send_ahead).contains(&entry.in_flight.len())
                && self.policy.max_jobs.is_none_or(|max| entry.assigned < max)
        };
        let with_key = self.workers.iter().filter(|(_, entry)| has_room(entry));
        with_key.min_by_key(|(_, entry)| entry.in_flight.len()).map(|(key, _)| *key)
    }

    /// Whether a worker is starting, or another may be started.
    fn is_growing(&self) -> bool {
        let is_starting = |entry: &Entry<H>| matches!(entry.stage, Stage::Starting);
        self.lasting() < self.policy.workers_max || self.workers.values().any(is_starting)
    }

    /// Workers that count when the pool asks whether it has enough.
    fn lasting(&self) -> usize {
        self.workers.values().filter(|entry| entry.is_lasting()).count()
    }

    fn assign(&mut self, key: Key, waiting: Waiting<H::Payload>, now: Instant, todo: &mut Todo<H>) {
        let Some(entry) = self.workers.get_mut(&key) else {
            unreachable!("{key:?} is chosen from the workers")
        };
        self.counts.waited(now.saturating_duration_since(waiting.since));
        waiting.job.set_place(Place::At(key));
        entry.unsent.push_back(Arc::clone(&waiting.job));
        let has_limits = waiting.job.payload().limits().is_some();
        entry.in_flight.push_back(Flight { job: waiting.job, since: now });
        entry.assigned += 1;
        if self.policy.max_jobs.is_some_and(|max| entry.assigned >= max) {
            // J5: its last. The replacement starts while it runs.
            if matches!(entry.stage, Stage::Ready) {
                self.counts.recycled += 1;
            }
            if !seeded::is("jobs: go on after the last job") {
                entry.stage = Stage::Leaving;
            }
            self.has_lost = true;
        }
        todo.flush.push((key, Arc::clone(&entry.link)));
        if has_limits {
            todo.nudge.push(Arc::clone(&entry.link));
        }
    }

    /// Starts the workers that are missing.
    fn start_missing(&mut self, host: &H, now: Instant, todo: &mut Todo<H>) {
        if self.breaker.open.is_some() || self.phase == Phase::Closed {
            return;
        }
        let is_full = self.queue.len() == 0 || self.workers.len() >= self.policy.workers_max;
        if is_full && !self.has_lost && !self.policy.hot_spare {
            return;
        }
        let lasting = self.lasting();
        // One that does not count makes room as soon as there is a job for another.
        self.has_lost = lasting < self.workers.len();
        let is_paused = self.no_start_before.is_some_and(|until| now < until);
        let is_served = self.workers.values().any(Entry::may_serve);
        if is_paused && (is_served || seeded::is("jobs: nothing is started in a pause")) {
            return;
        }
        let count = |is: fn(&Entry<H>) -> bool| self.workers.values().filter(|it| is(it)).count();
        let starting = count(|entry| matches!(entry.stage, Stage::Starting));
        let replacing =
            count(|entry| matches!(entry.stage, Stage::Starting) && entry.is_replacement);
        let worn = count(|entry| matches!(entry.stage, Stage::Worn));
        let busy = count(|entry| entry.is_lasting() && !entry.in_flight.is_empty());
        let policy = &self.policy;
        // Every waiting job may have a worker of its own, up to the bound.
        let by_jobs = lasting + self.queue.len().saturating_sub(starting);
        let mut wanted = by_jobs.min(policy.workers_max);
        let mut replacements = 0;
        if self.phase == Phase::Open {
            wanted = wanted.max(policy.workers_min);
            if policy.hot_spare {
                wanted = wanted.max(busy + 1);
            }
            replacements = worn.saturating_sub(replacing);
        }
        let missing = wanted.saturating_sub(lasting);
        for at in 0..missing.max(replacements) {
            let key = Key(self.next_key);
            self.next_key += 1;
            let link = Arc::new(host.link());
            let entry = Entry {
                link: Arc::clone(&link),
                stage: Stage::Starting,
                in_flight: VecDeque::new(),
                unsent: VecDeque::new(),
                assigned: 0,
                idle_since: now,
                is_dying: false,
                is_replacement: at < replacements,
            };
            self.workers.insert(key, entry);
            self.counts.started += 1;
            todo.start.push((key, link));
        }
    }

    /// Counts a worker that came to have nothing among those that may have the next job, or lets
    /// it leave.
    pub(super) fn rest(&mut self, key: Key, now: Instant, todo: &mut Todo<H>) {
        let Some(entry) = self.workers.get_mut(&key) else { return };
        if !entry.in_flight.is_empty() || entry.is_dying {
            return;
        }
        match entry.stage {
            Stage::Ready | Stage::Worn => {
                entry.idle_since = now;
                if !self.idle.contains(&key) || seeded::is("jobs: the idle come to rest") {
                    self.idle.push(key);
                }
                if self.is_released && !seeded::is("jobs: who comes late stays") {
                    self.leave(key, todo);
                }
            }
            Stage::Leaving => todo.nudge.push(Arc::clone(&entry.link)),
            Stage::Starting | Stage::Doomed { .. } => {}
        }
    }

    /// Gives a worker no more jobs, and has it killed.
    pub(super) fn doom(&mut self, key: Key, doom: Doom, todo: &mut Todo<H>) {
        let Some(entry) = self.workers.get_mut(&key) else { return };
        let is_dead = entry.is_dying && matches!(doom, Doom::Cancelled);
        if matches!(entry.stage, Stage::Doomed { .. }) || is_dead {
            return;
        }
        todo.kill.push(Arc::clone(&entry.link));
        if !seeded::is("jobs: kill a worker that may get another job") {
            // J3: under the lock that gives out jobs, before the kill.
            let job = entry.in_flight.front().map(|flight| flight.job.id());
            entry.stage = Stage::Doomed { doom, job };
        }
        self.has_lost = true;
        self.idle.retain(|idle| *idle != key);
    }

    /// Gives a worker nothing more, whose process is dying.
    pub(super) fn see_dying(&mut self, key: Key) {
        let Some(entry) = self.workers.get_mut(&key) else { return };
        entry.is_dying = true;
        self.has_lost = true;
        self.idle.retain(|idle| *idle != key);
    }

    /// Has a worker replaced. It goes on until another is ready, which may be at once.
    pub(super) fn wear_out(&mut self, key: Key, todo: &mut Todo<H>) {
        let Some(entry) = self.workers.get_mut(&key) else { return };
        if matches!(entry.stage, Stage::Ready) {
            entry.stage = Stage::Worn;
            if seeded::is("jobs: a worn worker leaves at once") {
                entry.stage = Stage::Leaving;
            }
            self.has_lost = true;
            self.counts.recycled += 1;
            if self.idle.iter().any(|idle| *idle != key) {
                self.leave(key, todo);
            }
        }
    }

    /// Lets a worker that is not needed go when it has nothing.
    pub(super) fn leave(&mut self, key: Key, todo: &mut Todo<H>) {
        let Some(entry) = self.workers.get_mut(&key) else { return };
        if !entry.is_assignable() {
            return;
        }
        entry.stage = Stage::Leaving;
        self.has_lost = true;
        if !seeded::is("jobs: who leaves is idle") {
            self.idle.retain(|idle| *idle != key);
        }
        if entry.in_flight.is_empty() {
            todo.nudge.push(Arc::clone(&entry.link));
        }
    }

    /// Lets a worker go that was only waiting for one that replaces it.
    pub(super) fn relieve(&mut self, todo: &mut Todo<H>) {
        let is_worn = |entry: &Entry<H>| matches!(entry.stage, Stage::Worn);
        let worn = self.workers.iter().find(|(_, entry)| is_worn(entry)).map(|(key, _)| *key);
        if let Some(key) = worn.filter(|_| !seeded::is("jobs: nobody relieves a worn worker")) {
            self.leave(key, todo);
        }
    }

    /// The job that a worker has had for the longest time: the one that it runs.
    pub(super) fn head(&self, key: Key) -> Option<&Flight<H::Payload>> {
        self.workers.get(&key)?.in_flight.front()
    }

    /// Whether the pool has enough workers without this one.
    pub(super) fn has_enough_without(&self, key: Key) -> bool {
        let others = self.workers.iter().filter(|(other, _)| **other != key);
        let lasting = others.filter(|(_, entry)| entry.is_lasting());
        let (count, busy) = lasting.fold((0, 0), |(count, busy), (_, entry)| {
            (count + 1, busy + usize::from(!entry.in_flight.is_empty()))
        });
        let spare = if self.policy.hot_spare { busy + 1 } else { 0 };
        count >= self.policy.workers_min.max(spare)
    }

    /// Jobs that workers have and that somebody waits for.
    pub(super) fn running(&self) -> usize {
        let is_open = |flight: &&Flight<H::Payload>| flight.job.place() != Place::Ended;
        let open = |entry: &Entry<H>| entry.in_flight.iter().filter(is_open).count();
        self.workers.values().map(open).sum()
    }

    /// No job is queued or with a worker.
    pub(super) fn is_quiet(&self) -> bool {
        let has_nothing = |entry: &Entry<H>| entry.in_flight.is_empty();
        self.queue.len() == 0 && self.lobby.len() == 0 && self.workers.values().all(has_nothing)
    }

    /// The counters as of now.
    pub(super) fn count(&self) -> Counts {
        Counts {
            workers: self.workers.len(),
            idle: self.idle.len(),
            queued: self.queue.len(),
            running: self.running(),
            ..self.counts.clone()
        }
    }
}
