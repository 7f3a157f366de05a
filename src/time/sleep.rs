//! The future that completes at a deadline.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::driver::{Closed, Driver, Timer};
use crate::lifecycle::{budget, context};
use crate::runtime::Handle;

use super::after;

/// Waits until `duration` has passed.
///
/// A duration of zero is over at once; one that the clock cannot add, like [`Duration::MAX`], never
/// is.
///
/// # Cancel safety
///
/// Dropping the future removes the timer; nothing else is lost.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// # tenter::run(async {
/// let start = Instant::now();
/// tenter::time::sleep(Duration::from_millis(5)).await;
/// assert!(start.elapsed() >= Duration::from_millis(5));
/// # }).unwrap();
/// ```
#[inline]
pub fn sleep(duration: Duration) -> Sleep {
    let deadline = after(Instant::now(), duration);
    let state = if duration.is_zero() { State::Elapsed } else { State::Ahead };
    Sleep { deadline, state }
}

/// Waits until `deadline`; one that has passed is over at once.
///
/// # Cancel safety
///
/// Dropping the future removes the timer; nothing else is lost.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// # tenter::run(async {
/// let deadline = Instant::now() + Duration::from_millis(2);
/// tenter::time::sleep_until(deadline).await;
/// assert!(Instant::now() >= deadline);
/// # }).unwrap();
/// ```
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, state: State::New }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It belongs to the runtime on whose thread it is first polled, and may be polled elsewhere
/// afterwards. It can be used again with [`Sleep::reset`].
///
/// # Panics
///
/// A poll panics
///
/// - outside a runtime, if it is the first after creation or reset;
/// - after the runtime was shut down: the deadline will not come, and completing would be early.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// # tenter::run(async {
/// let mut sleep = tenter::time::sleep(Duration::from_secs(3600));
/// // On second thoughts:
/// let deadline = Instant::now() + Duration::from_millis(2);
/// sleep.reset(deadline);
/// assert_eq!(sleep.deadline(), deadline);
/// (&mut sleep).await;
/// assert!(sleep.is_elapsed());
/// # }).unwrap();
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Sleep {
    deadline: Instant,
    state: State,
}

enum State {
    /// Not polled yet.
    New,
    /// The same, of a deadline that was ahead when it was computed: no need for another look at
    /// the clock.
    Ahead,
    /// In the wheel.
    Set(Timer),
    /// Completed.
    Elapsed,
}

impl Sleep {
    /// When it completes.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the deadline has passed, by the clock or because a poll has said so.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        matches!(self.state, State::Elapsed) || self.deadline <= Instant::now()
    }

    /// Moves the deadline, of a completed sleep too.
    ///
    /// A task that waits for it keeps waiting, for the new deadline.
    pub fn reset(&mut self, deadline: Instant) {
        let later = self.deadline <= deadline;
        self.deadline = deadline;
        if let State::Set(timer) = &mut self.state {
            if later && timer.postpone(deadline) {
                return;
            }
            // Set anew by the next poll, which the waiting task is made to do.
            let waiting = timer.remove();
            self.state = State::New;
            if let Some(waker) = waiting {
                waker.wake();
            }
        } else {
            self.state = State::New;
        }
    }

    /// [`Future::poll`] at no charge: a [`Timeout`](super::Timeout) must hear of its deadline even
    /// if the future that it limits has used up the task's budget.
    #[inline]
    pub(super) fn poll_free(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = match &mut self.state {
            State::Elapsed => return Poll::Ready(()),
            State::Set(timer) => timer.poll(cx.waker()),
            State::New if self.deadline <= Instant::now() => Poll::Ready(Ok(())),
            State::New | State::Ahead => match self.set(cx) {
                Ok(()) => return Poll::Pending,
                Err(closed) => Poll::Ready(Err(closed)),
            },
        };
        if let Err(Closed) = ready!(polled) {
            if context::is_aborted() {
                // The shutdown that closed the timers has aborted this task: it ends here.
                return Poll::Pending;
            }
            panic_closed();
        }
        self.state = State::Elapsed;
        Poll::Ready(())
    }

    /// Sets the timer, with the current runtime.
    #[inline]
    fn set(&mut self, cx: &Context<'_>) -> Result<(), Closed> {
        let set = |driver: &Driver, shard| {
            self.state = State::Set(driver.insert_timer(shard, self.deadline, cx.waker())?);
            Ok(())
        };
        Handle::with_timers(set).unwrap_or_else(|| panic_outside())
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let charge = ready!(budget::poll_spend(cx));
        ready!(self.poll_free(cx));
        charge.made_progress();
        Poll::Ready(())
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("is_elapsed", &self.is_elapsed())
            .finish()
    }
}

// What a panic can interrupt is a poll, which leaves the state as it was or as it shall be; the
// wheel is behind a lock, under which nothing of a user's runs.
impl UnwindSafe for Sleep {}
impl RefUnwindSafe for Sleep {}

#[cold]
fn panic_outside() -> ! {
    panic!(
        "a timer was polled outside a runtime: poll it in a task, in `block_on`, or on a thread \
         that has called `Handle::enter`"
    )
}

#[cold]
fn panic_closed() -> ! {
    panic!(
        "a timer was polled after its runtime was shut down: it cannot complete in time. Drop it \
         before the runtime, or use a runtime that lives longer"
    )
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<Sleep>();
};
