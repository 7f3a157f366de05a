//! A Unix socket for datagrams.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::task::{Context, Poll, ready};

use crate::driver::Direction;
use crate::io::{Async, Interest, Readable, Ready, Writable};
use crate::lifecycle::budget;
use crate::net::methods::{conversions, readiness};
use crate::net::pauses::Pauses;
use crate::primitive::lock::Mutex;

/// A Unix socket for datagrams, which come whole, in order, and without loss.
///
/// A datagram longer than the buffer that receives it is cut: the rest is lost, without an error.
/// One of no bytes is a datagram like any other, and not an end.
///
/// # A peer with a full queue
///
/// A datagram that does not fit into the queue of its receiver waits with its sender. For
/// [`send`](UnixDatagram::send), to the peer that the socket is connected to, the system tells when
/// there is room. For [`send_to`](UnixDatagram::send_to) it does not: that tries again after
/// pauses, 200 µs at first and at most 25 ms. Who sends much to one peer should connect to it.
///
/// For the same reason [`writable`](UnixDatagram::writable) says nothing about a peer that the
/// socket is not connected to: a loop around it and [`try_send_to`](UnixDatagram::try_send_to)
/// would spin.
///
/// # The file of its name
///
/// Binding to a path makes a file, and dropping the socket leaves it there, as with
/// [`UnixListener`](super::UnixListener).
///
/// # Examples
///
/// ```
/// use tenter::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let (one, other) = UnixDatagram::pair()?;
///     one.send(b"first").await?;
///     one.send(b"second").await?;
///     let mut buffer = [0; 16];
///     assert_eq!(other.recv(&mut buffer).await?, 5);
///     assert_eq!(other.recv(&mut buffer).await?, 6);
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    io: Async<net::UnixDatagram>,
    /// Of the task that polls to send to an address.
    pauses: Mutex<Option<Pauses>>,
}

impl UnixDatagram {
    /// Makes a socket with a new file at `path` for its name.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::AddrInUse`] if there is anything at the path.
    /// - [`io::ErrorKind::InvalidInput`] if the path has a NUL byte or is too long for the system.
    /// - The system's.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(net::UnixDatagram::bind(path)?)
    }

    /// Makes a socket named `addr`, which may be an abstract name.
    ///
    /// Errors and panics are those of [`bind`](UnixDatagram::bind).
    #[track_caller]
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(net::UnixDatagram::bind_addr(addr)?)
    }

    /// Makes a socket without a name.
    ///
    /// # Errors
    ///
    /// The system's, among them that no descriptor is free.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(net::UnixDatagram::unbound()?)
    }

    /// Makes two sockets that are connected with each other.
    ///
    /// # Errors
    ///
    /// The system's, among them that no descriptor is free.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = net::UnixDatagram::pair()?;
        Ok((UnixDatagram::from_std(one)?, UnixDatagram::from_std(other)?))
    }

    /// Connects to the socket at `path`: [`send`](UnixDatagram::send) goes there, and nothing is
    /// received from others.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::NotFound`] if there is nothing at the path.
    /// - [`io::ErrorKind::ConnectionRefused`] if nobody has the socket any more.
    /// - The system's.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.io.get_ref().connect(path)
    }

    /// Connects to the socket named `addr`, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](UnixDatagram::connect).
    pub fn connect_addr(&self, addr: &SocketAddr) -> io::Result<()> {
        self.io.get_ref().connect_addr(addr)
    }

    /// Shuts one direction down, or both.
    ///
    /// Linux lets a receive that waits go on waiting, here and at the peer.
    ///
    /// # Errors
    ///
    /// The system's, among them [`io::ErrorKind::NotConnected`].
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }

    /// The name of this socket.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// The name of the socket that this one is connected to.
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

    fn from_async(io: Async<net::UnixDatagram>) -> UnixDatagram {
        UnixDatagram { io, pauses: Mutex::new(None) }
    }

    pub(super) fn as_async(&self) -> &Async<net::UnixDatagram> {
        &self.io
    }
}

/// Receiving.
impl UnixDatagram {
    /// Receives a datagram and returns its length, at most that of `buf`.
    ///
    /// Any number of tasks may wait at once; each datagram goes to one of them.
    ///
    /// # Errors
    ///
    /// The system's, as it came.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was received.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.op(Direction::Read, |socket| socket.recv(buf)).await
    }

    /// Receives a datagram, and tells who sent it; otherwise like [`recv`](UnixDatagram::recv).
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.op(Direction::Read, |socket| socket.recv_from(buf)).await
    }

    /// Receives a datagram that is there, without waiting.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::WouldBlock`] if there is none.
    /// - The system's, as it came.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.try_op(Direction::Read, |socket| socket.recv(buf))
    }

    /// Receives a datagram that is there, without waiting, and tells who sent it.
    ///
    /// # Errors
    ///
    /// Those of [`try_recv`](UnixDatagram::try_recv).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.try_op(Direction::Read, |socket| socket.recv_from(buf))
    }

    /// Polls [`recv`](UnixDatagram::recv). One task is remembered: the last to have polled this
    /// direction.
    ///
    /// # Errors
    ///
    /// The system's, as it came.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.io.poll_op(cx, Direction::Read, |socket| socket.recv(buf))
    }

    /// Polls [`recv_from`](UnixDatagram::recv_from). One task is remembered: the last to have
    /// polled this direction.
    ///
    /// # Errors
    ///
    /// The system's, as it came.
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.io.poll_op(cx, Direction::Read, |socket| socket.recv_from(buf))
    }
}

/// Sending.
impl UnixDatagram {
    /// Sends a datagram to the socket that this one is connected to, and waits for room in its
    /// queue.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::NotConnected`] if it is not connected.
    /// - [`io::ErrorKind::ConnectionRefused`] or [`io::ErrorKind::ConnectionReset`] if the peer is
    ///   gone.
    /// - The system's, among them `EMSGSIZE` for a datagram that is too long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was sent.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.io.op(Direction::Write, |socket| socket.send(buf)).await
    }

    /// Sends a datagram to the socket at `path`, and waits for room in its queue as described
    /// [above](UnixDatagram#a-peer-with-a-full-queue).
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::NotFound`] if there is nothing at the path.
    /// - [`io::ErrorKind::ConnectionRefused`] if nobody has the socket any more.
    /// - The system's, among them `EMSGSIZE` for a datagram that is too long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: unless it returns, nothing was sent.
    pub async fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(buf, &SocketAddr::from_pathname(path)?).await
    }

    /// Sends a datagram to the socket named `addr`; otherwise like
    /// [`send_to`](UnixDatagram::send_to).
    pub async fn send_to_addr(&self, buf: &[u8], addr: &SocketAddr) -> io::Result<usize> {
        self.patiently(|socket| socket.send_to_addr(buf, addr)).await
    }

    /// Sends a datagram to the socket that this one is connected to, if there is room.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::WouldBlock`] if there is none.
    /// - Those of [`send`](UnixDatagram::send).
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.io.try_op(Direction::Write, |socket| socket.send(buf))
    }

    /// Sends a datagram to the socket at `path`, if there is room.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::WouldBlock`] if there is none.
    /// - Those of [`send_to`](UnixDatagram::send_to).
    pub fn try_send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.try_send_to_addr(buf, &SocketAddr::from_pathname(path)?)
    }

    /// Sends a datagram to the socket named `addr`, if there is room.
    ///
    /// # Errors
    ///
    /// Those of [`try_send_to`](UnixDatagram::try_send_to).
    pub fn try_send_to_addr(&self, buf: &[u8], addr: &SocketAddr) -> io::Result<usize> {
        self.io.get_ref().send_to_addr(buf, addr)
    }

    /// Polls [`send`](UnixDatagram::send). One task is remembered: the last to have polled this
    /// direction.
    ///
    /// # Errors
    ///
    /// Those of [`send`](UnixDatagram::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io.poll_op(cx, Direction::Write, |socket| socket.send(buf))
    }

    /// Polls [`send_to_addr`](UnixDatagram::send_to_addr). One task is remembered: the last to have
    /// called this.
    ///
    /// # Errors
    ///
    /// Those of [`send_to`](UnixDatagram::send_to).
    pub fn poll_send_to_addr(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        addr: &SocketAddr,
    ) -> Poll<io::Result<usize>> {
        // Polled and dropped outside the lock: a waker is anybody's code.
        let mut pauses = self.pauses.lock().take();
        let polled = self.poll_patiently(cx, &mut pauses, |socket| socket.send_to_addr(buf, addr));
        if polled.is_pending() {
            let _replaced = std::mem::replace(&mut *self.pauses.lock(), pauses);
        }
        polled
    }
}

/// Sending to a peer whose queue may be full, of which no event will tell.
///
/// Such a call must not go through the readiness of the socket: its `WouldBlock` says nothing about
/// it, and would have others wait for an event that never comes.
impl UnixDatagram {
    pub(super) async fn patiently<R>(
        &self,
        mut send: impl FnMut(&net::UnixDatagram) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut pauses = None;
        poll_fn(|cx| self.poll_patiently(cx, &mut pauses, &mut send)).await
    }

    fn poll_patiently<R>(
        &self,
        cx: &mut Context<'_>,
        pauses: &mut Option<Pauses>,
        mut send: impl FnMut(&net::UnixDatagram) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let charge = ready!(budget::poll_spend(cx));
        // Ends: each round comes after a pause, during which the peer may read or go away.
        loop {
            match send(self.io.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let pauses = pauses.get_or_insert_with(Pauses::new);
                    ready!(pauses.poll(self.io.driver(), cx))?;
                }
                result => {
                    charge.made_progress();
                    return Poll::Ready(result);
                }
            }
        }
    }
}

conversions! {
    UnixDatagram, net::UnixDatagram,
    UnixDatagram::from_async,
    |socket| socket.io
}
readiness!(UnixDatagram, net::UnixDatagram,);

// A panic leaves the pauses of a task there, or taken.
impl UnwindSafe for UnixDatagram {}
impl RefUnwindSafe for UnixDatagram {}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + std::fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<UnixDatagram>();
};
