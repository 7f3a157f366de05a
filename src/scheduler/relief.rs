//! Relief workers: who takes over while others are stuck (S10, S12).
//!
//! A worker may be in one poll for long, or have stepped aside for a call that blocks. A relief is
//! a worker like any other, on a thread of its own, that is started when too few are left, lingers
//! when they are back, and leaves when it was not needed for a while. Whether one is needed is for
//! the monitor to say, and for who steps aside; here is the ledger of their places.
//!
//! ```text
//!            1            2            3
//!   Free ──────► Starting ──► Serving ──► Retired
//!    ▲              │ 4          │ 5         │ 5
//!    └──────────────┴────────────┴───────────┘
//!
//! 1 Reliefs::reserve   who starts it: the monitor, or a thread that steps aside
//! 2 Reliefs::take_up   the relief's thread: it has its core
//! 3 Reliefs::retire    the monitor
//! 4 Reliefs::take_up   who could not start the thread, and gives the core back
//! 5 Reliefs::give_back the relief's thread, with nothing left in its queue
//! ```

use std::io;
use std::sync::OnceLock;

use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::{Arc, seeded};

use super::{Core, Shared, Worker};

/// Starts a thread that calls [`run`] with this number.
pub(crate) type Starter = Box<dyn Fn(usize) -> io::Result<()> + Send + Sync>;

/// The places of relief workers: the last of the scheduler's.
pub(super) struct Reliefs {
    /// The first place that is a relief's.
    first: usize,
    places: Mutex<Vec<Place>>,
    /// Set before the first worker runs; without it there are no reliefs.
    starter: OnceLock<Starter>,
    /// Places of the scheduler below this one may be in use; none above is (S10).
    extent: AtomicUsize,
    /// Reliefs that have a place, whatever they do. Written under the lock.
    present: AtomicUsize,
    /// Workers and reliefs that stepped aside (S11).
    aside: AtomicUsize,
}

enum Place {
    Free(Core),
    Starting(Core),
    Serving,
    Retired,
}

impl Reliefs {
    /// Places for these cores, none in use.
    pub(super) fn new(cores: Vec<Core>) -> Self {
        let first = cores.first().map_or(usize::MAX, |core| core.index);
        Self {
            first,
            places: Mutex::new(cores.into_iter().map(Place::Free).collect()),
            starter: OnceLock::new(),
            extent: AtomicUsize::new(first),
            present: AtomicUsize::new(0),
            aside: AtomicUsize::new(0),
        }
    }

    /// The first place that is a relief's.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    /// Places of the scheduler in front of this one may be in use.
    #[inline]
    pub(super) fn extent(&self) -> usize {
        // ORDERING: Relaxed: ordered by the fences of S3 where it matters (S10).
        self.extent.load(Ordering::Relaxed)
    }

    /// Reliefs that have not left, those included that have not begun.
    pub(super) fn present(&self) -> usize {
        // ORDERING: Relaxed: a sample, or ordered by the fences of S8.
        self.present.load(Ordering::Relaxed)
    }

    /// Reliefs that are to stay.
    pub(super) fn serving(&self) -> usize {
        serving(&self.places.lock())
    }

    /// One more of those who run tasks has stepped aside; `false`: one less.
    pub(super) fn note_aside(&self, is_aside: bool) {
        // ORDERING: Relaxed: a sample for who steps aside, and the monitor comes again.
        if is_aside {
            self.aside.fetch_add(1, Ordering::Relaxed);
        } else {
            self.aside.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Arrow 1: a place for a new relief, unless so many serve.
    fn reserve(&self, most: usize) -> Option<usize> {
        let mut places = self.places.lock();
        if serving(&places) >= most {
            return None;
        }
        let number = places.iter().position(|place| matches!(place, Place::Free(_)))?;
        let place = &mut places[number];
        if let Place::Free(core) = std::mem::replace(place, Place::Serving) {
            *place = Place::Starting(core);
        }
        let end = self.first + number + 1;
        if self.extent() < end && !seeded::is("relief: the extent is not raised") {
            // ORDERING: Relaxed: before all that the relief pushes (S10).
            self.extent.store(end, Ordering::Relaxed);
        }
        self.count_present(&places);
        Some(number)
    }

    /// Arrow 2, or 4.
    fn take_up(&self, number: usize) -> Core {
        let mut places = self.places.lock();
        match std::mem::replace(&mut places[number], Place::Serving) {
            Place::Starting(core) => core,
            _ => unreachable!("S10: relief {number} starts and has no core"),
        }
    }

    /// Arrow 3 for at most `count` reliefs, the latest place first; `retire` answers whether it
    /// may be this one, and tells it.
    fn retire(&self, count: usize, retire: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut places = self.places.lock();
        let mut retired = Vec::new();
        for (number, place) in places.iter_mut().enumerate().rev() {
            let index = self.first + number;
            if retired.len() < count && matches!(place, Place::Serving) && retire(index) {
                *place = Place::Retired;
                retired.push(index);
            }
        }
        retired
    }

    /// Arrow 5.
    fn give_back(&self, core: Core) {
        let mut places = self.places.lock();
        let number = core.index - self.first;
        places[number] = Place::Free(core);
        if places.iter().all(|place| matches!(place, Place::Free(_))) {
            // ORDERING: Relaxed, as in `reserve`: the queues above are empty (S10).
            self.extent.store(self.first, Ordering::Relaxed);
        }
        self.count_present(&places);
    }

    fn count_present(&self, places: &[Place]) {
        let present = places.iter().filter(|place| !matches!(place, Place::Free(_))).count();
        // ORDERING: Relaxed, under the lock.
        self.present.store(present, Ordering::Relaxed);
    }
}

fn serving(places: &[Place]) -> usize {
    places.iter().filter(|place| matches!(place, Place::Starting(_) | Place::Serving)).count()
}

/// What a relief's thread does, from its start to its end.
pub(crate) fn run(shared: &Arc<Shared>, number: usize) {
    let core = shared.reliefs.take_up(number);
    let worker = Worker::new(Arc::clone(shared), core);
    worker.run_tasks();
    shared.reliefs.give_back(worker.into_core());
}

impl Shared {
    /// How reliefs are started. Called once, before the workers run.
    pub(crate) fn set_starter(&self, starter: Starter) {
        assert!(self.reliefs.starter.set(starter).is_ok(), "reliefs are started in one way");
    }

    /// Starts a relief, unless `most` serve already, no place is left, or the system gives no
    /// thread; the monitor comes again.
    pub(crate) fn start_relief(&self, most: usize) -> bool {
        let Some(start) = self.reliefs.starter.get() else { return false };
        let Some(number) = self.reliefs.reserve(most) else { return false };
        let remote = &self.remotes[self.reliefs.first + number];
        // ORDERING: Relaxed, here and below: it is set under the lock of the places, while the
        // relief serves, and so before or after this.
        remote.is_retired.store(false, Ordering::Relaxed);
        let started = start(number).is_ok();
        if !started && !seeded::is("relief: one that cannot start keeps its place") {
            self.reliefs.give_back(self.reliefs.take_up(number));
        }
        started
    }

    /// Sends at most `count` reliefs home that `is_idle` approves of.
    pub(crate) fn retire_reliefs(&self, count: usize, is_idle: impl Fn(usize) -> bool) {
        let retire = |index: usize| {
            let is_idle = is_idle(index);
            if is_idle {
                self.remotes[index].is_retired.store(true, Ordering::Relaxed);
            }
            is_idle
        };
        for index in self.reliefs.retire(count, retire) {
            if !seeded::is("relief: who retires it does not wake it") {
                // LIVENESS (S12): a relief that sleeps is given a token, behind which it sees
                // the flag; one that is about to sleep finds the token.
                // Model: models/relief.rs `a_relief_that_is_retired_leaves`.
                self.unpark(index);
            }
        }
    }

    /// Relief workers that have not left.
    pub(crate) fn reliefs(&self) -> usize {
        self.reliefs.present()
    }

    /// Who has stepped aside is stood for by a relief each, if there is nobody else.
    pub(super) fn relieve_aside(&self) {
        // ORDERING: Relaxed: a sample, see `note_aside`.
        self.start_relief(self.reliefs.aside.load(Ordering::Relaxed));
    }
}

impl Worker {
    /// A relief goes: what it answered for is for the others (S12).
    pub(super) fn leave(&self) {
        let shared = self.shared();
        self.stop_searching_for_good();
        self.hand_on();
        self.remote().set_awake(false);
        if !seeded::is("relief: it leaves without a word") {
            // LIVENESS (S4, S9, S12): pushes that relied on its search woke nobody, and it may
            // have come from the driver, which another found taken before it fell asleep. A
            // sleeper is woken, to search and to take the driver. Who is not in the list yet
            // looks at the queues, and for the driver, after the list was locked here.
            // Models: models/relief.rs `a_push_that_relies_on_a_relief_that_leaves_is_found`,
            // `a_relief_that_leaves_the_driver_is_followed_by_a_sleeper`.
            shared.wake(shared.idle.sleeper_to_wake());
        }
    }
}
