//! The jobs that wait for a worker: three priorities, first come first served in each.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::Payload;
use super::job::{Job, Place};

/// Priorities, the highest first.
pub(crate) const PRIORITIES: usize = 3;

/// Entries of cancelled jobs that are worth a pass over the queue.
const STALE_MIN: usize = 32;

/// A job in the queue.
pub(super) struct Waiting<P: Payload> {
    pub(super) job: Arc<Job<P>>,
    pub(super) since: Instant,
}

/// A queue for each priority.
///
/// A job that is cancelled stays behind as a stale entry, which is skipped when it comes to the
/// front. When they are half of a queue they are swept out, so they cost at most what they weigh
/// and cancelling takes constant time on average.
pub(super) struct Queue<P: Payload> {
    /// Where a job is that is in here.
    place: Place,
    lanes: [VecDeque<Waiting<P>>; PRIORITIES],
    len: usize,
    stale: usize,
    /// Stale entries that were taken out. They may be the last to hold a job, and what is dropped
    /// with it is the user's: not under the ledger's lock.
    swept: Vec<Waiting<P>>,
}

impl<P: Payload> Queue<P> {
    pub(super) fn new(place: Place) -> Self {
        let lanes = [const { VecDeque::new() }; PRIORITIES];
        Self { place, lanes, len: 0, stale: 0, swept: Vec::new() }
    }

    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push_back(&mut self, waiting: Waiting<P>) {
        self.note(&waiting);
        self.lane(&waiting).push_back(waiting);
    }

    /// Puts a job back that had been taken: it is the next of its priority.
    pub(super) fn push_front(&mut self, waiting: Waiting<P>) {
        self.note(&waiting);
        self.lane(&waiting).push_front(waiting);
    }

    /// The job that is next.
    pub(super) fn front(&mut self) -> Option<&Waiting<P>> {
        self.drop_stale_fronts();
        self.lanes.iter().find_map(VecDeque::front)
    }

    /// Takes the job that is next.
    pub(super) fn pop(&mut self) -> Option<Waiting<P>> {
        self.drop_stale_fronts();
        let waiting = self.lanes.iter_mut().find_map(VecDeque::pop_front)?;
        self.len -= 1;
        Some(waiting)
    }

    /// Notes that a job of the queue has ended there: its entry is stale.
    pub(super) fn forget_one(&mut self) {
        self.len -= 1;
        self.stale += 1;
        if self.stale >= STALE_MIN && self.stale > self.len {
            let is_live = |waiting: &Waiting<P>| waiting.job.place() == self.place;
            for lane in &mut self.lanes {
                let (live, stale) = lane.drain(..).partition(is_live);
                *lane = live;
                let stale: VecDeque<_> = stale;
                self.swept.extend(stale);
            }
            self.stale = 0;
        }
    }

    /// Hands out what was taken out, to be dropped without the lock.
    pub(super) fn take_swept(&mut self) -> Vec<Waiting<P>> {
        mem::take(&mut self.swept)
    }

    fn note(&mut self, waiting: &Waiting<P>) {
        waiting.job.set_place(self.place);
        self.len += 1;
    }

    fn lane(&mut self, waiting: &Waiting<P>) -> &mut VecDeque<Waiting<P>> {
        &mut self.lanes[waiting.job.payload().priority().min(PRIORITIES - 1)]
    }

    fn drop_stale_fronts(&mut self) {
        for lane in &mut self.lanes {
            // Ends: each round takes one out.
            while lane.front().is_some_and(|waiting| waiting.job.place() != self.place) {
                self.swept.extend(lane.pop_front());
                self.stale -= 1;
            }
        }
    }
}
