//! The future of a group: the body, then the wait for everybody.

use std::any::Any;
use std::fmt::Debug;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::primitive::{Arc, contain, contain_drop, seeded};

use super::context::{self, Inside};
use super::error::{Cause, Failure, GroupError};
use super::inner::Inner;
use super::ledger::{Ledger, News};
use super::outside::{self, Alarm, Rings};

/// How long a group waits for cancelled tasks before it says which they are.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs `body` and waits for all who have a seat in the group.
pub(crate) async fn run<T, E, B>(inner: &Arc<Inner<E>>, body: B) -> Result<T, GroupError<E>>
where
    B: Future<Output = Result<T, E>>,
    E: Debug,
{
    // Dropped last: after the body, in whichever way this ends.
    let mut scope = Scope::new(inner);
    let (returned, panic) = scope.run_body(body).await;
    if panic.is_none() || !seeded::is("group: a panic of the body is not held back") {
        poll_fn(|cx| scope.poll_closed(cx)).await;
    }
    if let Some(payload) = panic {
        // Tells the hook of the tasks' failures.
        drop(scope);
        resume_unwind(payload);
    }
    let failures = inner.take_failures();
    match returned {
        Some(value) if failures.is_empty() && !scope.is_timed_out => Ok(value),
        _ => Err(GroupError::new(failures, scope.is_timed_out)),
    }
}

/// A group as its future has it, with the clocks that it looks at.
struct Scope<'a, E: Debug> {
    inner: &'a Arc<Inner<E>>,
    deadline: Alarm,
    is_timed_out: bool,
    patience: Alarm,
    /// When it will have waited for cancelled tasks long enough.
    impatient_at: Option<Instant>,
    has_reported: bool,
}

/// What became of a body.
enum Ended<T, E> {
    Returned(Result<T, E>),
    Panicked(Box<dyn Any + Send>),
    /// It is not to go on.
    Cancelled,
}

impl<'a, E: Debug> Scope<'a, E> {
    fn new(inner: &'a Arc<Inner<E>>) -> Self {
        Self {
            inner,
            deadline: Alarm::default(),
            is_timed_out: false,
            patience: Alarm::default(),
            impatient_at: None,
            has_reported: false,
        }
    }

    /// Runs the body until it ends, or the group fails or has no time left, and drops it. What it
    /// returned, or its panic.
    async fn run_body<T, B>(&mut self, body: B) -> (Option<T>, Option<Box<dyn Any + Send>>)
    where
        B: Future<Output = Result<T, E>>,
    {
        let mut inside: Inside = Some(Arc::clone(&self.inner.ledger));
        let mut body = pin!(Some(body));
        let ended = poll_fn(|cx| self.poll_body(body.as_mut(), &mut inside, cx)).await;
        let dropped = contain(|| {
            let _entered = context::enter(&mut inside);
            body.set(None);
        });
        let (mut returned, mut panic) = (None, dropped.err());
        match ended {
            Ended::Returned(Ok(value)) => returned = Some(value),
            Ended::Returned(Err(error)) => {
                self.inner.fail(Failure::of_body(self.inner.location, Cause::Error(error)));
            }
            Ended::Panicked(payload) => {
                // Rather the first than what came of it.
                let second = panic.replace(payload);
                contain_drop(|| drop(second));
            }
            Ended::Cancelled => {}
        }
        if panic.is_some() {
            self.inner.ledger.cancel();
        }
        self.inner.ledger.end_body();
        (returned, panic)
    }

    fn poll_body<T, B>(
        &mut self,
        body: Pin<&mut Option<B>>,
        inside: &mut Inside,
        cx: &mut Context<'_>,
    ) -> Poll<Ended<T, E>>
    where
        B: Future<Output = Result<T, E>>,
    {
        let news = self.inner.ledger.look(cx.waker());
        if news.has_failed {
            return Poll::Ready(Ended::Cancelled);
        }
        let body = body.as_pin_mut().expect("it is dropped when it has ended");
        let polled = contain(|| {
            let _entered = context::enter(inside);
            body.poll(cx)
        });
        match polled {
            Ok(Poll::Ready(result)) => Poll::Ready(Ended::Returned(result)),
            Err(payload) => Poll::Ready(Ended::Panicked(payload)),
            // A body that is ready in time is; so the clock is asked afterwards.
            Ok(Poll::Pending) if self.is_out_of_time(news, cx) => Poll::Ready(Ended::Cancelled),
            Ok(Poll::Pending) => Poll::Pending,
        }
    }

    /// Waits until the group is closed (G2).
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let news = self.inner.ledger.look(cx.waker());
        if news.is_closed {
            return Poll::Ready(());
        }
        if self.is_out_of_time(news, cx) || news.is_cancelled {
            ready!(self.poll_impatient(cx));
            self.has_reported = true;
            let waits_for = Ledger::waits_for(&self.inner.ledger);
            outside::report_waiting(self.inner.location, &waits_for);
        }
        Poll::Pending
    }

    /// Whether the deadline has passed. Cancels the group when it does.
    fn is_out_of_time(&mut self, news: News, cx: &Context<'_>) -> bool {
        let Some(deadline) = news.deadline.filter(|_| !self.is_timed_out) else {
            return self.is_timed_out;
        };
        // A runtime without time to come is over, and the group with it.
        self.is_timed_out = self.deadline.poll(deadline, cx.waker()) != Rings::NotYet;
        if self.is_timed_out {
            self.inner.ledger.cancel();
        }
        self.is_timed_out
    }

    /// Waits until it is time to say who does not end. Once.
    fn poll_impatient(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.has_reported {
            return Poll::Pending;
        }
        let at = *self.impatient_at.get_or_insert_with(|| Instant::now() + PATIENCE);
        match self.patience.poll(at, cx.waker()) {
            Rings::Now => Poll::Ready(()),
            Rings::NotYet | Rings::Never => Poll::Pending,
        }
    }
}

impl<E: Debug> Drop for Scope<'_, E> {
    /// Of a group that has ended there is nothing left to do. One that is dropped before is
    /// cancelled, and nobody waits for it but the group around it.
    fn drop(&mut self) {
        self.inner.ledger.cancel();
        self.inner.ledger.end_body();
        self.inner.tell_failures();
    }
}
