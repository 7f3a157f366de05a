//! Work-stealing queues of slots that publish with Release and take with Acquire, and promise
//! nothing more.
//!
//! In particular a look at a queue may miss a push that happened long ago, unless something else
//! orders the two: that is what crossbeam's documentation leaves open, and a queue behind a lock,
//! or one whose every look is a read-modify-write, would hide a missing fence.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;

pub(crate) use crossbeam_deque::Steal;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::limits::QUEUE_SLOTS;

/// Items in the order of their slots. A slot is empty, then full, then taken, and never reused.
struct Slots<T> {
    slots: Vec<AtomicPtr<T>>,
}

/// What a look at one slot found.
enum Seen<T> {
    /// Nothing yet, or so it looks.
    Empty,
    Full(*mut T),
    Taken,
}

impl<T> Slots<T> {
    fn new() -> Self {
        Self { slots: (0..QUEUE_SLOTS).map(|_| AtomicPtr::new(ptr::null_mut())).collect() }
    }

    fn taken() -> *mut T {
        ptr::without_provenance_mut(1)
    }

    fn publish(&self, index: usize, item: T) {
        assert!(index < QUEUE_SLOTS, "a model pushes more than QUEUE_SLOTS items");
        self.slots[index].store(Box::into_raw(Box::new(item)), Ordering::Release);
    }

    fn look(&self, index: usize) -> Seen<T> {
        let item = self.slots[index].load(Ordering::Acquire);
        if item.is_null() {
            Seen::Empty
        } else if item == Self::taken() {
            Seen::Taken
        } else {
            Seen::Full(item)
        }
    }

    fn take(&self, index: usize, item: *mut T) -> Option<T> {
        self.slots[index]
            .compare_exchange(item, Self::taken(), Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        // SAFETY: `publish` put a box there, and only one thread's exchange takes it out.
        Some(*unsafe { Box::from_raw(item) })
    }

    /// The first item that can be seen from here.
    fn steal(&self) -> Steal<T> {
        for index in 0..QUEUE_SLOTS {
            match self.look(index) {
                Seen::Taken => {}
                Seen::Empty => return Steal::Empty,
                Seen::Full(item) => {
                    return self.take(index, item).map_or(Steal::Retry, Steal::Success);
                }
            }
        }
        Steal::Empty
    }

    fn is_empty(&self) -> bool {
        (0..QUEUE_SLOTS)
            .map(|index| self.look(index))
            .find(|seen| !matches!(seen, Seen::Taken))
            .is_none_or(|seen| matches!(seen, Seen::Empty))
    }

    fn len(&self) -> usize {
        (0..QUEUE_SLOTS)
            .map(|index| self.look(index))
            .take_while(|seen| !matches!(seen, Seen::Empty))
            .filter(|seen| matches!(seen, Seen::Full(_)))
            .count()
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
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        for slot in &mut self.slots {
            let item = slot.with_mut(|item| std::mem::replace(item, Self::taken()));
            if !item.is_null() && item != Self::taken() {
                // SAFETY: `publish` put a box there, nobody took it, and `self` is unique.
                drop(unsafe { Box::from_raw(item) });
            }
        }
    }
}

/// The owner's end.
pub(crate) struct Worker<T> {
    slots: Arc<Slots<T>>,
    /// Where the next item goes. Not atomic: the owner's alone.
    tail: Cell<usize>,
}

impl<T> Worker<T> {
    pub(crate) fn new_fifo() -> Self {
        Self { slots: Arc::new(Slots::new()), tail: Cell::new(0) }
    }

    pub(crate) fn stealer(&self) -> Stealer<T> {
        Stealer { slots: Arc::clone(&self.slots) }
    }

    pub(crate) fn push(&self, item: T) {
        let tail = self.tail.get();
        self.slots.publish(tail, item);
        self.tail.set(tail + 1);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        (0..self.tail.get()).find_map(|index| match self.slots.look(index) {
            Seen::Full(item) => self.slots.take(index, item),
            Seen::Taken | Seen::Empty => None,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Items that are left, as far as the owner can see.
    pub(crate) fn len(&self) -> usize {
        (0..self.tail.get())
            .filter(|&index| matches!(self.slots.look(index), Seen::Full(_)))
            .count()
    }
}

/// A thief's end.
pub(crate) struct Stealer<T> {
    slots: Arc<Slots<T>>,
}

impl<T> Stealer<T> {
    pub(crate) fn steal(&self) -> Steal<T> {
        self.slots.steal()
    }

    pub(crate) fn steal_batch_and_pop(&self, dest: &Worker<T>) -> Steal<T> {
        self.slots.steal_batch_and_pop(dest, usize::MAX)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

impl<T> Clone for Stealer<T> {
    fn clone(&self) -> Self {
        Self { slots: Arc::clone(&self.slots) }
    }
}

/// A queue that all threads push to and steal from.
pub(crate) struct Injector<T> {
    slots: Slots<T>,
    /// Slots that were given out. It orders nothing: a slot may be given out and not yet full.
    tail: AtomicUsize,
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Slots::new(), tail: AtomicUsize::new(0) }
    }

    pub(crate) fn push(&self, item: T) {
        let index = self.tail.fetch_add(1, Ordering::Relaxed);
        self.slots.publish(index, item);
    }

    pub(crate) fn steal(&self) -> Steal<T> {
        self.slots.steal()
    }

    pub(crate) fn steal_batch_with_limit_and_pop(
        &self,
        dest: &Worker<T>,
        limit: usize,
    ) -> Steal<T> {
        self.slots.steal_batch_and_pop(dest, limit)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

impl<T> Default for Injector<T> {
    fn default() -> Self {
        Self::new()
    }
}
