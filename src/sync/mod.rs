//! Locks, channels and events for tasks: the types of [`async_lock`], [`async_channel`] and
//! [`event_listener`].
//!
//! None of them is rewritten. They work on any runtime and on none, between tasks and threads
//! alike, and what a library of the ecosystem hands out fits what is here.
//!
//! # Which primitive of asyncio is which
//!
//! | asyncio | here | what differs |
//! |---|---|---|
//! | `Lock` | [`Mutex`] | holds the value that it protects; the guard unlocks, on every path |
//! | `Event` | [`OnceCell<()>`](OnceCell), set once; or a [flag](#event-a-flag-that-can-be-awaited) and an [`Event`] | an [`Event`] alone has no state: it wakes who listens *now* |
//! | `Condition` | [`Mutex`] and [`Event`], [together](#condition-wait-until-what-a-lock-protects-has-changed) | the predicate is a loop that one sees |
//! | `Semaphore`, `BoundedSemaphore` | [`Semaphore`] | a permit is a guard: it cannot be given back twice, so there is one kind |
//! | `Barrier` | [`Barrier`] | cannot be broken or reset, and is not cancel safe |
//! | `Queue` | [`channel::bounded`], [`channel::unbounded`] | can be closed; `task_done` and `join` are [something that is dropped](#queue-producers-consumers-and-an-end) |
//! | `Queue.shutdown` | [`Sender::close`](channel::Sender::close), or the drop of all senders | what is queued can still be received |
//! | `PriorityQueue`, `LifoQueue` | any collection under a lock, and a [`Semaphore`] that [counts](#priorityqueue-lifoqueue-a-collection-and-a-count) what is in it | |
//! | `Future` | [`channel::bounded(1)`](channel::bounded), or [`OnceCell`] for many who wait | the failure is a `Result` inside |
//! | (nothing) | [`RwLock`] | many readers or one writer; writers go first |
//!
//! A value that all readers want to see change is an [`RwLock`] or an atomic with an [`Event`]. For
//! a broadcast, where each receiver gets each message, take the crate `async-broadcast`: it is made
//! of the same parts.
//!
//! # What differs from asyncio everywhere
//!
//! - **Tasks run in parallel.** In asyncio whatever lies between two `await`s is one step that
//!   nobody sees half of, and many locks can be left out. Not here: what tasks share is an atomic,
//!   or under a lock. For short sections without an `.await` inside, [`std::sync::Mutex`] is right
//!   and faster; [`Mutex`] is for guards that are held across an `.await`.
//! - **Order.** [`Mutex`] is fair in the end: who has waited for half a millisecond goes before all
//!   newcomers. [`Semaphore`] wakes in the order of arrival, but a task that comes at the right
//!   moment can take the permit first. [`RwLock`] prefers writers. Messages of one sender are
//!   received in their order.
//! - **Nothing is reentrant**, as in asyncio: a task that locks a [`Mutex`] it holds waits for
//!   ever.
//! - **Nothing is poisoned.** A panic releases the guards on its way, and the next one gets the
//!   value as it is then.
//! - **Cancellation is a drop.** To cancel who waits for a lock, a permit or a message takes
//!   nothing from the others: what it was about to get goes to the next one. Three things are lost:
//!   the place in the line, the message inside a [`send`](channel::Sender::send) that was still
//!   waiting, and a [`Barrier::wait`], which stays counted as arrived.
//! - **The cooperative budget is not spent.** These types know nothing of this runtime. A loop over
//!   a channel that is never empty does not yield by itself; say
//!   [`task::consume_budget().await`](crate::task::consume_budget) in it, which does so now and
//!   then, and costs next to nothing.
//! - Methods named `_blocking` block the thread. They are for threads of one's own and for
//!   [`spawn_blocking`](crate::spawn_blocking); a task awaits.
//!
//! # Event: a flag that can be awaited
//!
//! What is set once is a [`OnceCell`]; it may carry a value too:
//!
//! ```
//! use std::sync::Arc;
//! use tenter::sync::OnceCell;
//!
//! # tenter::run(async {
//! let ready = Arc::new(OnceCell::new());
//! let waiter = tenter::spawn({
//!     let ready = Arc::clone(&ready);
//!     async move { *ready.wait().await }
//! });
//! ready.set(8080).await.expect("nobody else sets it");
//! assert_eq!(waiter.await.unwrap(), 8080);
//! # }).unwrap();
//! ```
//!
//! One that can be cleared again is a flag, and an [`Event`] that tells of changes. Look, listen,
//! *look again*, wait: the second look finds what was set before one listened.
//!
//! ```
//! use std::sync::atomic::{AtomicBool, Ordering};
//! use tenter::sync::Event;
//!
//! #[derive(Default)]
//! struct Flag {
//!     is_set: AtomicBool,
//!     changed: Event,
//! }
//!
//! impl Flag {
//!     fn set(&self) {
//!         self.is_set.store(true, Ordering::Release);
//!         self.changed.notify(usize::MAX);
//!     }
//!
//!     fn clear(&self) {
//!         self.is_set.store(false, Ordering::Release);
//!     }
//!
//!     async fn wait(&self) {
//!         while !self.is_set.load(Ordering::Acquire) {
//!             let changed = self.changed.listen();
//!             if self.is_set.load(Ordering::Acquire) {
//!                 return;
//!             }
//!             changed.await;
//!         }
//!     }
//! }
//!
//! # tenter::run(async {
//! let flag = std::sync::Arc::new(Flag::default());
//! let waiters: Vec<_> = (0..3)
//!     .map(|_| {
//!         let flag = flag.clone();
//!         tenter::spawn(async move { flag.wait().await })
//!     })
//!     .collect();
//! flag.set();
//! for waiter in waiters {
//!     waiter.await.unwrap();
//! }
//! flag.clear();
//! # }).unwrap();
//! ```
//!
//! # Condition: wait until what a lock protects has changed
//!
//! Listen *under the lock*, so that no change falls between the look and the wait; then unlock and
//! wait. `notify_additional(1)` is asyncio's `notify(1)`, `notify(usize::MAX)` its `notify_all`.
//!
//! ```
//! use std::sync::Arc;
//! use tenter::sync::{Event, Mutex};
//!
//! #[derive(Default)]
//! struct Account {
//!     balance: Mutex<u32>,
//!     changed: Event,
//! }
//!
//! impl Account {
//!     async fn deposit(&self, amount: u32) {
//!         *self.balance.lock().await += amount;
//!         self.changed.notify(usize::MAX);
//!     }
//!
//!     /// Waits until there is enough.
//!     async fn withdraw(&self, amount: u32) {
//!         loop {
//!             let mut balance = self.balance.lock().await;
//!             if let Some(rest) = balance.checked_sub(amount) {
//!                 *balance = rest;
//!                 return;
//!             }
//!             let changed = self.changed.listen();
//!             drop(balance);
//!             changed.await;
//!         }
//!     }
//! }
//!
//! # tenter::run(async {
//! let account = Arc::new(Account::default());
//! let withdrawal = tenter::spawn({
//!     let account = Arc::clone(&account);
//!     async move { account.withdraw(30).await }
//! });
//! account.deposit(20).await;
//! account.deposit(20).await;
//! withdrawal.await.unwrap();
//! assert_eq!(*account.balance.lock().await, 10);
//! # }).unwrap();
//! ```
//!
//! # Semaphore: at most so many at once
//!
//! ```
//! use std::sync::Arc;
//! use tenter::sync::Semaphore;
//!
//! # tenter::run(async {
//! let connections = Arc::new(Semaphore::new(2));
//! let tasks: Vec<_> = (0..10)
//!     .map(|n| {
//!         let connections = Arc::clone(&connections);
//!         tenter::spawn(async move {
//!             let _permit = connections.acquire().await;
//!             // At most two tasks are here.
//!             n
//!         })
//!     })
//!     .collect();
//! for task in tasks {
//!     task.await.unwrap();
//! }
//! // Each permit came back when its guard was dropped.
//! assert_eq!(connections.available_permits(), 2);
//! # }).unwrap();
//! ```
//!
//! # Barrier: all or nobody
//!
//! ```
//! use std::sync::Arc;
//! use tenter::sync::Barrier;
//!
//! # tenter::run(async {
//! let barrier = Arc::new(Barrier::new(3));
//! let tasks: Vec<_> = (0..3)
//!     .map(|_| {
//!         let barrier = Arc::clone(&barrier);
//!         tenter::spawn(async move { barrier.wait().await.is_leader() })
//!     })
//!     .collect();
//! let mut leaders = 0;
//! for task in tasks {
//!     leaders += u32::from(task.await.unwrap());
//! }
//! assert_eq!(leaders, 1);
//! # }).unwrap();
//! ```
//!
//! # Queue: producers, consumers, and an end
//!
//! The end of the queue is the drop of its last sender: the consumers take what is left, and their
//! loops end. To await them is `Queue.join`:
//!
//! ```
//! use tenter::sync::channel;
//!
//! # tenter::run(async {
//! // A full queue holds its producers back.
//! let (jobs, queue) = channel::bounded(4);
//! let consumers: Vec<_> = (0..2)
//!     .map(|_| {
//!         let queue = queue.clone();
//!         tenter::spawn(async move {
//!             let mut sum = 0;
//!             while let Ok(n) = queue.recv().await {
//!                 sum += n;
//!             }
//!             sum
//!         })
//!     })
//!     .collect();
//! for n in 1..=100 {
//!     jobs.send(n).await.expect("there are consumers");
//! }
//! drop(jobs);
//! let mut sum = 0;
//! for consumer in consumers {
//!     sum += consumer.await.unwrap();
//! }
//! assert_eq!(sum, 5050);
//! # }).unwrap();
//! ```
//!
//! Where the consumers live on, let each item carry something whose last drop can be awaited: the
//! sender of a channel that never carries anything. Its drop is `task_done`, which no path of the
//! consumer can forget; to receive from that channel is `join`.
//!
//! ```
//! use std::convert::Infallible;
//! use tenter::sync::channel;
//!
//! # tenter::run(async {
//! let (jobs, queue) = channel::unbounded();
//! tenter::spawn(async move {
//!     while let Ok((n, done)) = queue.recv().await {
//!         // Work on `n`.
//!         # let _: u32 = n;
//!         drop::<channel::Sender<Infallible>>(done);
//!     }
//! })
//! .detach();
//!
//! let (done, all_done) = channel::bounded::<Infallible>(1);
//! for n in 1..=3 {
//!     jobs.send((n, done.clone())).await.expect("there is a consumer");
//! }
//! drop(done);
//! // Comes back when all three are done.
//! assert!(all_done.recv().await.is_err());
//! # }).unwrap();
//! ```
//!
//! # PriorityQueue, LifoQueue: a collection and a count
//!
//! ```
//! use std::collections::BinaryHeap;
//! use tenter::sync::Semaphore;
//!
//! struct PriorityQueue<T> {
//!     items: std::sync::Mutex<BinaryHeap<T>>,
//!     /// A permit for each item.
//!     count: Semaphore,
//! }
//!
//! impl<T: Ord> PriorityQueue<T> {
//!     fn push(&self, item: T) {
//!         self.items.lock().unwrap().push(item);
//!         self.count.add_permits(1);
//!     }
//!
//!     async fn pop(&self) -> T {
//!         // The permit is used up: it goes with the item.
//!         self.count.acquire().await.forget();
//!         self.items.lock().unwrap().pop().expect("a permit is an item")
//!     }
//! }
//!
//! # tenter::run(async {
//! let queue = PriorityQueue { items: Default::default(), count: Semaphore::new(0) };
//! [2, 3, 1].into_iter().for_each(|n| queue.push(n));
//! assert_eq!([queue.pop().await, queue.pop().await, queue.pop().await], [3, 2, 1]);
//! # }).unwrap();
//! ```
//!
//! # A stream of what comes
//!
//! A [`Receiver`](channel::Receiver) is a [`Stream`](futures_core::Stream), what asyncio calls an
//! asynchronous iterator, and so are [`Interval`](crate::time::Interval) and the
//! [`Incoming`](crate::net::Incoming) connections of a listener. `async for` is a loop over
//! `next()`, of the [`StreamExt`](futures_lite::StreamExt) in `futures-lite` or in any crate of its
//! kind; an `async def` with `yield` is a task that sends:
//!
//! ```
//! use std::pin::pin;
//! use futures_lite::StreamExt;
//! use tenter::sync::channel;
//!
//! # tenter::run(async {
//! let (squares, received) = channel::bounded(1);
//! tenter::spawn(async move {
//!     for n in 1.. {
//!         if squares.send(n * n).await.is_err() {
//!             return; // Nobody wants more.
//!         }
//!     }
//! })
//! .detach();
//!
//! let mut small = pin!(received.take_while(|square| *square < 20));
//! let mut sum = 0;
//! while let Some(square) = small.next().await {
//!     sum += square;
//! }
//! assert_eq!(sum, 1 + 4 + 9 + 16);
//! # }).unwrap();
//! ```

pub use async_lock::{
    Barrier, BarrierWaitResult, Mutex, MutexGuard, MutexGuardArc, OnceCell, RwLock,
    RwLockReadGuard, RwLockReadGuardArc, RwLockUpgradableReadGuard, RwLockUpgradableReadGuardArc,
    RwLockWriteGuard, RwLockWriteGuardArc, Semaphore, SemaphoreGuard, SemaphoreGuardArc,
};
pub use event_listener::{
    Event, EventListener, IntoNotification, Listener, Notification, listener,
};

/// Channels for many senders and many receivers, of which one receives each message: those of
/// [`async_channel`].
///
/// What asyncio's queues are; [`sync`](super) has the table. A [`Receiver`](channel::Receiver) is a
/// [`Stream`](futures_core::Stream) as well.
///
/// # Cancel safety
///
/// [`recv`](channel::Receiver::recv) is cancel safe: no message is lost. A
/// [`send`](channel::Sender::send) that is dropped while it waits drops its message, which nobody
/// has seen.
///
/// # Examples
///
/// ```
/// use tenter::sync::channel;
///
/// # tenter::run(async {
/// let (sender, receiver) = channel::bounded(1);
/// let task = tenter::spawn(async move { receiver.recv().await });
/// sender.send("hello").await?;
/// assert_eq!(task.await.unwrap(), Ok("hello"));
/// # Ok::<(), channel::SendError<&str>>(())
/// # }).unwrap().unwrap();
/// ```
pub mod channel {
    pub use async_channel::{
        Closed, Receiver, Recv, RecvError, Send, SendError, Sender, TryRecvError, TrySendError,
        WeakReceiver, WeakSender, bounded, unbounded,
    };
}

/// The futures of the locks, for those who must name them.
pub mod futures {
    pub use async_lock::futures::{
        Acquire, AcquireArc, BarrierWait, Lock, LockArc, Read, ReadArc, UpgradableRead,
        UpgradableReadArc, Upgrade, UpgradeArc, Write, WriteArc,
    };
}
