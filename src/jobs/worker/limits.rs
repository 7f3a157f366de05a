//! What a worker takes away from itself before its first job.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd};
use rustix::process::{Resource, Rlimit, getpriority_process, getrlimit};
use rustix::process::{setpriority_process, setrlimit};

use crate::jobs::frame::Config;

/// Applies the limits of `config` to this process.
///
/// # Errors
///
/// - What the system says of them.
pub(super) fn apply(config: &Config) -> io::Result<()> {
    if let Some(bytes) = config.memory_limit {
        // Only root may raise a limit: one that is lower already stays.
        let limit = getrlimit(Resource::Data).maximum.map_or(bytes, |max| max.min(bytes));
        setrlimit(Resource::Data, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    if let Some(niceness) = config.niceness {
        // Nor lower a niceness. Threads inherit it from this one, the only one that runs jobs.
        let own = getpriority_process(None)?;
        setpriority_process(None, own.max(niceness))?;
    }
    Ok(())
}

/// Closes every descriptor that came through `exec`, but for `kept` and the standard ones.
///
/// # Errors
///
/// - What the system says of `/proc/self/fd`.
///
/// # Safety
///
/// 1. Nothing in this process uses a descriptor that it did not open itself, but for `kept` and
///    the standard ones.
pub(super) unsafe fn close_inherited(kept: BorrowedFd<'_>) -> io::Result<()> {
    // The list is complete before the first is closed, and the folder's own is closed by then.
    let mut open: Vec<RawFd> = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for descriptor in open.into_iter().filter(|fd| *fd > 2 && *fd != kept.as_raw_fd()) {
        // SAFETY: it is used for this call only, which asks whether it is open at all.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        // What survived `exec` was open for it to; what was opened since is closed by it.
        if matches!(fcntl_getfd(borrowed), Ok(flags) if !flags.contains(FdFlags::CLOEXEC)) {
            // SAFETY: it is open, it was inherited, and 1 says that nobody here uses it.
            unsafe { rustix::io::close(descriptor) };
        }
    }
    Ok(())
}
