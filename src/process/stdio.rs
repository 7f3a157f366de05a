//! The parent's ends of a child's pipes.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::process::{self, Stdio};
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use rustix::io::ioctl_fionbio;

use crate::driver::{Direction, Driver};
use crate::io::Async;
use crate::primitive::Arc;
use crate::runtime::Handle;

/// A pipe to the child's standard input.
///
/// Closing it, or dropping it, is the end of the child's input.
#[derive(Debug)]
pub struct ChildStdin {
    /// `None` once it is closed.
    pipe: Option<Async<File>>,
}

/// A pipe from the child's standard output.
#[derive(Debug)]
pub struct ChildStdout {
    pipe: Async<File>,
}

/// A pipe from the child's standard error.
#[derive(Debug)]
pub struct ChildStderr {
    pipe: Async<File>,
}

/// Puts this end into non-blocking mode, which the child's end does not share.
fn watch(fd: OwnedFd, driver: &Arc<Driver>) -> io::Result<Async<File>> {
    ioctl_fionbio(&fd, true)?;
    Ok(Async::with_driver(File::from(fd), Arc::clone(driver)))
}

/// Takes the end back out, as a process expects to be given it.
fn unwatch(pipe: Async<File>) -> io::Result<OwnedFd> {
    let fd = OwnedFd::from(pipe.into_inner()?);
    ioctl_fionbio(&fd, false)?;
    Ok(fd)
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the child's standard input is closed")
}

impl ChildStdin {
    pub(super) fn new(pipe: process::ChildStdin, driver: &Arc<Driver>) -> io::Result<Self> {
        Ok(Self { pipe: Some(watch(pipe.into(), driver)?) })
    }

    /// Takes the standard library's pipe.
    ///
    /// # Errors
    ///
    /// - The system's, if the pipe cannot be put into non-blocking mode.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn from_std(pipe: process::ChildStdin) -> io::Result<Self> {
        Self::new(pipe, Handle::current().driver())
    }

    /// The pipe itself, in blocking mode, as another [`Command`](super::Command) wants to have it.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::BrokenPipe`] if it was closed.
    /// - The system's, if it cannot be taken out of the driver or put into blocking mode.
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        unwatch(self.pipe.ok_or_else(closed)?)
    }

    fn pipe(&self) -> io::Result<&Async<File>> {
        self.pipe.as_ref().ok_or_else(closed)
    }
}

impl AsyncWrite for ChildStdin {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let pipe = self.pipe()?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        pipe.poll_stream(cx, Direction::Write, buf.len(), |mut pipe| pipe.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let pipe = self.pipe()?;
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        pipe.poll_stream(cx, Direction::Write, len, |mut pipe| pipe.write_vectored(bufs))
    }

    /// Does nothing: what was written is the system's.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closes the pipe: the child reads the end of its input, behind what was written.
    fn poll_close(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe = None;
        Poll::Ready(Ok(()))
    }
}

impl TryFrom<ChildStdin> for Stdio {
    type Error = io::Error;

    fn try_from(pipe: ChildStdin) -> io::Result<Stdio> {
        pipe.into_owned_fd().map(Stdio::from)
    }
}

macro_rules! reading {
    ($type:ident) => {
        impl $type {
            pub(super) fn new(pipe: process::$type, driver: &Arc<Driver>) -> io::Result<Self> {
                Ok(Self { pipe: watch(pipe.into(), driver)? })
            }

            /// Takes the standard library's pipe.
            ///
            /// # Errors
            ///
            /// - The system's, if the pipe cannot be put into non-blocking mode.
            ///
            /// # Panics
            ///
            /// Panics outside a runtime.
            #[track_caller]
            pub fn from_std(pipe: process::$type) -> io::Result<Self> {
                Self::new(pipe, Handle::current().driver())
            }

            /// The pipe itself, in blocking mode, as another [`Command`](super::Command) wants to
            /// have it.
            ///
            /// # Errors
            ///
            /// - The system's, if it cannot be taken out of the driver or put into blocking mode.
            pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
                unwatch(self.pipe)
            }
        }

        impl AsyncRead for &$type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let len = buf.len();
                if len == 0 {
                    return Poll::Ready(Ok(0));
                }
                self.pipe.poll_stream(cx, Direction::Read, len, |mut pipe| pipe.read(buf))
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                let len = bufs.iter().map(|buf| buf.len()).sum();
                if len == 0 {
                    return Poll::Ready(Ok(0));
                }
                self.pipe.poll_stream(cx, Direction::Read, len, |mut pipe| pipe.read_vectored(bufs))
            }
        }

        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut &*self).poll_read(cx, buf)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut &*self).poll_read_vectored(cx, bufs)
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.pipe.as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.pipe.as_raw_fd()
            }
        }

        impl TryFrom<$type> for Stdio {
            type Error = io::Error;

            fn try_from(pipe: $type) -> io::Result<Stdio> {
                pipe.into_owned_fd().map(Stdio::from)
            }
        }
    };
}

reading!(ChildStdout);
reading!(ChildStderr);
