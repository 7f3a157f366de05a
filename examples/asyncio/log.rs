//! What happened, in order: printed for who runs a lesson, kept for its tests.

use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    pub(crate) fn say(&self, line: impl Into<String>) {
        let line = line.into();
        println!("{line}");
        self.lines.lock().unwrap().push(line);
    }

    /// What was said so far.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}
