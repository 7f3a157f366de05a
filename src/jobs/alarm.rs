//! A deadline by the clock of the pool's runtime, for futures that are polled anywhere.

use std::task::{Poll, Waker};
use std::time::Instant;

use crate::driver::{Closed, Driver, Timer};
use crate::runtime::Handle;

/// A timer that is set when it is first polled.
///
/// Unlike [`Sleep`](crate::time::Sleep) it needs no runtime where it is polled, and outlives its
/// own.
#[derive(Debug)]
pub(crate) struct Alarm {
    deadline: Instant,
    timer: Option<Timer>,
}

impl Alarm {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self { deadline, timer: None }
    }

    /// Ready when the deadline has come, or will not come because the runtime of `handle` has
    /// ended.
    pub(crate) fn poll(&mut self, handle: &Handle, waker: &Waker) -> Poll<Result<(), Closed>> {
        if let Some(timer) = &mut self.timer {
            return timer.poll(waker);
        }
        let _entered = handle.enter();
        let set = |driver: &Driver, shard| driver.insert_timer(shard, self.deadline, waker);
        match Handle::with_timers(set) {
            Some(Ok(timer)) => {
                self.timer = Some(timer);
                Poll::Pending
            }
            Some(Err(Closed)) | None => Poll::Ready(Err(Closed)),
        }
    }
}
