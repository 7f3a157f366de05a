//! hyper's timeouts as timers of `tenter`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt;
use tenter::time::Sleep;

/// Gives hyper the timers of `tenter`.
///
/// Without a timer hyper has no timeouts: a server would wait for the end of a slow request head
/// for ever. Timers belong to the runtime in which hyper asks for them, and asking outside one panics.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenter_adapters::hyper::TenterTimer;
///
/// let mut http = hyper::server::conn::http1::Builder::new();
/// http.timer(TenterTimer::new()).header_read_timeout(Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TenterTimer {
    _private: (),
}

impl TenterTimer {
    /// Makes a timer that uses the runtime in which it is called.
    pub fn new() -> TenterTimer {
        TenterTimer::default()
    }
}

impl rt::Timer for TenterTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(TenterSleep { inner: tenter::time::sleep(duration) })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(TenterSleep { inner: tenter::time::sleep_until(deadline) })
    }

    /// Moves the deadline of a sleep of ours without another allocation.
    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<TenterSleep>() {
            Some(ours) => ours.get_mut().inner.reset(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// The future that hyper holds; `hyper::rt::Sleep` can not be implemented for a foreign type.
#[derive(Debug)]
struct TenterSleep {
    inner: Sleep,
}

impl Future for TenterSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

impl rt::Sleep for TenterSleep {}
