//! Handles to a task: who waits for its output, who aborts it.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker, ready};

use crate::primitive::seeded;

use crate::primitive::contain_drop;

use super::budget;
use super::cell::Header;
use super::error::JoinError;
use super::id::Id;
use super::raw::{self, TaskRef};
use super::run;
use super::state::{Outcome, Snapshot, ToDetached};

/// What a task is doing at the moment it is asked.
///
/// The life of an asyncio task, with "pending" split into the three states it hides.
///
/// # Examples
///
/// ```
/// use tenter::task::TaskState;
///
/// # tenter::run(async {
/// let task = tenter::spawn(std::future::pending::<()>());
/// assert_ne!(task.state(), TaskState::Completed);
/// let handle = task.abort_handle();
/// task.cancel().await;
/// assert_eq!(handle.state(), TaskState::Cancelled);
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Due: in a queue, or about to be.
    Scheduled,
    /// A worker is polling it.
    Running,
    /// Waiting to be woken.
    Suspended,
    /// Its future returned or panicked.
    Completed,
    /// It was aborted and its future is gone.
    Cancelled,
}

impl TaskState {
    pub(crate) fn of(header: &Header) -> Self {
        let state = header.state.load();
        if state.is_complete() {
            match state.outcome() {
                Outcome::Cancelled => Self::Cancelled,
                Outcome::Returned | Outcome::Panicked => Self::Completed,
            }
        } else if state.is_running() {
            Self::Running
        } else if state.is_notified() {
            Self::Scheduled
        } else {
            Self::Suspended
        }
    }
}

/// A handle to a spawned task: a future of its output.
///
/// Dropping the handle detaches the task, which goes on by itself; a panic of a detached task is
/// reported to [`Builder::on_unobserved`](crate::runtime::Builder::on_unobserved). An `Err` of a
/// detached task is not, as the task does not know that its output is a `Result`:
/// [`task::spawn_detached`](crate::task::spawn_detached) and [`JoinHandle::detach_reporting`] are
/// for that.
///
/// # Panics
///
/// Polling it again after it returned an output panics.
///
/// # Cancel safety
///
/// Awaiting `&mut handle` is cancel safe: an output not yet taken stays in the task.
///
/// # Examples
///
/// ```
/// tenter::run(async {
///     let handle = tenter::spawn(async { 6 * 7 });
///     assert_eq!(handle.await.unwrap(), 42);
/// })
/// .unwrap();
/// ```
#[must_use = "dropping a `JoinHandle` detaches the task; call `detach` to say so"]
pub struct JoinHandle<T> {
    /// The header, tagged with [`TAKEN`] once the output was taken.
    header: NonNull<Header>,
    _output: PhantomData<T>,
}

/// The bit of a handle's pointer that says that the output was taken.
const TAKEN: usize = 1;
const _: () = assert!(align_of::<Header>() > TAKEN);

// SAFETY: the pointer stops the auto traits. The handle moves a `T` out of the task, which needs
// `T: Send`; T3 and T6 hand the stage and the waker field over between runner and handle.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: through `&JoinHandle` only the state word, the id and the place are reached, and the
// queue by `abort`, whose verdict orders that (T1).
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> Unpin for JoinHandle<T> {}
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    pub(super) fn new(header: NonNull<Header>) -> Self {
        Self { header, _output: PhantomData }
    }

    fn pointer(&self) -> NonNull<Header> {
        let untagged = self.header.as_ptr().map_addr(|address| address & !TAKEN);
        // SAFETY: a live header's address is not null.
        unsafe { NonNull::new_unchecked(untagged) }
    }

    fn is_taken(&self) -> bool {
        self.header.as_ptr().addr() & TAKEN != 0
    }

    fn header(&self) -> &Header {
        // SAFETY: `self` is a count (T4).
        unsafe { self.pointer().as_ref() }
    }

    /// Cancels the task at its next await point.
    ///
    /// Its future is dropped on a worker, never while it runs and never by this call. A task
    /// that has ended is left as it is; a closure of `spawn_blocking` that has started runs on.
    pub fn abort(&self) {
        // SAFETY: 1: `self` is a count.
        unsafe { raw::abort(self.pointer()) }
    }

    /// Aborts the task, waits until its future is really dropped, and returns the output if the
    /// task had finished first.
    ///
    /// A panic of the task is reported to
    /// [`Builder::on_unobserved`](crate::runtime::Builder::on_unobserved).
    ///
    /// # Cancel safety
    ///
    /// Dropped while pending, the task stays aborted and its output, if any, is dropped.
    pub async fn cancel(mut self) -> Option<T> {
        self.abort();
        poll_fn(|cx| self.poll_returned(cx)).await
    }

    /// Waits for the task's end, and takes what it returned, unless awaiting `&mut self` did.
    ///
    /// A panic stays in the task: dropping the handle reports it.
    pub(crate) fn poll_returned(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.is_taken() {
            return Poll::Ready(None);
        }
        let state = ready!(self.poll_complete(cx));
        Poll::Ready(match state.outcome() {
            // SAFETY: 1: by the outcome and the look above.
            Outcome::Returned => Some(unsafe { self.take_output() }),
            Outcome::Cancelled | Outcome::Panicked => None,
        })
    }

    /// Lets the task go on by itself. The same as dropping the handle, and says so.
    pub fn detach(self) {}

    /// Whether the task has ended, in whichever way.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.header().state.load().is_complete()
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.header().id()
    }

    /// The task's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.header().place().name()
    }

    /// Where the task was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.header().place().location()
    }

    /// What the task is doing now. It may do something else by the time the answer is looked at.
    #[must_use]
    pub fn state(&self) -> TaskState {
        TaskState::of(self.header())
    }

    /// A handle that can abort the task, for someone who does not wait for it.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        // SAFETY: 1: `self` is a count.
        AbortHandle { task: unsafe { TaskRef::new(self.pointer()) } }
    }

    /// Waits until the task is complete.
    pub(crate) fn poll_complete(&mut self, cx: &mut Context<'_>) -> Poll<Snapshot> {
        let task = self.header();
        let mut state = task.state.load();
        if !state.is_complete() {
            state = match self.register(state, cx.waker()) {
                Ok(()) => return Poll::Pending,
                Err(complete) => complete,
            };
        }
        Poll::Ready(state)
    }

    /// Leaves `waker` for arrow 3; fails with the state if the task completed meanwhile.
    fn register(&mut self, state: Snapshot, waker: &Waker) -> Result<(), Snapshot> {
        let task = self.header();
        if seeded::is("join: announce the waker before it is stored") {
            task.state.set_join_waker()?;
        }
        if state.has_join_waker() {
            // Back to the handle before it is replaced. It costs a transition that a look at
            // the shared waker could save, but a task polls a handle again only when woken by
            // something else.
            if !seeded::is("join: replace the waker while it is shared") {
                task.state.unset_join_waker()?;
            }
        }
        // T6: JOIN_WAKER is clear and the task was not complete: the field is the handle's.
        task.join_waker.with_mut(|field| {
            // SAFETY: T6.
            let field = unsafe { &mut *field };
            match field {
                Some(old) => old.clone_from(waker),
                None => *field = Some(waker.clone()),
            }
        });
        if seeded::is("join: announce the waker before it is stored") {
            return Ok(());
        }
        task.state.set_join_waker()
    }

    /// Moves the output out of a task that returned.
    ///
    /// # Safety
    ///
    /// 1. The task is complete with `Outcome::Returned`, and nothing was taken yet.
    unsafe fn take_output(&mut self) -> T {
        let header = self.pointer();
        if !seeded::is("join: an output that was taken is dropped too") {
            self.set_taken();
        }
        let mut output = MaybeUninit::<T>::uninit();
        let to = NonNull::from(&mut output).cast::<()>();
        let vtable = self.header().vtable;
        // SAFETY: the handle's type parameter is the output type of the task's future; T3
        // gives it the output, 1 says that it is there, and `to` has room for a `T`.
        unsafe { (vtable.take_output)(header, to) };
        // SAFETY: written just now.
        unsafe { output.assume_init() }
    }

    fn set_taken(&mut self) {
        let tagged = self.header.as_ptr().map_addr(|address| address | TAKEN);
        // SAFETY: a tag on a non-null address does not make it null.
        self.header = unsafe { NonNull::new_unchecked(tagged) };
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.is_taken(), "`JoinHandle` polled after it returned the task's output");
        let charge = ready!(budget::poll_spend(cx));
        let state = ready!(self.poll_complete(cx));
        charge.made_progress();
        let id = self.id();
        Poll::Ready(match state.outcome() {
            // SAFETY: 1: by the outcome and the assertion above.
            Outcome::Returned => Ok(unsafe { self.take_output() }),
            Outcome::Panicked => {
                let header = self.pointer();
                self.set_taken();
                // SAFETY: T3: the handle owns the panic, and takes it once.
                let panic = unsafe { (self.header().vtable.take_panic)(header) };
                Err(JoinError::panic(id, panic.payload))
            }
            Outcome::Cancelled => {
                self.set_taken();
                Err(JoinError::cancelled(id))
            }
        })
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let header = self.pointer();
        let task = self.header();
        if !self.is_taken() {
            match task.state.transition_to_detached() {
                ToDetached::Detached => return,
                ToDetached::DropWaker => {
                    // SAFETY: T6: the verdict gave the field to the handle.
                    let waker = task.join_waker.with_mut(|waker| unsafe { (*waker).take() });
                    contain_drop(|| drop(waker));
                }
                // SAFETY: T3: JOIN_INTEREST is set and nothing was taken, so the output is the
                // handle's.
                ToDetached::DropOutput => unsafe {
                    run::discard(header, task.state.load().outcome());
                },
            }
        }
        // SAFETY: 1: the handle's count is given up.
        unsafe { raw::drop_counts(header, 1) }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(self.header()).finish()
    }
}

/// A handle that can abort a task and look at it, but not take its output.
///
/// It keeps the task's memory, not its future: that is dropped when the task ends.
///
/// # Examples
///
/// ```
/// # tenter::run(async {
/// let task = tenter::spawn(std::future::pending::<()>());
/// let handle = task.abort_handle();
/// // One task waits, another decides.
/// tenter::spawn(async move { handle.abort() }).detach();
/// assert!(task.await.unwrap_err().is_cancelled());
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct AbortHandle {
    task: TaskRef,
}

impl UnwindSafe for AbortHandle {}
impl RefUnwindSafe for AbortHandle {}

impl AbortHandle {
    /// Cancels the task at its next await point; see [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Whether the task has ended, in whichever way.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.header().state.load().is_complete()
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> Id {
        self.task.header().id()
    }

    /// What the task is doing now.
    #[must_use]
    pub fn state(&self) -> TaskState {
        TaskState::of(self.task.header())
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AbortHandle").field(self.task.header()).finish()
    }
}
