//! What the system says about a descriptor, and is told about it, besides the driver.

use std::io;
use std::os::fd::BorrowedFd;

use crate::driver::Direction;

/// Whether an operation of this direction would return at once.
///
/// One `poll(2)` with a zero timeout. An answer that cannot be had counts as yes: the operation
/// itself will tell.
#[cfg(target_os = "linux")]
pub(super) fn is_ready(fd: BorrowedFd<'_>, direction: Direction) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::retry_on_intr;

    let flags = match direction {
        Direction::Read => PollFlags::IN,
        Direction::Write => PollFlags::OUT,
    };
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(retry_on_intr(|| poll(&mut fds, Some(&zero))), Ok(0))
}

/// Where there is no such call at hand, readiness is what the driver heard last.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_ready(_fd: BorrowedFd<'_>, _direction: Direction) -> bool {
    true
}

/// Puts the descriptor into non-blocking mode.
#[cfg(target_os = "linux")]
pub(super) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

/// Puts the descriptor into non-blocking mode: on Unix the call is the same for everything that
/// has one, and this one asks nothing else of it.
#[cfg(not(target_os = "linux"))]
pub(super) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    socket2::SockRef::from(&fd).set_nonblocking(true)
}
