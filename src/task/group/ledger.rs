//! Who is alive in a group, and who waits for that to end.
//!
//! It knows no types: neither what tasks return nor how they fail. Users' code (wakers among it)
//! never runs under its lock.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use slab::Slab;

use crate::lifecycle::{AbortHandle, Id};
use crate::primitive::lock::{Mutex, MutexGuard};
use crate::primitive::{Arc, contain_drop, seeded};

use super::context::Inside;

/// The members of a group, and the end of its body.
pub(crate) struct Ledger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    members: Slab<Member>,
    /// Tasks that have a seat.
    tasks: usize,
    /// Groups inside this one that have a seat.
    groups: usize,
    is_body_done: bool,
    is_cancelled: bool,
    has_failed: bool,
    deadline: Option<Instant>,
    /// The group's future.
    waiter: Option<Waker>,
    /// Those in [`Cancelled`], until the group is cancelled.
    watchers: Slab<Waker>,
    /// This group's own, in the group that it is inside of; until it is closed.
    seat: Option<Seat>,
}

/// Whoever has a seat.
enum Member {
    /// A task whose spawner is about to admit it.
    Reserved,
    /// The same, and it has ended meanwhile: what is left is its spawner's to remove.
    Gone,
    Task {
        id: Id,
        /// `None` once it was aborted.
        abort: Option<AbortHandle>,
    },
    Group(Arc<Ledger>),
}

/// What the group's future finds when it looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    /// The body is done and nobody has a seat: final (G2).
    pub(crate) is_closed: bool,
    pub(crate) is_cancelled: bool,
    /// A task has failed.
    pub(crate) has_failed: bool,
    pub(crate) deadline: Option<Instant>,
}

impl State {
    fn is_closed(&self) -> bool {
        let is_empty = (self.tasks == 0 || seeded::is("group: it does not wait for tasks"))
            && (self.groups == 0 || seeded::is("group: it does not wait for groups inside"));
        self.is_body_done && is_empty
    }

    fn news(&self) -> News {
        News {
            is_closed: self.is_closed(),
            is_cancelled: self.is_cancelled,
            has_failed: self.has_failed,
            deadline: self.deadline,
        }
    }
}

impl Ledger {
    /// A group whose body is about to run, inside of `outer` if there is one (G6).
    pub(crate) fn new(outer: Option<&Arc<Self>>) -> Arc<Self> {
        let this = Arc::new(Self { state: Mutex::default() });
        if let Some(outer) = outer.filter(|_| !seeded::is("group: no seat in the group around")) {
            let seat = Self::seat_group(outer, &this);
            this.state.lock().seat = seat;
        }
        this
    }

    /// A seat for a group inside this one; none if this one is closed.
    fn seat_group(this: &Arc<Self>, inner: &Arc<Self>) -> Option<Seat> {
        let mut state = this.state.lock();
        if state.is_closed() {
            return None;
        }
        state.groups += 1;
        let key = state.members.insert(Member::Group(Arc::clone(inner)));
        Some(Seat { ledger: Some(Arc::clone(this)), key })
    }

    /// A seat for a task that is about to be spawned; none if the group is closed.
    pub(crate) fn reserve(this: &Arc<Self>) -> Option<(Seat, Admission<'_>)> {
        let mut state = this.state.lock();
        if state.is_closed() && !seeded::is("group: a closed group takes tasks") {
            return None;
        }
        state.tasks += 1;
        let key = state.members.insert(Member::Reserved);
        let admission = Admission { ledger: this, key, is_late: state.is_cancelled };
        drop(state);
        Some((Seat { ledger: Some(Arc::clone(this)), key }, admission))
    }

    /// Gives up a seat. Closes the group with the last one if the body is done, and then returns
    /// the group's own (G2, G6).
    fn leave(&self, key: usize) -> Option<Seat> {
        let mut state = self.state.lock();
        let left = match &mut state.members[key] {
            reserved @ Member::Reserved => mem::replace(reserved, Member::Gone),
            _ => state.members.remove(key),
        };
        match &left {
            Member::Group(_) => state.groups -= 1,
            _ => state.tasks -= 1,
        }
        let seat = Self::close_if_empty(state);
        // Behind the lock: it may be the last that there is of its task.
        drop(left);
        seat
    }

    /// The body has ended, or was dropped.
    pub(crate) fn end_body(&self) {
        let mut state = self.state.lock();
        state.is_body_done = true;
        drop(Self::close_if_empty(state));
    }

    /// The step to closed, once: wakes the group's future.
    fn close_if_empty(mut state: MutexGuard<'_, State>) -> Option<Seat> {
        if !state.is_closed() {
            return None;
        }
        let (waiter, seat) = (state.waiter.take(), state.seat.take());
        drop(state);
        // LIVENESS (G4): the future stores its waker and looks under the lock that was held when
        // the last seat was given up. Model: models/group.rs
        // `the_last_task_to_end_wakes_the_group`.
        if !seeded::is("group: the last to leave wakes nobody") {
            wake(waiter);
        }
        seat
    }

    /// Aborts every task, those to come as well (G3). Nothing happens to a closed group.
    pub(crate) fn cancel(&self) {
        self.abort_all(false);
    }

    /// [`Ledger::cancel`], because of a failure: the body is dropped too.
    pub(crate) fn fail(&self) {
        self.abort_all(true);
    }

    fn abort_all(&self, has_failed: bool) {
        let mut state = self.state.lock();
        if state.is_closed() {
            return;
        }
        let is_first = !mem::replace(&mut state.is_cancelled, true);
        let is_news = (has_failed && !state.has_failed) || (is_first && state.is_body_done);
        state.has_failed |= has_failed;
        let (mut aborts, mut watchers) = (Vec::new(), Slab::new());
        if is_first {
            aborts.extend(state.members.iter_mut().filter_map(|(_, member)| match member {
                Member::Task { abort, .. } => abort.take(),
                _ => None,
            }));
            watchers = mem::take(&mut state.watchers);
        }
        // LIVENESS (G4): the body is dropped by the group's future, which looks again; and who
        // waits for cancelled tasks has a time after which to say so.
        let waiter = if is_news { state.waiter.take() } else { None };
        drop(state);
        aborts.iter().for_each(AbortHandle::abort);
        wake(waiter);
        watchers.drain().for_each(|waker| wake(Some(waker)));
    }

    /// At `deadline` the group's future cancels the group.
    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        let mut state = self.state.lock();
        state.deadline = deadline;
        let waiter = state.waiter.take();
        drop(state);
        wake(waiter);
    }

    /// How things are; `waker` is woken when there is something new for the group's future.
    pub(crate) fn look(&self, waker: &Waker) -> News {
        let state = self.state.lock();
        let is_kept = state.waiter.as_ref().is_some_and(|waiter| waiter.will_wake(waker));
        if is_kept || state.is_closed() {
            return state.news();
        }
        drop(state);
        let waker = waker.clone();
        let mut state = self.state.lock();
        let news = state.news();
        let before = state.waiter.replace(waker);
        drop(state);
        contain_drop(|| drop(before));
        if seeded::is("group: the waker is stored after the look") {
            return News { is_closed: false, ..news };
        }
        news
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.lock().is_cancelled
    }

    /// Waits until the group is cancelled.
    pub(crate) fn cancelled(&self) -> Cancelled<'_> {
        Cancelled { ledger: self, key: None }
    }

    /// Tasks that have not ended.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().tasks
    }

    /// The tasks that have not ended, those of groups inside as well.
    pub(crate) fn waits_for(this: &Arc<Self>) -> Vec<Id> {
        let mut tasks = Vec::new();
        let mut ledgers = vec![Arc::clone(this)];
        // Ends: groups are inside of each other, not in a circle.
        while let Some(ledger) = ledgers.pop() {
            for (_, member) in &ledger.state.lock().members {
                match member {
                    Member::Task { id, .. } => tasks.push(*id),
                    Member::Group(inner) => ledgers.push(Arc::clone(inner)),
                    Member::Reserved | Member::Gone => {}
                }
            }
        }
        tasks
    }
}

/// Wakes, and keeps a panic of the waker from whoever ends or cancels here.
fn wake(waker: Option<Waker>) {
    contain_drop(|| waker.into_iter().for_each(Waker::wake));
}

/// A seat: while there is one, its group does not end. Dropping it is leaving (G1).
pub(crate) struct Seat {
    /// `None` while the thread has it that runs the task, and once the seat was given up.
    ledger: Inside,
    key: usize,
}

impl Seat {
    /// The group, for the thread to be inside of.
    pub(crate) fn inside(&mut self) -> &mut Inside {
        &mut self.ledger
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut left = self.ledger.take().map(|ledger| (ledger, self.key));
        // One after the other and not by recursion: groups can be nested as deep as a program
        // likes. Ends with the outermost.
        while let Some((ledger, key)) = left {
            let outer = ledger.leave(key);
            left = outer.and_then(|mut outer| Some((outer.ledger.take()?, outer.key)));
        }
    }
}

/// The spawner's part of a reservation.
pub(crate) struct Admission<'a> {
    ledger: &'a Ledger,
    key: usize,
    is_late: bool,
}

impl Admission<'_> {
    /// Whether the group was cancelled before: the task must not run at all.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late
    }

    /// The task was spawned. If the group was cancelled since, it is aborted (G3).
    pub(crate) fn admit(self, abort: AbortHandle) {
        let mut state = self.ledger.state.lock();
        let is_cancelled =
            state.is_cancelled && !seeded::is("group: a task that comes late is not aborted");
        let member = &mut state.members[self.key];
        if !matches!(member, Member::Reserved) {
            // It has ended: dropping `self` removes it.
            return;
        }
        let id = abort.id();
        let (now, later) = if is_cancelled { (Some(abort), None) } else { (None, Some(abort)) };
        *member = Member::Task { id, abort: later };
        drop(state);
        now.iter().for_each(AbortHandle::abort);
        mem::forget(self);
    }
}

impl Drop for Admission<'_> {
    /// The task has ended already, or the spawn has panicked and dropped it.
    fn drop(&mut self) {
        let mut state = self.ledger.state.lock();
        if matches!(state.members[self.key], Member::Gone) {
            state.members.remove(self.key);
        }
    }
}

/// Waits until a group is cancelled.
pub(crate) struct Cancelled<'a> {
    ledger: &'a Ledger,
    /// Of the waker; means nothing once the group is cancelled.
    key: Option<usize>,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.ledger.state.lock();
        if state.is_cancelled && !seeded::is("group: who watches looks at nothing") {
            drop(state);
            return Poll::Ready(());
        }
        let before = match self.key {
            Some(key) => Some(mem::replace(&mut state.watchers[key], waker)),
            None => {
                let key = state.watchers.insert(waker);
                drop(state);
                self.key = Some(key);
                return Poll::Pending;
            }
        };
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut state = self.ledger.state.lock();
        let waker = if state.is_cancelled { None } else { Some(state.watchers.remove(key)) };
        drop(state);
        drop(waker);
    }
}
