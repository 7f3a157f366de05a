//! A TCP socket before it is a stream or a listener.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::stream::connect_socket;
use super::{TcpListener, TcpStream, sys};

/// A TCP socket that is neither connected nor listening yet, to set options on.
///
/// What [`TcpStream::connect`] and [`TcpListener::bind`] do in one call, in steps.
///
/// # Examples
///
/// ```
/// use tenter::net::TcpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let socket = TcpSocket::new_v4()?;
///     socket.set_reuseaddr(true)?;
///     socket.set_recv_buffer_size(64 * 1024)?;
///     socket.bind("127.0.0.1:0".parse().unwrap())?;
///     let listener = socket.listen(128)?;
///
///     let socket = TcpSocket::new_v4()?;
///     socket.set_nodelay(true)?;
///     let stream = socket.connect(listener.local_addr()?).await?;
///     assert!(stream.nodelay()?);
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    socket: Socket,
}

impl TcpSocket {
    /// Makes a socket for IPv4 addresses, non-blocking and closed on `exec`.
    ///
    /// # Errors
    ///
    /// The system's, among them that no descriptor is free.
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV4)
    }

    /// Makes a socket for IPv6 addresses, non-blocking and closed on `exec`.
    ///
    /// # Errors
    ///
    /// The system's, among them that no descriptor is free.
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV6)
    }

    /// Makes a socket for addresses like `addr`.
    pub(super) fn new_for(addr: &SocketAddr) -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::for_address(*addr))
    }

    fn new(domain: Domain) -> io::Result<TcpSocket> {
        let socket = sys::nonblocking(domain, Type::STREAM, Some(Protocol::TCP))?;
        Ok(TcpSocket { socket })
    }

    /// Takes a socket of the standard library, connected or not, for its options.
    ///
    /// # Errors
    ///
    /// The system's, if the socket cannot be made non-blocking.
    pub fn from_std_stream(stream: std::net::TcpStream) -> io::Result<TcpSocket> {
        stream.set_nonblocking(true)?;
        Ok(TcpSocket { socket: stream.into() })
    }

    /// Gives the socket a local address.
    ///
    /// # Errors
    ///
    /// The system's, among them [`io::ErrorKind::AddrInUse`] and
    /// [`io::ErrorKind::AddrNotAvailable`].
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.socket.bind(&SockAddr::from(addr))
    }

    /// Connects to `addr`.
    ///
    /// # Errors
    ///
    /// The system's, among them [`io::ErrorKind::ConnectionRefused`] and
    /// [`io::ErrorKind::TimedOut`].
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// The socket is closed with the future: the attempt ends.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        connect_socket(self.socket, &addr).await
    }

    /// Listens, with room for `backlog` connections that nobody has accepted yet. The system has an
    /// upper bound of its own (`net.core.somaxconn`).
    ///
    /// # Errors
    ///
    /// The system's, among them [`io::ErrorKind::AddrInUse`].
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_nonblocking(self.socket.into())
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let addr = self.socket.local_addr()?;
        addr.as_socket().ok_or_else(|| io::Error::other("the socket is not one of IPv4 or IPv6"))
    }

    /// Takes the error that the system holds for the socket, if any.
    ///
    /// # Errors
    ///
    /// The system's, if the option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }
}

/// Options. Each is one system call, and its errors are the system's.
impl TcpSocket {
    /// Lets the local address be bound while connections of an earlier socket linger on it
    /// (`SO_REUSEADDR`).
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.socket.set_reuse_address(reuseaddr)
    }

    /// The value of `SO_REUSEADDR`.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        self.socket.reuse_address()
    }

    /// Lets several sockets listen on one address, with connections spread over them
    /// (`SO_REUSEPORT`).
    #[cfg(not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))]
    pub fn set_reuseport(&self, reuseport: bool) -> io::Result<()> {
        self.socket.set_reuse_port(reuseport)
    }

    /// The value of `SO_REUSEPORT`.
    #[cfg(not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))]
    pub fn reuseport(&self) -> io::Result<bool> {
        self.socket.reuse_port()
    }

    /// Sends small packets at once instead of gathering them (`TCP_NODELAY`).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_tcp_nodelay(nodelay)
    }

    /// The value of `TCP_NODELAY`.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.tcp_nodelay()
    }

    /// Lets the system probe an idle connection (`SO_KEEPALIVE`).
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.socket.set_keepalive(keepalive)
    }

    /// The value of `SO_KEEPALIVE`.
    pub fn keepalive(&self) -> io::Result<bool> {
        self.socket.keepalive()
    }

    /// Sets the size of the send buffer in bytes (`SO_SNDBUF`). Linux doubles it.
    pub fn set_send_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.socket.set_send_buffer_size(size(bytes))
    }

    /// The size of the send buffer in bytes.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        self.socket.send_buffer_size().map(size_u32)
    }

    /// Sets the size of the receive buffer in bytes (`SO_RCVBUF`). Linux doubles it.
    pub fn set_recv_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.socket.set_recv_buffer_size(size(bytes))
    }

    /// The size of the receive buffer in bytes.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        self.socket.recv_buffer_size().map(size_u32)
    }

    /// How long closing the socket waits for unsent data (`SO_LINGER`): `None` is the system's
    /// way, in the background; zero resets the connection.
    ///
    /// A duration above zero makes the thread that drops the stream wait; it counts in seconds.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.socket.set_linger(linger)
    }

    /// The value of `SO_LINGER`.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket.linger()
    }
}

/// The kernel takes an `int`: what is beyond means its maximum.
pub(super) fn size(bytes: u32) -> usize {
    bytes.min(i32::MAX as u32) as usize
}

pub(super) fn size_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl From<TcpSocket> for OwnedFd {
    fn from(socket: TcpSocket) -> OwnedFd {
        socket.socket.into()
    }
}

/// The socket of a stream or listener keeps its state: connected stays connected.
impl From<TcpSocket> for std::net::TcpStream {
    fn from(socket: TcpSocket) -> std::net::TcpStream {
        socket.socket.into()
    }
}

impl TryFrom<OwnedFd> for TcpSocket {
    type Error = io::Error;

    /// Takes a descriptor that is a TCP socket, and makes it non-blocking.
    fn try_from(fd: OwnedFd) -> io::Result<TcpSocket> {
        let socket = Socket::from(fd);
        socket.set_nonblocking(true)?;
        Ok(TcpSocket { socket })
    }
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    assert::<TcpSocket>();
};
