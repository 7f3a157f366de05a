//! A UDP socket.

use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll};

use crate::driver::Direction;
use crate::io::{Async, Interest, Readable, Ready, Writable};
use crate::net::ToSocketAddrs;
use crate::net::addrs::resolve;
use crate::net::methods::{conversions, readiness};

use super::batch::Deferred;

/// A UDP socket.
///
/// Any number of tasks may send and receive at once through references to it; each datagram goes to
/// one of those that receive. The `poll_` methods remember one task a direction.
///
/// A datagram longer than the buffer that receives it is cut: the rest is lost, without an error.
/// One of no bytes is a datagram like any other, and not an end.
///
/// # Connected, or not
///
/// A socket that is [connected](UdpSocket::connect) receives from its peer alone, and learns when
/// the peer's machine says that nobody listens there: the next call, whether it sends or receives,
/// is [`io::ErrorKind::ConnectionRefused`]. The socket goes on working after that. A socket that is
/// not connected does not hear of such things.
///
/// # Examples
///
/// ```
/// use tenter::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.connect(server.local_addr()?).await?;
///
///     client.send(b"ping").await?;
///     let mut buffer = [0; 1500];
///     let (len, from) = server.recv_from(&mut buffer).await?;
///     assert_eq!(&buffer[..len], b"ping");
///     server.send_to(b"pong", from).await?;
///     assert_eq!(client.recv(&mut buffer).await?, 4);
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    pub(super) io: Async<net::UdpSocket>,
    /// Errors that ended batches early.
    pub(super) deferred: Deferred,
}

impl UdpSocket {
    /// Makes a socket with the local address `addr`; port 0 lets the system choose one.
    ///
    /// Of several addresses the first that can be bound is taken. For options that must be set
    /// before, make the socket otherwise, with `socket2` for one, and take it with
    /// [`from_std`](UdpSocket::from_std).
    ///
    /// # Errors
    ///
    /// - What [`lookup_host`](crate::net::lookup_host) returns.
    /// - The system's for the last address tried, among them [`io::ErrorKind::AddrInUse`].
    /// - [`io::ErrorKind::InvalidInput`] if there is no address at all.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        let mut last = None;
        for addr in resolve(&addr).await? {
            match net::UdpSocket::bind(addr) {
                Ok(socket) => return UdpSocket::from_std(socket),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| no_address("there is no address to bind to")))
    }

    /// Connects to `addr`: [`send`](UdpSocket::send) goes there, and nothing is received from
    /// others.
    ///
    /// Nothing is sent by this. Of several addresses the first that the system can connect to is
    /// taken; of what a name resolves to, that is the first of the socket's family.
    ///
    /// # Errors
    ///
    /// - What [`lookup_host`](crate::net::lookup_host) returns.
    /// - The system's for the last address tried.
    /// - [`io::ErrorKind::InvalidInput`] if there is no address at all.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let mut last = None;
        for addr in resolve(&addr).await? {
            match self.io.get_ref().connect(addr) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| no_address("there is no address to connect to")))
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// The address that the socket is connected to.
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

    /// Does `op` once if the socket may be ready for `interest`, and returns
    /// [`io::ErrorKind::WouldBlock`] else.
    ///
    /// For system calls that are not here: see [`Async::try_io`]. `op` must return `WouldBlock`
    /// only when the socket is not ready.
    ///
    /// # Errors
    ///
    /// Those of `op`, and [`io::ErrorKind::Other`] if the runtime was shut down.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        op: impl FnOnce(&net::UdpSocket) -> io::Result<R>,
    ) -> io::Result<R> {
        self.io.try_io(interest, op)
    }

    fn from_async(io: Async<net::UdpSocket>) -> UdpSocket {
        UdpSocket { io, deferred: Deferred::new() }
    }

    fn as_async(&self) -> &Async<net::UdpSocket> {
        &self.io
    }

    /// The address to send to: the first of the socket's family, or else the first.
    async fn target<A: ToSocketAddrs>(&self, addr: &A) -> io::Result<SocketAddr> {
        let mut addrs = resolve(addr).await?;
        let first = addrs.next().ok_or_else(|| no_address("there is no address to send to"))?;
        if addrs.len() == 0 {
            return Ok(first);
        }
        let is_ipv4 = self.local_addr()?.is_ipv4();
        let fits = |addr: &SocketAddr| addr.is_ipv4() == is_ipv4;
        Ok(if fits(&first) { first } else { addrs.find(fits).unwrap_or(first) })
    }
}

fn no_address(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Receiving.
impl UdpSocket {
    /// Receives a datagram and returns its length, at most that of `buf`.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::ConnectionRefused`] if what was sent before came to nobody.
    /// - The system's, as it came.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was received.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.op(Direction::Read, |socket| socket.recv(buf)).await
    }

    /// Receives a datagram, and tells who sent it; otherwise like [`recv`](UdpSocket::recv).
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.op(Direction::Read, |socket| socket.recv_from(buf)).await
    }

    /// Looks at the next datagram without taking it; otherwise like [`recv`](UdpSocket::recv).
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.op(Direction::Read, |socket| socket.peek(buf)).await
    }

    /// Looks at the next datagram without taking it, and tells who sent it; otherwise like
    /// [`recv`](UdpSocket::recv).
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.op(Direction::Read, |socket| socket.peek_from(buf)).await
    }

    /// Receives a datagram that is there, without waiting.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::WouldBlock`] if there is none.
    /// - Those of [`recv`](UdpSocket::recv).
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.try_op(Direction::Read, |socket| socket.recv(buf))
    }

    /// Receives a datagram that is there, without waiting, and tells who sent it.
    ///
    /// # Errors
    ///
    /// Those of [`try_recv`](UdpSocket::try_recv).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.try_op(Direction::Read, |socket| socket.recv_from(buf))
    }

    /// Polls [`recv`](UdpSocket::recv). One task is remembered: the last to have polled this
    /// direction.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](UdpSocket::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.io.poll_op(cx, Direction::Read, |socket| socket.recv(buf))
    }

    /// Polls [`recv_from`](UdpSocket::recv_from). One task is remembered: the last to have polled
    /// this direction.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](UdpSocket::recv).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.io.poll_op(cx, Direction::Read, |socket| socket.recv_from(buf))
    }

    /// Polls [`peek_from`](UdpSocket::peek_from). One task is remembered: the last to have polled
    /// this direction.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](UdpSocket::recv).
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.io.poll_op(cx, Direction::Read, |socket| socket.peek_from(buf))
    }
}

/// Sending.
impl UdpSocket {
    /// Sends a datagram to the peer that the socket is connected to.
    ///
    /// # Errors
    ///
    /// - `EDESTADDRREQ` if it is not connected.
    /// - [`io::ErrorKind::ConnectionRefused`] if what was sent before came to nobody; `buf` was not
    ///   sent.
    /// - The system's, as it came, among them `EMSGSIZE` for a datagram that is too long, and
    ///   `ENOBUFS` where a device's queue is full.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was sent.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.io.op(Direction::Write, |socket| socket.send(buf)).await
    }

    /// Sends a datagram to `addr`.
    ///
    /// Of several addresses, the first of the socket's family is taken. A name is looked up each
    /// time: look it up once with [`lookup_host`](crate::net::lookup_host) to send often.
    ///
    /// # Errors
    ///
    /// - What [`lookup_host`](crate::net::lookup_host) returns.
    /// - [`io::ErrorKind::InvalidInput`] if there is no address.
    /// - Those of [`send`](UdpSocket::send).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was sent.
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let addr = self.target(&addr).await?;
        self.io.op(Direction::Write, |socket| socket.send_to(buf, addr)).await
    }

    /// Sends a datagram to the peer that the socket is connected to, if there is room.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::WouldBlock`] if there is none.
    /// - Those of [`send`](UdpSocket::send).
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.io.try_op(Direction::Write, |socket| socket.send(buf))
    }

    /// Sends a datagram to `addr`, if there is room.
    ///
    /// # Errors
    ///
    /// Those of [`try_send`](UdpSocket::try_send).
    pub fn try_send_to(&self, buf: &[u8], addr: SocketAddr) -> io::Result<usize> {
        self.io.try_op(Direction::Write, |socket| socket.send_to(buf, addr))
    }

    /// Polls [`send`](UdpSocket::send). One task is remembered: the last to have polled this
    /// direction.
    ///
    /// # Errors
    ///
    /// Those of [`send`](UdpSocket::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io.poll_op(cx, Direction::Write, |socket| socket.send(buf))
    }

    /// Polls [`send_to`](UdpSocket::send_to). One task is remembered: the last to have polled this
    /// direction.
    ///
    /// # Errors
    ///
    /// Those of [`send`](UdpSocket::send).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        addr: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.io.poll_op(cx, Direction::Write, |socket| socket.send_to(buf, addr))
    }
}

conversions!(UdpSocket, net::UdpSocket, UdpSocket::from_async, |socket| socket.io);
readiness!(UdpSocket, net::UdpSocket,);

const _: () = {
    const fn assert<T: Send + Sync + Unpin + std::fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<UdpSocket>();
};
