//! A task or closure of a group: it leaves when its future is gone, on every path.

use std::any::Any;
use std::fmt::Debug;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::primitive::lock::SpinLock;
use crate::primitive::{Arc, contain, contain_drop, seeded};

use super::context;
use super::error::{Cause, Failure};
use super::inner::Inner;
use super::ledger::{Admission, Ledger, Seat};

type Payload = Box<dyn Any + Send>;

/// What a task holds of its group.
pub(crate) struct Ticket<U, E> {
    inner: Arc<Inner<E>>,
    slot: Arc<Slot<U>>,
    /// `None` if the group was closed, and once the task has ended.
    seat: Option<Seat>,
    may_run: bool,
}

impl<U, E> Ticket<U, E> {
    /// A ticket, with the spawner's part of it. Without a place in the group, which is closed, or
    /// cancelled, the task is not run, only dropped.
    pub(crate) fn new(inner: &Arc<Inner<E>>) -> (Self, Option<Admission<'_>>) {
        let (seat, admission) = Ledger::reserve(&inner.ledger).unzip();
        let ticket = Self {
            inner: Arc::clone(inner),
            slot: Arc::new(Slot::new()),
            seat,
            may_run: admission.as_ref().is_some_and(|admission| !admission.is_late()),
        };
        (ticket, admission)
    }

    pub(crate) fn slot(&self) -> Arc<Slot<U>> {
        Arc::clone(&self.slot)
    }

    /// Runs what is the user's.
    fn run<R>(&mut self, f: impl FnOnce() -> R) -> Result<R, Payload> {
        match &mut self.seat {
            Some(seat) => {
                let _entered = context::enter(seat.inside());
                contain(f)
            }
            None => contain(f),
        }
    }
}

impl<U, E: Debug> Ticket<U, E> {
    /// The task has returned or panicked, and its future is gone: G5, then G1.
    fn end(&mut self, result: Result<Result<U, E>, Payload>, dropped: Result<(), Payload>) {
        if seeded::is("group: a task leaves before its failure is noted") {
            drop(self.seat.take());
        }
        let outcome = match result {
            Ok(Ok(output)) => Outcome::Returned(output),
            Ok(Err(error)) => {
                self.inner.fail(Failure::of_task(self.inner.location, Cause::Error(error)));
                Outcome::Failed
            }
            Err(payload) => self.panicked(payload),
        };
        self.leave(outcome, dropped);
    }

    /// The last step of a task that returned, panicked or was cancelled.
    fn leave(&mut self, mut outcome: Outcome<U>, dropped: Result<(), Payload>) {
        if let Err(payload) = dropped {
            let panicked = self.panicked(payload);
            let before = mem::replace(&mut outcome, panicked);
            contain_drop(|| drop(before));
        }
        // Before it leaves: of an output that nobody takes nothing is left either.
        self.slot.end(outcome);
        drop(self.seat.take());
    }

    fn panicked(&self, payload: Payload) -> Outcome<U> {
        let failure = Failure::of_task(self.inner.location, Cause::panic(payload));
        let message = failure.panic_message().unwrap_or_default().to_owned();
        self.inner.fail(failure);
        Outcome::Panicked(message)
    }
}

pin_project! {
    /// The future of a task in a group.
    pub(crate) struct Child<F, U, E>
    where
        E: Debug,
    {
        // `None` once it has ended.
        #[pin]
        future: Option<F>,
        ticket: Ticket<U, E>,
    }

    impl<F, U, E> PinnedDrop for Child<F, U, E>
    where
        E: Debug,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                if seeded::is("group: a cancelled task leaves before its future is dropped") {
                    drop(this.ticket.seat.take());
                }
                let dropped = this.ticket.run(|| this.future.set(None));
                this.ticket.leave(Outcome::Cancelled, dropped);
            }
        }
    }
}

impl<F, U, E: Debug> Child<F, U, E> {
    pub(crate) fn new(future: F, ticket: Ticket<U, E>) -> Self {
        Self { future: Some(future), ticket }
    }
}

impl<F, U, E> Future for Child<F, U, E>
where
    F: Future<Output = Result<U, E>>,
    E: Debug,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if !this.ticket.may_run {
            // Its spawner aborts it.
            return Poll::Pending;
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(());
        };
        let result = match this.ticket.run(|| future.poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => Ok(result),
            Err(payload) => Err(payload),
        };
        let dropped = this.ticket.run(|| this.future.set(None));
        this.ticket.end(result, dropped);
        Poll::Ready(())
    }
}

/// A closure of the blocking pool in a group.
pub(crate) struct Closure<F, U, E: Debug> {
    /// `None` once it runs.
    f: Option<F>,
    ticket: Ticket<U, E>,
}

impl<F, U, E> Closure<F, U, E>
where
    F: FnOnce() -> Result<U, E>,
    E: Debug,
{
    pub(crate) fn new(f: F, ticket: Ticket<U, E>) -> Self {
        Self { f: Some(f), ticket }
    }

    pub(crate) fn call(mut self) {
        if self.ticket.may_run {
            if let Some(f) = self.f.take() {
                let result = self.ticket.run(f);
                self.ticket.end(result, Ok(()));
            }
        }
    }
}

impl<F, U, E: Debug> Drop for Closure<F, U, E> {
    /// It was cancelled before it ran.
    fn drop(&mut self) {
        if let Some(f) = self.f.take() {
            let dropped = self.ticket.run(|| drop(f));
            self.ticket.leave(Outcome::Cancelled, dropped);
        }
    }
}

/// Where the output of a task is, for its handle.
///
/// Not in the task itself: there an output that nobody takes is dropped after the task has left
/// its group.
pub(crate) struct Slot<U> {
    stage: SpinLock<Stage<U>>,
}

#[derive(Default)]
enum Stage<U> {
    #[default]
    Running,
    /// The handle was dropped, or has taken what there was.
    Abandoned,
    Ended(Outcome<U>),
}

/// How a task ended, as far as its handle is concerned.
pub(crate) enum Outcome<U> {
    Returned(U),
    /// Its error is the group's.
    Failed,
    /// With this message; the payload is the group's.
    Panicked(String),
    Cancelled,
}

impl<U> Slot<U> {
    fn new() -> Self {
        Self { stage: SpinLock::default() }
    }

    fn end(&self, outcome: Outcome<U>) {
        let mut stage = self.stage.lock();
        let unwanted = match *stage {
            Stage::Running => {
                *stage = Stage::Ended(outcome);
                return;
            }
            Stage::Abandoned | Stage::Ended(_) => outcome,
        };
        drop(stage);
        contain_drop(|| drop(unwanted));
    }

    /// What there is, if the task has ended. Once.
    pub(crate) fn take(&self) -> Option<Outcome<U>> {
        let mut stage = self.stage.lock();
        match mem::replace(&mut *stage, Stage::Abandoned) {
            Stage::Ended(outcome) => Some(outcome),
            other => {
                *stage = other;
                None
            }
        }
    }

    /// The handle is dropped.
    pub(crate) fn abandon(&self) {
        let before = mem::replace(&mut *self.stage.lock(), Stage::Abandoned);
        contain_drop(|| drop(before));
    }

    /// Calls `f` with how the task has ended, if it has and nobody has taken it yet.
    pub(crate) fn peek<R>(&self, f: impl FnOnce(&Outcome<U>) -> R) -> Option<R> {
        match &*self.stage.lock() {
            Stage::Ended(outcome) => Some(f(outcome)),
            Stage::Running | Stage::Abandoned => None,
        }
    }
}
