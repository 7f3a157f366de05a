//! A beat: the same wait, again and again.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::{Sleep, after, sleep_until};

/// How late a tick may be taken and still count as on time, for long periods.
const TOLERANCE_MAX: Duration = Duration::from_millis(5);

/// Ticks at once, and then every `period`.
///
/// # Panics
///
/// Panics if `period` is zero.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # tenter::run(async {
/// let mut beat = tenter::time::interval(Duration::from_millis(2));
/// let first = beat.tick().await;
/// let second = beat.tick().await;
/// assert_eq!(second - first, Duration::from_millis(2));
/// # }).unwrap();
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks at `start`, and then every `period`.
///
/// # Panics
///
/// Panics if `period` is zero.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// # tenter::run(async {
/// let start = Instant::now() + Duration::from_millis(2);
/// let mut beat = tenter::time::interval_at(start, Duration::from_millis(1));
/// assert_eq!(beat.tick().await, start);
/// assert_eq!(beat.tick().await, start + Duration::from_millis(1));
/// # }).unwrap();
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval must not be zero");
    Interval { sleep: sleep_until(start), period, missed_tick: MissedTick::Burst }
}

/// When the next tick is, after one that was taken late: more than half a period late, or more than
/// five milliseconds.
///
/// With a period of 10, and the tick of 20 taken at 37:
///
/// | | next ticks |
/// |---|---|
/// | `Burst` | 30 (at once), 40, 50 |
/// | `Delay` | 47, 57, 67 |
/// | `Skip` | 40, 50, 60 |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenter::time::{MissedTick, interval};
///
/// # tenter::run(async {
/// let period = Duration::from_millis(1);
/// let mut beat = interval(period);
/// beat.set_missed_tick(MissedTick::Skip);
/// let first = beat.tick().await;
/// // Something takes longer than it should.
/// std::thread::sleep(5 * period);
/// beat.tick().await;
/// let next = beat.tick().await;
/// assert!(next - first >= 5 * period);
/// assert_eq!((next - first).as_nanos() % period.as_nanos(), 0, "on the beat");
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissedTick {
    /// Catch up: every tick comes, the missed ones at once.
    #[default]
    Burst,
    /// Start over: a whole period from when the late one was taken.
    Delay,
    /// Leave out: the next of the original beat that is still to come.
    Skip,
}

/// The beat of [`interval`] and [`interval_at`].
///
/// A [`Stream`] of the instants at which the ticks were due; it does not end. What is said of
/// panics at [`Sleep`] holds here.
///
/// # Examples
///
/// ```
/// use futures_lite::StreamExt;
/// use std::time::{Duration, Instant};
///
/// # tenter::run(async {
/// let beat = tenter::time::interval(Duration::from_millis(1));
/// let ticks: Vec<Instant> = beat.take(3).collect().await;
/// assert_eq!(ticks[2] - ticks[0], Duration::from_millis(2));
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "an interval does nothing unless its ticks are awaited"]
pub struct Interval {
    /// Until the next tick.
    sleep: Sleep,
    period: Duration,
    missed_tick: MissedTick,
}

impl Interval {
    /// Waits for the next tick, and returns when it was due.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a tick that was not returned is still to come.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        self.sleep = sleep_until(self.after_tick(due, Instant::now()));
        Poll::Ready(due)
    }

    /// The time between ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Lets the next tick come a period from now.
    pub fn reset(&mut self) {
        self.reset_at(after(Instant::now(), self.period));
    }

    /// Lets the next tick come at `deadline`.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.sleep.reset(deadline);
    }

    /// What happens after a late tick.
    #[must_use]
    pub fn missed_tick(&self) -> MissedTick {
        self.missed_tick
    }

    /// Sets what happens after a late tick.
    pub fn set_missed_tick(&mut self, missed_tick: MissedTick) {
        self.missed_tick = missed_tick;
    }

    /// When the next tick is, if that of `due` is taken `now`.
    fn after_tick(&self, due: Instant, now: Instant) -> Instant {
        let regular = after(due, self.period);
        let late = now.saturating_duration_since(due);
        if late <= TOLERANCE_MAX.min(self.period / 2) {
            return regular;
        }
        match self.missed_tick {
            MissedTick::Burst => regular,
            MissedTick::Delay => after(now, self.period),
            MissedTick::Skip => after(now, self.period - remainder(late, self.period)),
        }
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

/// What is left of `late` after all whole periods in it; less than `period`.
fn remainder(late: Duration, period: Duration) -> Duration {
    let nanos = late.as_nanos() % period.as_nanos();
    // Smaller than the period, so it fits where that did.
    Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
}
