//! A TCP socket that accepts connections.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use futures_core::Stream;

use crate::driver::Direction;
use crate::io::Async;

use super::addrs::resolve;
use super::backoff::Backoff;
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
    io: Async<std::net::TcpListener>,
    backoff: Backoff,
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
        self.backoff.wait(self.io.driver()).await;
        let accepted = self.io.op(Direction::Read, sys::accept).await;
        self.wrap(accepted)
    }

    /// Polls for a connection; see [`accept`](TcpListener::accept).
    ///
    /// One task is remembered: the last to have called this or to have polled an [`Incoming`].
    ///
    /// # Errors
    ///
    /// As [`accept`](TcpListener::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        ready!(self.backoff.poll_wait(self.io.driver(), cx));
        let accepted = ready!(self.io.poll_op(cx, Direction::Read, sys::accept));
        Poll::Ready(self.wrap(accepted))
    }

    fn wrap(
        &self,
        accepted: io::Result<(std::net::TcpStream, SocketAddr)>,
    ) -> io::Result<(TcpStream, SocketAddr)> {
        self.backoff.note(&accepted);
        let (stream, peer) = accepted?;
        Ok((TcpStream::from_nonblocking(stream, self.io.driver()), peer))
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
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Takes a listener of the standard library and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// The system's, if it cannot be made non-blocking.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener { io: Async::new(listener)?, backoff: Backoff::new() })
    }

    /// Takes a listener that is non-blocking already.
    pub(super) fn from_nonblocking(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener { io: Async::new_nonblocking(listener)?, backoff: Backoff::new() })
    }

    /// Gives the listener back to the standard library, still non-blocking.
    ///
    /// # Errors
    ///
    /// The system's, if it cannot be taken out of the driver.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.io.into_inner()
    }

    /// The address that the listener is bound to.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// The time to live of packets, in hops (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().ttl()
    }

    /// Sets the time to live of packets, in hops.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        self.io.get_ref().set_ttl(hops)
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

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_fd().as_raw_fd()
    }
}

impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    fn try_from(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
    }
}

impl TryFrom<TcpListener> for OwnedFd {
    type Error = io::Error;

    fn try_from(listener: TcpListener) -> io::Result<OwnedFd> {
        listener.into_std().map(OwnedFd::from)
    }
}

/// The connections of a [`TcpListener`], as a stream that never ends.
///
/// An error is an item like any other; the stream goes on after it.
#[derive(Clone, Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.listener.poll_accept(cx));
        Poll::Ready(Some(accepted.map(|(stream, _peer)| stream)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<TcpListener>();
    assert::<Incoming<'static>>();
};
