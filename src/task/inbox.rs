//! Which of many tasks have ended: notes from any thread, read by one.
//!
//! ```text
//!  the runner of a task that ended             who waits for any of them
//!
//!  Entry::wake ─► Inbox::note ─────► notes ──────► Inbox::take
//!                      │
//!                      └── wakes ◄── waiter ◄──── Inbox::wait, if there is no note
//! ```
//!
//! A task completes once and wakes its handle's waker once, so a note is in the box at most once,
//! and a set costs what ends in it, however many have not. The box outlives the set for as long
//! as a runner is about to write a note: it is read by nobody then.
//!
//! LIVENESS: the box is looked at and the waker is left under one lock, and a note is written and
//! the waker taken under the same one: of two that meet here, the later sees the other. Model:
//! models/join_set.rs `a_task_that_ends_as_its_set_is_awaited_is_not_slept_through`.

use std::collections::VecDeque;
use std::mem;
use std::task::{Wake, Waker};

use crate::lifecycle::Id;
use crate::primitive::lock::Mutex;
use crate::primitive::{Arc, contain_drop, seeded};

/// Who has ended: the place in the set, and the task that was there. Places are used again, ids
/// are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) slot: usize,
    pub(super) id: Id,
}

/// The notes of one set.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which the tasks ended.
    notes: VecDeque<Note>,
    /// Who found no note.
    waiter: Option<Waker>,
}

impl Inbox {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::default()) })
    }

    /// A waker for the handle of a task: it writes `note`.
    pub(super) fn waker(this: &Arc<Self>, note: Note) -> Waker {
        Waker::from(std::sync::Arc::new(Entry { note, inbox: Arc::clone(this) }))
    }

    /// Writes a note, and wakes who waits for one.
    pub(super) fn note(&self, note: Note) {
        let early = seeded::is("inbox: wake before the note is written")
            .then(|| self.state.lock().waiter.take());
        wake(early.flatten());
        let waiter = {
            let mut state = self.state.lock();
            state.notes.push_back(note);
            state.waiter.take()
        };
        if !seeded::is("inbox: wake before the note is written") {
            wake(waiter);
        }
    }

    /// Moves the notes into `batch`, which is empty; `false` says that there were none.
    pub(super) fn take(&self, batch: &mut VecDeque<Note>) -> bool {
        mem::swap(&mut self.state.lock().notes, batch);
        !batch.is_empty()
    }

    /// Leaves `waker` for the next note; `false` says that there is one already.
    pub(super) fn wait(&self, waker: &Waker) -> bool {
        {
            let state = self.state.lock();
            if !state.notes.is_empty() {
                return false;
            }
            if state.waiter.as_ref().is_some_and(|waiter| waiter.will_wake(waker)) {
                return true;
            }
        }
        // Cloned and dropped outside of the lock: a waker is the user's code.
        let waiter = waker.clone();
        let (_before, is_empty) = {
            let mut state = self.state.lock();
            (state.waiter.replace(waiter), state.notes.is_empty())
        };
        is_empty || seeded::is("inbox: leave the waker without a second look")
    }

    /// Throws the notes away, and returns who waits for one.
    pub(super) fn empty(&self) -> Option<Waker> {
        mem::take(&mut *self.state.lock()).waiter
    }
}

/// It may be in the middle of a set's method: a panic of the waiter's waker is not the set's.
pub(super) fn wake(waiter: Option<Waker>) {
    contain_drop(|| waiter.into_iter().for_each(Waker::wake));
}

/// What the waker of one task's handle points to.
#[derive(Debug)]
struct Entry {
    note: Note,
    inbox: Arc<Inbox>,
}

impl Wake for Entry {
    fn wake(self: std::sync::Arc<Self>) {
        self.inbox.note(self.note);
    }
}
