//! A limit on how long a future may take.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::{Sleep, sleep, sleep_until};

/// Gives `future` at most `duration`; then it is dropped.
///
/// The future is polled first and the clock is asked afterwards: what is ready in time is returned
/// even with a duration of zero.
///
/// # Errors
///
/// [`Elapsed`] when the time is over.
///
/// # Cancel safety
///
/// As safe as `future`, which must also bear being dropped when the time is over.
///
/// # Examples
///
/// ```
/// use std::future::pending;
/// use std::time::Duration;
/// use tenter::time::timeout;
///
/// # tenter::run(async {
/// assert_eq!(timeout(Duration::from_secs(60), async { 1 }).await, Ok(1));
/// assert!(timeout(Duration::from_millis(1), pending::<()>()).await.is_err());
/// # }).unwrap();
/// ```
#[inline]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep(duration) }
}

/// Gives `future` until `deadline`; then it is dropped. See [`timeout`].
///
/// # Errors
///
/// [`Elapsed`] when the deadline has passed.
///
/// # Cancel safety
///
/// As that of [`timeout`].
///
/// # Examples
///
/// ```
/// use std::future::pending;
/// use std::time::{Duration, Instant};
/// use tenter::time::timeout_at;
///
/// # tenter::run(async {
/// // One deadline for both steps.
/// let deadline = Instant::now() + Duration::from_secs(60);
/// assert_eq!(timeout_at(deadline, async { 1 }).await, Ok(1));
/// assert_eq!(timeout_at(deadline, async { 2 }).await, Ok(2));
///
/// assert!(timeout_at(Instant::now(), pending::<()>()).await.is_err());
/// # }).unwrap();
/// ```
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep_until(deadline) }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    ///
    /// # Panics
    ///
    /// A poll panics as that of [`Sleep`] does, if the inner future is not ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use tenter::time::timeout;
    ///
    /// # tenter::run(async {
    /// let limited = timeout(Duration::from_secs(60), async { 1 });
    /// assert!(limited.deadline() > Instant::now());
    /// assert_eq!(limited.into_inner().await, 1);
    /// # }).unwrap();
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    /// When the time is over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.sleep.deadline()
    }

    /// The limited future.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The limited future.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// The limited future, without the limit.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        // Whatever the inner future has left of the budget.
        this.sleep.poll_free(cx).map(|()| Err(Elapsed(())))
    }
}

/// The time given to a future was over.
///
/// # Examples
///
/// ```
/// use std::future::pending;
/// use std::io;
/// use std::time::Duration;
/// use tenter::time::timeout;
///
/// # fn main() -> io::Result<()> {
/// let result = tenter::run(async {
///     // It fits among errors of I/O.
///     timeout(Duration::from_millis(1), pending::<()>()).await?;
///     io::Result::Ok(())
/// })?;
/// assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has passed")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    /// An error of the kind [`io::ErrorKind::TimedOut`].
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
