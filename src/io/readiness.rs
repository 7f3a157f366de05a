//! The futures that wait for a descriptor.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::driver::{Direction, Readiness};
use crate::lifecycle::budget;

use super::Async;

/// The future of [`Async::readable`].
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
/// use tenter::io::Async;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let (one, mut other) = UnixStream::pair()?;
///     let one = Async::new(one)?;
///     let waiting = one.readable();
///     other.write_all(b"hello")?;
///     waiting.await?;
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Readable<'a, T: AsFd> {
    wait: Wait<'a, T>,
}

/// The future of [`Async::writable`].
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
/// use tenter::io::Async;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let (one, _other) = UnixStream::pair()?;
///     let one = Async::new(one)?;
///     one.writable().await?;
///     assert_eq!(one.get_ref().write(b"hello")?, 5);
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Writable<'a, T: AsFd> {
    wait: Wait<'a, T>,
}

impl<'a, T: AsFd> Readable<'a, T> {
    pub(super) fn new(io: &'a Async<T>) -> Readable<'a, T> {
        Readable { wait: Wait::new(io, Direction::Read) }
    }
}

impl<'a, T: AsFd> Writable<'a, T> {
    pub(super) fn new(io: &'a Async<T>) -> Writable<'a, T> {
        Writable { wait: Wait::new(io, Direction::Write) }
    }
}

impl<T: AsFd> Future for Readable<'_, T> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wait.poll(cx)
    }
}

impl<T: AsFd> Future for Writable<'_, T> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wait.poll(cx)
    }
}

impl<T: AsFd> fmt::Debug for Readable<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readable").finish_non_exhaustive()
    }
}

impl<T: AsFd> fmt::Debug for Writable<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writable").finish_non_exhaustive()
    }
}

/// One place among those who wait for a direction.
struct Wait<'a, T: AsFd> {
    io: &'a Async<T>,
    direction: Direction,
    readiness: Readiness<'a>,
}

impl<'a, T: AsFd> Wait<'a, T> {
    fn new(io: &'a Async<T>, direction: Direction) -> Wait<'a, T> {
        let readiness = io.registration().ready(io.as_fd(), direction);
        Wait { io, direction, readiness }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let charge = ready!(budget::poll_spend(cx));
        // Ends: readiness that does not hold is taken back, and another event is awaited.
        loop {
            let ready = ready!(Pin::new(&mut self.readiness).poll(cx))?;
            if self.io.holds(ready, self.direction) {
                charge.made_progress();
                return Poll::Ready(Ok(()));
            }
        }
    }
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug>() {}
    assert::<Readable<'static, std::net::TcpStream>>();
    assert::<Writable<'static, std::net::TcpStream>>();
};
