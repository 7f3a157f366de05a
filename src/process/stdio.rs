//! The parent's ends of a child's pipes.
//!
//! A read or write of fewer bytes than asked does not mean that a pipe is empty or full: whoever
//! has the other end may have put it into packet mode, and what is taken from the standard library
//! may be a terminal or a socket. So each is tried until the system says that it would block.

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
///
/// # Examples
///
/// ```
/// use tenter::io::AsyncWriteExt;
/// use tenter::process::{Command, Stdio};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut sort =
///         Command::new("sort").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
///     let mut stdin = sort.stdin.take().expect("it is a pipe");
///     stdin.write_all(b"b\na\n").await?;
///     // `sort` says nothing before the end of its input.
///     stdin.close().await?;
///     assert_eq!(sort.wait_with_output().await?.stdout, b"a\nb\n");
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct ChildStdin {
    /// `None` once it is closed.
    pipe: Option<Async<File>>,
}

/// A pipe from the child's standard output.
///
/// # Examples
///
/// ```
/// use futures_lite::StreamExt;
/// use tenter::io::{AsyncBufReadExt, BufReader};
/// use tenter::process::{Command, Stdio};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut child = Command::new("printf").arg("one\\ntwo\\n").stdout(Stdio::piped()).spawn()?;
///     let mut lines = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
///     assert_eq!(lines.try_next().await?.as_deref(), Some("one"));
///     assert_eq!(lines.try_next().await?.as_deref(), Some("two"));
///     assert_eq!(lines.try_next().await?, None);
///     assert!(child.wait().await?.success());
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
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
        pipe.poll_op(cx, Direction::Write, |mut pipe| pipe.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let pipe = self.pipe()?;
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        pipe.poll_op(cx, Direction::Write, |mut pipe| pipe.write_vectored(bufs))
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
                if buf.is_empty() {
                    return Poll::Ready(Ok(0));
                }
                self.pipe.poll_op(cx, Direction::Read, |mut pipe| pipe.read(buf))
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                if bufs.iter().all(|buf| buf.is_empty()) {
                    return Poll::Ready(Ok(0));
                }
                self.pipe.poll_op(cx, Direction::Read, |mut pipe| pipe.read_vectored(bufs))
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
