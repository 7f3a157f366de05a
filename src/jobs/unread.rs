//! What the other end of a socket has not read.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Whether something that was sent has not been read; a part of it counts too.
///
/// It is what makes of the other end's close a reset. While that end is open, the system tells by
/// `SIOCOUTQ` how much memory there is of it.
pub(super) fn has_unread(socket: impl AsFd) -> io::Result<bool> {
    let mut bytes: libc::c_int = 0;
    let number = socket.as_fd().as_raw_fd();
    // SAFETY: `bytes` has room for what the call writes; any descriptor may be asked.
    let failed = unsafe { libc::ioctl(number, libc::TIOCOUTQ, &raw mut bytes) } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(bytes > 0) }
}
