//! Files that processes tell each other in what happened.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::until;

/// A file of lines that processes append to, each line whole and once. It goes with the value.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
}

impl Journal {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("journal-{}-{number}", process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, "").expect("the target folder takes files");
        Self { path }
    }

    /// Where it is, for [`note`] and [`wait_for_note`].
    pub(crate) fn path(&self) -> &str {
        self.path.to_str().expect("the target folder has a plain name")
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.path).expect("the journal is there");
        text.lines().map(str::to_owned).collect()
    }

    /// How often a line stands in it.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|other| *other == line).count()
    }

    /// Appends a line of the caller's.
    pub(crate) fn note(&self, line: &str) {
        note(self.path(), line);
    }

    /// Suspends the task until somebody has written this line.
    pub(crate) async fn has(&self, line: &str) {
        until(|| self.count(line) > 0).await;
    }

    /// Suspends the task until there are so many lines, and returns them.
    pub(crate) async fn has_lines(&self, count: usize) -> Vec<String> {
        until(|| self.lines().len() >= count).await;
        self.lines()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Appends a line, in one write, to the journal at `path`.
pub(crate) fn note(path: &str, line: &str) {
    let mut file = OpenOptions::new().append(true).open(path).expect("the journal is there");
    file.write_all(format!("{line}\n").as_bytes()).expect("the journal takes lines");
}

/// Blocks the thread until the journal at `path` has the line.
pub(crate) fn wait_for_note(path: &str, line: &str) {
    while !has_note(path, line) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether the journal at `path` has the line.
pub(crate) fn has_note(path: &str, line: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.lines().any(|other| other == line))
}
