//! A child from its start to its end, or to the day when nobody wants it any more. No system call
//! is made here.

use std::io;
use std::process::ExitStatus;
use std::task::{Poll, ready};

use crate::primitive::seeded;

/// Linux's number for the error that there is no such child: somebody else has reaped it.
const ECHILD: i32 = 10;

/// A process that was started and not reaped.
pub(crate) trait Reap {
    /// Reaps the process if it has ended.
    ///
    /// # Errors
    ///
    /// `ECHILD` if somebody else has.
    fn try_reap(&mut self) -> io::Result<Option<ExitStatus>>;
}

/// What an owner knows of a child.
#[derive(Debug)]
pub(crate) struct Life<K> {
    /// `Some` until it is reaped, by this or by somebody else (Z1).
    running: Option<K>,
    status: Option<ExitStatus>,
}

impl<K: Reap> Life<K> {
    /// A child that was just started.
    pub(crate) fn new(kid: K) -> Self {
        Self { running: Some(kid), status: None }
    }

    /// The child, if it was not reaped.
    pub(crate) fn running(&self) -> Option<&K> {
        self.running.as_ref()
    }

    /// The child, if it was not reaped, to be signalled.
    pub(crate) fn running_mut(&mut self) -> Option<&mut K> {
        self.running.as_mut()
    }

    /// The status of a child that has ended, which is reaped then.
    ///
    /// # Errors
    ///
    /// `ECHILD` if somebody else has reaped it.
    pub(crate) fn try_end(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(kid) = &mut self.running else {
            let gone = || io::Error::from_raw_os_error(ECHILD);
            return self.status.map(Some).ok_or_else(gone);
        };
        let result = kid.try_reap();
        match &result {
            Ok(None) => return Ok(None),
            Ok(status) => self.status = *status,
            Err(error) if error.raw_os_error() == Some(ECHILD) => {}
            Err(_) => return result,
        }
        self.running = None;
        result
    }

    /// Takes note that somebody else has reaped the child.
    pub(crate) fn lose(&mut self) {
        self.running = None;
    }

    /// Polls for the end by `poll_io`, which tries what it is given until the driver has to wait.
    ///
    /// # Errors
    ///
    /// Those of [`Life::try_end`] and of `poll_io`.
    pub(crate) fn poll_end(
        &mut self,
        poll_io: impl FnOnce(&mut dyn FnMut() -> io::Result<ExitStatus>) -> Poll<io::Result<ExitStatus>>,
    ) -> Poll<io::Result<ExitStatus>> {
        let mut attempt = || self.try_end()?.ok_or_else(|| io::ErrorKind::WouldBlock.into());
        match ready!(poll_io(&mut attempt)) {
            // The driver may be gone, and not have looked.
            Err(error) if !seeded::is("process: look once more when the driver is gone") => {
                Poll::Ready(self.try_end().and_then(|status| status.ok_or(error)))
            }
            result => Poll::Ready(result),
        }
    }

    /// Takes the child from an owner who no longer wants it: `Some` is to be reaped when it ends.
    pub(crate) fn abandon(&mut self) -> Option<K> {
        match self.try_end() {
            _ if seeded::is("process: hand on what has not ended") => None,
            Ok(Some(_)) => None,
            Ok(None) | Err(_) => self.running.take(),
        }
    }
}
