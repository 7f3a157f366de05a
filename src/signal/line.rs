//! One signal: how often it was delivered, and how many listen. No system call is made here.

use std::io;
use std::task::{Poll, ready};

use crate::primitive::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::seeded;

/// What all listeners of one signal share with its handler.
#[derive(Debug)]
pub(crate) struct Line {
    delivered: AtomicU64,
    /// How many listen: changed under the lock, read by the handler.
    listeners: AtomicUsize,
    /// Held by whoever comes or goes (N2).
    moving: Mutex<()>,
}

/// Deliveries that a listener has had, or that were before its time.
#[derive(Debug)]
pub(crate) struct Seen(u64);

/// Whom a delivery is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Delivery {
    /// At least one listener.
    Heard,
    /// Nobody.
    Unheard,
}

impl Line {
    /// A signal that nobody listens for.
    pub(crate) fn new() -> Self {
        Self {
            delivered: AtomicU64::new(0),
            listeners: AtomicUsize::new(0),
            moving: Mutex::new(()),
        }
    }

    /// Adds a listener, who misses nothing from here on. The first one runs `install`.
    ///
    /// # Errors
    ///
    /// Those of `install`; then there is no listener more.
    pub(crate) fn listen(&self, install: impl FnOnce() -> io::Result<()>) -> io::Result<Seen> {
        let _moving = self.moving.lock();
        let late = seeded::is("signal: read the count before being listed");
        // ORDERING: Relaxed, here and below: Release when it is listed keeps this before that.
        let mut seen = Seen(self.delivered.load(Ordering::Relaxed));
        // ORDERING: Release. Pairs with Acquire in `deliver` (N3): who finds this listener counts
        // after what it has read.
        let before = self.listeners.fetch_add(1, Ordering::Release);
        if late {
            seen = Seen(self.delivered.load(Ordering::Relaxed));
        }
        if before == 0 {
            install().inspect_err(|_| {
                self.listeners.fetch_sub(1, Ordering::Relaxed);
            })?;
        }
        Ok(seen)
    }

    /// Removes a listener. The last one runs `restore`.
    pub(crate) fn leave(&self, restore: impl FnOnce()) {
        let moving = self.moving.lock();
        if seeded::is("signal: restore under the lock") {
            drop(moving);
        }
        // ORDERING: Relaxed. A handler that still finds the listener counts for one who has just
        // gone, as if it had run a moment earlier.
        if self.listeners.fetch_sub(1, Ordering::Relaxed) == 1 {
            restore();
        }
    }

    /// Counts a delivery and tells the listeners by `ring`: the part of a handler.
    pub(crate) fn deliver(&self, ring: impl FnOnce()) -> Delivery {
        // ORDERING: Acquire. Pairs with Release in `listen` (N3).
        if self.listeners.load(Ordering::Acquire) == 0 {
            return Delivery::Unheard;
        }
        if seeded::is("signal: count before ringing") {
            ring();
            self.delivered.fetch_add(1, Ordering::Release);
            return Delivery::Heard;
        }
        // ORDERING: Release. Pairs with Acquire in `take`: who sees the delivery sees what led to
        // it. What brings a sleeper to look is the bell (N1).
        let order = if seeded::is("signal: a delivery without Release") {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        self.delivered.fetch_add(1, order);
        ring();
        Delivery::Heard
    }

    /// Polls for a delivery by `poll_io`, which tries what it is given until the driver has to wait.
    ///
    /// # Errors
    ///
    /// Those of `poll_io`: the end of the runtime, once all that was delivered is taken.
    pub(crate) fn poll_take(
        &self,
        seen: &mut Seen,
        poll_io: impl FnOnce(&mut dyn FnMut() -> io::Result<()>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        match ready!(poll_io(&mut || self.take(seen))) {
            // The driver is gone, and did not look.
            Err(error) if !seeded::is("signal: look once more when the driver is gone") => {
                Poll::Ready(self.take(seen).map_err(|_| error))
            }
            result => Poll::Ready(result),
        }
    }

    /// Takes one delivery that the listener has not had yet.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none, as the driver wants to be told.
    fn take(&self, seen: &mut Seen) -> io::Result<()> {
        // ORDERING: Acquire. Pairs with Release in `deliver`.
        if self.delivered.load(Ordering::Acquire) == seen.0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        seen.0 = seen.0.wrapping_add(1);
        Ok(())
    }
}
