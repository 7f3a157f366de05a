//! The breaker: workers that die or do not start, one after the other, are not replaced for a while.

use std::time::Instant;

use crate::primitive::seeded;

use super::ledger::{Entry, Ledger, Phase, Stage};
use super::todo::Todo;
use super::{Death, Failure, Host, Key, Payload};

/// Counts what goes wrong in a row, and stops the pool from starting workers for nothing.
pub(super) struct Breaker<H: Host> {
    /// Unexpected deaths since a job was finished.
    pub(super) deaths: u32,
    /// Starts that failed since one succeeded.
    pub(super) failed_starts: u32,
    pub(super) open: Option<Open<H>>,
}

/// Why the pool takes no jobs, and until when.
pub(super) struct Open<H: Host> {
    pub(super) why: Why<H>,
    pub(super) until: Instant,
}

pub(super) enum Why<H: Host> {
    Deaths { deaths: u32, stderr: String },
    Start(<H::Payload as Payload>::Trouble),
}

impl<H: Host> Why<H> {
    pub(super) fn failure(&self) -> Failure<H::Payload> {
        match self {
            Why::Deaths { deaths, stderr } => {
                Failure::Broken { deaths: *deaths, stderr: stderr.clone() }
            }
            Why::Start(trouble) => Failure::Start(trouble.clone()),
        }
    }
}

impl<H: Host> Ledger<H> {
    pub(super) fn note_death(&mut self, death: &Death, now: Instant, todo: &mut Todo<H>) {
        self.breaker.deaths += 1;
        let deaths = self.breaker.deaths;
        if deaths >= self.policy.breaker {
            self.trip(Why::Deaths { deaths, stderr: death.stderr.clone() }, now, todo);
        }
    }

    /// Opens the breaker: nothing is started until the pause is over.
    pub(super) fn trip(&mut self, why: Why<H>, now: Instant, todo: &mut Todo<H>) {
        if !seeded::is("jobs: the breaker forgets the queue") {
            self.fail_waiting(|| why.failure(), todo);
        }
        self.breaker.open = Some(Open { why, until: now + self.policy.pause });
    }

    /// What stands against a new job; half-opens the breaker when its pause is over.
    pub(super) fn check_open(&mut self, now: Instant) -> Result<(), Failure<H::Payload>> {
        if self.phase != Phase::Open {
            return Err(Failure::Closed);
        }
        if self.breaker.open.as_ref().is_some_and(|open| open.until <= now) {
            self.half_open();
        }
        match &self.breaker.open {
            Some(open) => Err(open.why.failure()),
            None => Ok(()),
        }
    }

    /// Gives the pool one more try: the next death opens the breaker again, a success closes it.
    fn half_open(&mut self) {
        self.breaker.open = None;
        self.breaker.deaths = self.policy.breaker.saturating_sub(1);
        self.breaker.failed_starts = self.policy.failed_starts_max.saturating_sub(1);
    }

    /// Takes out a worker that was never ready.
    pub(super) fn start_failed(
        &mut self,
        key: Key,
        trouble: <H::Payload as Payload>::Trouble,
        is_final: bool,
        now: Instant,
        todo: &mut Todo<H>,
    ) -> Option<Instant> {
        let entry = self.workers.remove(&key)?;
        debug_assert!(entry.in_flight.is_empty(), "a job went to a worker that was never ready");
        self.has_lost = true;
        if matches!(entry.stage, Stage::Doomed { .. }) {
            return None;
        }
        self.breaker.failed_starts += 1;
        if !is_final && self.breaker.failed_starts < self.policy.failed_starts_max {
            return None;
        }
        if !self.workers.values().any(Entry::may_serve) {
            self.trip(Why::Start(trouble), now, todo);
            return None;
        }
        // The pool lives on with those that it has.
        self.no_start_before = Some(now + self.policy.pause);
        self.no_start_before
    }

    /// Ends what waits behind an open breaker: nobody would start a worker for it.
    pub(super) fn turn_away(&mut self, now: Instant, todo: &mut Todo<H>) {
        match self.breaker.open.take() {
            Some(open) if now < open.until => {
                self.fail_waiting(|| open.why.failure(), todo);
                self.breaker.open = Some(open);
            }
            Some(_) if self.queue.len() > 0 => self.half_open(),
            open => self.breaker.open = open,
        }
    }
}
