//! Work-stealing queues that do one thing at a time, and other threads may run between any two.
//!
//! As crossbeam's, a thief may come away with [`Steal::Retry`] though nobody was in its way, and a
//! batch is moved item by item.

use std::cell::RefCell;
use std::collections::VecDeque;

pub(crate) use crossbeam_deque::Steal;

use shuttle::rand::{Rng, thread_rng};

use super::Arc;
use super::lock::switch;

/// One attempt to steal out of so many fails for nothing.
const RETRY_ODDS: u32 = 8;

/// What an owner and its thieves share, and what an injector is.
///
/// All threads of a program are on one real thread, and none switches while it borrows.
struct Items<T>(RefCell<VecDeque<T>>);

// SAFETY: the cell stops the auto trait. Threads of a program are coroutines on one real thread.
unsafe impl<T: Send> Sync for Items<T> {}

impl<T> Items<T> {
    fn new() -> Self {
        Self(RefCell::default())
    }

    /// The next step of this thread, and what it does to the items.
    fn step<R>(&self, f: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        switch();
        f(&mut self.0.borrow_mut())
    }

    fn push(&self, item: T) {
        self.step(|items| items.push_back(item));
    }

    fn pop(&self) -> Option<T> {
        self.step(VecDeque::pop_front)
    }

    fn steal(&self) -> Steal<T> {
        self.step(|items| {
            if items.is_empty() {
                return Steal::Empty;
            }
            if thread_rng().gen_ratio(1, RETRY_ODDS) {
                return Steal::Retry;
            }
            items.pop_front().map_or(Steal::Empty, Steal::Success)
        })
    }

    /// Takes the first item, and moves others to `dest`: about half, and at most `limit` in all.
    fn steal_batch_and_pop(&self, dest: &Worker<T>, limit: usize) -> Steal<T> {
        assert!(limit > 0);
        let batch = self.len().div_ceil(2).min(limit);
        let first = self.steal();
        if first.is_success() {
            for _ in 1..batch {
                match self.steal() {
                    Steal::Success(item) => dest.push(item),
                    Steal::Empty | Steal::Retry => break,
                }
            }
        }
        first
    }

    fn is_empty(&self) -> bool {
        self.step(|items| items.is_empty())
    }

    fn len(&self) -> usize {
        self.step(|items| items.len())
    }
}

/// The owner's end.
pub(crate) struct Worker<T>(Arc<Items<T>>);

impl<T> Worker<T> {
    pub(crate) fn new_fifo() -> Self {
        Self(Arc::new(Items::new()))
    }

    pub(crate) fn stealer(&self) -> Stealer<T> {
        Stealer(Arc::clone(&self.0))
    }

    pub(crate) fn push(&self, item: T) {
        self.0.push(item);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A thief's end.
pub(crate) struct Stealer<T>(Arc<Items<T>>);

impl<T> Stealer<T> {
    pub(crate) fn steal(&self) -> Steal<T> {
        self.0.steal()
    }

    pub(crate) fn steal_batch_and_pop(&self, dest: &Worker<T>) -> Steal<T> {
        self.0.steal_batch_and_pop(dest, usize::MAX)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A queue that all threads push to and steal from.
pub(crate) struct Injector<T>(Items<T>);

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        Self(Items::new())
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
        self.0.steal_batch_and_pop(dest, limit)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
