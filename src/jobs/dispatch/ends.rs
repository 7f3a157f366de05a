//! How jobs end: by a reply, by a failure, or with the worker that had them.

use std::sync::Arc;
use std::time::Instant;

use crate::primitive::seeded;

use super::job::{Job, Place};
use super::ledger::{Doom, Entry, Ledger, Phase, Stage};
use super::queue::Waiting;
use super::todo::Todo;
use super::{Death, Failure, Host, Key, NotRunning, Payload};

impl<H: Host> Ledger<H> {
    /// Decides that a job ends by `failure` (J1).
    pub(super) fn fail(
        &mut self,
        job: Arc<Job<H::Payload>>,
        failure: Failure<H::Payload>,
        todo: &mut Todo<H>,
    ) {
        debug_assert!(job.place() != Place::Ended, "{job:?} has ended");
        job.set_place(Place::Ended);
        match failure {
            Failure::Closed => self.counts.cancelled += 1,
            Failure::TimedOut(_) | Failure::WaitedTooLong => {
                self.counts.timed_out += 1;
                self.counts.failed += 1;
            }
            _ => self.counts.failed += 1,
        }
        todo.end.push((job, failure));
    }

    /// Ends every job that no worker has.
    pub(super) fn fail_waiting(
        &mut self,
        failure: impl Fn() -> Failure<H::Payload>,
        todo: &mut Todo<H>,
    ) {
        // Ends: each round takes a job from the queue.
        while let Some(waiting) = self.queue.pop() {
            self.fail(waiting.job, failure(), todo);
        }
        // Ends: each round takes a job from the lobby.
        while let Some(waiting) = self.lobby.pop() {
            self.counts.submitted += 1;
            self.fail(waiting.job, failure(), todo);
        }
    }

    /// Takes the worker's first job as finished; `None` if nobody waits for it.
    pub(super) fn finish(
        &mut self,
        key: Key,
        id: u64,
        is_ok: bool,
        now: Instant,
        todo: &mut Todo<H>,
    ) -> Result<Option<Arc<Job<H::Payload>>>, NotRunning> {
        let entry = self.workers.get_mut(&key).ok_or(NotRunning)?;
        let is_sent = entry.in_flight.len() > entry.unsent.len();
        let is_head = entry.in_flight.front().is_some_and(|flight| flight.job.id() == id);
        let flight = if is_sent && is_head { entry.in_flight.pop_front() } else { None };
        let flight = flight.ok_or(NotRunning)?;
        self.counts.ran(now.saturating_duration_since(flight.since));
        self.breaker.deaths = 0;
        if let Some(next) = entry.in_flight.front_mut() {
            next.since = now;
            let is_withdrawn = next.job.place() == Place::Ended;
            todo.nudge.push(Arc::clone(&entry.link));
            if is_withdrawn {
                self.doom(key, Doom::Cancelled, todo);
            }
        }
        let job = flight.job;
        if job.place() == Place::Ended && !seeded::is("jobs: deliver what was withdrawn") {
            todo.gone.push(job);
            return Ok(None);
        }
        if !seeded::is("jobs: a finished job can be withdrawn") {
            job.set_place(Place::Ended);
        }
        let count = if is_ok { &mut self.counts.completed } else { &mut self.counts.failed };
        *count += 1;
        Ok(Some(job))
    }

    /// Takes a dead worker out, and sees to the jobs that it had (J4).
    pub(super) fn bury(&mut self, key: Key, death: &Death, now: Instant, todo: &mut Todo<H>) {
        let Some(entry) = self.workers.remove(&key) else { return };
        self.has_lost = true;
        self.idle.retain(|idle| *idle != key);
        let is_expected = match entry.stage {
            Stage::Doomed { .. } => true,
            Stage::Leaving => entry.in_flight.is_empty(),
            Stage::Starting | Stage::Ready | Stage::Worn => false,
        };
        if !is_expected {
            self.counts.died(death.signal);
        }
        let again = self.take_back(entry, death, now, todo);
        if !seeded::is("jobs: lose what was sent ahead") {
            for job in again.into_iter().rev() {
                let waiting = Waiting { job, since: now };
                if seeded::is("jobs: what comes back waits again") {
                    self.queue.push_back(waiting);
                } else {
                    self.queue.push_front(waiting);
                }
            }
        }
        if !is_expected {
            self.note_death(death, now, todo);
        }
        if !seeded::is("jobs: bury behind an open breaker") {
            self.turn_away(now, todo);
        }
    }

    /// Ends what a dead worker had and may have run, and returns what it had not.
    fn take_back(
        &mut self,
        entry: Entry<H>,
        death: &Death,
        now: Instant,
        todo: &mut Todo<H>,
    ) -> Vec<Arc<Job<H::Payload>>> {
        let sent = entry.in_flight.len() - entry.unsent.len();
        let mut first_was_started = sent > 0 && !(death.last_unread && sent == 1);
        if seeded::is("jobs: take what was not read for started") {
            first_was_started = sent > 0;
        } else if seeded::is("jobs: run again what may have run") {
            first_was_started = false;
        }
        let mut again = Vec::new();
        for (at, flight) in entry.in_flight.into_iter().enumerate() {
            let job = flight.job;
            if job.place() == Place::Ended && !seeded::is("jobs: bury what has ended") {
                todo.gone.push(job);
            } else if self.phase == Phase::Closed {
                self.fail(job, Failure::Closed, todo);
            } else if at > 0 || !first_was_started {
                again.push(job);
            } else {
                self.counts.ran(now.saturating_duration_since(flight.since));
                match failure_of(&entry.stage, job.id(), death) {
                    failure @ Failure::Died(_) if job.take_retry() => {
                        self.counts.retried += 1;
                        again.push(job);
                        drop(failure);
                    }
                    failure => self.fail(job, failure, todo),
                }
            }
        }
        again
    }
}

/// What becomes of the job that a worker had first when it died.
///
/// It was killed for what it did with one job. When that was finished after all, the kill met the
/// one behind it.
fn failure_of<P: Payload>(stage: &Stage, id: u64, death: &Death) -> Failure<P> {
    match stage {
        Stage::Doomed { doom, job }
            if *job == Some(id) || seeded::is("jobs: the next one has timed out") =>
        {
            match doom {
                Doom::TimedOut(after) => Failure::TimedOut(*after),
                Doom::Protocol(message) => Failure::Protocol(message.clone()),
                Doom::Closed => Failure::Closed,
                Doom::Cancelled => Failure::Died(death.clone()),
            }
        }
        _ => Failure::Died(death.clone()),
    }
}
