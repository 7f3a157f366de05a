//! What the macros of this crate write into others. Not for anyone else.

use std::cell::Cell;

use pin_project_lite::pin_project;

use crate::lifecycle::budget;
use crate::primitive::atomic::Ordering;
use crate::primitive::{PlainCounter, thread_local};

pub use core;
pub use std::future::{Future, IntoFuture, poll_fn};
pub use std::option::Option;
pub use std::pin::{Pin, pin};
pub use std::result::Result;
pub use std::task::{Context, Poll};

/// A unit of the budget, which goes back unless something was done with it.
#[derive(Debug)]
pub struct Spent(budget::Charge);

impl Spent {
    #[inline]
    pub fn made_progress(&self) {
        self.0.made_progress();
    }
}

#[inline]
pub fn poll_spend(cx: &mut Context<'_>) -> Poll<Spent> {
    budget::poll_spend(cx).map(Spent)
}

/// The branches in their order.
#[inline]
pub fn first(_: &mut usize, branches: &[usize]) -> impl Iterator<Item = usize> + use<> {
    0..branches.len()
}

/// The branches in a circle that begins one further each time.
#[inline]
pub fn next(polls: &mut usize, branches: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let start = *polls % branches.len();
    *polls = start + 1;
    circle(start, branches.len())
}

/// The branches in a circle that begins anywhere.
#[inline]
pub fn random(_: &mut usize, branches: &[usize]) -> impl Iterator<Item = usize> + use<> {
    circle(random_below(branches.len()), branches.len())
}

fn circle(start: usize, count: usize) -> impl Iterator<Item = usize> {
    (start..count).chain(0..start)
}

/// A number below `bound`: Marsaglia's xorshift64, one a thread.
fn random_below(bound: usize) -> usize {
    static SEEDS: PlainCounter = PlainCounter::new(1);
    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    STATE.with(|state| {
        let mut x = state.get();
        if x == 0 {
            // ORDERING: Relaxed. Only that threads begin differently matters.
            x = SEEDS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        (((x >> 32) * bound as u64) >> 32) as usize
    })
}

/// A branch of `select!`.
#[inline]
pub fn branch<F: IntoFuture>(future: Option<F>) -> Option<F::IntoFuture> {
    future.map(IntoFuture::into_future)
}

/// What became of a branch of `select!`.
#[derive(Debug)]
pub enum Polled<T> {
    Disabled,
    Pending,
    Ready(T),
}

/// Polls a branch of `select!`. One that is ready is disabled, and its future dropped.
#[inline]
pub fn poll<F: Future>(
    branch: &mut Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Polled<F::Output> {
    let Some(future) = branch.as_mut().as_pin_mut() else { return Polled::Disabled };
    match future.poll(cx) {
        Poll::Pending => Polled::Pending,
        Poll::Ready(output) => {
            branch.set(None);
            Polled::Ready(output)
        }
    }
}

pin_project! {
    /// A branch of `join!` and `try_join!`.
    #[project = Projected]
    #[project_replace = Replaced]
    #[derive(Debug)]
    pub enum Branch<F, T> {
        Running { #[pin] future: F },
        Ready { output: T },
        Taken,
    }
}

/// A branch of `join!`.
#[inline]
pub fn all_branch<F: IntoFuture>(future: F) -> Branch<F::IntoFuture, F::Output> {
    Branch::Running { future: future.into_future() }
}

/// A branch of `try_join!`: what is not of results is refused here.
#[inline]
pub fn try_branch<F, T, E>(future: F) -> Branch<F::IntoFuture, Result<T, E>>
where
    F: IntoFuture<Output = Result<T, E>>,
{
    Branch::Running { future: future.into_future() }
}

impl<F: Future> Branch<F, F::Output> {
    #[inline]
    pub fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Projected::Running { future } = self.as_mut().project() {
            let Poll::Ready(output) = future.poll(cx) else { return Poll::Pending };
            self.set(Self::Ready { output });
        }
        Poll::Ready(())
    }
}

impl<F, T> Branch<F, T> {
    #[inline]
    pub fn take(self: Pin<&mut Self>) -> T {
        match self.project_replace(Self::Taken) {
            Replaced::Ready { output } => output,
            _ => unreachable(),
        }
    }
}

impl<F, T, E> Branch<F, Result<T, E>> {
    #[inline]
    pub fn take_error(self: Pin<&mut Self>) -> Option<E> {
        match *self {
            Self::Ready { output: Err(_) } => self.take().err(),
            _ => None,
        }
    }

    #[inline]
    pub fn take_success(self: Pin<&mut Self>) -> T {
        match self.take() {
            Ok(success) => success,
            Err(_) => unreachable(),
        }
    }
}

#[cold]
#[track_caller]
pub fn all_disabled() -> ! {
    panic!("every branch of the `select!` is disabled, and it has no `else`")
}

#[cold]
pub fn unreachable() -> ! {
    unreachable!("every branch was looked at, and what was found to match does")
}
