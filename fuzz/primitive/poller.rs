//! A poller without descriptors, and time that passes when the program says so.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) use super::clock::{Clock, instant, nanos, set_now};
use super::play;

/// One source's news.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) key: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) read_closed: bool,
    pub(crate) write_closed: bool,
    pub(crate) priority: bool,
}

/// What one wait found: nothing, or that it was woken.
#[derive(Debug)]
pub(crate) struct Events {
    woken: bool,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { woken: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.woken
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        std::iter::empty()
    }
}

/// What threads sleep in.
#[derive(Debug)]
pub(crate) struct Poller {
    woken: AtomicBool,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { woken: AtomicBool::new(false) })
    }

    pub(crate) const fn is_edge(&self) -> bool {
        true
    }

    pub(crate) const fn tells_end(&self) -> bool {
        true
    }

    /// # Safety
    ///
    /// As in `src/primitive/poller`; here nothing can go wrong.
    pub(crate) unsafe fn add(&self, _: BorrowedFd<'_>, _: usize) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn rearm(&self, _: BorrowedFd<'_>, _: usize, _: bool, _: bool) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn delete(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    /// The program plays the other threads, and says how much time passes.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let is_woken = || self.woken.load(Ordering::Relaxed);
        if !is_woken() && timeout != Some(Duration::ZERO) {
            play::sleep(play::Bed::Driver(timeout), &is_woken);
        }
        events.woken = self.woken.swap(false, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        self.woken.store(true, Ordering::Relaxed);
        Ok(())
    }
}
