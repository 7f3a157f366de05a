//! A Unix socket that accepts connections.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::task::{Context, Poll};
use std::{fmt, io};

use crate::io::Async;
use crate::net::acceptor::{Acceptor, Incoming, Listener};
use crate::net::methods::conversions;
use crate::net::sys;

use super::UnixStream;

/// A Unix socket that accepts connections.
///
/// # The file of its name
///
/// Binding to a path makes a file, and dropping the listener leaves it there: other processes may
/// have it open, or have put something else in its place. To bind to the path again, remove the
/// file first; otherwise it is [`io::ErrorKind::AddrInUse`]. Abstract names
/// ([`bind_addr`](UnixListener::bind_addr)) have no file and are free again with the last
/// descriptor.
///
/// # Out of descriptors
///
/// When the process or the system has no descriptor left, [`accept`](UnixListener::accept) returns
/// the error, and the connection stays in the system's backlog. The next attempt is made after a
/// pause, 5 ms at first and at most 160 ms, and so a loop that ignores the error neither spins nor
/// loses a connection: it goes on when a descriptor is free.
///
/// # Examples
///
/// ```no_run
/// use tenter::net::UnixListener;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let listener = UnixListener::bind("/run/echo.socket")?;
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
pub struct UnixListener {
    acceptor: Acceptor<net::UnixListener>,
}

impl UnixListener {
    /// Listens on a new file at `path`.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::AddrInUse`] if there is anything at the path.
    /// - [`io::ErrorKind::InvalidInput`] if the path has a NUL byte or is too long for the system:
    ///   108 bytes on Linux.
    /// - The system's.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        UnixListener::from_std(net::UnixListener::bind(path)?)
    }

    /// Listens on `addr`, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](UnixListener::bind).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    #[cfg_attr(target_os = "linux", doc = "```")]
    #[cfg_attr(not(target_os = "linux"), doc = "```ignore")]
    /// use std::os::linux::net::SocketAddrExt;
    /// use std::os::unix::net::SocketAddr;
    /// use tenter::net::{UnixListener, UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// tenter::run(async {
    ///     let name = format!("example-{}", std::process::id());
    ///     let name = SocketAddr::from_abstract_name(name)?;
    ///     let listener = UnixListener::bind_addr(&name)?;
    ///     let _client = UnixStream::connect_addr(&name).await?;
    ///     let (_server, _peer) = listener.accept().await?;
    ///     std::io::Result::Ok(())
    /// })?
    /// # }
    /// ```
    #[track_caller]
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::from_std(net::UnixListener::bind_addr(addr)?)
    }

    /// Accepts a connection, and waits for one if need be. Several tasks may do so at once.
    ///
    /// The address is that of the peer, which seldom has a name.
    ///
    /// # Errors
    ///
    /// - Out of descriptors, as described [above](UnixListener#out-of-descriptors).
    /// - What the system says about the connection or the listener. The listener goes on working.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection is either returned or still in the backlog.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.acceptor.accept(sys::accept_unix).await.map(|accepted| self.wrap(accepted))
    }

    /// Polls for a connection; see [`accept`](UnixListener::accept).
    ///
    /// One task is remembered: the last to have called this or to have polled an [`Incoming`].
    ///
    /// # Errors
    ///
    /// As [`accept`](UnixListener::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let accepted = self.acceptor.poll_accept(cx, sys::accept_unix);
        accepted.map(|accepted| accepted.map(|accepted| self.wrap(accepted)))
    }

    fn wrap(&self, (stream, peer): (net::UnixStream, SocketAddr)) -> (UnixStream, SocketAddr) {
        (UnixStream::from_nonblocking(stream, self.acceptor.io().driver()), peer)
    }

    /// The connections as a stream, which never ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use tenter::net::{UnixListener, UnixStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("incoming-{}", std::process::id()));
    /// tenter::run(async {
    ///     let listener = UnixListener::bind(&path)?;
    ///     let _client = UnixStream::connect(&path).await?;
    ///     let _server = listener.incoming().next().await.unwrap()?;
    ///     std::fs::remove_file(&path)
    /// })?
    /// # }
    /// ```
    pub fn incoming(&self) -> Incoming<'_, UnixListener> {
        Incoming::new(self)
    }

    /// The address that the listener is bound to.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.as_async().get_ref().local_addr()
    }

    /// Takes the error that the system holds for the socket, if any.
    ///
    /// # Errors
    ///
    /// The system's, if the option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.as_async().get_ref().take_error()
    }

    fn as_async(&self) -> &Async<net::UnixListener> {
        self.acceptor.io()
    }
}

conversions! {
    UnixListener, net::UnixListener,
    |io| UnixListener { acceptor: Acceptor::new(io) },
    |listener| listener.acceptor.into_io()
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    fn poll_incoming(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.poll_accept(cx).map(|accepted| accepted.map(|(stream, _peer)| stream))
    }
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<UnixListener>();
    assert::<Incoming<'static, UnixListener>>();
};
