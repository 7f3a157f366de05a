//! Anything with a descriptor, driven by the runtime.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::driver::{Direction, Driver, Registration};
use crate::lifecycle::budget;
use crate::primitive::Arc;
use crate::runtime::Handle;

use super::level;
use super::{Interest, Readable, Ready, Writable};

/// Drives anything that has a descriptor which the system's poller can watch: sockets, pipes,
/// devices, `inotify`, `timerfd`, handles of C libraries.
///
/// The value stays what it is and is reached by [`get_ref`](Async::get_ref); operations on it are
/// tried, and where they would have to wait, the task does instead of the thread:
///
/// - [`read_with`](Async::read_with) and [`write_with`](Async::write_with) do any operation;
/// - [`readable`](Async::readable) and [`writable`](Async::writable) only wait;
/// - where the value implements `Read` or `Write`, `Async` implements
///   [`AsyncRead`](super::AsyncRead) or [`AsyncWrite`](super::AsyncWrite), by value and by
///   reference.
///
/// The descriptor is registered with the runtime's driver when something has to wait for the first
/// time, and taken out before it is released, by drop or by [`into_inner`](Async::into_inner).
///
/// # Waiting from several tasks
///
/// Any number of tasks may wait at once in `async` methods. The `poll_` methods, and with them the
/// stream traits, remember one task a direction: the last that polled.
///
/// # What the value must be
///
/// [`AsFd::as_fd`] must name the same descriptor each time. One that does not is safe and waits for
/// the wrong events.
///
/// # Examples
///
/// ```
/// use std::os::unix::net::UnixDatagram;
/// use tenter::io::Async;
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let (one, other) = UnixDatagram::pair()?;
///     let (one, other) = (Async::new(one)?, Async::new(other)?);
///     one.write_with(|socket| socket.send(b"datagram")).await?;
///     let mut buffer = [0; 16];
///     let len = other.read_with(|socket| socket.recv(&mut buffer)).await?;
///     assert_eq!(&buffer[..len], b"datagram");
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
pub struct Async<T: AsFd> {
    registration: Registration,
    /// Gone in `into_inner` alone.
    io: Option<T>,
}

impl<T: AsFd> Async<T> {
    /// Takes `io` and puts it into non-blocking mode.
    ///
    /// It stays in that mode when it is given back.
    ///
    /// # Errors
    ///
    /// - The system's, if the mode cannot be set.
    /// - That the poller cannot watch such a descriptor, a regular file for one, comes from the
    ///   first operation that has to wait.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn new(io: T) -> io::Result<Async<T>> {
        level::set_nonblocking(io.as_fd())?;
        Async::new_nonblocking(io)
    }

    /// Takes `io`, which is in non-blocking mode already.
    ///
    /// If it is not, operations on it block the worker.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn new_nonblocking(io: T) -> io::Result<Async<T>> {
        Ok(Async::with_driver(io, Arc::clone(Handle::current().driver())))
    }

    /// Takes `io`, which is in non-blocking mode already, for a runtime that is known.
    pub(crate) fn with_driver(io: T, driver: Arc<Driver>) -> Async<T> {
        Async { registration: Registration::new(driver), io: Some(io) }
    }

    /// The driver that watches it.
    pub(crate) fn driver(&self) -> &Arc<Driver> {
        self.registration.driver()
    }

    /// The value inside.
    pub fn get_ref(&self) -> &T {
        present(&self.io)
    }

    /// The value inside, by mutable reference.
    ///
    /// # Safety
    ///
    /// 1. The descriptor that the value had when it came is neither closed nor exchanged through
    ///    the reference.
    pub unsafe fn get_mut(&mut self) -> &mut T {
        present_mut(&mut self.io)
    }

    /// Takes the descriptor out of the driver and returns the value, still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// The system's, if the descriptor cannot be taken out; then it is closed.
    pub fn into_inner(mut self) -> io::Result<T> {
        let deregistered = self.registration.deregister(self.as_fd());
        match self.io.take() {
            Some(io) => deregistered.map(|()| io),
            None => unreachable!("{GONE}"),
        }
    }

    /// Waits until a read would not have to: there is data, or the end, or an error.
    ///
    /// That is checked when the wait ends, so that it holds whatever was read in between and by
    /// whom. Any number of tasks may wait at once.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::Other`] if the runtime was shut down.
    /// - What the system says about a descriptor that it cannot watch.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it takes nothing.
    pub fn readable(&self) -> Readable<'_, T> {
        Readable::new(self)
    }

    /// Waits until a write would not have to: there is room, or an error.
    ///
    /// Otherwise like [`readable`](Async::readable).
    pub fn writable(&self) -> Writable<'_, T> {
        Writable::new(self)
    }

    /// Waits until one direction of `interest` can go on, and tells which.
    ///
    /// Errors and cancel safety are those of [`readable`](Async::readable).
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let mut readable = interest.is_readable().then(|| self.readable());
        let mut writable = interest.is_writable().then(|| self.writable());
        poll_fn(|cx| {
            let mut ready = Ready::NONE;
            if let Some(Poll::Ready(readable)) = readable.as_mut().map(|it| Pin::new(it).poll(cx)) {
                readable?;
                ready.insert(Interest::READABLE);
            }
            if let Some(Poll::Ready(writable)) = writable.as_mut().map(|it| Pin::new(it).poll(cx)) {
                writable?;
                ready.insert(Interest::WRITABLE);
            }
            if ready.is_empty() { Poll::Pending } else { Poll::Ready(Ok(ready)) }
        })
        .await
    }

    /// Polls for readability; one task is remembered, the last that polled to read.
    ///
    /// # Errors
    ///
    /// Those of [`readable`](Async::readable).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_level(cx, Direction::Read)
    }

    /// Polls for writability; one task is remembered, the last that polled to write.
    ///
    /// # Errors
    ///
    /// Those of [`readable`](Async::readable).
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_level(cx, Direction::Write)
    }

    /// Does `op`, again and again, until it returns anything else than
    /// [`io::ErrorKind::WouldBlock`]; waits in between until the descriptor is readable.
    ///
    /// A call that a signal interrupted is repeated. Any number of tasks may do so at once.
    ///
    /// # Errors
    ///
    /// Those of `op`, and those of [`readable`](Async::readable).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe if `op` has no effect when it returns `WouldBlock`: no waiting comes after its
    /// success.
    pub async fn read_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.op(Direction::Read, op).await
    }

    /// Like [`read_with`](Async::read_with), for an `op` that waits until the descriptor is
    /// writable.
    pub async fn write_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.op(Direction::Write, op).await
    }

    /// Polls `op`: does it until it returns anything else than [`io::ErrorKind::WouldBlock`], or
    /// registers the task for `interest`.
    ///
    /// For one direction `op` is only called while the descriptor may be ready, for both on every
    /// poll; its `WouldBlock` is taken to mean that the descriptor is not ready. A call that a signal interrupted is
    /// repeated. One task is remembered a direction: the last that polled.
    ///
    /// # Errors
    ///
    /// Those of `op`, and those of [`readable`](Async::readable).
    pub fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        match interest.direction() {
            Some(direction) => self.poll_op(cx, direction, op),
            None => self.poll_either(cx, op),
        }
    }

    /// Does `op` once if the descriptor may be ready for `interest`, and returns
    /// [`io::ErrorKind::WouldBlock`] else.
    ///
    /// When `op` itself returns `WouldBlock`, the descriptor counts as not ready until the driver
    /// hears of it again. With an interest in both directions `op` is always done, and what it
    /// returns changes nothing.
    ///
    /// # Errors
    ///
    /// Those of `op`; for one direction also [`io::ErrorKind::Other`] if the runtime was shut down.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        op: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        match interest.direction() {
            Some(direction) => self.try_op(direction, op),
            None => op(self.get_ref()),
        }
    }
}

/// What the streams above are built of.
impl<T: AsFd> Async<T> {
    /// Does `f` as soon as it does not return `WouldBlock`; any number of tasks at once.
    pub(crate) async fn op<R>(
        &self,
        direction: Direction,
        mut f: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        // Ends: a call that would block takes the readiness back, and another event is awaited.
        loop {
            let attempt = poll_fn(|cx| {
                let charge = ready!(budget::poll_spend(cx));
                let result = self.try_op(direction, &mut f);
                if !would_block(&result) {
                    charge.made_progress();
                }
                Poll::Ready(result)
            });
            match attempt.await {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ready = self.registration.ready(self.as_fd(), direction).await?;
                }
                result => return result,
            }
        }
    }

    /// Does `f` as soon as it does not return `WouldBlock`; for the last task that polled.
    #[inline]
    pub(crate) fn poll_op<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut f: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let charge = ready!(budget::poll_spend(cx));
        let io = self.get_ref();
        let result = ready!(self.registration.poll_io(io.as_fd(), cx, direction, || f(io)));
        charge.made_progress();
        Poll::Ready(result)
    }

    /// [`Async::poll_op`] for a stream of bytes, of which `f` moves at most `asked`, not zero.
    ///
    /// When it moves fewer, the next call waits without trying first.
    #[inline]
    pub(crate) fn poll_stream(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        asked: usize,
        mut f: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let charge = ready!(budget::poll_spend(cx));
        let io = self.get_ref();
        let moved =
            ready!(self.registration.poll_stream(io.as_fd(), cx, direction, asked, || f(io)));
        charge.made_progress();
        Poll::Ready(moved)
    }

    /// [`Async::poll_op`] for what needs the value by mutable reference and keeps its descriptor.
    pub(super) fn poll_op_mut<R>(
        &mut self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut f: impl FnMut(&mut T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let charge = ready!(budget::poll_spend(cx));
        let io = present_mut(&mut self.io);
        // Ends: as in `op`; and an interrupted call is a signal's doing.
        loop {
            match self.registration.try_io(direction, || f(io)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ready = ready!(self.registration.poll_ready(io.as_fd(), cx, direction))?;
                }
                result => {
                    charge.made_progress();
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// Does `f` once if `direction` may be ready.
    pub(crate) fn try_op<R>(
        &self,
        direction: Direction,
        f: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.registration.try_io(direction, || f(self.get_ref()))
    }

    /// [`Async::poll_op`] for what either direction may help.
    fn poll_either<R>(
        &self,
        cx: &mut Context<'_>,
        mut f: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let charge = ready!(budget::poll_spend(cx));
        let io = self.get_ref();
        let mut seen = [None, None];
        // Ends: as in `op`.
        loop {
            let result = f(io);
            if !would_block(&result) {
                if matches!(&result, Err(error) if error.kind() == io::ErrorKind::Interrupted) {
                    continue;
                }
                charge.made_progress();
                return Poll::Ready(result);
            }
            for ready in seen.iter_mut().filter_map(Option::take) {
                self.registration.clear(ready);
            }
            for (seen, direction) in seen.iter_mut().zip([Direction::Read, Direction::Write]) {
                if let Poll::Ready(ready) =
                    self.registration.poll_ready(io.as_fd(), cx, direction)?
                {
                    *seen = Some(ready);
                }
            }
            if seen.iter().all(Option::is_none) {
                return Poll::Pending;
            }
        }
    }

    /// Waits until `direction` is ready and still is.
    fn poll_level(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        let charge = ready!(budget::poll_spend(cx));
        // Ends: readiness that does not hold is taken back, and another event is awaited.
        loop {
            let ready = ready!(self.registration.poll_ready(self.as_fd(), cx, direction))?;
            if self.holds(ready, direction) {
                charge.made_progress();
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Whether `ready` is still so; takes it back if not.
    ///
    /// Readiness is a memory of the last event. Whoever read since then by way of
    /// [`Async::get_ref`] has not told the driver, and a loop that waits for readability after each
    /// call that would block must not find itself told the same old news for ever.
    pub(super) fn holds(&self, ready: crate::driver::Ready, direction: Direction) -> bool {
        let holds = level::is_ready(self.as_fd(), direction);
        if !holds {
            self.registration.clear(ready);
        }
        holds
    }

    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }
}

const GONE: &str = "the value is there until `into_inner` takes it, which takes the `Async` too";

fn present<T>(io: &Option<T>) -> &T {
    match io {
        Some(io) => io,
        None => unreachable!("{GONE}"),
    }
}

fn present_mut<T>(io: &mut Option<T>) -> &mut T {
    match io {
        Some(io) => io,
        None => unreachable!("{GONE}"),
    }
}

fn would_block<R>(result: &io::Result<R>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl<T: AsFd> Drop for Async<T> {
    fn drop(&mut self) {
        if let Some(io) = &self.io {
            // The descriptor is closed behind this, with the field: a poller that has forgotten it
            // already is nothing to report.
            let _ = self.registration.deregister(io.as_fd());
        }
    }
}

impl<T: AsFd> AsRef<T> for Async<T> {
    fn as_ref(&self) -> &T {
        self.get_ref()
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd> AsRawFd for Async<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + From<OwnedFd>> TryFrom<OwnedFd> for Async<T> {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Async<T>> {
        Async::new(fd.into())
    }
}

impl<T: AsFd + Into<OwnedFd>> TryFrom<Async<T>> for OwnedFd {
    type Error = io::Error;

    fn try_from(io: Async<T>) -> io::Result<OwnedFd> {
        io.into_inner().map(Into::into)
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Async").field("io", self.get_ref()).finish_non_exhaustive()
    }
}

// What a panic can interrupt is an operation of the value; the registration has no state between
// two calls that a panic could leave half done.
impl<T: AsFd + UnwindSafe> UnwindSafe for Async<T> {}
impl<T: AsFd + RefUnwindSafe> RefUnwindSafe for Async<T> {}

// Nothing here is pinned.
impl<T: AsFd> Unpin for Async<T> {}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<Async<TcpListener>>();
    assert::<Async<TcpStream>>();
    assert::<Async<UdpSocket>>();
};
