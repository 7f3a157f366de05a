//! What the driver asks of the system: readiness of descriptors, and the time.
//!
//! [`polling`] is the poller everywhere. On Linux one file beside this one uses the epoll that
//! `polling` set up directly, because `polling` makes five system calls a wait and epoll needs
//! one; nothing outside that file knows. `--cfg tenter_portable_poller` selects the portable file
//! on Linux too, so that it can be tested there.
//!
//! | step | portable | Linux |
//! |---|---|---|
//! | register | `polling` | `epoll_ctl`, with `EPOLLRDHUP`, which `polling` cannot ask for |
//! | wait | `polling`: five calls | one `epoll_pwait2` |
//! | wake | `polling`: one write, then one read by the wait | one write to an eventfd that is edge-triggered and never read |

#[cfg(all(target_os = "linux", not(tenter_portable_poller)))]
#[path = "poller/linux.rs"]
mod system;
#[cfg(not(all(target_os = "linux", not(tenter_portable_poller))))]
#[path = "poller/portable.rs"]
mod system;

use std::time::{Duration, Instant};

pub(crate) use system::{Events, Poller};

/// The key of the poller's own wake-up; no source may have it.
const WAKE_KEY: usize = usize::MAX;

/// Events that one wait hands out at most; the rest come with the next.
const EVENTS_MAX: usize = 1024;

/// One source's news.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// What the source was registered under.
    pub(crate) key: usize,
    /// A read would find something: data, the end, or an error.
    pub(crate) readable: bool,
    /// A write would find room, or an error.
    pub(crate) writable: bool,
    /// The peer sends no more, or the source is in error: reads find out what.
    pub(crate) read_closed: bool,
    /// Nothing more can be written, or the source is in error: writes find out what.
    pub(crate) write_closed: bool,
    /// There is urgent data, at whose mark a read may stop short.
    pub(crate) priority: bool,
}

/// The clock of the driver: nanoseconds since it was made, by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that shows zero now.
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Nanoseconds since the start.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// What the clock shows at `instant`: zero before its start, and at most 584 years.
    #[inline]
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self.start))
    }
}

/// `duration` in nanoseconds, at most [`u64::MAX`].
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration
        .as_secs()
        .checked_mul(1_000_000_000)
        .and_then(|ns| ns.checked_add(u64::from(duration.subsec_nanos())))
        .unwrap_or(u64::MAX)
}
