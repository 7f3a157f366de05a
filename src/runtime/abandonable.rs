//! A closure that runs on the blocking pool and is awaited from elsewhere, or given up.
//!
//! ```text
//!            1            2          3
//!   queued ─────► running ─────► done ───► taken
//!      │             │             │
//!      └─────────────┴──────4──────┴─────► abandoned
//!
//! 1 Call::run     a thread of the pool takes the closure
//! 2 Call::run     it returned or panicked; who awaits it is woken
//! 3 Answer::poll  who awaits it takes what it came to
//! 4 Answer::drop  nobody awaits it: what is there is dropped
//! ```

use std::any::Any;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::primitive::lock::Mutex;
use crate::primitive::{Arc, contain};

/// A closure in the pool's queue, whatever it returns.
pub(crate) trait Run: Send + Sync {
    /// Runs the closure, unless it was abandoned.
    fn run(&self);
}

/// What the pool and whoever awaits the closure share.
struct Call<F, R> {
    state: Mutex<State<F, R>>,
}

struct State<F, R> {
    stage: Stage<F, R>,
    waker: Option<Waker>,
}

enum Stage<F, R> {
    Queued(F),
    Running,
    Done(Result<R, Box<dyn Any + Send>>),
    /// Or taken: there is nothing left to do.
    Abandoned,
}

/// The closure for the pool, and the future of what it returns.
///
/// The future panics as the closure did.
pub(super) fn call<F, R>(f: F) -> (Arc<dyn Run>, impl Future<Output = R> + Send + 'static)
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let state = State { stage: Stage::Queued(f), waker: None };
    let call = Arc::new(Call { state: Mutex::new(state) });
    let answer = Answer { call: Arc::clone(&call) };
    (call, answer)
}

impl<F, R> Call<F, R> {
    /// Arrow 1.
    fn start(&self) -> Option<F> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.stage, Stage::Running) {
            Stage::Queued(f) => Some(f),
            other => {
                state.stage = other;
                None
            }
        }
    }
}

impl<F, R> Run for Call<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn run(&self) {
        let Some(f) = self.start() else { return };
        // Made before the guard, and so dropped after it.
        let result = contain(f);
        let mut state = self.state.lock();
        if let Stage::Running = state.stage {
            state.stage = Stage::Done(result);
            let waker = state.waker.take();
            drop(state);
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

/// Awaits a closure on the pool.
struct Answer<F, R> {
    call: Arc<Call<F, R>>,
}

impl<F, R> Future for Answer<F, R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let mut state = self.call.state.lock();
        // LIVENESS: this looks and leaves its waker under the lock; `Call::run` says that it is
        // done and takes the waker under the lock.
        let stage = std::mem::replace(&mut state.stage, Stage::Abandoned);
        if let Stage::Done(result) = stage {
            drop(state);
            return Poll::Ready(result.unwrap_or_else(|payload| resume_unwind(payload)));
        }
        state.stage = stage;
        let before = state.waker.replace(cx.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl<F, R> Drop for Answer<F, R> {
    fn drop(&mut self) {
        let mut state = self.call.state.lock();
        // Not under the lock: destructors are somebody else's code.
        let left = (std::mem::replace(&mut state.stage, Stage::Abandoned), state.waker.take());
        drop(state);
        drop(left);
    }
}
