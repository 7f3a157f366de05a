//! What accepts connections, whatever their kind.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::driver::Direction;
use crate::io::Async;

use super::TcpListener;
use super::backoff::Backoff;

/// A listening socket, with the pause after an accept that found no descriptor.
#[derive(Debug)]
pub(super) struct Acceptor<L: AsFd> {
    io: Async<L>,
    backoff: Backoff,
}

impl<L: AsFd> Acceptor<L> {
    pub(super) fn new(io: Async<L>) -> Acceptor<L> {
        Acceptor { io, backoff: Backoff::new() }
    }

    pub(super) fn io(&self) -> &Async<L> {
        &self.io
    }

    pub(super) fn into_io(self) -> Async<L> {
        self.io
    }

    /// Does `accept` as soon as there is a connection; any number of tasks at once.
    pub(super) async fn accept<C>(&self, accept: impl FnMut(&L) -> io::Result<C>) -> io::Result<C> {
        self.backoff.wait(self.io.driver()).await;
        let accepted = self.io.op(Direction::Read, accept).await;
        self.backoff.note(&accepted);
        accepted
    }

    /// Does `accept` as soon as there is a connection; for the last task that polled.
    pub(super) fn poll_accept<C>(
        &self,
        cx: &mut Context<'_>,
        accept: impl FnMut(&L) -> io::Result<C>,
    ) -> Poll<io::Result<C>> {
        ready!(self.backoff.poll_wait(self.io.driver(), cx));
        let accepted = ready!(self.io.poll_op(cx, Direction::Read, accept));
        self.backoff.note(&accepted);
        Poll::Ready(accepted)
    }
}

/// The listeners of this module, for [`Incoming`].
pub trait Listener {
    /// A connection.
    type Stream;

    /// Polls for the next connection.
    fn poll_incoming(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Stream>>;
}

/// The connections of a [`TcpListener`] or a [`UnixListener`](super::UnixListener), as a stream
/// that never ends.
///
/// An error is an item like any other; the stream goes on after it.
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
///     let one = TcpStream::connect(listener.local_addr()?).await?;
///     let two = TcpStream::connect(listener.local_addr()?).await?;
///
///     let mut accepted = Vec::new();
///     let mut incoming = listener.incoming().take(2);
///     while let Some(stream) = incoming.try_next().await? {
///         accepted.push(stream.peer_addr()?);
///     }
///     assert_eq!(accepted, [one.local_addr()?, two.local_addr()?]);
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a, L = TcpListener> {
    listener: &'a L,
}

impl<'a, L: Listener> Incoming<'a, L> {
    pub(super) fn new(listener: &'a L) -> Incoming<'a, L> {
        Incoming { listener }
    }
}

impl<L> Clone for Incoming<'_, L> {
    fn clone(&self) -> Self {
        Incoming { listener: self.listener }
    }
}

impl<L: Listener> Stream for Incoming<'_, L> {
    type Item = io::Result<L::Stream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_incoming(cx).map(Some)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}
