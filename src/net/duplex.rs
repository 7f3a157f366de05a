//! What TCP and Unix streams have in common.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use crate::io::Async;

/// Buffers that one system call takes (`IOV_MAX`); the standard library leaves out the others.
const BUFS_MAX: usize = 1024;

/// The streams of this module, as their halves see them.
pub trait Duplex: fmt::Debug {
    /// The stream of the standard library inside.
    type Std: AsFd;
    /// What the ends are called.
    type Addr;

    /// The driven stream.
    fn as_async(&self) -> &Async<Self::Std>;

    /// Reads, as `AsyncRead` does.
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads into several buffers, as `AsyncRead` does.
    fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Writes, as `AsyncWrite` does.
    fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;

    /// Writes from several buffers, as `AsyncWrite` does.
    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Reads without waiting.
    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes without waiting.
    fn try_write(&self, buf: &[u8]) -> io::Result<usize>;

    /// Reads without taking, and without waiting.
    fn peek_now(stream: &Self::Std, buf: &mut [u8]) -> io::Result<usize>;

    /// Shuts one half down, or both.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// The address of this end.
    fn local_addr(&self) -> io::Result<Self::Addr>;

    /// The address of the other end.
    fn peer_addr(&self) -> io::Result<Self::Addr>;

    /// Shuts the write half down; that the connection is gone already is no error.
    fn close(&self) -> io::Result<()> {
        match self.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }
}

/// Bytes that one system call can move to or from these buffers.
pub(super) fn asked(bufs: &[impl Deref<Target = [u8]>]) -> usize {
    bufs.iter().take(BUFS_MAX).fold(0, |sum, buf| sum.saturating_add(buf.len()))
}

/// Gives `$type`, a struct with an `Async<$std>` called `io`, what all streams have.
///
/// Two private functions are its own: `poll_read_op`, which does a read as [`Async::poll_op`]
/// does, and `peek_now`, as in [`Duplex`].
macro_rules! duplex {
    ($type:ident, $std:ty, $addr:ty) => {
        impl $type {
            /// Splits the stream into halves that borrow it; there is an example at [`ReadHalf`].
            pub fn split(&mut self) -> (ReadHalf<'_, $type>, WriteHalf<'_, $type>) {
                split::borrow(self)
            }

            /// Splits the stream into halves that can go to different tasks.
            ///
            /// Dropping the write half shuts the connection's write half down, and
            /// [`OwnedReadHalf::reunite`] makes one stream of both again. There is an example
            /// at [`OwnedReadHalf`].
            pub fn into_split(self) -> (OwnedReadHalf<$type>, OwnedWriteHalf<$type>) {
                split::own(self)
            }

            /// Reads what is there, without waiting.
            ///
            /// # Errors
            ///
            /// - [`io::ErrorKind::WouldBlock`] if nothing is.
            /// - The system's, as it came.
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                if buf.is_empty() {
                    return Ok(0);
                }
                self.io.try_op(Direction::Read, |mut stream| stream.read(buf))
            }

            /// Reads what is there into several buffers, without waiting.
            ///
            /// # Errors
            ///
            /// Those of [`try_read`](Self::try_read).
            pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                if bufs.iter().all(|buf| buf.is_empty()) {
                    return Ok(0);
                }
                self.io.try_op(Direction::Read, |mut stream| stream.read_vectored(bufs))
            }

            /// Writes what there is room for, without waiting.
            ///
            /// # Errors
            ///
            /// - [`io::ErrorKind::WouldBlock`] if there is none.
            /// - The system's, as it came.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                if buf.is_empty() {
                    return Ok(0);
                }
                self.io.try_op(Direction::Write, |mut stream| stream.write(buf))
            }

            /// Writes what there is room for from several buffers, without waiting.
            ///
            /// # Errors
            ///
            /// Those of [`try_write`](Self::try_write).
            pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                if bufs.iter().all(|buf| buf.is_empty()) {
                    return Ok(0);
                }
                self.io.try_op(Direction::Write, |mut stream| stream.write_vectored(bufs))
            }

            /// Reads without taking: the next read sees the same bytes again.
            ///
            /// Any number of tasks may wait at once. 0 is the end of the stream, or an empty `buf`.
            ///
            /// # Errors
            ///
            /// - [`io::ErrorKind::Unsupported`] for a Unix stream on a system other than Linux.
            /// - The system's, as it came.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe.
            pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
                if buf.is_empty() {
                    return Ok(0);
                }
                self.io.op(Direction::Read, |stream| $type::peek_now(stream, buf)).await
            }

            /// Polls [`peek`](Self::peek). One task is remembered: the last to have polled this
            /// direction.
            ///
            /// # Errors
            ///
            /// Those of [`peek`](Self::peek).
            pub fn poll_peek(
                &self,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                if buf.is_empty() {
                    return Poll::Ready(Ok(0));
                }
                self.io.poll_op(cx, Direction::Read, |stream| $type::peek_now(stream, buf))
            }

            /// Shuts one half of the connection down, or both.
            ///
            /// # Errors
            ///
            /// The system's, among them [`io::ErrorKind::NotConnected`] after the peer has reset
            /// the connection.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.io.get_ref().shutdown(how)
            }

            /// The address of this end.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn local_addr(&self) -> io::Result<$addr> {
                self.io.get_ref().local_addr()
            }

            /// The address of the other end.
            ///
            /// # Errors
            ///
            /// The system's, among them [`io::ErrorKind::NotConnected`].
            pub fn peer_addr(&self) -> io::Result<$addr> {
                self.io.get_ref().peer_addr()
            }
        }

        impl Duplex for $type {
            type Std = $std;
            type Addr = $addr;

            fn as_async(&self) -> &Async<$std> {
                &self.io
            }

            fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
                let len = buf.len();
                if len == 0 {
                    return Poll::Ready(Ok(0));
                }
                self.poll_read_op(cx, len, |mut stream| stream.read(buf))
            }

            fn poll_read_vectored(
                &self,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                let len = crate::net::duplex::asked(bufs);
                if len == 0 {
                    return Poll::Ready(Ok(0));
                }
                self.poll_read_op(cx, len, |mut stream| stream.read_vectored(bufs))
            }

            fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                let len = buf.len();
                if len == 0 {
                    return Poll::Ready(Ok(0));
                }
                self.io.poll_stream(cx, Direction::Write, len, |mut stream| stream.write(buf))
            }

            fn poll_write_vectored(
                &self,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let len = crate::net::duplex::asked(bufs);
                if len == 0 {
                    return Poll::Ready(Ok(0));
                }
                let write = |mut stream: &$std| stream.write_vectored(bufs);
                self.io.poll_stream(cx, Direction::Write, len, write)
            }

            fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.try_read(buf)
            }

            fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.try_write(buf)
            }

            fn peek_now(stream: &$std, buf: &mut [u8]) -> io::Result<usize> {
                $type::peek_now(stream, buf)
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.shutdown(how)
            }

            fn local_addr(&self) -> io::Result<$addr> {
                self.local_addr()
            }

            fn peer_addr(&self) -> io::Result<$addr> {
                self.peer_addr()
            }
        }

        forward_read!([] $type, this => this);
        forward_write!([] $type, this => this);
        forward_read!([] &$type, this => *this);
        forward_write!([] &$type, this => *this);
    };
}

pub(super) use duplex;
