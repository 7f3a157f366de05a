//! A job's items, as they come.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::lifecycle::budget;
use crate::primitive::Arc;

use super::codec::Body;
use super::dispatch::{Dispatch, Next};
use super::error::JobError;
use super::keeper::CREDIT_BATCH;
use super::pool::Processes;
use super::request::Request;
use super::run::{Submission, decode};

/// The stream of [`ProcessPool::stream`](super::ProcessPool::stream): what the job emits.
///
/// It ends when the job does: after an error if the job has failed, else just so, and then
/// [`output`](Self::output) has what the job returned. An item that is not a `T` is an error in its
/// place, and the stream goes on.
///
/// # Examples
///
/// ```
/// use futures_lite::StreamExt;
/// use tenter::jobs::{self, ProcessPool};
///
/// #[tenter::job(emits = u64)]
/// fn primes(below: u64) -> usize {
///     let is_prime = |n: &u64| (2..*n).all(|d| n % d != 0);
///     let found = (2..below).filter(is_prime);
///     found.inspect(|prime| jobs::emit(*prime)).count()
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::new().unwrap();
///     let mut stream = pool.stream(primes::job(12));
///     let mut found = Vec::new();
///     while let Some(prime) = stream.next().await {
///         found.push(prime.unwrap());
///     }
///     assert_eq!(found, [2, 3, 5, 7, 11]);
///     assert_eq!(stream.output().await.unwrap(), 5);
/// }
/// ```
#[must_use = "the job is submitted when its stream is first polled"]
pub struct JobStream<R, T> {
    submission: Submission,
    /// Items that were taken since the worker was told of more.
    taken: u64,
    /// How the job has ended.
    end: Option<Result<Body, JobError>>,
    types: PhantomData<fn() -> (R, T)>,
}

impl<R, T> JobStream<R, T> {
    pub(super) fn new(
        dispatch: Arc<Dispatch<Processes>>,
        request: Result<Request, JobError>,
    ) -> Self {
        let submission = Submission::new(dispatch, request);
        Self { submission, taken: 0, end: None, types: PhantomData }
    }

    /// The number of the job in its pool, as in [`OutputLine::job`](super::OutputLine::job);
    /// `None` before it is submitted, which the first poll does, and after its end.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        self.submission.id()
    }

    /// Polls for an item; `None` when the job has ended.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Body>> {
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        match ready!(self.submission.poll_next(cx)) {
            Next::Item(item) => {
                self.taken += 1;
                if self.taken == CREDIT_BATCH {
                    self.taken = 0;
                    self.submission.grant(CREDIT_BATCH);
                }
                Poll::Ready(Some(item))
            }
            Next::End(end) => {
                self.end = Some(end);
                Poll::Ready(None)
            }
        }
    }
}

impl<R: DeserializeOwned + 'static, T> JobStream<R, T> {
    /// Waits for the job's end and returns its result; items that were not taken are dropped.
    ///
    /// # Errors
    ///
    /// The error that the job ended with.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future withdraws the job, as dropping the stream does.
    pub async fn output(mut self) -> Result<R, JobError> {
        // Ends: with the job.
        while poll_fn(|cx| self.poll_item(cx)).await.is_some() {}
        self.end.take().unwrap_or(Err(JobError::Closed)).and_then(decode)
    }
}

impl<R, T: DeserializeOwned + 'static> Stream for JobStream<R, T> {
    type Item = Result<T, JobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let was_over = self.end.is_some();
        let charge = ready!(budget::poll_spend(cx));
        let item = ready!(self.poll_item(cx));
        charge.made_progress();
        Poll::Ready(match (item, &self.end) {
            (Some(item), _) => Some(decode(item)),
            (None, Some(Err(error))) if !was_over => Some(Err(error.clone())),
            (None, _) => None,
        })
    }
}

impl<R, T> Unpin for JobStream<R, T> {}
impl<R, T> UnwindSafe for JobStream<R, T> {}
impl<R, T> RefUnwindSafe for JobStream<R, T> {}

impl<R, T> fmt::Debug for JobStream<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobStream").field("submission", &self.submission).finish_non_exhaustive()
    }
}
