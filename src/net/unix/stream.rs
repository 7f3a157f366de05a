//! One connection between processes of a machine.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll};

use crate::driver::{Direction, Driver};
use crate::io::{Async, Interest, Readable, Ready, Writable};
use crate::net::duplex::{Duplex, duplex};
use crate::net::forward::{forward_read, forward_write};
use crate::net::methods::{conversions, readiness};
use crate::net::pauses::Pauses;
use crate::net::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::sys;
use crate::primitive::Arc;
use crate::runtime::Handle;

use super::addr::to_socket2;

/// A connection between processes of one machine.
///
/// What is said of [`TcpStream`](crate::net::TcpStream) holds here too: reading and writing go
/// through [`AsyncRead`](crate::io::AsyncRead) and [`AsyncWrite`](crate::io::AsyncWrite), by value
/// and by reference; closing the writer shuts the write half down; one task may read while another
/// writes; and a single read or write is cancel safe.
///
/// If the peer closes its end before it has read everything, the next read here is
/// [`io::ErrorKind::ConnectionReset`], once what it sent has been read.
///
/// # Descriptors
///
/// [`send_with_fds`](UnixStream::send_with_fds) and [`recv_with_fds`](UnixStream::recv_with_fds)
/// pass descriptors along with bytes. Any other read drops the descriptors that came with what it
/// reads: the system closes them.
///
/// # Examples
///
/// ```
/// use tenter::io::{AsyncReadExt, AsyncWriteExt};
/// use tenter::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let (mut one, mut other) = UnixStream::pair()?;
///     one.write_all(b"hello").await?;
///     one.close().await?;
///     let mut text = String::new();
///     other.read_to_string(&mut text).await?;
///     assert_eq!(text, "hello");
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct UnixStream {
    io: Async<net::UnixStream>,
}

impl UnixStream {
    /// Connects to the listener at `path`.
    ///
    /// While the listener's backlog is full the system refuses without a word of when it will not:
    /// this tries again after pauses, 200 µs at first and at most 25 ms, for as long as the backlog
    /// stays full. [`timeout`](crate::time::timeout) bounds that.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::NotFound`] if there is nothing at the path.
    /// - [`io::ErrorKind::ConnectionRefused`] if nobody listens there, or no stream does.
    /// - [`io::ErrorKind::InvalidInput`] if the path has a NUL byte or is too long for the system.
    /// - The system's.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the socket is closed with the future.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&SocketAddr::from_pathname(path)?).await
    }

    /// Connects to the listener at `addr`, which may be an abstract name.
    ///
    /// Otherwise like [`connect`](UnixStream::connect);
    /// [`UnixListener::bind_addr`](super::UnixListener::bind_addr) has an example.
    pub async fn connect_addr(addr: &SocketAddr) -> io::Result<UnixStream> {
        let addr = to_socket2(addr)?;
        let driver = Arc::clone(Handle::current().driver());
        let socket = sys::unix_stream()?;
        let mut pauses = Pauses::new();
        // Ends: when the listener accepts, or is closed; the pauses let it.
        loop {
            match socket.connect(&addr) {
                Ok(()) => return Ok(UnixStream::from_nonblocking(socket.into(), &driver)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    pauses.wait(&driver).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes two streams that are connected with each other.
    ///
    /// # Errors
    ///
    /// The system's, among them that no descriptor is free.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = net::UnixStream::pair()?;
        Ok((UnixStream::from_std(one)?, UnixStream::from_std(other)?))
    }

    /// Who is at the other end: the process that called `connect`, or `listen`, or made the pair,
    /// as it was then.
    ///
    /// Linux only.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// tenter::run(async {
    ///     let (one, _other) = tenter::net::UnixStream::pair()?;
    ///     assert_eq!(one.peer_cred()?.pid(), Some(std::process::id() as i32));
    ///     std::io::Result::Ok(())
    /// })?
    /// # }
    /// ```
    #[cfg(target_os = "linux")]
    pub fn peer_cred(&self) -> io::Result<super::UCred> {
        super::UCred::of_peer(self.as_fd())
    }

    /// Takes the error that the system holds for the socket, if any.
    ///
    /// # Errors
    ///
    /// The system's, if the option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    /// Takes a connection that is non-blocking already.
    pub(super) fn from_nonblocking(stream: net::UnixStream, driver: &Arc<Driver>) -> UnixStream {
        UnixStream { io: Async::with_driver(stream, Arc::clone(driver)) }
    }

    /// A read stops short where a descriptor was sent, with more behind it: it has not taken all.
    #[inline]
    fn poll_read_op(
        &self,
        cx: &mut Context<'_>,
        _asked: usize,
        read: impl FnMut(&net::UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.io.poll_op(cx, Direction::Read, read)
    }

    fn peek_now(stream: &net::UnixStream, buf: &mut [u8]) -> io::Result<usize> {
        sys::peek_unix(stream, buf)
    }
}

duplex!(UnixStream, net::UnixStream, SocketAddr);
conversions!(UnixStream, net::UnixStream, |io| UnixStream { io }, |stream| stream.io);
readiness!(UnixStream, net::UnixStream,);

const _: () = {
    const fn assert<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    assert::<UnixStream>();
};
