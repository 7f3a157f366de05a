//! One TCP connection.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockAddr, SockRef, Socket};

use crate::driver::{Direction, Driver};
use crate::io::{Async, Interest, Readable, Ready, Writable};
use crate::primitive::Arc;
use crate::runtime::Handle;

use super::addrs::resolve;
use super::connect::connect;
use super::duplex::{Duplex, duplex};
use super::forward::{forward_read, forward_write};
use super::methods::{conversions, readiness};
use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::{ToSocketAddrs, sys};

/// A TCP connection.
///
/// Reading and writing go through [`AsyncRead`](crate::io::AsyncRead) and
/// [`AsyncWrite`](crate::io::AsyncWrite), for the stream and for references to it; closing the
/// writer shuts the write half down, and dropping the stream closes the connection. One task may
/// read while another writes; [`split`](TcpStream::split) and [`into_split`](TcpStream::into_split)
/// give each its half as a value.
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
    /// Connects to `addr`; to the first that answers, if there are several.
    ///
    /// Several addresses are tried in their order, IPv4 and IPv6 in turn (Happy Eyeballs, RFC
    /// 8305): 250 ms after an attempt began, or as soon as one fails, the next begins beside it.
    /// The first to succeed is taken, and the others are closed. So an address that does not answer
    /// costs a quarter of a second, and not the minutes until its attempt fails.
    ///
    /// # Errors
    ///
    /// - What [`lookup_host`](super::lookup_host) returns.
    /// - The system's, among them [`io::ErrorKind::ConnectionRefused`]. When several addresses
    ///   have failed, the error has the kind of the last failure, and its message has all of them.
    /// - [`io::ErrorKind::InvalidInput`] if there is no address at all.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the attempts end and their sockets are closed.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        connect(resolve(&addr).await?).await
    }

    /// Takes a connection that is non-blocking already.
    pub(super) fn from_nonblocking(stream: std::net::TcpStream, driver: &Arc<Driver>) -> TcpStream {
        TcpStream { io: Async::with_driver(stream, Arc::clone(driver)) }
    }

    /// Takes the error that the system holds for the socket, if any.
    ///
    /// # Errors
    ///
    /// The system's, if the option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }

    /// A read that was shorter than asked has taken all there was.
    #[inline]
    fn poll_read_op(
        &self,
        cx: &mut Context<'_>,
        asked: usize,
        read: impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.io.poll_stream(cx, Direction::Read, asked, read)
    }

    fn peek_now(stream: &std::net::TcpStream, buf: &mut [u8]) -> io::Result<usize> {
        stream.peek(buf)
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

duplex!(TcpStream, std::net::TcpStream, SocketAddr);
conversions!(TcpStream, std::net::TcpStream, |io| TcpStream { io }, |stream| stream.io);
readiness! {
    TcpStream, std::net::TcpStream,
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
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    assert::<TcpStream>();
};
