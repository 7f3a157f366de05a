//! What the standard library does not ask of a descriptor.

use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd};

/// Closes `fd` and returns the outcome, which dropping it does not.
///
/// A descriptor is gone whatever the outcome is. It tells of data that could not be stored: network
/// file systems and quotas report some errors here and nowhere else.
pub(crate) fn close(fd: OwnedFd) -> io::Result<()> {
    let raw = fd.into_raw_fd();
    // SAFETY: `raw` was owned, and is given up here; nobody else knows it.
    let closed = unsafe { libc::close(raw) };
    if closed == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // Linux and others have closed it then, and no data was lost.
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

/// Whether every write goes to the end, wherever it is aimed. No where the system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn is_append(fd: BorrowedFd<'_>) -> bool {
    use rustix::fs::{OFlags, fcntl_getfl};

    fcntl_getfl(fd).is_ok_and(|flags| flags.contains(OFlags::APPEND))
}

/// Whether every write goes to the end, wherever it is aimed. No where the system does not say.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_append(fd: BorrowedFd<'_>) -> bool {
    use std::os::fd::AsRawFd;

    // SAFETY: the descriptor is open, since it is borrowed, and this only asks.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    flags != -1 && flags & libc::O_APPEND != 0
}
