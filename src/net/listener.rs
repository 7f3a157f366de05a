//! A TCP socket that accepts connections.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll};
use std::{fmt, io};

use crate::io::Async;

use super::acceptor::{Acceptor, Incoming, Listener};
use super::addrs::resolve;
use super::methods::conversions;
use super::{TcpSocket, TcpStream, ToSocketAddrs, sys};

/// Connections that [`TcpListener::bind`] lets wait until somebody accepts them; the system has an
/// upper bound of its own.
const BACKLOG: u32 = 4096;

/// A TCP socket that accepts connections.
///
/// # Out of descriptors
///
/// When the process or the system has no descriptor left, [`accept`](TcpListener::accept) returns
/// the error, and the connection stays in the system's backlog. The next attempt is made after a
/// pause, 5 ms at first and at most 160 ms, and so a loop that ignores the error neither spins nor
/// loses a connection: it goes on when a descriptor is free.
///
/// # Examples
///
/// ```no_run
/// use tenter::net::TcpListener;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let listener = TcpListener::bind("0.0.0.0:7000").await?;
///     loop {
///         match listener.accept().await {
///             Ok((stream, _peer)) => drop(tenter::spawn(async move {
///                 tenter::io::copy(&stream, &stream).await
///             })),
///             Err(error) => eprintln!("accept: {error}"),
///         }
///     }
///     # #[allow(unreachable_code)] std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    acceptor: Acceptor<std::net::TcpListener>,
}

impl TcpListener {
    /// Listens on `addr`, with `SO_REUSEADDR` set; port 0 lets the system choose one.
    ///
    /// Of several addresses the first that can be bound is taken. [`TcpSocket`] gives control over
    /// options and backlog.
    ///
    /// # Errors
    ///
    /// - What [`lookup_host`](super::lookup_host) returns.
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
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        let mut last = None;
        for addr in resolve(&addr).await? {
            match TcpListener::bind_to(addr) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "there is no address to bind to")
        }))
    }

    fn bind_to(addr: SocketAddr) -> io::Result<TcpListener> {
        let socket = TcpSocket::new_for(&addr)?;
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    }

    /// Accepts a connection, and waits for one if need be. Several tasks may do so at once.
    ///
    /// # Errors
    ///
    /// - Out of descriptors, as described [above](TcpListener#out-of-descriptors).
    /// - What the system says about the connection or the listener. The listener goes on working.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection is either returned or still in the backlog.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.acceptor.accept(sys::accept).await.map(|accepted| self.wrap(accepted))
    }

    /// Polls for a connection; see [`accept`](TcpListener::accept).
    ///
    /// One task is remembered: the last to have called this or to have polled an [`Incoming`].
    ///
    /// # Errors
    ///
    /// As [`accept`](TcpListener::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.acceptor
            .poll_accept(cx, sys::accept)
            .map(|accepted| accepted.map(|accepted| self.wrap(accepted)))
    }

    fn wrap(&self, (stream, peer): (std::net::TcpStream, SocketAddr)) -> (TcpStream, SocketAddr) {
        (TcpStream::from_nonblocking(stream, self.acceptor.io().driver()), peer)
    }

    /// The connections as a stream, which never ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use tenter::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// tenter::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let server = listener.incoming().next().await.unwrap()?;
    ///     assert_eq!(server.peer_addr()?, client.local_addr()?);
    ///     std::io::Result::Ok(())
    /// })?
    /// # }
    /// ```
    pub fn incoming(&self) -> Incoming<'_, TcpListener> {
        Incoming::new(self)
    }

    /// Takes a listener that is non-blocking already.
    pub(super) fn from_nonblocking(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener { acceptor: Acceptor::new(Async::new_nonblocking(listener)?) })
    }

    fn as_async(&self) -> &Async<std::net::TcpListener> {
        self.acceptor.io()
    }

    /// The address that the listener is bound to.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.as_async().get_ref().local_addr()
    }

    /// The time to live of packets, in hops (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn ttl(&self) -> io::Result<u32> {
        self.as_async().get_ref().ttl()
    }

    /// Sets the time to live of packets, in hops.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        self.as_async().get_ref().set_ttl(hops)
    }

    /// Takes the error that the system holds for the socket, if any.
    ///
    /// # Errors
    ///
    /// The system's, if the option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.as_async().get_ref().take_error()
    }
}

conversions! {
    TcpListener, std::net::TcpListener,
    |io| TcpListener { acceptor: Acceptor::new(io) },
    |listener| listener.acceptor.into_io()
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    fn poll_incoming(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.poll_accept(cx).map(|accepted| accepted.map(|(stream, _peer)| stream))
    }
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<TcpListener>();
    assert::<Incoming<'static>>();
};
