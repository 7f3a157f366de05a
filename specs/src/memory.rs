//! Memory that is weaker than sequentially consistent: who reads may read what is old.
//!
//! A location has had values in one order, the same for all: the order of its modifications. A
//! thread may read any of them, from the latest that it is bound to know of onwards. It is bound
//! to know what it wrote itself; under the lock what was known to who had the lock before; and
//! behind a `SeqCst` fence what was known to whoever had such a fence before.
//!
//! What may be read of a location is so a set of values, and a [`View`] holds just these sets. A
//! write of `v` adds `v` to everybody's set and leaves the writer `{v}`. Of two views, that which
//! knows more has the smaller set, which is a part of the other's: to know what both know is the
//! intersection.
//!
//! Threads know less here than C++11 and Rust promise them. A read tells nothing, not even that
//! the next read of the same location will be no older; a relaxed read-modify-write works on the
//! latest value and tells nothing of other locations; a task that is handed over carries nothing;
//! a token carries one thing, [`Memory::tell_of_closing`]. One thing is stronger, as in loom: no
//! load sees a store that comes after it (load buffering), since each step has its time.

/// Tasks at most.
pub(crate) const TASKS_MAX: usize = 6;

/// Threads at most.
pub(crate) const THREADS_MAX: usize = 9;

/// A place in memory that is read without a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// `Counts::searching`.
    Searching,
    /// `Counts::sleeping`.
    Sleeping,
    /// `Counts::guests`.
    Guests,
    /// `Counts::excused`.
    Excused,
    /// `Shared::closing`.
    Closing,
    /// Whether this task can be taken from a queue.
    Task(usize),
}

/// Locations that are no tasks.
const OTHERS: usize = 5;
const LOCATIONS: usize = OTHERS + TASKS_MAX;

impl Location {
    fn index(self) -> usize {
        match self {
            Self::Searching => 0,
            Self::Sleeping => 1,
            Self::Guests => 2,
            Self::Excused => 3,
            Self::Closing => 4,
            Self::Task(number) => OTHERS + number,
        }
    }
}

/// For each location the set of values that may be read, one bit a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct View([u8; LOCATIONS]);

impl View {
    /// Every location is zero, as everybody knows.
    const NEW: Self = Self([1; LOCATIONS]);

    /// The view of who reads no more.
    const GONE: Self = Self([0; LOCATIONS]);

    fn join(&mut self, other: Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own &= other;
        }
    }
}

/// The latest values, and who knows which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    latest: [u8; LOCATIONS],
    threads: [View; THREADS_MAX],
    /// What was known of `searching` to who had the lock of the list last.
    lock: u8,
    /// What was known to all who had a `SeqCst` fence.
    fence: View,
    /// What was known to all who released with a write of `searching`.
    searching: View,
    /// `false`: everybody knows everything, which is sequential consistency.
    is_relaxed: bool,
    /// The greatest number that `sleeping` is compared with: that of guests.
    guests: u8,
}

impl Memory {
    /// All zero, for `threads` threads, of which so many are guests.
    pub(crate) fn new(threads: usize, guests: u8, is_relaxed: bool) -> Self {
        let mut memory = Self {
            latest: [0; LOCATIONS],
            threads: [View::GONE; THREADS_MAX],
            lock: 1,
            fence: View::NEW,
            searching: View::NEW,
            is_relaxed,
            guests,
        };
        memory.threads[..threads].fill(View::NEW);
        memory
    }

    /// How a value shows in a set: as far as anybody tells it from others.
    fn bit(&self, location: Location, value: u8) -> u8 {
        let most = if location == Location::Sleeping { 1 + self.guests } else { 1 };
        1 << value.min(most)
    }

    /// What a location holds.
    pub(crate) fn latest(&self, location: Location) -> u8 {
        self.latest[location.index()]
    }

    /// Whether `thread` may read `value`, or one that counts as the same.
    pub(crate) fn may_read(&self, thread: usize, location: Location, value: u8) -> bool {
        let bit = self.bit(location, value);
        if self.is_relaxed {
            self.threads[thread].0[location.index()] & bit != 0
        } else {
            self.bit(location, self.latest(location)) == bit
        }
    }

    /// A store, or the write of a read-modify-write.
    pub(crate) fn write(&mut self, thread: usize, location: Location, value: u8) {
        let (index, bit) = (location.index(), self.bit(location, value));
        self.latest[index] = value;
        if !self.is_relaxed {
            return;
        }
        for view in self.threads.iter_mut().chain([&mut self.fence, &mut self.searching]) {
            if *view != View::GONE {
                view.0[index] |= bit;
            }
        }
        if location == Location::Searching {
            self.lock |= bit;
        }
        self.threads[thread].0[index] = bit;
        if matches!(location, Location::Task(_)) && value == 0 {
            // See `forget`.
            for view in self.threads.iter_mut().chain([&mut self.fence, &mut self.searching]) {
                view.0[index] &= bit;
            }
        }
    }

    /// `fence(SeqCst)`.
    pub(crate) fn fence(&mut self, thread: usize) {
        self.threads[thread].join(self.fence);
        self.fence = self.threads[thread];
    }

    /// The lock is taken.
    pub(crate) fn lock(&mut self, thread: usize) {
        self.threads[thread].0[Location::Searching.index()] &= self.lock;
    }

    /// The lock is given back.
    pub(crate) fn unlock(&mut self, thread: usize) {
        self.lock = self.threads[thread].0[Location::Searching.index()];
    }

    /// A write of `searching` that acquires.
    pub(crate) fn acquire_searching(&mut self, thread: usize) {
        self.threads[thread].join(self.searching);
    }

    /// A write of `searching` that acquires and releases.
    pub(crate) fn release_searching(&mut self, thread: usize) {
        self.threads[thread].join(self.searching);
        self.searching = self.threads[thread];
    }

    /// The thread took a token from one who knew that `closing` was set.
    pub(crate) fn tell_of_closing(&mut self, thread: usize) {
        self.threads[thread].0[Location::Closing.index()] = self.bit(Location::Closing, 1);
    }

    /// The thread goes on as if it knew nothing but what is in its own queue, and that a scheduler
    /// that was closed stays so. A task that was taken is not there, as everybody knows.
    pub(crate) fn forget(&mut self, thread: usize, pushed: usize, is_own: impl Fn(usize) -> bool) {
        if !self.is_relaxed {
            return;
        }
        let closing = self.threads[thread].0[Location::Closing.index()];
        let mut view = View([0b11; LOCATIONS]);
        view.0[Location::Sleeping.index()] |= self.bit(Location::Sleeping, u8::MAX);
        view.0[Location::Closing.index()] = closing;
        for task in 0..TASKS_MAX {
            let is_there = task < pushed && self.latest(Location::Task(task)) == 1;
            view.0[Location::Task(task).index()] = match (is_there, is_own(task)) {
                (false, _) => 0b01,
                (true, false) => 0b11,
                (true, true) => 0b10,
            };
        }
        self.threads[thread] = view;
    }

    /// The thread reads no more.
    pub(crate) fn leave(&mut self, thread: usize) {
        self.threads[thread] = View::GONE;
    }

    /// The same memory in the one form that stands for all that cannot be told from it: what no
    /// thread lacks need not be kept for one who comes to know of it.
    pub(crate) fn normalise(&mut self) {
        let mut all = View::GONE;
        for view in &self.threads {
            for (all, one) in all.0.iter_mut().zip(view.0) {
                *all |= one;
            }
        }
        self.lock &= all.0[Location::Searching.index()];
        self.fence.join(all);
        self.searching.join(all);
    }

    /// What sorts threads, and so finds those that are alike.
    pub(crate) fn view(&self, thread: usize) -> View {
        self.threads[thread]
    }

    /// Thread `new` is who was `threads[new]`.
    pub(crate) fn permute_threads(&mut self, threads: &[usize]) {
        let before = self.threads;
        for (new, &old) in threads.iter().enumerate() {
            self.threads[new] = before[old];
        }
    }

    /// What sorts tasks: the latest value, and who knows what of it.
    pub(crate) fn column(&self, task: usize) -> [u8; THREADS_MAX + 3] {
        let index = Location::Task(task).index();
        let mut column = [0; THREADS_MAX + 3];
        for (cell, view) in column.iter_mut().zip(self.threads) {
            *cell = view.0[index];
        }
        column[THREADS_MAX] = self.fence.0[index];
        column[THREADS_MAX + 1] = self.searching.0[index];
        column[THREADS_MAX + 2] = self.latest[index];
        column
    }

    /// Task `new` is what was `tasks[new]`.
    pub(crate) fn permute_tasks(&mut self, tasks: &[usize]) {
        let before = *self;
        let permute = |view: &mut [u8; LOCATIONS], before: &[u8; LOCATIONS]| {
            for (new, &old) in tasks.iter().enumerate() {
                view[OTHERS + new] = before[OTHERS + old];
            }
        };
        permute(&mut self.latest, &before.latest);
        permute(&mut self.fence.0, &before.fence.0);
        permute(&mut self.searching.0, &before.searching.0);
        for (view, before) in self.threads.iter_mut().zip(before.threads) {
            permute(&mut view.0, &before.0);
        }
    }
}
