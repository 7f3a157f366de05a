//! Pauses between attempts, where no event tells when the next one will succeed.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::driver::{Closed, Driver, Timer};

const FIRST: Duration = Duration::from_micros(200);
const LONGEST: Duration = Duration::from_millis(25);

/// A row of pauses, each twice as long as the one before, from 200 µs to 25 ms.
///
/// So the end of a wait is noticed after at most twice its length, and a long wait costs 40
/// attempts a second.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    /// Of the present pause.
    timer: Option<Timer>,
}

impl Pauses {
    pub(super) const fn new() -> Pauses {
        Pauses { next: FIRST, timer: None }
    }

    /// Waits for the end of the present pause; begins one if there is none.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::Other`] if the runtime was shut down.
    pub(super) fn poll(&mut self, driver: &Driver, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = |Closed| io::Error::other("the runtime was shut down");
        let Some(timer) = &mut self.timer else {
            // Any shard will do for a timer so rare; `check_sleeper` is what a thread that may be
            // no worker of this runtime owes for it.
            let timer = driver.insert_timer(0, Instant::now() + self.next, cx.waker());
            self.timer = Some(timer.map_err(shut_down)?);
            driver.check_sleeper();
            return Poll::Pending;
        };
        ready!(timer.poll(cx.waker())).map_err(shut_down)?;
        *self = Pauses { next: (self.next * 2).min(LONGEST), timer: None };
        Poll::Ready(Ok(()))
    }

    /// Waits for the end of the next pause.
    pub(super) async fn wait(&mut self, driver: &Driver) -> io::Result<()> {
        poll_fn(|cx| self.poll(driver, cx)).await
    }
}
