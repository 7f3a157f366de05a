//! A poller without descriptors, and time that passes when the program says so.

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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

/// The clock of the driver: it shows what the program says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(());

impl Clock {
    pub(crate) fn new() -> Self {
        Self(())
    }

    pub(crate) fn now(&self) -> u64 {
        NOW.get()
    }

    pub(crate) fn at(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self::instant(0)))
    }
}

/// `duration` in nanoseconds, at most [`u64::MAX`].
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

std::thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// For programs: sets every clock.
pub(crate) fn set_now(ns: u64) {
    NOW.set(ns);
}

/// For programs: the moment at which every clock shows `ns`.
///
/// It is a century ahead, so that the real clock, which some futures look at first, has not got
/// to any of them.
pub(crate) fn instant(ns: u64) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(|| Instant::now() + CENTURY) + Duration::from_nanos(ns)
}
