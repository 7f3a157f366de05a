//! What `/proc` says about this process.

use std::fs;
use std::thread;

/// Open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    // One of them is that of the directory itself.
    fs::read_dir("/proc/self/fd").expect("/proc is there").count() - 1
}

/// Threads of this process.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("/proc is there").count()
}

/// Threads of this process whose name begins like this; the system keeps 15 bytes of it.
pub(crate) fn threads_named(prefix: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is there");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

/// Waits for something that comes by itself but leaves no trace to wait on; the watchdog bounds it.
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}
