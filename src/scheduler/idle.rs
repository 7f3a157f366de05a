//! The ledger of idle workers: who searches, who sleeps (S2); and why nobody sleeps beside work.
//!
//! # Both sides
//!
//! The states are in the room's [`mod.rs`](super).
//!
//! ```text
//!    schedule                                     park
//! a1 the task goes into a queue                b1 announce: under the lock, onto the list;
//! a2 order_push: fence                            sleeping + 1, and searching - 1 if it searched
//! a3 searching != 0: done, somebody searches   b2 announce: fence
//! a4 sleeping == 0: done, nobody sleeps        b3 Shared::has_work: then it searches again
//! a5 sleeper_to_wake: under the lock;          b4 Parker::park
//!    searching != 0: done; else the latest     b5 retract: under the lock, off the list; or it is
//!    off the list, sleeping - 1, searching + 1    off, and so was woken to search
//! a6 Parker::unpark
//!
//!    who searches and finds                       a guest that stops, or is found stuck (S7)
//! c1 stop_searching: searching - 1             d1 stop_guest, excuse_guest: the number
//! c2 if that made it 0: fence                  d2 the same: fence
//! c3 Shared::notify_of_work: looks, then a2..  d3 Shared::notify_of_work: looks, then a2..
//! ```
//!
//! # Why nobody sleeps beside work
//!
//! Of two `SeqCst` fences one is before the other. What the first one's thread wrote before it, the
//! second one's reads behind it, or something newer; and what it writes behind it is newer. That
//! orders all that is said here. The numbers themselves are read and written Relaxed, with two
//! exceptions: for the sake of batches, and for who waits for the last guest.
//!
//! Let all be at rest: who is awake is in a task, perhaps for ever, and no wake is under way.
//! Suppose that W sleeps, by its last b1 to b4, and that a task is queued, which P pushed.
//!
//! 1. *W's b2 is after P's a2.* Then b3 saw the task, and W did not go to b4.
//! 2. *W's b2 is before P's a2.* W is on the list from b1 on, and `sleeping`, which is written
//!    under the lock, has not been 0 since. a4 read what W wrote or something newer, so P did not
//!    end there. It read `searching` as not 0, or made it so in a5.
//! 3. *Somebody searched.* At rest nobody does, so `searching` was 0 again later, in the order of
//!    its values. Let V be who made it so first. V then had a fence, b2 or c2. Had that been before
//!    P's a2, P would have read this 0 or something newer. So it was after, and V's look behind it
//!    saw the task. If it was b3, V searches again, and this is so of the end of that search. If it
//!    was c3, V does a2 to a6 in its turn, and with V for P it is 1 or 2 again.
//!
//! Each turn has a later fence than the one before, and at rest there is a last one. Note that who
//! stops searching and is not the last needs no fence and no look. A relief that leaves wakes a
//! sleeper, unless somebody searches, who is V then (S12).
//!
//! *Batches.* What V looks for may be on its way: M has taken it from one queue, and it is not in
//! M's own yet. If M is counted as searching, it counts itself out later. So M is the last, and c3
//! finds its own queue; or the one who is counts itself out behind M. Both writes are of one
//! location, with nothing but read-modify-writes between them, so the later reads what the earlier
//! released, its fence acquires it, and its look finds M's queue. Others that move tasks do a2 to a6
//! behind it: a busy worker that takes a batch from the inject queue, for what is left of it
//! (`Worker::pop_inject`); who empties its queue or another's into the inject queue
//! (`Worker::hand_on`, `Worker::step_aside`, `Shared::rescue`).
//!
//! *Guests.* Where a3 and a4 have taken account of a guest, the end of 3 is d1 to d3 of that guest,
//! or of the monitor.
//!
//! *Never told of*, and so no part of this: the task in the LIFO slot, also when its turns are over
//! and it goes behind the queue; the one task that a worker brings from the driver; and what yields.
//! Their worker runs them next, or soon. If it is in a poll for long, the monitor finds it.
//!
//! # Why there is no herd
//!
//! One schedule takes one sleeper off the list at most. It does so under the lock, under which
//! that one is counted as searching before anybody else looks: of two at once the second finds a
//! searcher. The next is woken when that one has ended its search, by c3 or by another push. (The
//! end wakes all, and an alert one more: [`Idle::next_sleeper`].)
//!
//! # Refused
//!
//! - **`SeqCst` accesses** in the place of fences: the push is crossbeam's, with orderings of its
//!   own, so that side needs a fence anyway. And loom takes them for `AcqRel`.
//! - **One word for everything**, read, modified and written on every schedule, as tokio's: all who
//!   schedule write to one line. These two numbers are read by all, and written when somebody
//!   begins or ends to search or sleep.
//! - **A counter of events**, as rayon's: it saves b3 the look at every queue, and lets those who
//!   push write to a word that all share. Here who goes to sleep pays.
//! - **A wake for every push**: a storm of workers that find nothing. `RuntimeMetrics` counts those
//!   that did, which should be few.
//!
//! # What was checked
//!
//! The models of `loom-tests` run this code, for two or three threads. The specification in `specs`
//! is a model of it, for more. It visits every state, with memory in which any read may be old that
//! no fence and no lock forbids. Each fence and each look above is left out once, and is then found
//! to be needed.
//!
//! | workers | tasks from outside | states | s |
//! |---|---|---|---|
//! | 2 | 3 | 1,156,828 | 86 |
//! | 3 | 2 | 2,649,155 | 92 |
//! | 3 | 2, moved in batches | 1,822,762 | 113 |
//! | 4 | 1 | 219,451 | 2 |
//! | 4 | 2, memory sequentially consistent | 1,769,033 | 311 |
//! | 5 | 1 | 1,212,153 | 18 |

use crossbeam_utils::CachePadded;

use crate::primitive::atomic::{AtomicUsize, Ordering, fence};
use crate::primitive::lock::Mutex;
use crate::primitive::seeded;

/// Who searches and who sleeps.
///
/// The two numbers are read on every schedule and written only when a worker changes what it
/// does; the list behind them is touched under the lock.
pub(crate) struct Idle {
    counts: CachePadded<Counts>,
    /// The workers that sleep, the latest last: its cache is the warmest.
    sleepers: Mutex<Vec<usize>>,
}

/// Who is there for what a thread leaves behind.
#[must_use]
pub(super) enum Heir {
    /// This one, who must be woken.
    Sleeper(usize),
    /// Who searches: he finds it, or looks for the driver before he sleeps.
    Searcher,
    /// All are busy.
    Nobody,
}

struct Counts {
    searching: AtomicUsize,
    sleeping: AtomicUsize,
    /// Guests that run tasks, and stand for as many workers (S7).
    guests: AtomicUsize,
    /// Those of them that are stuck, and stand for nobody; for a moment there may be more.
    excused: AtomicUsize,
}

impl Idle {
    /// A ledger with room for so many workers, all awake.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            counts: CachePadded::new(Counts {
                searching: AtomicUsize::new(0),
                sleeping: AtomicUsize::new(0),
                guests: AtomicUsize::new(0),
                excused: AtomicUsize::new(0),
            }),
            sleepers: Mutex::new(Vec::with_capacity(workers)),
        }
    }

    /// After a push: the sleeper to wake, if one must be. It is counted as searching already.
    #[inline]
    pub(super) fn worker_to_wake(&self) -> Option<usize> {
        self.order_push();
        self.maybe_worker_to_wake()
    }

    /// The same after a push of what guests do not take.
    #[inline]
    pub(super) fn worker_to_wake_despite_guests(&self) -> Option<usize> {
        self.order_push();
        // ORDERING: Relaxed, both: the fence orders them after the push.
        let is_searched = self.counts.searching.load(Ordering::Relaxed) != 0;
        if is_searched || self.counts.sleeping.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.sleeper_to_wake()
    }

    #[inline]
    fn order_push(&self) {
        if !seeded::is("idle: no fence after a push") {
            // LIVENESS (S3): schedule is push, fence, read the ledger; park is announce, fence,
            // look again. The later fence sees the other side's store: the push is found, or
            // the sleeper is seen here and woken.
            // Model: models/idle.rs `a_scheduled_task_is_never_slept_through`.
            // ORDERING: SeqCst. Partners: the fences in `Idle::announce`, `Idle::stop_searching`,
            // `Idle::stop_guest` and `Idle::excuse_guest`.
            fence(Ordering::SeqCst);
        }
    }

    /// [`Idle::worker_to_wake`] without the fence: for a push that may be overlooked, because
    /// the caller is awake and comes back to it.
    #[inline]
    pub(super) fn maybe_worker_to_wake(&self) -> Option<usize> {
        // ORDERING: Relaxed, all: the fence orders them after the push.
        let counts = &*self.counts;
        if counts.searching.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let sleeping = counts.sleeping.load(Ordering::Relaxed);
        if sleeping == 0 {
            return None;
        }
        let guests = counts.guests.load(Ordering::Relaxed);
        if sleeping <= guests && sleeping + counts.excused.load(Ordering::Relaxed) <= guests {
            return None;
        }
        self.sleeper_to_wake()
    }

    /// The sleeper to wake if nobody searches, no matter how many guests run tasks.
    #[cold]
    pub(super) fn sleeper_to_wake(&self) -> Option<usize> {
        let mut sleepers = self.sleepers.lock();
        // ORDERING: Relaxed. A searcher that stops after this load looks again after its own
        // fence (S4), and finds what the caller pushed before the caller's fence.
        if self.counts.searching.load(Ordering::Relaxed) != 0
            && !seeded::is("idle: no look at the searchers under the lock")
        {
            return None;
        }
        self.pop(&mut sleepers)
    }

    /// A sleeper to wake, no matter who searches.
    #[cold]
    pub(super) fn next_sleeper(&self) -> Option<usize> {
        self.pop(&mut self.sleepers.lock())
    }

    fn pop(&self, sleepers: &mut Vec<usize>) -> Option<usize> {
        let index = sleepers.pop()?;
        // ORDERING: Relaxed, both: counted under the lock; the fences order the readers.
        self.counts.sleeping.store(sleepers.len(), Ordering::Relaxed);
        self.counts.searching.fetch_add(1, Ordering::Relaxed);
        Some(index)
    }

    /// After what a thread left behind was pushed: who is there for it. A sleeper is counted as
    /// searching already, and is to be woken.
    #[cold]
    pub(super) fn heir(&self) -> Heir {
        if !seeded::is("idle: no fence before an heir is named") {
            // LIVENESS (S4): for the searcher that is relied upon, as in `worker_to_wake`.
            // Model: models/idle.rs `what_is_left_to_a_searcher_is_found`.
            // ORDERING: SeqCst. Partner: the fence in `Idle::stop_searching`.
            fence(Ordering::SeqCst);
        }
        match self.sleeper_to_wake() {
            Some(index) => Heir::Sleeper(index),
            None if self.is_someone_idle() => Heir::Searcher,
            None => Heir::Nobody,
        }
    }

    /// Whether somebody searches or sleeps.
    pub(super) fn is_someone_idle(&self) -> bool {
        // ORDERING: Relaxed, both: a sample.
        self.counts.searching.load(Ordering::Relaxed) != 0
            || self.counts.sleeping.load(Ordering::Relaxed) != 0
    }

    /// A worker without work begins to look at the others' queues.
    pub(super) fn start_searching(&self) {
        // ORDERING: Relaxed. Who reads it too early wakes one worker too many; who reads it and
        // wakes nobody relies on S4, which is about the end of the search.
        self.counts.searching.fetch_add(1, Ordering::Relaxed);
    }

    /// A searcher found work. `true`: it was the last one, and must hand on if there is more
    /// (S4).
    #[must_use]
    pub(super) fn stop_searching(&self) -> bool {
        // ORDERING: Release. Pairs with the fences of the searchers that stop after this one, here
        // and in `announce`, behind which they look: the last of them sees the rest of a batch
        // that this thread put in its queue, of which it tells nobody.
        // Model: models/idle.rs `the_rest_of_a_batch_is_found_by_the_last_searcher`.
        let order = if seeded::is("idle: who stops searching releases nothing") {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        let before = self.counts.searching.fetch_sub(1, order);
        assert!(before > 0, "S2: a search ends that was not counted");
        if before > 1 || seeded::is("idle: the last searcher does not hand on") {
            return false;
        }
        // LIVENESS (S4): a push that read `searching` as 1 woke nobody. Its fence came before
        // this one, so the look that follows finds it; or after, and it read 0.
        // Model: models/idle.rs `the_last_searcher_hands_on`.
        if !seeded::is("idle: no fence after the last search") {
            // ORDERING: SeqCst. Partner: the fence in `Idle::order_push`.
            fence(Ordering::SeqCst);
        }
        true
    }

    /// A guest begins to run tasks: one sleeper less is woken for the others.
    pub(super) fn start_guest(&self) {
        // ORDERING: Relaxed. Who reads it too late wakes one worker too many; who reads it and
        // wakes nobody relies on S7, which is about the end. Who looks for guests in the end has
        // found the list of tasks empty: it was counted before its task was taken off, by a lock.
        self.counts.guests.fetch_add(1, Ordering::Relaxed);
    }

    /// A guest goes back to its main future, or to sleep. It must hand on if there is work.
    pub(super) fn stop_guest(&self) {
        // ORDERING: Release. Pairs with Acquire in `guests`: who finds nobody there finds what the
        // tasks left dropped. The fence below orders it before the look that follows.
        let order = if seeded::is("idle: a guest that stops releases nothing") {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        let before = self.counts.guests.fetch_sub(1, order);
        assert!(before > 0, "S7: a guest stops that was not counted");
        // LIVENESS (S7): a push that read the guest as running woke nobody. Its fence came
        // before this one, so the look that follows finds it; or after, and it read one less.
        // Model: models/idle.rs `a_push_that_relies_on_a_guest_is_handed_on_when_it_stops`.
        if !seeded::is("idle: no fence after a guest stops") {
            // ORDERING: SeqCst. Partner: the fence in `Idle::order_push`.
            fence(Ordering::SeqCst);
        }
    }

    /// Guests that run tasks, or drop what one returned.
    pub(super) fn guests(&self) -> usize {
        // ORDERING: Acquire. Pairs with Release in `stop_guest`.
        self.counts.guests.load(Ordering::Acquire)
    }

    /// A guest that may run tasks is stuck, and stands for nobody until [`Idle::excuse_ends`]. The
    /// caller hands on if there is work.
    pub(super) fn excuse_guest(&self) {
        if !seeded::is("idle: a guest that is stuck stands for a worker") {
            // ORDERING: Relaxed: the fence below orders it before the look that follows.
            self.counts.excused.fetch_add(1, Ordering::Relaxed);
        }
        if !seeded::is("idle: no fence after a guest is excused") {
            // LIVENESS (S7): as in `stop_guest`.
            // Model: models/idle.rs `a_push_that_relies_on_a_guest_is_handed_on_when_it_is_stuck`.
            // ORDERING: SeqCst. Partner: the fence in `Idle::order_push`.
            fence(Ordering::SeqCst);
        }
    }

    /// The guest goes on.
    pub(super) fn excuse_ends(&self) {
        // ORDERING: Relaxed. Who reads it too late wakes one worker too many.
        let before = self.counts.excused.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "S7: a guest goes on that was not excused");
    }

    /// A worker that found nothing lists itself as sleeping; it must look again before it parks.
    pub(super) fn announce(&self, index: usize, was_searching: bool) {
        let mut sleepers = self.sleepers.lock();
        debug_assert!(!sleepers.contains(&index), "S2: worker {index} sleeps twice");
        sleepers.push(index);
        // ORDERING: Relaxed: counted under the lock, ordered for readers by the fence.
        self.counts.sleeping.store(sleepers.len(), Ordering::Relaxed);
        if was_searching {
            // ORDERING: Relaxed. With the fence below it acquires what `stop_searching` released. It
            // releases nothing itself: it moved nothing since it was counted that it did not run.
            self.counts.searching.fetch_sub(1, Ordering::Relaxed);
        }
        drop(sleepers);
        if !seeded::is("idle: no fence after announcing sleep") {
            // LIVENESS (S3, S4): the other half of `Idle::order_push`.
            // Model: models/idle.rs `a_push_that_relies_on_a_searcher_is_found`.
            // ORDERING: SeqCst. Partner: the fence there.
            fence(Ordering::SeqCst);
        }
    }

    /// A worker that is awake again takes itself off the list. `false`: somebody did, to wake
    /// it, and counted it as searching.
    #[must_use]
    pub(super) fn retract(&self, index: usize) -> bool {
        let mut sleepers = self.sleepers.lock();
        let Some(at) = sleepers.iter().rposition(|&sleeper| sleeper == index) else {
            return false;
        };
        sleepers.remove(at);
        // ORDERING: Relaxed: counted under the lock.
        self.counts.sleeping.store(sleepers.len(), Ordering::Relaxed);
        true
    }
}
