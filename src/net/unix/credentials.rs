//! Who is at the other end.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

/// The process at the other end of a Unix stream; see
/// [`UnixStream::peer_cred`](super::UnixStream::peer_cred).
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let (one, other) = tenter::net::UnixStream::pair()?;
///     let peer = one.peer_cred()?;
///     assert_eq!(peer.pid(), Some(std::process::id() as i32));
///     assert_eq!(peer.uid(), other.peer_cred()?.uid());
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    pid: i32,
    uid: u32,
    gid: u32,
}

impl UCred {
    /// The process, or `None` if it cannot be seen from here: it is in another PID namespace.
    ///
    /// The process may have ended since, and another may have its number.
    pub fn pid(&self) -> Option<i32> {
        (self.pid != 0).then_some(self.pid)
    }

    /// The effective user that the process had.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The effective group that the process had.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Asks the system about the peer of `socket`.
    ///
    /// `rustix` has this call too, with a type for processes that cannot be 0.
    pub(super) fn of_peer(socket: BorrowedFd<'_>) -> io::Result<UCred> {
        let mut found = MaybeUninit::<libc::ucred>::zeroed();
        let mut len = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: `found` is memory of `len` bytes that the system may write to, and `len` is the
        // number of them, which it may change.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                found.as_mut_ptr().cast(),
                &mut len,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: three integers, for which zeros are values as good as any others, and so is what
        // the system wrote over them.
        let found = unsafe { found.assume_init() };
        Ok(UCred { pid: found.pid, uid: found.uid, gid: found.gid })
    }
}
