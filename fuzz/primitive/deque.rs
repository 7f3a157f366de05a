//! The shipped queues, and how many items their batches moved, which crossbeam leaves open.

use std::cell::Cell;

pub(crate) use crossbeam_deque::Steal;

std::thread_local! {
    /// What moved the last batch, and how many items it took, the one that was returned included.
    static BATCH: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
    static QUEUES: Cell<usize> = const { Cell::new(0) };
}

/// What [`take_batch`] calls the queue that all threads push to.
pub(crate) const INJECTOR: usize = usize::MAX;

/// For programs: the queue that the last batch came from, by the order in which the queues of
/// workers were made since [`number_anew`], and how many items it took.
pub(crate) fn take_batch() -> Option<(usize, usize)> {
    BATCH.take()
}

/// For programs: the next queue is the first.
pub(crate) fn number_anew() {
    QUEUES.set(0);
    BATCH.set(None);
}

/// Notes what `steal` moves into `dest`.
fn note_batch<T>(from: usize, dest: &Worker<T>, steal: impl FnOnce() -> Steal<T>) -> Steal<T> {
    let before = dest.len();
    let stolen = steal();
    if stolen.is_success() {
        BATCH.set(Some((from, dest.len() - before + 1)));
    }
    stolen
}

/// The owner's end.
pub(crate) struct Worker<T> {
    queue: crossbeam_deque::Worker<T>,
    number: usize,
}

impl<T> Worker<T> {
    pub(crate) fn new_fifo() -> Self {
        let number = QUEUES.get();
        QUEUES.set(number + 1);
        Self { queue: crossbeam_deque::Worker::new_fifo(), number }
    }

    pub(crate) fn stealer(&self) -> Stealer<T> {
        Stealer { queue: self.queue.stealer(), number: self.number }
    }

    pub(crate) fn push(&self, item: T) {
        self.queue.push(item);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

/// A thief's end.
pub(crate) struct Stealer<T> {
    queue: crossbeam_deque::Stealer<T>,
    number: usize,
}

impl<T> Stealer<T> {
    pub(crate) fn steal(&self) -> Steal<T> {
        self.queue.steal()
    }

    pub(crate) fn steal_batch_and_pop(&self, dest: &Worker<T>) -> Steal<T> {
        note_batch(self.number, dest, || self.queue.steal_batch_and_pop(&dest.queue))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

/// A queue that all threads push to and steal from.
pub(crate) struct Injector<T>(crossbeam_deque::Injector<T>);

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        Self(crossbeam_deque::Injector::new())
    }

    pub(crate) fn push(&self, item: T) {
        self.0.push(item);
    }

    pub(crate) fn steal(&self) -> Steal<T> {
        self.0.steal()
    }

    pub(crate) fn steal_batch_with_limit_and_pop(
        &self,
        dest: &Worker<T>,
        limit: usize,
    ) -> Steal<T> {
        note_batch(INJECTOR, dest, || self.0.steal_batch_with_limit_and_pop(&dest.queue, limit))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
