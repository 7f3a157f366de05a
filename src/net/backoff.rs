//! The pause after an accept that failed for want of descriptors.
//!
//! A listener that is out of descriptors stays readable: without a pause, a loop around `accept`
//! would spin from error to error until somebody closes something. With it, each error reaches the
//! caller once, at once, and the next attempt is made a little later: 5 ms after the first failure,
//! then twice as long each time, up to 160 ms, until one succeeds. The connections wait meanwhile
//! in the system's backlog.

use std::future::poll_fn;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use std::{fmt, io, mem};

use crate::driver::{Closed, Driver, Timer};
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::Mutex;

use super::sys;

const FIRST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(160);

/// When a listener may be tried again.
pub(super) struct Backoff {
    /// Whether the last attempt failed; what an accept pays while all is well.
    failed: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// The next pause.
    pause: Duration,
    /// The end of the present one.
    until: Option<Instant>,
    /// What `poll_wait` waits with.
    timer: Option<Timer>,
}

impl State {
    const NEW: State = State { pause: FIRST, until: None, timer: None };

    /// The state after another failure.
    fn failed(&self) -> State {
        State {
            pause: (self.pause * 2).min(LONGEST),
            until: Some(Instant::now() + self.pause),
            timer: None,
        }
    }
}

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff { failed: AtomicBool::new(false), state: Mutex::new(State::NEW) }
    }

    /// Waits until the next attempt is due.
    pub(super) async fn wait(&self, driver: &Driver) {
        if self.has_failed() {
            let until = self.state.lock().until;
            let mut timer = None;
            poll_fn(|cx| poll_until(driver, until, &mut timer, cx)).await;
        }
    }

    /// Like [`Backoff::wait`], for the one task that polls the listener.
    pub(super) fn poll_wait(&self, driver: &Driver, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_failed() {
            return Poll::Ready(());
        }
        // Polled and dropped outside the lock: a waker is anybody's code.
        let (until, mut timer) = {
            let mut state = self.state.lock();
            (state.until, state.timer.take())
        };
        let polled = poll_until(driver, until, &mut timer, cx);
        let _unneeded = match polled {
            Poll::Pending => mem::replace(&mut self.state.lock().timer, timer),
            Poll::Ready(()) => timer,
        };
        polled
    }

    /// Learns how an attempt went.
    pub(super) fn note<T>(&self, accepted: &io::Result<T>) {
        let failed = match accepted {
            Ok(_) => false,
            Err(error) => sys::is_exhausted(error),
        };
        if !failed && (accepted.is_err() || !self.has_failed()) {
            return;
        }
        // Dropped behind the lock: a waker is anybody's code.
        let _replaced = {
            let mut state = self.state.lock();
            let next = if failed { state.failed() } else { State::NEW };
            // ORDERING: Relaxed: the flag only says that it is worth while to take the lock, under
            // which the state is read. A task that misses another's failure makes one attempt too
            // many, and gets the error itself.
            self.failed.store(failed, Ordering::Relaxed);
            mem::replace(&mut *state, next)
        };
    }

    fn has_failed(&self) -> bool {
        // ORDERING: Relaxed, as in `note`.
        self.failed.load(Ordering::Relaxed)
    }
}

/// Waits until `until` with `timer`, which is set if it is not. A driver that has shut down ends
/// the wait: the attempt will tell.
fn poll_until(
    driver: &Driver,
    until: Option<Instant>,
    timer: &mut Option<Timer>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(until) = until.filter(|&until| Instant::now() < until) else {
        return Poll::Ready(());
    };
    if let Some(timer) = timer {
        return timer.poll(cx.waker()).map(|_fired_or_closed| ());
    }
    // Any shard will do for a timer so rare; `check_sleeper` is what a thread that may be no
    // worker of this runtime owes for it.
    match driver.insert_timer(0, until, cx.waker()) {
        Ok(set) => *timer = Some(set),
        Err(Closed) => return Poll::Ready(()),
    }
    driver.check_sleeper();
    Poll::Pending
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff").field("failed", &self.has_failed()).finish_non_exhaustive()
    }
}

// A panic leaves the state as it was before or after one of the methods above.
impl UnwindSafe for Backoff {}
impl RefUnwindSafe for Backoff {}
