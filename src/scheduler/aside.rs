//! Stepping aside: a thread that runs tasks says that it is about to block (S11).
//!
//! What the monitor finds out about others in some milliseconds is done at once here: what was
//! queued goes to the inject queue, and somebody is there to run it and to sit in the driver. The
//! thread stays in the poll that it is in, and what it makes due meanwhile comes from outside.

use crate::primitive::atomic::Ordering;
use crate::primitive::seeded;

use super::idle::Heir;
use super::{Shared, Worker, bump};

impl Worker {
    /// Gives everything to others. Answers with what [`Worker::come_back`] must know.
    pub(super) fn step_aside(&self) -> u64 {
        let remote = self.remote();
        // ORDERING: Relaxed: this thread's own.
        let running = remote.running.load(Ordering::Relaxed);
        // A call that was announced to block is no blocked poll to report.
        self.runs_no_task();
        bump(&remote.steps);
        let shared = self.shared();
        let has_moved = !seeded::is("aside: what is queued stays behind") && self.hand_over_queue();
        if self.is_guest() {
            // It sits in no driver, and the workers are all there.
            shared.idle.excuse_guest();
            // LIVENESS (S7): what was pushed while it stood for a worker, and what it moved.
            // Model: models/relief.rs `what_relied_on_a_guest_that_steps_aside_is_handed_on`.
            if has_moved || !seeded::is("aside: what relied on a guest is not handed on") {
                shared.notify_of_work();
            }
        } else {
            shared.reliefs.note_aside(true);
            shared.name_heir();
        }
        running
    }

    /// The thread goes on in its poll.
    pub(super) fn come_back(&self, running: u64) {
        let remote = self.remote();
        bump(&remote.steps);
        // ORDERING: Relaxed: a sample for the monitor.
        remote.running.store(running, Ordering::Relaxed);
        if self.is_guest() {
            self.shared().idle.excuse_ends();
        } else {
            self.shared().reliefs.note_aside(false);
        }
    }
}

impl Shared {
    /// A worker or relief will not look after the queues and the driver for a while: somebody
    /// else must.
    fn name_heir(&self) {
        if seeded::is("aside: no heir is named") {
            return;
        }
        // LIVENESS (S9, S11): who sleeps beside the driver is woken even if nothing is queued,
        // since the one that goes may have been the only one to come back to it. If all others
        // are busy or stuck a relief starts; if none can, the monitor comes again.
        // Models: models/relief.rs `what_was_behind_a_thread_that_steps_aside_runs`,
        // `who_steps_aside_leaves_somebody_in_the_driver`.
        match self.idle.heir() {
            Heir::Sleeper(index) => self.wake(Some(index)),
            Heir::Searcher => {}
            Heir::Nobody => self.relieve_aside(),
        }
    }
}
