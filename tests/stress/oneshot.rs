//! A signal made by hand: one side fires it, from wherever it likes, the other side waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// How a waker is woken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    ByValue,
    ByReference,
    /// By so many clones, one after the other.
    ByClones(u8),
    /// By a clone that is woken while the original is dropped.
    FromDrop,
}

/// The side that fires; dropped, it fires without a value.
#[derive(Debug)]
pub(crate) struct Firer<T> {
    shared: Arc<Shared<T>>,
    style: Style,
}

/// The side that waits: a future of the value, or of `None` if there will be none.
#[derive(Debug)]
pub(crate) struct Signal<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    fired: bool,
    waker: Option<Waker>,
}

pub(crate) fn signal<T>(style: Style) -> (Firer<T>, Signal<T>) {
    let state = Mutex::new(State { value: None, fired: false, waker: None });
    let shared = Arc::new(Shared { state });
    (Firer { shared: shared.clone(), style }, Signal { shared })
}

impl<T> Firer<T> {
    pub(crate) fn fire(self, value: T) {
        self.shared.state.lock().unwrap().value = Some(value);
    }
}

impl<T> Drop for Firer<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap();
        state.fired = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            wake(waker, self.style);
        }
    }
}

impl<T> Future for Signal<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.shared.state.lock().unwrap();
        if state.fired {
            return Poll::Ready(state.value.take());
        }
        let replaced = state.waker.replace(cx.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

pub(crate) fn wake(waker: Waker, style: Style) {
    /// Wakes when it is dropped.
    struct Last(Waker);

    impl Drop for Last {
        fn drop(&mut self) {
            self.0.wake_by_ref();
        }
    }

    match style {
        Style::ByValue => waker.wake(),
        Style::ByReference => waker.wake_by_ref(),
        Style::ByClones(count) => {
            let clones: Vec<Waker> = (0..=count).map(|_| waker.clone()).collect();
            clones.into_iter().for_each(Waker::wake);
        }
        Style::FromDrop => {
            let last = Last(waker.clone());
            drop(waker);
            drop(last);
        }
    }
}
