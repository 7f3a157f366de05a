//! Task ids, taken from the shared counter in blocks.

use std::fmt;

use crate::primitive::atomic::Ordering;
use crate::primitive::{PlainCounter, limits};

use super::context;

/// The id of a task: unique in the process, never used again.
///
/// Threads take ids in blocks, so that spawning touches no counter that all share; ids say
/// nothing about the order of spawns on different threads.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
///
/// # tenter::run(async {
/// let task = tenter::spawn(std::future::pending::<()>());
/// let hosts = HashMap::from([(task.id(), "example.org")]);
/// task.abort();
/// let error = task.await.unwrap_err();
/// assert_eq!(hosts[&error.id()], "example.org");
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u64);

impl Id {
    /// An id that no other task has.
    pub(super) fn next() -> Self {
        context::next_id(|| {
            static NEXT_BLOCK: PlainCounter = PlainCounter::new(1);
            // ORDERING: Relaxed. Only that the blocks are distinct matters.
            NEXT_BLOCK.fetch_add(limits::ID_BLOCK, Ordering::Relaxed)
        })
    }

    pub(super) fn from_u64(id: u64) -> Self {
        Self(id)
    }

    pub(crate) fn as_u64(self) -> u64 {
        self.0
    }

    /// Which block of ids, and so which spawning thread, this one is from.
    pub(crate) fn block(self) -> usize {
        (self.0 / limits::ID_BLOCK) as usize
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.0)
    }
}
