//! One process, as the system has it: watched, signalled and reaped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus};

use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use crate::io::uninterrupted;
use crate::primitive::Arc;
use crate::runtime::ChildEntry;

use super::life::Reap;

/// A process that was started and not reaped (Z1).
#[derive(Debug)]
pub(super) struct Kid {
    child: Child,
    /// `None` if there was no descriptor left for it, and then it is about to be killed; or if
    /// there was no process left.
    pidfd: Option<Arc<OwnedFd>>,
    /// Its place in the runtime's list, until it is reaped.
    _entry: ChildEntry,
}

impl Kid {
    pub(super) fn new(child: Child, entry: ChildEntry) -> Self {
        Self { child, pidfd: None, _entry: entry }
    }

    /// Opens the descriptor that is readable when the process has ended.
    ///
    /// `None` if somebody else has reaped it, be it the system because SIGCHLD is ignored: the
    /// number is nobody's then, or that of another.
    ///
    /// # Errors
    ///
    /// The system's, if there is no descriptor left.
    pub(super) fn open(&mut self) -> io::Result<Option<Arc<OwnedFd>>> {
        let pidfd = match pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()) {
            // Nobody, or a thread of another.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
            pidfd => Arc::new(pidfd.map_err(explain)?),
        };
        // It is told without being reaped, or is a stranger.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if let Err(Errno::CHILD) = retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), look)) {
            return Ok(None);
        }
        self.pidfd = Some(Arc::clone(&pidfd));
        Ok(Some(pidfd))
    }

    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(|pidfd| pidfd.as_fd())
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process; that it has ended already is no error.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        match &self.pidfd {
            // Not by a number that somebody else may have by now.
            None => match uninterrupted(|| self.child.try_wait()) {
                Ok(None) => self.child.kill(),
                Ok(Some(_)) => Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(()),
                Err(error) => Err(error),
            },
            Some(pidfd) => match pidfd_send_signal(pidfd, Signal::KILL) {
                Err(Errno::SRCH) => Ok(()),
                sent => Ok(sent?),
            },
        }
    }

    /// Sends a signal of any number to the process.
    pub(super) fn signal(&self, number: i32) -> io::Result<()> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "there is no such signal");
        let signal = signal_of(number).ok_or_else(invalid)?;
        let pidfd = self.pidfd.as_ref().ok_or(Errno::SRCH)?;
        Ok(pidfd_send_signal(pidfd, signal)?)
    }
}

impl Reap for Kid {
    fn try_reap(&mut self) -> io::Result<Option<ExitStatus>> {
        uninterrupted(|| self.child.try_wait())
    }
}

fn signal_of(number: i32) -> Option<Signal> {
    Signal::from_named_raw(number).or_else(|| {
        let is_real_time = (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number);
        // SAFETY: it is a signal, and none of those that the C library keeps for itself.
        is_real_time.then(|| unsafe { Signal::from_raw_unchecked(number) })
    })
}

fn explain(error: Errno) -> io::Error {
    if error == Errno::NOSYS {
        let why = "the kernel has no pidfd_open: Linux 5.3 or newer is needed";
        return io::Error::new(io::ErrorKind::Unsupported, why);
    }
    error.into()
}
