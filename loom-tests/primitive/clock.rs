//! The clock of the driver: it shows what the model or the program says.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

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
    /// All threads of a model or a program are on one real thread.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// What every clock shows.
pub(crate) fn now() -> u64 {
    NOW.get()
}

/// For programs: sets every clock.
pub(crate) fn set_now(ns: u64) {
    NOW.set(ns);
}

/// For models: the moment at which every clock shows `ns`.
///
/// It is a century ahead, so that the real clock, which some futures look at first, has not got
/// to any of them.
pub(crate) fn instant(ns: u64) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(|| Instant::now() + CENTURY) + Duration::from_nanos(ns)
}
