//! The future of a job.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use serde::de::DeserializeOwned;

use crate::driver::Closed;
use crate::lifecycle::budget;
use crate::primitive::Arc;
use crate::time::after;

use super::alarm::Alarm;
use super::codec::Body;
use super::dispatch::{Dispatch, Next, Refusal, Room, Withdraw};
use super::error::JobError;
use super::keeper::push_credit;
use super::pool::Processes;
use super::request::{Request, error_of};

type Job = super::dispatch::Job<Request>;

/// The future of [`ProcessPool::run`](super::ProcessPool::run): the job's result.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenter::jobs::ProcessPool;
/// use tenter::time::timeout;
///
/// #[tenter::job]
/// fn hang() {
///     loop {
///         std::hint::spin_loop();
///     }
/// }
///
/// #[tenter::main]
/// async fn main() {
///     let pool = ProcessPool::builder().workers(1).build().unwrap();
///     let mut run = pool.run(hang::job());
///     assert_eq!(run.id(), None, "nobody has polled it");
///     assert!(timeout(Duration::from_millis(5), &mut run).await.is_err());
///     assert!(run.id().is_some(), "it waits, or runs");
///     // The worker is killed, and its processor is free again.
///     drop(run);
/// }
/// ```
#[must_use = "the job is submitted when its future is first polled"]
pub struct Run<R> {
    submission: Submission,
    result: PhantomData<fn() -> R>,
}

impl<R> Run<R> {
    pub(super) fn new(
        dispatch: Arc<Dispatch<Processes>>,
        request: Result<Request, JobError>,
    ) -> Self {
        Self { submission: Submission::new(dispatch, request), result: PhantomData }
    }

    pub(super) fn failed(dispatch: Arc<Dispatch<Processes>>, error: JobError) -> Self {
        Self::new(dispatch, Err(error))
    }

    pub(super) fn submit(&mut self, room: Room) -> Result<(), Refusal<Request>> {
        self.submission.submit(room)
    }

    /// The number of the job in its pool, as in [`OutputLine::job`](super::OutputLine::job);
    /// `None` before it is submitted, which the first poll does, and after its end.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        self.submission.id()
    }
}

impl<R: DeserializeOwned + 'static> Future for Run<R> {
    type Output = Result<R, JobError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let charge = ready!(budget::poll_spend(cx));
        let end = ready!(self.submission.poll_end(cx));
        charge.made_progress();
        Poll::Ready(end.and_then(decode))
    }
}

/// Decodes a result or an item.
pub(super) fn decode<R: DeserializeOwned + 'static>(body: Body) -> Result<R, JobError> {
    body.into_value().map_err(|error| JobError::Codec { message: error.to_string() })
}

/// A job from before it is submitted until its end is taken; dropped before, it is withdrawn.
pub(super) struct Submission {
    dispatch: Arc<Dispatch<Processes>>,
    state: State,
}

enum State {
    /// Not submitted yet.
    New(Box<Request>),
    /// It could not be.
    Failed(JobError),
    Submitted(Submitted),
    /// Its end was taken.
    Over,
}

struct Submitted {
    job: Arc<Job>,
    /// Until when it may wait for a worker.
    queue_limit: Option<Alarm>,
}

impl Submission {
    pub(super) fn new(
        dispatch: Arc<Dispatch<Processes>>,
        request: Result<Request, JobError>,
    ) -> Self {
        let state = match request {
            Ok(request) => State::New(Box::new(request)),
            Err(error) => State::Failed(error),
        };
        Self { dispatch, state }
    }

    /// Submits the job if that was not done.
    ///
    /// # Errors
    ///
    /// It was not taken, and never will be.
    pub(super) fn submit(&mut self, room: Room) -> Result<(), Refusal<Request>> {
        if !matches!(self.state, State::New(_)) {
            return Ok(());
        }
        let State::New(request) = std::mem::replace(&mut self.state, State::Over) else {
            return Ok(());
        };
        let credit = request.credit();
        let now = Instant::now();
        let limit = request.options.queue_timeout;
        let queue_limit = limit.map(|limit| Alarm::new(after(now, limit)));
        let job = self.dispatch.job(*request, credit);
        self.dispatch.submit(&job, room, now)?;
        self.state = State::Submitted(Submitted { job, queue_limit });
        Ok(())
    }

    /// The job, submitted if it was not yet.
    fn submitted(&mut self) -> Result<&mut Submitted, JobError> {
        self.submit(Room::Wait).map_err(|refusal| match refusal {
            Refusal::Failed(failure) => error_of(failure),
            Refusal::Full => unreachable!("a job that may wait for room is not refused for it"),
        })?;
        match &mut self.state {
            State::Submitted(submitted) => Ok(submitted),
            state => match std::mem::replace(state, State::Over) {
                State::Failed(error) => Err(error),
                _ => panic!("the future of a job was polled after it had completed"),
            },
        }
    }

    /// Polls for the job's end.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, JobError>> {
        self.poll_slot(cx, |job, cx| job.poll_end(cx).map(Next::End)).map(|next| match next {
            Next::End(end) => end,
            Next::Item(_) => unreachable!("only ends are polled for"),
        })
    }

    /// Polls for the job's next item, or its end when there is none.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<Request>> {
        self.poll_slot(cx, |job, cx| job.poll_next(cx))
    }

    fn poll_slot(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl Fn(&Job, &mut Context<'_>) -> Poll<Next<Request>>,
    ) -> Poll<Next<Request>> {
        let dispatch = Arc::clone(&self.dispatch);
        let submitted = match self.submitted() {
            Ok(submitted) => submitted,
            Err(error) => return Poll::Ready(Next::End(Err(error))),
        };
        let mut polled = poll(&submitted.job, cx);
        if polled.is_pending() && submitted.poll_queue_timer(&dispatch, cx).is_ready() {
            // The job has ended for it, or for another reason.
            polled = poll(&submitted.job, cx);
        }
        if let Poll::Ready(Next::End(_)) = &polled {
            self.state = State::Over;
        }
        polled
    }

    pub(super) fn id(&self) -> Option<u64> {
        match &self.state {
            State::Submitted(Submitted { job, .. }) => Some(job.id()),
            _ => None,
        }
    }

    /// Tells the worker that runs the job that it may send `more` items.
    pub(super) fn grant(&self, more: u64) {
        let State::Submitted(Submitted { job, .. }) = &self.state else { return };
        job.add_credit(more);
        if let Some(link) = self.dispatch.link_of(job) {
            link.control(|bytes| push_credit(job.id(), more, bytes));
        }
    }
}

impl Submitted {
    /// Gives the job up if it has waited for too long; ready when its end is in its slot.
    fn poll_queue_timer(
        &mut self,
        dispatch: &Arc<Dispatch<Processes>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(alarm) = &mut self.queue_limit else { return Poll::Pending };
        match ready!(alarm.poll(&dispatch.host().handle, cx.waker())) {
            Ok(()) => {
                self.queue_limit = None;
                let is_out = dispatch.withdraw(&self.job, Withdraw::WaitedTooLong, Instant::now());
                if is_out { Poll::Ready(()) } else { Poll::Pending }
            }
            // Its runtime has ended, and with it the pool.
            Err(Closed) => {
                self.queue_limit = None;
                dispatch.close_now(Instant::now());
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        if let State::Submitted(Submitted { job, .. }) = &self.state {
            let is_detached = job.payload().options.detached;
            let why = if is_detached { Withdraw::Detached } else { Withdraw::Dropped };
            self.dispatch.withdraw(job, why, Instant::now());
        }
    }
}

impl<R> Unpin for Run<R> {}
impl<R> UnwindSafe for Run<R> {}
impl<R> RefUnwindSafe for Run<R> {}

impl<R> fmt::Debug for Run<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("submission", &self.submission).finish()
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::New(_) => "not submitted",
            State::Failed(_) => "failed",
            State::Submitted(_) => "submitted",
            State::Over => "over",
        })
    }
}
