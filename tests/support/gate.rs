//! Gates: what orders threads and tasks in a test.

use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Poll, Waker};
use std::thread;

/// Closed until somebody opens it, then open for ever. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    wakers: Vec<Waker>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Lets everybody through.
    pub(crate) fn open(&self) {
        let mut state = self.inner.state.lock().unwrap();
        state.open = true;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.inner.opened.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.inner.state.lock().unwrap().open
    }

    /// Blocks the thread until the gate is open.
    pub(crate) fn wait(&self) {
        let state = self.inner.state.lock().unwrap();
        drop(self.inner.opened.wait_while(state, |state| !state.open).unwrap());
    }

    /// Suspends the task until the gate is open.
    pub(crate) async fn pass(&self) {
        poll_fn(|cx| {
            let mut state = self.inner.state.lock().unwrap();
            if state.open {
                return Poll::Ready(());
            }
            if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// How many wakers wait.
    pub(crate) fn waiting(&self) -> usize {
        self.inner.state.lock().unwrap().wakers.len()
    }
}

impl Drop for Gate {
    /// A test that fails leaves nobody behind at its gates: the runtime it drops would wait.
    fn drop(&mut self) {
        if thread::panicking() {
            self.open();
        }
    }
}

/// Two gates for one who comes to a place and is held there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair {
    pub(crate) arrived: Gate,
    pub(crate) released: Gate,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Says that the thread is here, and blocks it until it is released.
    pub(crate) fn hold(&self) {
        self.arrived.open();
        self.released.wait();
    }
}

/// Is held as it is dropped, before what it was given is dropped.
#[derive(Debug)]
pub(crate) struct Holds<T = ()>(pub(crate) Pair, pub(crate) T);

impl<T> Drop for Holds<T> {
    fn drop(&mut self) {
        self.0.hold();
    }
}
