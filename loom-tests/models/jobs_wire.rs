//! A worker process that does not exist, and the jobs that it is given.

use std::collections::VecDeque;
use std::sync::Arc;

use loom::alloc::Track;

use crate::jobs::dispatch::{Death, Failure, Job, Limits, Link, Payload};
use crate::primitive::lock::Mutex;

/// What a job of a model is.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) retries: u32,
    pub(crate) is_bulky: bool,
    /// A job that is lost is a leak.
    _track: Track<()>,
}

impl Plan {
    pub(crate) fn again(retries: u32) -> Self {
        Self { retries, is_bulky: false, _track: Track::new(()) }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Died,
    TimedOut,
    WaitedTooLong,
    Protocol,
    Closed,
    Broken,
    NotStarted,
}

impl Payload for Plan {
    type End = End;
    type Item = u32;
    type Trouble = ();

    fn priority(&self) -> usize {
        0
    }

    fn retries(&self) -> u32 {
        self.retries
    }

    fn is_bulky(&self) -> bool {
        self.is_bulky
    }

    fn limits(&self) -> Option<Limits> {
        None
    }

    fn failed(&self, failure: Failure<Self>) -> End {
        match failure {
            Failure::Died(_) => End::Died,
            Failure::TimedOut(_) => End::TimedOut,
            Failure::WaitedTooLong => End::WaitedTooLong,
            Failure::Protocol(_) => End::Protocol,
            Failure::Closed => End::Closed,
            Failure::Broken { .. } => End::Broken,
            Failure::Start(()) => End::NotStarted,
        }
    }
}

/// A worker process that does not exist, and the link to it.
#[derive(Default)]
pub(crate) struct Wire(Mutex<Process>);

#[derive(Default)]
struct Process {
    /// Jobs that were written and not read.
    inbox: VecDeque<u64>,
    running: Option<u64>,
    started: Vec<u64>,
    /// Answers that the keeper has not read.
    outbox: Vec<u64>,
    is_dead: bool,
    /// The keeper has closed its end: nothing is written any more.
    is_closed: bool,
    /// Jobs that were ever written.
    given: u64,
}

impl Process {
    fn in_hand(&self) -> usize {
        self.inbox.len() + usize::from(self.running.is_some()) + self.outbox.len()
    }
}

impl Wire {
    /// Reads a job and begins it, if there is one and the worker is alive.
    pub(crate) fn begin(&self) -> bool {
        let mut process = self.0.lock();
        if process.is_dead || process.running.is_some() {
            return false;
        }
        process.running = process.inbox.pop_front();
        let begun = process.running;
        process.started.extend(begun);
        begun.is_some()
    }

    /// Runs a job to its end; it may be killed halfway.
    pub(crate) fn work(&self) -> bool {
        self.begin();
        let mut process = self.0.lock();
        if process.is_dead {
            return false;
        }
        let Some(done) = process.running.take() else { return false };
        process.outbox.push(done);
        true
    }

    pub(crate) fn die(&self) {
        self.0.lock().is_dead = true;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.lock().is_dead
    }

    /// Jobs that it ever began, in order.
    pub(crate) fn started(&self) -> Vec<u64> {
        self.0.lock().started.clone()
    }

    /// Jobs that it was sent and has not begun.
    pub(crate) fn unread(&self) -> usize {
        self.0.lock().inbox.len()
    }

    /// Jobs that were written and whose answers the keeper has not read.
    pub(crate) fn in_hand(&self) -> usize {
        self.0.lock().in_hand()
    }

    /// Jobs that were ever written.
    pub(crate) fn given(&self) -> u64 {
        self.0.lock().given
    }

    /// What the worker has sent.
    pub(crate) fn read(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().outbox)
    }

    /// Closes the link for good.
    pub(crate) fn close(&self) -> Death {
        let mut process = self.0.lock();
        process.is_closed = true;
        Death { signal: Some(9), last_unread: !process.inbox.is_empty(), ..Death::default() }
    }
}

impl Link<Plan> for Wire {
    fn flush(this: &Arc<Self>, take: &mut dyn FnMut() -> Option<Arc<Job<Plan>>>) {
        let mut process = this.0.lock();
        // J4: what is not taken was never started. A worker that is dead and not known to be takes
        // what is written like another, and does not read it.
        while !process.is_closed {
            let Some(job) = take() else { break };
            assert!(!job.payload().is_bulky || process.in_hand() == 0, "it is behind another");
            process.inbox.push_back(job.id());
            process.given += 1;
        }
    }

    fn kill(&self) {
        self.die();
    }

    fn nudge(&self) {
        // The models' keepers look again without being asked.
    }
}
