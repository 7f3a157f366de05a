//! Values that tell how often, where and in which task they are dropped.

use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use tenter::task::Id;

/// The drops of all values that were made from it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops {
    all: Arc<Mutex<Vec<Dropped>>>,
}

/// Where one value was dropped.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    pub(crate) thread: ThreadId,
    pub(crate) thread_name: Option<String>,
    pub(crate) task: Option<Id>,
}

impl Drops {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A value whose drop is noted here.
    pub(crate) fn tracked(&self) -> Tracked {
        Tracked { drops: self.clone() }
    }

    pub(crate) fn count(&self) -> usize {
        self.all.lock().unwrap().len()
    }

    /// The only drop there was.
    #[track_caller]
    pub(crate) fn only(&self) -> Dropped {
        let all = self.all.lock().unwrap();
        assert_eq!(all.len(), 1, "dropped other than once: {all:?}");
        all[0].clone()
    }
}

/// A value that is counted when it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Tracked {
    drops: Drops,
}

impl Tracked {
    /// Moves the value into whatever calls this: a closure or a future.
    pub(crate) fn touch(&self) {}
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let thread = thread::current();
        self.drops.all.lock().unwrap().push(Dropped {
            thread: thread.id(),
            thread_name: thread.name().map(str::to_owned),
            task: tenter::task::id(),
        });
    }
}
