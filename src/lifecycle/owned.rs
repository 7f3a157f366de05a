//! The owned list: every task that is bound to a scheduler and not complete.
//!
//! It is what shutdown cancels and what a dump shows. Sharded by spawning worker, so that a
//! shard's lock stays in the cache of the core that spawns; a task that ends on another worker
//! takes the lock of the shard that it was bound to.

use std::ptr::{self, NonNull};

use crossbeam_utils::CachePadded;

use crate::primitive::lock::SpinLock;
use crate::primitive::seeded;

use super::cell::{Header, Links};
use super::raw::{Notified, TaskRef};

/// All tasks of one scheduler.
pub(crate) struct Owned {
    shards: Box<[CachePadded<SpinLock<Shard>>]>,
}

#[derive(Default)]
struct Shard {
    first: Option<NonNull<Header>>,
    len: usize,
    closed: bool,
}

// SAFETY: the pointers stop the auto trait. A shard's lock orders every access to the links of
// the tasks in it (T8), and `Notified` can be sent.
unsafe impl Send for Shard {}

impl Shard {
    /// The tasks in the list, for as long as the lock is held.
    fn iter(&self) -> impl Iterator<Item = NonNull<Header>> + '_ {
        // SAFETY: T8 and T4: `self` is borrowed from the lock's guard, and bound tasks are live.
        let next = |&at: &NonNull<Header>| unsafe { with_links(at, |links| links.next) };
        std::iter::successors(self.first, next)
    }
}

impl Owned {
    /// A list with `shards` locks.
    pub(crate) fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| CachePadded::default()).collect() }
    }

    /// Puts a new task into its shard, with the list's count. A closed list refuses.
    #[must_use]
    pub(crate) fn bind(&self, task: &Notified) -> bool {
        let pointer = task.pointer();
        let header = task.header();
        let mut shard = self.shards[header.shard()].lock();
        if shard.closed && !seeded::is("owned: bind without looking at closed") {
            return false;
        }
        let next = shard.first.replace(pointer);
        header.links.with_mut(|links| {
            // SAFETY: T8: the shard's lock is held.
            unsafe { *links = Links { previous: None, next } }
        });
        if let Some(next) = next {
            // SAFETY: T8 and T4: bound tasks are live, and the lock is held.
            unsafe { with_links(next, |links| links.previous = Some(pointer)) };
        }
        shard.len += 1;
        true
    }

    /// Takes a task out. `false` if it is not in the list: it was refused.
    pub(crate) fn release(&self, header: &Header) -> bool {
        let mut shard = self.shards[header.shard()].lock();
        if seeded::is("owned: release touches the links outside the lock") {
            drop(shard);
            header.links.with_mut(|_| ());
            shard = self.shards[header.shard()].lock();
        }
        // SAFETY: T8: the shard's lock is held.
        let Links { previous, next } =
            header.links.with_mut(|links| unsafe { std::mem::take(&mut *links) });
        match previous {
            // SAFETY: T8 and T4.
            Some(previous) => unsafe { with_links(previous, |links| links.next = next) },
            None => match shard.first {
                Some(first) if ptr::eq(first.as_ptr(), header) => shard.first = next,
                _ => return false,
            },
        }
        if let Some(next) = next {
            // SAFETY: T8 and T4.
            unsafe { with_links(next, |links| links.previous = previous) };
        }
        shard.len -= 1;
        true
    }

    /// Refuses tasks from now on.
    pub(crate) fn close(&self) {
        for shard in &self.shards {
            shard.lock().closed = true;
        }
    }

    /// Calls `f` with every task that is in the list now, at most one shard locked at a time and
    /// none while `f` runs.
    pub(crate) fn for_each(&self, mut f: impl FnMut(TaskRef)) {
        for shard in &self.shards {
            let guard = shard.lock();
            // SAFETY: 1: the shard's lock is held, and the list holds a count.
            let tasks = guard.iter().map(|pointer| unsafe { TaskRef::new(pointer) });
            let tasks: Vec<_> = tasks.collect();
            drop(guard);
            tasks.into_iter().for_each(&mut f);
        }
    }

    /// The task with this id, if it is in the list.
    pub(crate) fn find(&self, id: u64) -> Option<TaskRef> {
        self.shards.iter().find_map(|shard| {
            let guard = shard.lock();
            guard
                .iter()
                // SAFETY: T4: the shard's lock is held, and the list holds a count.
                .find(|pointer| unsafe { pointer.as_ref() }.id().as_u64() == id)
                // SAFETY: 1: as above.
                .map(|pointer| unsafe { TaskRef::new(pointer) })
        })
    }

    /// Aborts every task in the list.
    pub(crate) fn abort_all(&self) {
        self.for_each(|task| task.abort());
    }

    /// Tasks in the list. Each shard is asked in turn: exact only when nothing changes.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len).sum()
    }

    /// Whether the list is empty. Once it is closed that is final.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().len == 0)
    }
}

/// Runs `f` on the links of a bound task.
///
/// # Safety
///
/// 1. The lock of the task's shard is held (T8), and the task is live (T4).
unsafe fn with_links<R>(header: NonNull<Header>, f: impl FnOnce(&mut Links) -> R) -> R {
    // SAFETY: 1.
    let header = unsafe { header.as_ref() };
    header.links.with_mut(|links| {
        // SAFETY: 1.
        f(unsafe { &mut *links })
    })
}
