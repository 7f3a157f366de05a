//! One TCP connection.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use socket2::{SockAddr, SockRef, Socket};

use crate::driver::{Direction, Driver};
use crate::io::{Async, Interest, Readable, Ready, Writable};
use crate::primitive::Arc;
use crate::runtime::Handle;

use super::addrs::resolve;
use super::forward::{forward_read, forward_write};
use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::{TcpSocket, ToSocketAddrs, sys};

/// A TCP connection.
///
/// Reading and writing go through [`AsyncRead`] and [`AsyncWrite`], for the stream and for
/// references to it; closing the writer shuts the write half down, and dropping the stream closes
/// the connection. One task may read while another writes; [`split`](TcpStream::split) and
/// [`into_split`](TcpStream::into_split) give each its half as a value.
///
/// A read of zero bytes returns 0 at once. A read that returns 0 otherwise is the end of the
/// stream.
///
/// # Cancel safety
///
/// A single read or write through the traits is cancel safe: what is not returned was not read, and
/// what is not acknowledged was not written. Compound operations of the extension traits, such as
/// `read_exact` and `write_all`, are not.
///
/// # Examples
///
/// ```no_run
/// use tenter::io::{AsyncReadExt, AsyncWriteExt};
/// use tenter::net::TcpStream;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut stream = TcpStream::connect(("example.com", 80)).await?;
///     stream.write_all(b"GET / HTTP/1.0\r\nHost: example.com\r\n\r\n").await?;
///     let mut page = Vec::new();
///     stream.read_to_end(&mut page).await?;
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct TcpStream {
    io: Async<std::net::TcpStream>,
}

impl TcpStream {
    /// Connects to `addr`; to the first that answers, one after the other, if there are several.
    ///
    /// # Errors
    ///
    /// - What [`lookup_host`](super::lookup_host) returns.
    /// - The system's for the last address tried, among them
    ///   [`io::ErrorKind::ConnectionRefused`].
    /// - [`io::ErrorKind::InvalidInput`] if there is no address at all.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the attempt ends and its socket is closed.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let mut last = None;
        for addr in resolve(&addr).await? {
            match TcpStream::connect_to(addr).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "there is no address to connect to")
        }))
    }

    async fn connect_to(addr: SocketAddr) -> io::Result<TcpStream> {
        TcpSocket::new_for(&addr)?.connect(addr).await
    }

    /// Takes a connection of the standard library and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// The system's, if it cannot be made non-blocking.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream { io: Async::new(stream)? })
    }

    /// Takes a connection that is non-blocking already.
    pub(super) fn from_nonblocking(stream: std::net::TcpStream, driver: &Arc<Driver>) -> TcpStream {
        TcpStream { io: Async::with_driver(stream, Arc::clone(driver)) }
    }

    /// Gives the connection back to the standard library, still non-blocking.
    ///
    /// # Errors
    ///
    /// The system's, if it cannot be taken out of the driver.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.io.into_inner()
    }

    /// Splits the stream into halves that borrow it.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::borrow(self)
    }

    /// Splits the stream into halves that can go to different tasks.
    ///
    /// Dropping the write half shuts the connection's write half down, and
    /// [`OwnedReadHalf::reunite`] makes one stream of both again.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::own(self)
    }

    /// Waits until the stream is readable: there is data, or its end, or an error.
    ///
    /// Any number of tasks may wait at once.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Other`] if the runtime was shut down, and what the system says about a
    /// descriptor that it cannot watch.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use tenter::io::AsyncWriteExt;
    /// use tenter::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// tenter::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (server, _) = listener.accept().await?;
    ///     client.write_all(b"x").await?;
    ///
    ///     let mut buffer = [0; 16];
    ///     let read = loop {
    ///         server.readable().await?;
    ///         match server.try_read(&mut buffer) {
    ///             Err(error) if error.kind() == ErrorKind::WouldBlock => {}
    ///             read => break read?,
    ///         }
    ///     };
    ///     assert_eq!(&buffer[..read], b"x");
    ///     std::io::Result::Ok(())
    /// })?
    /// # }
    /// ```
    pub fn readable(&self) -> Readable<'_, std::net::TcpStream> {
        self.io.readable()
    }

    /// Waits until the stream is writable: there is room for data, or an error.
    ///
    /// Any number of tasks may wait at once. Errors and cancel safety are those of
    /// [`readable`](TcpStream::readable).
    pub fn writable(&self) -> Writable<'_, std::net::TcpStream> {
        self.io.writable()
    }

    /// Waits until one direction of `interest` can go on, and tells which.
    ///
    /// Errors and cancel safety are those of [`readable`](TcpStream::readable).
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.io.ready(interest).await
    }

    /// Polls for readability. One task is remembered: the last to have polled this direction.
    ///
    /// # Errors
    ///
    /// Those of [`readable`](TcpStream::readable).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_readable(cx)
    }

    /// Polls for writability. One task is remembered: the last to have polled this direction.
    ///
    /// # Errors
    ///
    /// Those of [`readable`](TcpStream::readable).
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_writable(cx)
    }

    /// Reads what is there, without waiting.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::WouldBlock`] if nothing is.
    /// - The system's, as it came.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len();
        if len == 0 {
            return Ok(0);
        }
        self.io.try_op(Direction::Read, |mut stream| stream.read(buf))
    }

    /// Reads what is there into several buffers, without waiting.
    ///
    /// # Errors
    ///
    /// Those of [`try_read`](TcpStream::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let len = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if len == 0 {
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
    /// Those of [`try_write`](TcpStream::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if len == 0 {
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
    /// The system's, as it came.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.io.op(Direction::Read, |stream| stream.peek(buf)).await
    }

    /// Polls [`peek`](TcpStream::peek). One task is remembered: the last to have polled this
    /// direction.
    ///
    /// # Errors
    ///
    /// The system's, as it came.
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.io.poll_op(cx, Direction::Read, |stream| stream.peek(buf))
    }

    /// Shuts one half of the connection down, or both.
    ///
    /// # Errors
    ///
    /// The system's, among them [`io::ErrorKind::NotConnected`] after the peer has reset the
    /// connection.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// The system's, among them [`io::ErrorKind::NotConnected`].
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }

    /// Takes the error that the system holds for the socket, if any.
    ///
    /// # Errors
    ///
    /// The system's, if the option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }
}

/// Options. Each is one system call, and its errors are the system's.
impl TcpStream {
    /// Whether small packets are sent at once instead of being gathered (`TCP_NODELAY`).
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.get_ref().nodelay()
    }

    /// Sends small packets at once instead of gathering them.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.get_ref().set_nodelay(nodelay)
    }

    /// The time to live of packets, in hops (`IP_TTL`).
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().ttl()
    }

    /// Sets the time to live of packets, in hops.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        self.io.get_ref().set_ttl(hops)
    }

    /// How long closing waits for unsent data (`SO_LINGER`); `None` is the system's way, in the
    /// background.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
    }

    /// Sets how long closing waits for unsent data, in whole seconds; zero makes the close a reset.
    ///
    /// A duration above zero makes the thread that drops the stream wait.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(linger)
    }
}

/// Connects `socket`, which is non-blocking, and waits for the outcome.
pub(super) async fn connect_socket(socket: Socket, addr: &SocketAddr) -> io::Result<TcpStream> {
    let attempt = socket.connect(&SockAddr::from(*addr));
    let stream = TcpStream::from_nonblocking(socket.into(), Handle::current().driver());
    match attempt {
        Ok(()) => {}
        Err(error) if sys::is_in_progress(&error) => {
            stream.io.op(Direction::Write, check_established).await?;
        }
        Err(error) => return Err(error),
    }
    Ok(stream)
}

/// How a connection attempt stands; [`io::ErrorKind::WouldBlock`] while it goes on.
///
/// On one's own machine it has mostly ended already, and no event has to be waited for.
fn check_established(stream: &std::net::TcpStream) -> io::Result<()> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}

impl AsyncRead for &TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = buf.len();
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        self.io.poll_stream(cx, Direction::Read, len, |mut stream| stream.read(buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        self.io.poll_stream(cx, Direction::Read, len, |mut stream| stream.read_vectored(bufs))
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.io.poll_stream(cx, Direction::Write, buf.len(), |mut stream| stream.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        self.io.poll_stream(cx, Direction::Write, len, |mut stream| stream.write_vectored(bufs))
    }

    /// Does nothing: what was written is the system's.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts the write half down. That the connection is gone already is no error.
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

forward_read!(TcpStream, this => this);
forward_write!(TcpStream, this => this);

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_fd().as_raw_fd()
    }
}

impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    fn try_from(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(stream)
    }
}

impl TryFrom<TcpStream> for OwnedFd {
    type Error = io::Error;

    fn try_from(stream: TcpStream) -> io::Result<OwnedFd> {
        stream.into_std().map(OwnedFd::from)
    }
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    assert::<TcpStream>();
};
