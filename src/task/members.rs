//! Tasks that are waited for together: their handles, and the inbox that says who has ended.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use slab::Slab;

use crate::lifecycle::{Id, JoinError, JoinHandle, budget};
use crate::primitive::{Arc, seeded};

use super::inbox::{self, Inbox, Note};

/// The tasks of one set. Dropping it aborts them.
pub(super) struct Members<T> {
    slots: Slab<JoinHandle<T>>,
    inbox: Arc<Inbox>,
    /// Notes that were taken out of the inbox and not looked at.
    batch: VecDeque<Note>,
}

/// A task that has ended, and is no member any more.
pub(super) struct Ended<T> {
    /// Where it was. Until the first is taken out, tasks have the numbers in which they came.
    pub(super) slot: usize,
    pub(super) id: Id,
    pub(super) result: Result<T, JoinError>,
}

impl<T> Members<T> {
    pub(super) fn new() -> Self {
        Self { slots: Slab::new(), inbox: Inbox::new(), batch: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn reserve(&mut self, additional: usize) {
        self.slots.reserve(additional);
    }

    pub(super) fn handles(&self) -> impl Iterator<Item = &JoinHandle<T>> {
        self.slots.iter().map(|(_, handle)| handle)
    }

    /// Takes a task in.
    pub(super) fn insert(&mut self, mut handle: JoinHandle<T>) {
        let entry = self.slots.vacant_entry();
        let note = Note { slot: entry.key(), id: handle.id() };
        let waker = Inbox::waker(&self.inbox, note);
        let ended = handle.poll_complete(&mut Context::from_waker(&waker));
        entry.insert(handle);
        if ended.is_ready() && !seeded::is("join set: a task that had ended is waited for") {
            // Nobody has the waker.
            self.inbox.note(note);
        }
    }

    /// Waits for the next task that ends; `None` says that there are no tasks.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended<T>>> {
        match ready!(self.poll_note(cx.waker())) {
            Some(note) => self.poll_ended(note, cx).map(Some),
            None => Poll::Ready(None),
        }
    }

    /// A task that has ended, if there is one.
    pub(super) fn try_next(&mut self) -> Option<Ended<T>> {
        let note = self.next_note()?;
        // The answer does not depend on how much the caller may still do.
        let _lifted = budget::Lifted::new();
        match self.poll_ended(note, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }

    /// Takes out a member that has ended. Who takes results for ever lets others run: each costs
    /// one unit of the budget, and Pending says that it is spent.
    fn poll_ended(&mut self, note: Note, cx: &mut Context<'_>) -> Poll<Ended<T>> {
        let Poll::Ready(result) = Pin::new(&mut self.slots[note.slot]).poll(cx) else {
            self.batch.push_front(note);
            return Poll::Pending;
        };
        drop(self.slots.remove(note.slot));
        Poll::Ready(Ended { slot: note.slot, id: note.id, result })
    }

    /// Waits for all tasks and looks at none: outputs are dropped, panics are reported.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Ends: each round takes a member out.
        while let Some((_, handle)) = ready!(self.poll_handle(cx)) {
            drop(handle);
        }
        Poll::Ready(())
    }

    /// [`Members::poll_next`] that does not look at what became of the task, so that dropping its
    /// handle still reports a panic: where the task was, and the handle.
    pub(super) fn poll_handle(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(usize, JoinHandle<T>)>> {
        let Some(note) = ready!(self.poll_note(cx.waker())) else { return Poll::Ready(None) };
        let Poll::Ready(charge) = budget::poll_spend(cx) else {
            self.batch.push_front(note);
            return Poll::Pending;
        };
        charge.made_progress();
        Poll::Ready(Some((note.slot, self.slots.remove(note.slot))))
    }

    /// Waits for a note about a member; `None` says that there are no members.
    fn poll_note(&mut self, waker: &Waker) -> Poll<Option<Note>> {
        if self.slots.is_empty() {
            return Poll::Ready(None);
        }
        // Ends: a round that does not return found a note, and uses it up.
        loop {
            if let Some(note) = self.next_note() {
                return Poll::Ready(Some(note));
            }
            if self.inbox.wait(waker) {
                return Poll::Pending;
            }
        }
    }

    /// A note about a member, if there is one.
    fn next_note(&mut self) -> Option<Note> {
        // Ends: there is one note for each task that was ever a member.
        loop {
            while let Some(note) = self.batch.pop_front() {
                if self.is_member(note) {
                    return Some(note);
                }
            }
            if !self.inbox.take(&mut self.batch) {
                return None;
            }
        }
    }

    /// Whether the note is about who is in the place now, and not about who was let go of.
    fn is_member(&self, note: Note) -> bool {
        let is_same = |handle: &JoinHandle<T>| {
            handle.id() == note.id
                || seeded::is("join set: a note is about whoever is in the place")
        };
        self.slots.get(note.slot).is_some_and(is_same)
    }

    /// Aborts every task; each is still to be waited for.
    pub(super) fn abort_all(&self) {
        self.handles().for_each(JoinHandle::abort);
    }

    /// Lets every task go on by itself.
    pub(super) fn detach_all(&mut self) {
        self.slots.clear();
        self.batch.clear();
        // A poll would say now that there are no tasks.
        inbox::wake(self.inbox.empty());
    }
}

impl<T> Drop for Members<T> {
    fn drop(&mut self) {
        // Before the handles, whose wakers would find somebody to wake.
        drop(self.inbox.empty());
        self.abort_all();
    }
}

impl<T> fmt::Debug for Members<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handles()).finish()
    }
}
