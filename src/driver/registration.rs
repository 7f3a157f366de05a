//! A descriptor's registration: what the sockets above hold, and how they wait.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::primitive::Arc;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::Mutex;

use super::reactor::Key;
use super::source::{Direction, Gone, Ready, Seat, Source, WaiterKey};
use super::{Driver, wake_all};

/// No slot yet: nobody had to wait so far.
const NEW: usize = 0;

/// Deregistered; the poller's own key, which no slot has.
const GONE: usize = usize::MAX;

/// One descriptor's place in a driver; made before the first wait, filled by it.
///
/// Every call takes the descriptor anew, and it must be the same one, nonblocking, each time.
/// Its owner calls [`Registration::deregister`] before the descriptor goes: what is dropped
/// without that is safe, but a duplicate of the descriptor would go on reporting for nobody.
pub(crate) struct Registration {
    driver: Arc<Driver>,
    /// [`NEW`], a packed [`Key`], or [`GONE`].
    key: AtomicUsize,
    /// Held by whoever moves `key`.
    moving: Mutex<()>,
}

impl Registration {
    /// A registration that does nothing yet.
    pub(crate) fn new(driver: Arc<Driver>) -> Self {
        Self { driver, key: AtomicUsize::new(NEW), moving: Mutex::new(()) }
    }

    /// The driver that it is with.
    pub(crate) fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// Waits until the system says that `direction` is ready.
    ///
    /// One task at a time: the last that polled a direction is woken, and it alone. For more,
    /// there is [`Registration::ready`].
    ///
    /// # Errors
    ///
    /// - `Other`: the runtime was shut down, or the source deregistered meanwhile.
    /// - What the poller says to the registration, which the first wait makes.
    pub(crate) fn poll_ready(
        &self,
        fd: BorrowedFd<'_>,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<Ready>> {
        let key = self.registered(fd, None)?;
        self.poll_key(key, fd, cx.waker(), direction, false, Seat::Only)
    }

    /// The same for any number of tasks at once; all of them are woken.
    pub(crate) fn ready<'a>(&'a self, fd: BorrowedFd<'a>, direction: Direction) -> Readiness<'a> {
        Readiness { registration: self, fd, direction, seat: None }
    }

    /// Takes `ready` back after a call that would have had to wait (`WouldBlock`).
    ///
    /// An event since then is not lost: it makes the source ready again.
    pub(crate) fn clear(&self, ready: Ready) {
        if let Ok(Some(key)) = self.key() {
            self.source(key).clear(ready);
        }
    }

    /// Takes `ready` back after a call that moved something, but less than it was asked to:
    /// that of a stream, whose next call would have to wait.
    ///
    /// It does nothing where that cannot be concluded: when the end or an error may lie behind
    /// what was moved. `ready` must have been got before the call.
    pub(crate) fn drained(&self, ready: Ready) {
        if !self.driver.reactor.poller.tells_end() {
            return;
        }
        if let Ok(Some(key)) = self.key() {
            self.source(key).drained(ready);
        }
    }

    /// Does `f` as soon as it does not return `WouldBlock`.
    ///
    /// It is tried at once if nothing speaks against it; `Interrupted` is tried again. One task at
    /// a time and direction, as [`Registration::poll_ready`].
    ///
    /// # Errors
    ///
    /// Those of `f`, and of [`Registration::poll_ready`].
    pub(crate) fn poll_io<R>(
        &self,
        fd: BorrowedFd<'_>,
        cx: &mut Context<'_>,
        direction: Direction,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_attempt(fd, cx, direction, |_| f())
    }

    /// [`Registration::poll_io`] for a stream: `f` moves at most `asked` bytes and says how many.
    ///
    /// When it moved fewer, the next call waits for an event without trying first.
    pub(crate) fn poll_stream(
        &self,
        fd: BorrowedFd<'_>,
        cx: &mut Context<'_>,
        direction: Direction,
        asked: usize,
        mut f: impl FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_attempt(fd, cx, direction, |ready| {
            let moved = f()?;
            // Nothing at all is the end of the stream (or nothing was asked): no news of room.
            if 0 < moved && moved < asked {
                self.drained(ready);
            }
            Ok(moved)
        })
    }

    /// Does `f` once if `direction` may be ready, and else returns `WouldBlock` without it.
    pub(crate) fn try_io<R>(
        &self,
        direction: Direction,
        f: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        let ready = match self.key()? {
            None => Ready::UNKNOWN,
            Some(key) => match self.source(key).look(key.generation(), direction, true)? {
                Some(ready) => ready,
                None => return Err(io::ErrorKind::WouldBlock.into()),
            },
        };
        let result = f();
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.clear(ready);
        }
        result
    }

    /// Removes `fd` from the poller; who still waits gets an error, and so does who comes later.
    ///
    /// # Errors
    ///
    /// What the poller says, when the descriptor was closed before. It is forgotten all the same.
    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        match self.leave() {
            None => Ok(()),
            Some(key) => {
                // The poller first: the slot's next owner has another generation, but it should
                // not be troubled with news of this one.
                let deleted = self.driver.reactor.poller.delete(fd);
                self.release(key);
                deleted
            }
        }
    }

    fn poll_attempt<R>(
        &self,
        fd: BorrowedFd<'_>,
        cx: &mut Context<'_>,
        direction: Direction,
        mut f: impl FnMut(Ready) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        // Ends: each round takes back the readiness that it tried, so that another one needs
        // another event; and an interrupted call is a signal's doing.
        loop {
            let key = self.key()?;
            let ready = match key {
                None => Ready::UNKNOWN,
                Some(key) => {
                    let waker = cx.waker();
                    match self.poll_key(key, fd, waker, direction, true, Seat::Only)? {
                        Poll::Ready(ready) => ready,
                        Poll::Pending => return Poll::Pending,
                    }
                }
            };
            match f(ready) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match key {
                    Some(key) => self.source(key).clear(ready),
                    // Tried in vain before there was a slot: the registration reports what
                    // has come since as its first edge.
                    None => {
                        self.registered(fd, Some(direction))?;
                    }
                },
                result => return Poll::Ready(result),
            }
        }
    }

    /// Waits with the slot of `key`.
    #[inline]
    fn poll_key(
        &self,
        key: Key,
        fd: BorrowedFd<'_>,
        waker: &Waker,
        direction: Direction,
        attempt: bool,
        seat: Seat<'_>,
    ) -> Poll<io::Result<Ready>> {
        let source = self.source(key);
        if let Some(ready) = source.look(key.generation(), direction, attempt)? {
            return Poll::Ready(Ok(ready));
        }
        // D7: cloned before the lock.
        let waker = waker.clone();
        let poller = &self.driver.reactor.poller;
        let arm = |readable, writable| poller.rearm(fd, key.pack(), readable, writable);
        match source.wait(key.generation(), direction, attempt, waker, seat, arm)? {
            Some(ready) => Poll::Ready(Ok(ready)),
            None => Poll::Pending,
        }
    }

    /// The slot's key, if there is a slot.
    #[inline]
    fn key(&self) -> Result<Option<Key>, Gone> {
        // ORDERING: Acquire. Pairs with Release in `registered`: the slot is there.
        match self.key.load(Ordering::Acquire) {
            GONE => Err(Gone::Deregistered),
            key => Ok(Key::unpack(key)),
        }
    }

    /// The slot's key; registers first if there is none.
    fn registered(&self, fd: BorrowedFd<'_>, tried: Option<Direction>) -> io::Result<Key> {
        if let Some(key) = self.key()? {
            return Ok(key);
        }
        let _moving = self.moving.lock();
        // Two tasks may come here at once, one for each direction: the first registers.
        if let Some(key) = self.key()? {
            return Ok(key);
        }
        let key = self.driver.reactor.register(fd, tried)?;
        // ORDERING: Release. Pairs with Acquire in `key`.
        self.key.store(key.pack(), Ordering::Release);
        Ok(key)
    }

    /// Marks the registration as gone; returns the key that is now the caller's to release.
    fn leave(&self) -> Option<Key> {
        let _moving = self.moving.lock();
        // ORDERING: Relaxed. The key was stored under the same lock, and who reads GONE reads
        // nothing else of what it had registered.
        match self.key.swap(GONE, Ordering::Relaxed) {
            GONE => None,
            key => Key::unpack(key),
        }
    }

    fn release(&self, key: Key) {
        let mut woken = Vec::new();
        self.driver.reactor.release(key, &mut woken);
        wake_all(&mut woken);
    }

    #[inline]
    fn source(&self, key: Key) -> &Source {
        self.driver.reactor.source(key).expect("a key was handed out, so its slot is there")
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // The poller may still report on the descriptor, if it has a duplicate: to a generation
        // that is over (D4).
        if let Some(key) = self.leave() {
            self.release(key);
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// Waits until a direction is ready; any number of these may wait at once.
///
/// Cancel safe: it takes nothing, and every waiting future is woken by every event.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Readiness<'a> {
    registration: &'a Registration,
    fd: BorrowedFd<'a>,
    direction: Direction,
    /// The place at the source, and whose generation it is of.
    seat: Option<(Key, WaiterKey)>,
}

impl Future for Readiness<'_> {
    type Output = io::Result<Ready>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let key = this.registration.registered(this.fd, None)?;
        let mut seat = this.seat.map(|(_, seat)| seat);
        let own = Seat::Own(&mut seat);
        let polled =
            this.registration.poll_key(key, this.fd, cx.waker(), this.direction, false, own);
        this.seat = seat.map(|seat| (key, seat));
        if polled.is_ready() {
            this.leave();
        }
        polled
    }
}

impl Readiness<'_> {
    fn leave(&mut self) {
        if let Some((key, seat)) = self.seat.take() {
            self.registration.source(key).leave(key.generation(), seat);
        }
    }
}

impl Drop for Readiness<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
