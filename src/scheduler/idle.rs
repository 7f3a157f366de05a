//! The ledger of idle workers: who searches, who sleeps (S2).

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
            // ORDERING: SeqCst. Partners: the fences in `Idle::announce` and
            // `Idle::stop_searching`.
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
        // ORDERING: Relaxed: the fence below orders it before the look that follows.
        let before = self.counts.searching.fetch_sub(1, Ordering::Relaxed);
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
        // wakes nobody relies on S7, which is about the end.
        self.counts.guests.fetch_add(1, Ordering::Relaxed);
    }

    /// A guest goes back to its main future, or to sleep. It must hand on if there is work.
    pub(super) fn stop_guest(&self) {
        // ORDERING: Relaxed: the fence below orders it before the look that follows.
        let before = self.counts.guests.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "S7: a guest stops that was not counted");
        // LIVENESS (S7): a push that read the guest as running woke nobody. Its fence came
        // before this one, so the look that follows finds it; or after, and it read one less.
        // Model: models/idle.rs `a_push_that_relies_on_a_guest_is_handed_on_when_it_stops`.
        if !seeded::is("idle: no fence after a guest stops") {
            // ORDERING: SeqCst. Partner: the fence in `Idle::order_push`.
            fence(Ordering::SeqCst);
        }
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
        // ORDERING: Relaxed, both: counted under the lock, ordered for readers by the fence.
        self.counts.sleeping.store(sleepers.len(), Ordering::Relaxed);
        if was_searching {
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
