//! A folder of a test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every folder of this process.
static ALL: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A new, empty folder, which goes with the value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("folder-{}-{number}", process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir(&path).expect("the target folder takes folders");
        ALL.lock().unwrap().push(path.clone());
        Self(path)
    }

    /// The path of something in it.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes every folder, for a process that ends with values left.
#[allow(dead_code, reason = "every test binary compiles this for itself")]
pub(crate) fn remove_all() {
    for path in ALL.lock().unwrap().drain(..) {
        let _ = fs::remove_dir_all(path);
    }
}
