//! Boxed futures in a deque, polled in turn until none is left.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    static TASKS: RefCell<VecDeque<Task>> = const { RefCell::new(VecDeque::new()) };
}

pub(crate) fn push(future: impl Future<Output = ()> + 'static) {
    push_task(Box::pin(future));
}

/// Runs this thread's tasks. A pending one goes to the back, woken or not.
pub(crate) fn run() {
    let mut cx = Context::from_waker(Waker::noop());
    while let Some(mut task) = TASKS.with_borrow_mut(VecDeque::pop_front) {
        if task.as_mut().poll(&mut cx).is_pending() {
            push_task(task);
        }
    }
}

/// Pending once.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn push_task(task: Task) {
    TASKS.with_borrow_mut(|tasks| tasks.push_back(task));
}
