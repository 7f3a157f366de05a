//! The child processes of a runtime: what its shutdown names.

use std::fmt;

use slab::Slab;

use crate::primitive::Arc;
use crate::primitive::lock::Mutex;

use super::Handle;

/// The child processes that were started and have not ended.
#[derive(Default)]
pub(super) struct Children {
    list: Arc<Mutex<Slab<ChildInfo>>>,
}

impl Children {
    fn enter(&self, child: ChildInfo) -> ChildEntry {
        let key = self.list.lock().insert(child);
        ChildEntry { list: Arc::clone(&self.list), key }
    }

    /// Those in the list now.
    pub(super) fn all(&self) -> Vec<ChildInfo> {
        self.list.lock().iter().map(|(_, child)| child.clone()).collect()
    }
}

impl Handle {
    /// Lists a child process for [`ShutdownReport::children`](super::ShutdownReport::children),
    /// until the entry is dropped.
    pub(crate) fn enter_child(&self, pid: u32, program: String) -> ChildEntry {
        self.inner().children.enter(ChildInfo { pid, program })
    }
}

/// A place in the list of child processes, given back on drop.
///
/// It keeps the list, not the runtime.
#[derive(Debug)]
#[must_use = "the child is in the list for as long as its entry lives"]
pub(crate) struct ChildEntry {
    list: Arc<Mutex<Slab<ChildInfo>>>,
    key: usize,
}

impl Drop for ChildEntry {
    fn drop(&mut self) {
        let removed = self.list.lock().remove(self.key);
        // With the lock open.
        drop(removed);
    }
}

/// A child process that was running when a runtime was shut down.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenter::process::Command;
///
/// let runtime = tenter::Runtime::new()?;
/// let child = runtime.block_on(async {
///     Command::new("sleep").arg("60").kill_on_drop(true).spawn()
/// })?;
/// let report = runtime.shutdown(Duration::from_secs(10));
/// assert_eq!(report.children()[0].program(), "sleep");
/// # drop(child);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChildInfo {
    pid: u32,
    program: String,
}

impl ChildInfo {
    /// The id of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The program, as it was given to the command.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }
}

impl fmt::Display for ChildInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "child process {} '{}'", self.pid, self.program)
    }
}
