//! Cancellation that is asked for: a token that many look at.
//!
//! ```text
//!            Link                   Link
//!   parent ◄─────── child ◄──────────────── grandchild
//!     │               ▲ │                        ▲
//!     └─ children ────┘ └─ children ─────────────┘     (weak)
//! ```
//!
//! A node lives for as long as a token, or a node below, does: a child hears of its grandparent
//! when the tokens between are gone. No lock is taken under another, and nothing of a user's runs
//! under one. Every node has its mark of its own, so that looking at it is one load.
//!
//! LIVENESS: the mark is set, and children and waiters are taken away, under the lock under which
//! they are listed: of two that meet here, the later sees the other. Models: models/token.rs
//! `a_token_that_is_cancelled_as_somebody_waits_is_not_slept_through` and
//! `a_child_made_as_its_parent_is_cancelled_is_cancelled_too`.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
// Of std in the models too: they check the protocol between the locks, and trust the counts.
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use slab::Slab;

use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::{contain_drop, seeded};

/// A request to stop, that tasks can look at and wait for.
///
/// Clones are the same token. A [child](CancelToken::child) is cancelled with its parent, and not
/// the other way round. Cancelling does nothing to anybody by itself: who was given the token ends
/// when and as it likes, and may say good-bye first. It is for what
/// [`JoinHandle::abort`](crate::JoinHandle::abort) is too hard for.
///
/// In asyncio one would share an `asyncio.Event`, and in trio a `CancelScope`.
///
/// # Examples
///
/// ```
/// use tenter::CancelToken;
///
/// # tenter::run(async {
/// let token = CancelToken::new();
/// let theirs = token.child();
/// let task = tenter::spawn(async move {
///     theirs.cancelled().await;
///     "good-bye"
/// });
/// token.cancel();
/// assert_eq!(task.await.unwrap(), "good-bye");
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct CancelToken {
    node: Arc<Node>,
}

/// What the clones of a token share.
struct Node {
    /// Set once, under the lock.
    is_cancelled: AtomicBool,
    state: Mutex<State>,
    parent: Option<Link>,
}

/// The place of a node among the children of its parent.
struct Link {
    parent: Arc<Node>,
    slot: usize,
}

/// What is listed here is told of the cancellation, and taken away by it.
#[derive(Default)]
struct State {
    children: Slab<Weak<Node>>,
    waiters: Slab<Waker>,
}

// A panic can interrupt no change of a node: nothing of a user's runs in the middle of one.
impl UnwindSafe for CancelToken {}
impl RefUnwindSafe for CancelToken {}

impl CancelToken {
    /// A token without a parent, not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self { node: Arc::new(Node::new(None, false)) }
    }

    /// A token that is cancelled when this one is, or by itself.
    ///
    /// It costs its parent nothing once it is dropped, so a long-lived token may have any number
    /// of them, one after the other.
    #[must_use]
    pub fn child(&self) -> Self {
        let mut state = self.node.state.lock();
        let is_late = seeded::is("token: a child is listed at a parent that is cancelled");
        if self.is_cancelled() && !is_late {
            return Self { node: Arc::new(Node::new(None, true)) };
        }
        let entry = state.children.vacant_entry();
        let link = Link { parent: Arc::clone(&self.node), slot: entry.key() };
        let node = Arc::new(Node::new(Some(link), false));
        entry.insert(Arc::downgrade(&node));
        Self { node }
    }

    /// Cancels the token, and every token below it.
    ///
    /// All of them are marked before the first who waits is woken. A second call does nothing. A
    /// panic in a waker is contained.
    pub fn cancel(&self) {
        let (mut below, mut waiting) = (Vec::new(), Vec::new());
        self.node.mark(&mut below, &mut waiting);
        // Ends: a node gives its children away once, and there are none that come later.
        while let Some(child) = below.pop() {
            if let Some(child) = child.upgrade() {
                child.mark(&mut below, &mut waiting);
            }
        }
        for waker in waiting {
            contain_drop(|| waker.wake());
        }
    }

    /// Whether the token was cancelled, by itself or through one above it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Waits until the token is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled { token: self, waiter: Waiter::default() }
    }

    /// [`CancelToken::cancelled`] that keeps the token.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub fn cancelled_owned(self) -> CancelledOwned {
        CancelledOwned { token: self, waiter: Waiter::default() }
    }

    /// Runs `future` until it ends or the token is cancelled, and returns its output if it ended.
    ///
    /// If the token is cancelled when this is first polled, the future is not polled at all. After
    /// that the future goes first: an output that is there when the token is cancelled is returned.
    ///
    /// # Cancel safety
    ///
    /// As safe as `future`, which must also bear being dropped when the token is cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::pending;
    /// use tenter::CancelToken;
    ///
    /// # tenter::run(async {
    /// let token = CancelToken::new();
    /// assert_eq!(token.run_until(async { 1 }).await, Some(1));
    /// token.cancel();
    /// assert_eq!(token.run_until(pending::<i32>()).await, None);
    /// # }).unwrap();
    /// ```
    pub fn run_until<F: IntoFuture>(&self, future: F) -> RunUntil<'_, F::IntoFuture> {
        let future = future.into_future();
        RunUntil { future, cancelled: self.cancelled(), is_started: false }
    }

    /// A guard that cancels the token when it is dropped.
    pub fn drop_guard(self) -> DropGuard {
        DropGuard { token: Some(self) }
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_cancelled = self.is_cancelled();
        f.debug_struct("CancelToken").field("is_cancelled", &is_cancelled).finish_non_exhaustive()
    }
}

impl Node {
    fn new(parent: Option<Link>, is_cancelled: bool) -> Self {
        let is_cancelled = AtomicBool::new(is_cancelled);
        Self { is_cancelled, state: Mutex::new(State::default()), parent }
    }

    fn is_cancelled(&self) -> bool {
        // ORDERING: Acquire. Pairs with Release in `mark`: who sees the mark sees what was done
        // before the token was cancelled.
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// Sets the mark, and takes away what is listed: whom to mark and whom to wake next.
    fn mark(&self, below: &mut Vec<Weak<Self>>, waiting: &mut Vec<Waker>) {
        let listed = {
            let mut state = self.state.lock();
            if self.is_cancelled() {
                return;
            }
            if !seeded::is("token: mark after the waiters are taken") {
                let order = if seeded::is("token: cancel without Release") {
                    Ordering::Relaxed
                } else {
                    Ordering::Release
                };
                // ORDERING: Release. Pairs with Acquire in `is_cancelled`.
                self.is_cancelled.store(true, order);
            }
            std::mem::take(&mut *state)
        };
        if seeded::is("token: mark after the waiters are taken") {
            self.is_cancelled.store(true, Ordering::Release);
        }
        below.extend(listed.children.into_iter().map(|(_, child)| child));
        waiting.extend(listed.waiters.into_iter().map(|(_, waker)| waker));
    }

    /// Takes a child that is gone off the list.
    fn remove_child(&self, slot: usize) {
        let _child = {
            let mut state = self.state.lock();
            let is_blind = seeded::is("token: take off a list that was taken away");
            if self.is_cancelled() && !is_blind {
                return;
            }
            state.children.remove(slot)
        };
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut link = self.parent.take();
        // One after the other, and not each in the destructor of the one below: a chain may be
        // long. Ends at the root, or at a node that is still in use.
        while let Some(Link { parent, slot }) = link {
            parent.remove_child(slot);
            link = Arc::into_inner(parent).and_then(|mut parent| parent.parent.take());
        }
    }
}

/// A future's place among the waiters of a node.
#[derive(Debug, Default)]
struct Waiter {
    listed: Option<Listed>,
}

#[derive(Debug)]
struct Listed {
    slot: usize,
    /// The addresses of the listed waker, to compare without the lock: it is alive, so nobody
    /// else has them.
    waker: (usize, usize),
}

fn addresses(waker: &Waker) -> (usize, usize) {
    (waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr())
}

impl Waiter {
    fn poll(&mut self, node: &Node, waker: &Waker) -> Poll<()> {
        if node.is_cancelled() {
            return Poll::Ready(());
        }
        if self.listed.as_ref().is_some_and(|listed| listed.waker == addresses(waker)) {
            // LIVENESS: still to be taken away, or just taken away by who will wake us.
            return Poll::Pending;
        }
        self.list(node, waker.clone())
    }

    /// Lists the waker, in the place of the one that is listed, unless the token is cancelled.
    fn list(&mut self, node: &Node, waker: Waker) -> Poll<()> {
        let addresses = addresses(&waker);
        // What is left over is dropped outside of the lock: a waker is the user's code.
        let (polled, _left) = {
            let mut state = node.state.lock();
            if node.is_cancelled() && !seeded::is("token: wait without a second look") {
                (Poll::Ready(()), Some(waker))
            } else if let Some(listed) = &mut self.listed {
                listed.waker = addresses;
                let before = std::mem::replace(&mut state.waiters[listed.slot], waker);
                (Poll::Pending, Some(before))
            } else {
                let slot = state.waiters.insert(waker);
                self.listed = Some(Listed { slot, waker: addresses });
                (Poll::Pending, None)
            }
        };
        polled
    }

    fn remove(&mut self, node: &Node) {
        let Some(Listed { slot, .. }) = self.listed.take() else { return };
        if node.is_cancelled() {
            return;
        }
        let _waker = {
            let mut state = node.state.lock();
            if node.is_cancelled() && !seeded::is("token: take off a list that was taken away") {
                return;
            }
            state.waiters.remove(slot)
        };
    }
}

/// The future of [`CancelToken::cancelled`].
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Cancelled<'a> {
    token: &'a CancelToken,
    waiter: Waiter,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Free: who has used up its budget must hear of the cancellation all the same.
        let token = self.token;
        self.waiter.poll(&token.node, cx.waker())
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        self.waiter.remove(&self.token.node);
    }
}

/// The future of [`CancelToken::cancelled_owned`].
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct CancelledOwned {
    token: CancelToken,
    waiter: Waiter,
}

impl Future for CancelledOwned {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.waiter.poll(&this.token.node, cx.waker())
    }
}

impl Drop for CancelledOwned {
    fn drop(&mut self) {
        self.waiter.remove(&self.token.node);
    }
}

pin_project! {
    /// The future of [`CancelToken::run_until`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct RunUntil<'a, F> {
        #[pin]
        future: F,
        cancelled: Cancelled<'a>,
        is_started: bool,
    }
}

impl<F: Future> Future for RunUntil<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !*this.is_started && this.cancelled.token.is_cancelled() {
            return Poll::Ready(None);
        }
        *this.is_started = true;
        match this.future.poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Pin::new(this.cancelled).poll(cx).map(|()| None),
        }
    }
}

/// Cancels a token when it is dropped; of [`CancelToken::drop_guard`].
///
/// # Examples
///
/// ```
/// use tenter::CancelToken;
///
/// fn serve(stop: CancelToken, works: bool) -> Option<()> {
///     let guard = stop.drop_guard();
///     // On every way out from here it is cancelled.
///     works.then_some(())?;
///     guard.disarm();
///     Some(())
/// }
///
/// let stop = CancelToken::new();
/// serve(stop.clone(), true);
/// assert!(!stop.is_cancelled());
/// serve(stop.clone(), false);
/// assert!(stop.is_cancelled());
/// ```
#[derive(Debug)]
#[must_use = "the token is cancelled when the guard is dropped"]
pub struct DropGuard {
    /// `None` once it was disarmed.
    token: Option<CancelToken>,
}

impl DropGuard {
    /// Gives the token back, and cancels nothing.
    #[must_use = "the token may be the last"]
    pub fn disarm(mut self) -> CancelToken {
        self.token.take().expect("a guard is disarmed once")
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.cancel();
        }
    }
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<CancelToken>();
    assert::<Cancelled<'_>>();
    assert::<CancelledOwned>();
    assert::<DropGuard>();
};
