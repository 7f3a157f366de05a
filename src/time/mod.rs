//! Time: sleeping, repeating, giving up.
//!
//! Deadlines are [`std::time::Instant`]s. Nothing here completes before its deadline, and on Linux
//! an idle runtime is at most a tenth of a millisecond late. A timer that is set and dropped without
//! firing, as that of every [`timeout()`] that is kept, takes two locks that no other worker uses.
//!
//! ```
//! use std::time::Duration;
//! use tenter::time;
//!
//! tenter::run(async {
//!     // Twice, a millisecond apart; then no more than a millisecond for what takes for ever.
//!     let mut ticks = time::interval(Duration::from_millis(1));
//!     ticks.tick().await;
//!     ticks.tick().await;
//!     let late = time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
//!     assert!(late.is_err());
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The futures can be made anywhere. When first polled they want the runtime of the current thread,
//! whose timers they are from then on.

mod interval;
mod sleep;
mod timeout;

use std::time::{Duration, Instant};

pub use interval::{Interval, MissedTick, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};

/// `duration` after `start`, or as far as the clock goes: nobody will see the difference.
pub(crate) fn after(start: Instant, duration: Duration) -> Instant {
    /// A century, which every platform's clock can add.
    const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

    start.checked_add(duration).or_else(|| start.checked_add(FAR)).unwrap_or(start)
}
