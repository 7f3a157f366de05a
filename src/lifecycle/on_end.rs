//! A handle that waits without a task.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::primitive::lock::Mutex;
use crate::primitive::seeded;

use super::join::JoinHandle;

impl<T: Send + 'static> JoinHandle<T> {
    /// Calls `f` when the task has ended, with what it returned: now if it has, else on the thread
    /// that runs it to its end.
    ///
    /// A panic is not given to `f`: it is reported once `f` is done.
    pub(crate) fn on_end(mut self, f: impl FnOnce(&Self, Option<T>) + Send + 'static) {
        let on_end = Arc::new(OnEnd { waiting: Mutex::new(None) });
        let waker = Waker::from(Arc::clone(&on_end));
        // LIVENESS: held over the poll, so that a task which ends as soon as it has the waker
        // waits here for the handle, which `OnEnd::wake` needs.
        // Model: models/shutdown.rs `an_error_is_reported_once_though_its_handle_goes_meanwhile`.
        let bug = seeded::is("join: the lock is open while the waker is left");
        let held = (!bug).then(|| on_end.waiting.lock());
        match self.poll_returned(&mut Context::from_waker(&waker)) {
            Poll::Pending => {
                *held.unwrap_or_else(|| on_end.waiting.lock()) = Some((self, f));
            }
            Poll::Ready(output) => {
                drop(held);
                f(&self, output);
            }
        }
    }
}

/// The waker that such a handle leaves in its task.
struct OnEnd<T, F> {
    /// The handle, which keeps the task, which keeps this until it ends.
    waiting: Mutex<Option<(JoinHandle<T>, F)>>,
}

impl<T, F> Wake for OnEnd<T, F>
where
    T: Send + 'static,
    F: FnOnce(&JoinHandle<T>, Option<T>) + Send + 'static,
{
    fn wake(self: Arc<Self>) {
        let waiting = self.waiting.lock().take();
        let Some((mut handle, f)) = waiting else { return };
        if let Poll::Ready(output) = handle.poll_returned(&mut Context::from_waker(Waker::noop())) {
            f(&handle, output);
        }
    }
}
