//! Everywhere but Linux: `polling` as it is.
//!
//! Where the system has edges (kqueue, and epoll in tests) a source is armed once. Where it has
//! none, an event disarms its source, and whoever waits next arms it again.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use polling::PollMode;

use super::{EVENTS_MAX, Event, WAKE_KEY};

/// The system's poller.
///
/// Any thread may register, delete and wake; one at a time may wait.
#[derive(Debug)]
pub(crate) struct Poller {
    polling: polling::Poller,
    mode: PollMode,
    /// Whether somebody asked for a wake since the last wait ended.
    wake_asked: AtomicBool,
}

impl Poller {
    /// A poller with nothing registered.
    pub(crate) fn new() -> io::Result<Self> {
        let polling = polling::Poller::new()?;
        let mode = if polling.supports_edge() { PollMode::Edge } else { PollMode::Oneshot };
        Ok(Self { polling, mode, wake_asked: AtomicBool::new(false) })
    }

    /// Whether a source reports each change by itself, without [`Poller::rearm`].
    #[inline]
    pub(crate) fn is_edge(&self) -> bool {
        self.mode == PollMode::Edge
    }

    /// Whether the end of a stream is told by an event of its own: `polling` cannot promise it.
    ///
    /// Where it is not, a short read must be followed by another: the end may lie behind it,
    /// and its edge may have been that of the data.
    #[inline]
    pub(crate) const fn tells_end(&self) -> bool {
        false
    }

    /// Registers `fd`: for both directions with edges, else for none until [`Poller::rearm`].
    ///
    /// # Safety
    ///
    /// 1. `fd` is deleted before it is closed, or closing it deletes it (it has no duplicate), or
    ///    events under `key` do no harm afterwards.
    pub(crate) unsafe fn add(&self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        debug_assert_ne!(key, WAKE_KEY, "the key of the poller itself");
        let armed = self.is_edge();
        let interest = polling::Event::new(key, armed, armed);
        // SAFETY: `polling` wants the source deleted before it goes, lest a later descriptor of
        // the same number be meant: duty 1.
        unsafe { self.polling.add_with_mode(fd.as_raw_fd(), interest, self.mode) }
    }

    /// Asks for the next event of a source, in the directions somebody waits for.
    pub(crate) fn rearm(
        &self,
        fd: BorrowedFd<'_>,
        key: usize,
        readable: bool,
        writable: bool,
    ) -> io::Result<()> {
        if self.is_edge() {
            return Ok(());
        }
        self.polling.modify_with_mode(fd, polling::Event::new(key, readable, writable), self.mode)
    }

    /// Forgets `fd`: no wait that starts later names it.
    pub(crate) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.polling.delete(fd)
    }

    /// Waits for events, at most `timeout`. A signal ends the wait with nothing.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.list.clear();
        let found = self.polling.wait(&mut events.list, timeout);
        // A wake between the end of the wait and here is reported now and ends the next wait
        // too, with nothing: one turn too many, none too few.
        events.woken = self.wake_asked.swap(false, Ordering::AcqRel);
        match found.map_err(|error| (error.kind(), error)) {
            // `WouldBlock`: on top of `poll(2)`, a wait that a notification ends may find that a
            // registration has taken the byte that was written for it. It has ended all the same.
            Ok(_) | Err((io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock, _)) => Ok(()),
            Err((_, error)) => Err(error),
        }
    }

    /// Ends the current wait, or else the next one, at once. Never lost.
    pub(crate) fn wake(&self) -> io::Result<()> {
        // ORDERING: Release. Pairs with the swap in `wait`, which reports the wake that ended it;
        // the ending itself is `notify`'s.
        self.wake_asked.store(true, Ordering::Release);
        self.polling.notify()
    }
}

/// What one wait found.
#[derive(Debug)]
pub(crate) struct Events {
    list: polling::Events,
    woken: bool,
}

impl Events {
    /// No events, and room for those of a wait.
    pub(crate) fn new() -> Self {
        let room = const { std::num::NonZeroUsize::new(EVENTS_MAX).unwrap() };
        Self { list: polling::Events::with_capacity(room), woken: false }
    }

    /// Whether the last wait found nothing at all, no [`Poller::wake`] either.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && !self.woken
    }

    /// The sources' news.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.list.iter().map(|event| {
            let dead = event.is_interrupt() || event.is_err().unwrap_or(false);
            Event {
                key: event.key,
                readable: event.readable || dead,
                writable: event.writable || dead,
                read_closed: dead,
                write_closed: dead,
                priority: event.is_priority(),
            }
        })
    }
}
