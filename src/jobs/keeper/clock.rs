//! What is due by the clock, and what a nudge may have been for.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::time::{Sleep, after, sleep_until};

use super::{Seen, Worker};
use crate::jobs::dispatch::{Link as _, deliver};
use crate::jobs::error::{JobError, SpawnError};
use crate::jobs::frame::{self, Header, Kind};

/// How long a worker that was told to end may take.
const END_WAIT: Duration = Duration::from_secs(10);

/// The one timer of a keeper, and what it is for.
pub(super) struct Clock {
    /// When it was started; once it is ready, when it got so.
    pub(super) born: Instant,
    timer: Option<Sleep>,
    /// The job that was asked to stop.
    asked: Option<u64>,
    /// When a worker that was told to end has had its time.
    pub(super) end_by: Option<Instant>,
    pub(super) is_worn: bool,
}

/// What the clock and nudges bring about.
impl Worker {
    /// Ends a job that could not be written. It is the first that the worker has: nothing is written
    /// behind it before this.
    pub(super) fn take_refused(&mut self, seen: &Seen<'_>) {
        let Some((id, error)) = seen.link.take_refused() else { return };
        let now = Instant::now();
        let mut batch = seen.pool.batch(seen.key);
        let finished = batch.finish(id, false, now);
        batch.settle(now);
        if let Ok(Some(job)) = finished {
            deliver(job, Err(JobError::Spawn(SpawnError::from(error))));
        }
        // What had to wait.
        seen.pool.flush(seen.key, seen.link);
    }

    /// Looks at what a nudge may have been for.
    pub(super) fn look_again(&mut self, seen: &Seen<'_>, now: Instant) {
        // What had to wait for a body to be copied.
        seen.pool.flush(seen.key, seen.link);
        self.look_at_clock(seen, now);
        if self.clock.end_by.is_none() && seen.pool.is_to_end(seen.key) {
            self.clock.end_by = Some(now + END_WAIT);
            self.clock.wake_by(now + END_WAIT);
            seen.link.end();
        }
    }

    pub(super) fn poll_clock(&mut self, cx: &mut Context<'_>, seen: &Seen<'_>) {
        // Ends: each round but the last lets a deadline pass, and sets one that lies ahead.
        while self.clock.poll(cx).is_ready() {
            self.look_at_clock(seen, Instant::now());
        }
    }

    /// Does what is due, and sees to be woken for what is not.
    pub(super) fn look_at_clock(&mut self, seen: &Seen<'_>, now: Instant) {
        let settings = seen.settings();
        let clock = &mut self.clock;
        if let Some(end_by) = clock.end_by {
            if clock.is_due(end_by, now) {
                seen.link.kill();
            }
            return;
        }
        if !self.is_ready {
            let timeout = settings.start_timeout;
            if clock.is_due(after(clock.born, timeout), now) {
                self.give_up(SpawnError::StartTimeout { after: timeout }, seen);
            }
            return;
        }
        if let Some(max_age) = settings.max_age {
            if !clock.is_worn && clock.is_due(after(clock.born, max_age), now) {
                clock.is_worn = true;
                seen.pool.wear_out(seen.key, now);
            }
        }
        if let Some(timeout) = settings.idle_timeout {
            let since = seen.pool.idle_out(seen.key, timeout, now);
            clock.wake_by(after(since, timeout));
        }
        let Some(head) = seen.pool.head(seen.key) else { return };
        let Some(limits) = head.limits else { return };
        if let Some(soft) = limits.soft.filter(|_| clock.asked != Some(head.id)) {
            if clock.is_due(after(head.since, soft), now) {
                clock.asked = Some(head.id);
                let header = Header { id: head.id, ..Header::new(Kind::Cancel) };
                seen.link.control(|bytes| frame::encode(&header, bytes));
            }
        }
        if let Some(hard) = limits.hard {
            if clock.is_due(after(head.since, hard), now) {
                seen.pool.time_out(seen.key, head.id, hard, now);
            }
        }
    }
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { born: Instant::now(), timer: None, asked: None, end_by: None, is_worn: false }
    }

    /// Whether `deadline` has come; if not, the keeper is woken when it does.
    fn is_due(&mut self, deadline: Instant, now: Instant) -> bool {
        let is_due = deadline <= now;
        if !is_due {
            self.wake_by(deadline);
        }
        is_due
    }

    pub(super) fn wake_by(&mut self, deadline: Instant) {
        match &mut self.timer {
            Some(timer) if timer.deadline() <= deadline => {}
            Some(timer) => timer.reset(deadline),
            None => self.timer = Some(sleep_until(deadline)),
        }
    }

    /// Ready, once, when the deadline has come that was set.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        if Pin::new(timer).poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.timer = None;
        Poll::Ready(())
    }
}
