//! Streams, between the traits of futures-io and those of hyper.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use pin_project_lite::pin_project;

/// Fewest bytes a read asks the stream for: a request head fits.
const READ_MIN: usize = 2 * 1024;

/// Most bytes a read asks the stream for: the most that hyper offers by default.
const READ_MAX: usize = 512 * 1024;

pin_project! {
    /// Makes a stream of `tenter` one of hyper, and one of hyper a stream for `tenter`.
    ///
    /// Around a type that is futures-io's `AsyncRead` and `AsyncWrite`, such as
    /// `tenter::net::TcpStream`, it is [`hyper::rt::Read`](Read) and [`hyper::rt::Write`](Write): what
    /// `serve_connection` and `handshake` take. Around a type of hyper, such as
    /// `hyper::upgrade::Upgraded`, it is the other way round.
    ///
    /// hyper's `poll_shutdown` and futures-io's `poll_close` are the same: both end the write half.
    /// Vectored writes are passed on as such; see [`TenterIo::set_write_vectored`].
    ///
    /// # Reading into memory that is not initialised
    ///
    /// hyper offers buffers of up to some hundred KiB that are not initialised, and forgets from one
    /// read to the next what was. A futures-io stream reads into initialised bytes only. So a read
    /// asks for no more than twice what the stream gave before, within 2 KiB and 512 KiB,
    /// and only that much is zeroed: the cost follows the bytes that come, not the buffer.
    #[derive(Clone, Debug)]
    pub struct TenterIo<T> {
        #[pin]
        inner: T,
        read_size: usize,
        write_vectored: bool,
    }
}

impl<T> TenterIo<T> {
    /// Wraps `inner`.
    pub fn new(inner: T) -> TenterIo<T> {
        TenterIo { inner, read_size: READ_MIN, write_vectored: true }
    }

    /// Tells hyper whether the stream writes several buffers in one call.
    ///
    /// It does by default, as `tenter`'s streams do. futures-io has no question to ask a stream, and
    /// one that would write only the first buffer (a TLS stream, often) is better off without: hyper
    /// then joins small buffers before it writes.
    pub fn set_write_vectored(&mut self, vectored: bool) {
        self.write_vectored = vectored;
    }

    /// Returns a reference to the stream.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Returns a mutable reference to the stream.
    pub fn inner_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Gives the stream back.
    ///
    /// Nothing is lost: the wrapper holds no bytes.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

/// Returns how much the next read asks for, after one that gave `given` of `asked` bytes.
fn next_read_size(current: usize, asked: usize, given: usize) -> usize {
    if given == asked && asked == current {
        (current * 2).min(READ_MAX)
    } else if given < current / 4 {
        (current / 2).max(READ_MIN)
    } else {
        current
    }
}

impl<T: AsyncRead> Read for TenterIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let asked = buf.remaining().min(*this.read_size);
        let given = ready!(this.inner.poll_read(cx, buf.initialize_unfilled_to(asked)))?;
        assert!(given <= asked, "the stream says it read {given} bytes into {asked}");
        *this.read_size = next_read_size(*this.read_size, asked, given);
        // SAFETY: 1: `given` is at most `asked`, and that many bytes were initialised above.
        unsafe { buf.advance(given) };
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite> Write for TenterIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_close(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.write_vectored
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }
}

impl<T: Read> AsyncRead for TenterIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(self.project().inner.poll_read(cx, buf.unfilled()))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl<T: Write> AsyncWrite for TenterIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}
