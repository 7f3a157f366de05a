//! One job: what is sent, where it is, and the slot where its end and its items wait to be taken.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::task::{Context, Poll, Waker};

use crate::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::{contain_drop, seeded};

use super::{Failure, Key, Payload};

/// A job of a pool, shared by the future that waits for it, the ledger, and the worker's keeper.
pub(crate) struct Job<P: Payload> {
    id: u64,
    payload: P,
    /// A [`Place`], written and read under the ledger's lock.
    place: AtomicU64,
    /// Runs that are left after a death, under the ledger's lock too.
    retries: AtomicU32,
    slot: Mutex<Slot<P>>,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not submitted.
    New,
    /// In front of a full queue.
    Lobby,
    Queued,
    /// A worker has it.
    At(Key),
    /// Its end is decided (J1).
    Ended,
}

impl Place {
    fn encode(self) -> u64 {
        match self {
            Place::New => 0,
            Place::Lobby => 1,
            Place::Queued => 2,
            Place::Ended => 3,
            Place::At(Key(key)) => 4 + key,
        }
    }

    fn decode(word: u64) -> Place {
        match word {
            0 => Place::New,
            1 => Place::Lobby,
            2 => Place::Queued,
            3 => Place::Ended,
            at => Place::At(Key(at - 4)),
        }
    }
}

struct Slot<P: Payload> {
    end: Option<P::End>,
    /// Came and not yet taken; at most as many as there was credit for.
    items: VecDeque<P::Item>,
    /// Items that may still come.
    credit: u64,
    /// An item has come: who takes them may have seen it.
    has_emitted: bool,
    /// Who waits for the end, or for an item.
    waker: Option<Waker>,
}

/// What [`Job::poll_next`] finds.
pub(crate) enum Next<P: Payload> {
    Item(P::Item),
    End(P::End),
}

/// An item came for which there was no credit: its worker has lost its mind.
#[derive(Debug)]
pub(crate) struct NoCredit;

impl<P: Payload> Job<P> {
    /// A job that is nowhere yet; `credit` items of it may come.
    pub(crate) fn new(id: u64, payload: P, credit: u64) -> Self {
        let slot =
            Slot { end: None, items: VecDeque::new(), credit, has_emitted: false, waker: None };
        Self {
            id,
            place: AtomicU64::new(Place::New.encode()),
            retries: AtomicU32::new(payload.retries()),
            payload,
            slot: Mutex::new(slot),
        }
    }

    /// Its number, which no other job of the pool has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// What is to be run.
    pub(crate) fn payload(&self) -> &P {
        &self.payload
    }

    /// Polls for the job's end; its items stay where they are.
    ///
    /// # Cancel safety
    ///
    /// The end stays in the slot until a poll takes it.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<P::End> {
        self.poll_slot(cx, |slot| slot.end.take())
    }

    /// Polls for the next item, or for the end when every item has been taken.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Next<P>> {
        self.poll_slot(cx, |slot| match slot.items.pop_front() {
            Some(item) => Some(Next::Item(item)),
            None => slot.end.take().map(Next::End),
        })
    }

    fn poll_slot<R>(
        &self,
        cx: &mut Context<'_>,
        take: impl Fn(&mut Slot<P>) -> Option<R>,
    ) -> Poll<R> {
        // A waker's clone and drop are the user's code: neither happens under the lock.
        let mut fresh = None;
        loop {
            let mut slot = self.slot.lock();
            if let Some(taken) = take(&mut slot) {
                return Poll::Ready(taken);
            }
            if slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            if let Some(waker) = fresh.take() {
                let old = slot.waker.replace(waker);
                drop(slot);
                contain_drop(|| drop(old));
                return Poll::Pending;
            }
            drop(slot);
            // Ends: the second round has it.
            fresh = Some(cx.waker().clone());
            if seeded::is("jobs: store the waker without looking again") {
                self.slot.lock().waker = fresh;
                return Poll::Pending;
            }
        }
    }

    /// Puts the job's end into its slot and wakes who waits for it; once (J1).
    pub(super) fn end(&self, end: P::End) {
        let mut slot = self.slot.lock();
        assert!(slot.end.is_none(), "job {} has ended twice", self.id);
        slot.end = Some(end);
        let waker = slot.waker.take();
        drop(slot);
        wake(waker);
    }

    /// Takes the credit for an item that nobody waits for.
    ///
    /// # Errors
    ///
    /// There was none.
    pub(crate) fn take_credit(&self) -> Result<(), NoCredit> {
        let mut slot = self.slot.lock();
        slot.credit = slot.credit.checked_sub(1).ok_or(NoCredit)?;
        Ok(())
    }

    /// Takes an item from the worker, for who waits for it.
    ///
    /// # Errors
    ///
    /// There was no credit for it.
    pub(crate) fn push_item(&self, item: P::Item) -> Result<(), NoCredit> {
        let mut slot = self.slot.lock();
        slot.credit = slot.credit.checked_sub(1).ok_or(NoCredit)?;
        slot.has_emitted = true;
        slot.items.push_back(item);
        if seeded::is("jobs: an item wakes nobody") {
            return Ok(());
        }
        let waker = slot.waker.take();
        drop(slot);
        wake(waker);
        Ok(())
    }

    /// Notes that the worker was told of `more` credit.
    pub(crate) fn add_credit(&self, more: u64) {
        self.slot.lock().credit += more;
    }

    /// How the job ends that fails like this.
    pub(super) fn failed(&self, failure: Failure<P>) -> P::End {
        self.payload.failed(failure)
    }

    pub(super) fn place(&self) -> Place {
        // ORDERING: Relaxed. The ledger's lock, which every caller holds, orders it.
        Place::decode(self.place.load(Ordering::Relaxed))
    }

    pub(super) fn set_place(&self, place: Place) {
        // ORDERING: Relaxed, like the load.
        self.place.store(place.encode(), Ordering::Relaxed);
    }

    /// Takes one of the runs that are left. There is none for a job of whose items some have come:
    /// they would come again.
    pub(super) fn take_retry(&self) -> bool {
        if self.slot.lock().has_emitted && !seeded::is("jobs: items may come again") {
            return false;
        }
        // ORDERING: Relaxed. The ledger's lock, which every caller holds, orders both.
        let left = self.retries.load(Ordering::Relaxed);
        self.retries.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }
}

impl<P: Payload> fmt::Debug for Job<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<P: Payload> Drop for Job<P> {
    fn drop(&mut self) {
        let waker = mem::take(&mut self.slot.lock().waker);
        contain_drop(|| drop(waker));
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        contain_drop(|| waker.wake());
    }
}
