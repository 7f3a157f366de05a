//! Many tasks on few threads.
//!
//! [`Shared`] is what all threads of one runtime see; a [`Worker`] is what one of them owns. The
//! loop is in [`worker`], on one screen: next, run, search, park.
//!
//! # Where a due task waits
//!
//! | place | who puts | who takes |
//! |---|---|---|
//! | LIFO slot | its worker: a wake or spawn by the task that runs | its worker, next; the monitor, when that takes long |
//! | local queue | its worker: what was in the slot, what yields, what I/O woke | its worker, thieves by halves |
//! | inject queue | every other thread | any worker |
//!
//! # Protocol of sleep
//!
//! ```text
//!                 search finds            look again finds
//!   running ◄────────────────── searching ◄──────────────┐
//!      │                            ▲  │                 │
//!      │ nothing left               │  │ nothing         │
//!      └────────────────────────────┘  ▼                 │
//!                                    announced ──────────┘
//!                                       │ nothing
//!                                       ▼
//!                                     parked ── woken as a searcher (worker_to_wake) ──► searching
//!                                       └────── by I/O or a timer ──► running
//! ```
//!
//! Workers, guests (S7) and reliefs (S10) run tasks; where this says worker it means a relief too.
//! Both sides step by step, and why nobody sleeps beside work: [`idle`]. How a thread sleeps, and
//! who has the driver: [`park`]. How it all ends: [`shutdown`].
//!
//! Invariants, cited by number:
//!
//! - **S1** A `Notified` is in exactly one place of the table, or in a thread's hands.
//! - **S2** [`Idle`] counts every searching worker, and lists every worker that announced sleep
//!   and was neither woken nor came back by itself.
//! - **S3** Schedule is: push, fence, read the ledger. Park is: announce, fence, look again. The
//!   later fence sees what the other side did before its own: the push is found, or the sleeper
//!   is woken.
//! - **S4** A searcher stands for every push that woke nobody because it searched. When it stops,
//!   it looks again (S3), or hands on: it found work, was the last searcher, and there is more. A
//!   busy worker that moves a batch to its queue tells of it: it was nowhere while it was moved.
//! - **S5** [`Shared`] outlives every task that is bound and not complete: workers other than
//!   reliefs leave, and give up their share of it, only when the owned list is closed and empty.
//! - **S6** A thread that is no worker counts itself as a visitor before it pushes a woken task
//!   and until it has stopped touching [`Shared`]; the count is waited for before it is freed.
//! - **S7** Guests (threads in `block_on`) run what their own thread made due, and nothing else; they
//!   are stolen from, and never woken to search, so they are not in the ledger's list. While one runs
//!   tasks it stands for a worker, so that no more threads run than there are workers: for what goes
//!   into a local queue, whosever, nobody is woken whom it stands for. What is injected is the
//!   workers', also once a batch of it was moved; and all of it while somebody was stuck not long ago:
//!   then it hands on, so that its main future waits for no task that blocks. While one
//!   polls its main future, which may do anything, it stands for nobody; before that, and before
//!   it sleeps, it hands on what it leaves. One that is stuck is excused: by the monitor, which then
//!   hands on, or by itself as it steps aside; it stands for nobody until that is taken back.
//! - **S8** The monitor is awake, or no worker and no guest is, or one is about to wake it: waking
//!   is say so, fence, look whether the monitor sleeps; its sleep is the mirror image.
//! - **S9** A worker is awake and will come back to the driver, or sleeps in it, or one is about to
//!   be woken to do so. So only workers turn the driver for long: guests come and go, and who
//!   leaves it and will not come back (the monitor, a relief that goes, a thread that steps aside)
//!   wakes one that sleeps beside it. For a worker that is stuck the monitor does. It takes some
//!   milliseconds to find out; so, while somebody was stuck not long ago, whoever comes from the
//!   driver with something to do wakes one too.
//! - **S10** Places of reliefs are in use from the decision to start one until its core is given
//!   back, and then their queues and slots are empty. No place above [`Reliefs::extent`] is in use.
//!   Who raises it does so before the relief's thread starts, and so before the fence of any push
//!   of that relief: a look that must not miss the push (S3) is behind a fence that came later,
//!   and sees the place too.
//! - **S11** A thread that steps aside, for a call that blocks, leaves nothing in its queue and slot,
//!   and is no worker meanwhile: what it makes due comes from outside. Before the call somebody
//!   else searches, is woken to search or is started to; if no relief can be had, the monitor finds
//!   the thread stuck, and comes again.
//! - **S12** A relief that is retired leaves when it has found nothing to do or, while there always is
//!   something, after some polls. It hands on what is queued. Who searches then, or else a sleeper
//!   that it wakes, answers for what relied on its search (S4) and for the driver (S9).
//! - **S13** The monitor does not sleep for good while a relief is there, so that each is sent home.

#[forbid(unsafe_code)]
mod aside;
pub(crate) mod context;
#[forbid(unsafe_code)]
pub(crate) mod guest;
#[forbid(unsafe_code)]
pub(crate) mod idle;
#[forbid(unsafe_code)]
pub(crate) mod monitor;
#[forbid(unsafe_code)]
pub(crate) mod park;
mod queue;
#[forbid(unsafe_code)]
pub(crate) mod relief;
#[forbid(unsafe_code)]
mod rng;
#[forbid(unsafe_code)]
pub(crate) mod shutdown;
#[forbid(unsafe_code)]
mod watch;
#[forbid(unsafe_code)]
pub(crate) mod worker;

use std::marker::PhantomPinned;
use std::ptr::NonNull;

use crossbeam_utils::CachePadded;

use crate::driver::Driver;
use crate::lifecycle::owned::Owned;
use crate::lifecycle::{self, JoinHandle, Notified, Place, Schedule, UnobservedHook};
use crate::primitive::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::{Arc, PlainCounter, deque, limits, seeded};

use idle::Idle;
use monitor::Monitor;
use park::Parker;
use queue::Slot;
use relief::Reliefs;
pub(crate) use worker::Worker;

/// What all threads of a runtime share.
pub(crate) struct Shared {
    /// One for every worker, then one for every guest, then one for every relief.
    remotes: Box<[CachePadded<Remote>]>,
    /// How many of the remotes are workers'.
    workers: usize,
    inject: deque::Injector<Notified>,
    idle: Idle,
    owned: Owned,
    driver: Arc<Driver>,
    /// The cores that no thread in `block_on` uses.
    guest_cores: Mutex<Vec<Core>>,
    reliefs: Reliefs,
    monitor: Monitor,
    /// Set once, by shutdown, after the owned list was closed.
    closing: AtomicBool,
    /// Threads that are no workers and are pushing a woken task (S6).
    visitors: CachePadded<AtomicUsize>,
    unobserved: UnobservedHook,
    /// Visitors use `&Shared` while its `Drop` waits for them with `&mut Shared`. Only a type that
    /// is not `Unpin` may be reached by others beside an exclusive reference.
    _visited: PhantomPinned,
    /// Tasks pushed to the inject queue.
    injected: PlainCounter,
    /// Tasks that were dropped before they were done.
    cancelled: PlainCounter,
    /// The driver's time when a worker last began to turn it or came back from it, in
    /// nanoseconds: busy workers look at it to share the turns.
    turned_at: PlainCounter,
    /// Not 0: a thread was stuck not long ago. Written by the monitor, a hint for the others.
    alert: PlainCounter,
}

/// What others can reach of a worker.
struct Remote {
    stealer: deque::Stealer<Notified>,
    slot: Slot,
    parker: Parker,
    /// The thread is neither asleep nor elsewhere. Written by itself, for the monitor (S8).
    is_awake: AtomicBool,
    /// The id of the task that was polled last. Written by its worker, for the monitor.
    running: PlainCounter,
    /// The system's number of the thread. Written by itself, for the monitor.
    thread: PlainCounter,
    /// Times that the thread stepped aside or came back: odd while it is aside (S11).
    steps: PlainCounter,
    /// A relief that is to leave (S12).
    is_retired: AtomicBool,
    counters: Counters,
}

impl Remote {
    fn new(stealer: deque::Stealer<Notified>) -> Self {
        Self {
            stealer,
            slot: Slot::new(),
            parker: Parker::new(),
            is_awake: AtomicBool::new(false),
            running: PlainCounter::new(0),
            thread: PlainCounter::new(0),
            steps: PlainCounter::new(0),
            is_retired: AtomicBool::new(false),
            counters: Counters::default(),
        }
    }

    fn is_awake(&self) -> bool {
        // ORDERING: Relaxed: a sample, or ordered by the fences of S8.
        self.is_awake.load(Ordering::Relaxed)
    }

    fn set_awake(&self, is_awake: bool) {
        // ORDERING: Relaxed: ordered by the fence in `Monitor::note_awake` where it matters.
        self.is_awake.store(is_awake, Ordering::Relaxed);
    }
}

/// What a worker did. Written by itself, read by whoever asks for metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Polls of tasks.
    pub(crate) polls: PlainCounter,
    /// Visits to another worker's queue that brought something.
    pub(crate) steals: PlainCounter,
    /// Times it slept.
    pub(crate) parks: PlainCounter,
    /// Times it woke another worker to search.
    pub(crate) wakes: PlainCounter,
    /// Times it was woken to search and found nothing.
    pub(crate) noop_wakes: PlainCounter,
    /// Turns of the driver.
    pub(crate) turns: PlainCounter,
}

/// Adds to a counter that only this thread writes.
pub(crate) fn bump(counter: &PlainCounter) {
    // ORDERING: Relaxed, twice: one writer, and readers want a recent value, no more.
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// What a worker owns by value: its place in the table and its end of the local queue.
pub(crate) struct Core {
    index: usize,
    queue: deque::Worker<Notified>,
}

impl Shared {
    /// The shared part, and a core for each of `workers` threads that the caller will start.
    ///
    /// `guests` threads can be in `block_on` as workers at the same time.
    pub(crate) fn new(
        workers: usize,
        guests: usize,
        driver: Arc<Driver>,
        unobserved: UnobservedHook,
    ) -> (Arc<Self>, Vec<Core>) {
        let local = workers + guests;
        let mut cores: Vec<Core> = (0..local + limits::RELIEF_MAX)
            .map(|index| Core { index, queue: deque::Worker::new_fifo() })
            .collect();
        let remotes = cores.iter().map(|core| CachePadded::new(Remote::new(core.queue.stealer())));
        let remotes = remotes.collect();
        let relief_cores = cores.split_off(local);
        let guest_cores = cores.split_off(workers);
        let shared = Arc::new(Self {
            remotes,
            workers,
            inject: deque::Injector::new(),
            idle: Idle::new(workers + limits::RELIEF_MAX),
            owned: Owned::new(local + limits::FOREIGN_SHARDS),
            driver,
            guest_cores: Mutex::new(guest_cores),
            reliefs: Reliefs::new(relief_cores),
            monitor: Monitor::new(),
            closing: AtomicBool::new(false),
            visitors: CachePadded::new(AtomicUsize::new(0)),
            unobserved,
            _visited: PhantomPinned,
            injected: PlainCounter::new(0),
            cancelled: PlainCounter::new(0),
            turned_at: PlainCounter::new(0),
            alert: PlainCounter::new(0),
        });
        (shared, cores)
    }

    /// Makes `future` a task of this scheduler that is due at once.
    #[inline]
    pub(crate) fn spawn<F>(&self, future: F, place: Place) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        context::with_worker_of(self, |worker| {
            let shard = |id: lifecycle::Id| match worker {
                Some(worker) => worker.shard(),
                None => self.reliefs.first() + id.block() % limits::FOREIGN_SHARDS,
            };
            // SAFETY: 1: `bind` below binds it to this scheduler, which S5 keeps; a task that is
            // refused completes before `self` can go. 2 and 3: by the bounds on `F`.
            let (notified, handle) =
                unsafe { lifecycle::new(future, NonNull::from(self), shard, place) };
            if !self.owned.bind(&notified) {
                notified.refuse();
            } else if let Some(worker) = worker {
                worker.schedule(notified);
            } else {
                // The caller's share in `self` keeps it: no need to be a visitor (S6).
                self.push_inject(notified);
            }
            handle
        })
    }

    /// Queues a task for any worker and sees that one is awake.
    fn push_inject(&self, task: Notified) {
        self.push_inject_quietly(task);
        self.notify_of_injected();
    }

    /// Queues a task for any worker. The caller tells of it.
    fn push_inject_quietly(&self, task: Notified) {
        self.inject.push(task);
        // ORDERING: Relaxed, a plain counter.
        self.injected.fetch_add(1, Ordering::Relaxed);
    }

    /// Wakes a worker to search, unless one searches already or nobody sleeps (S3).
    #[inline]
    fn notify(&self) {
        self.wake(self.idle.worker_to_wake());
    }

    /// [`Shared::notify`] for a push that may be overlooked.
    #[inline]
    fn notify_maybe(&self) {
        self.wake(self.idle.maybe_worker_to_wake());
    }

    /// [`Shared::notify`] for what guests do not take.
    #[inline]
    fn notify_of_injected(&self) {
        if seeded::is("scheduler: a guest stands for a worker for what is injected") {
            return self.notify();
        }
        // LIVENESS (S7): a guest that stands for the worker does not take it, and may be stuck.
        // Model: models/relief.rs `what_is_injected_while_a_guest_is_stuck_is_the_workers`.
        self.wake(self.idle.worker_to_wake_despite_guests());
    }

    /// [`Shared::notify`], if there is something to take.
    fn notify_of_work(&self) {
        if !self.inject.is_empty() {
            self.notify_of_injected();
        } else if self.has_work() {
            self.notify();
        }
    }

    #[inline]
    fn wake(&self, sleeper: Option<usize>) {
        if let Some(index) = sleeper {
            self.count_wake();
            self.unpark(index);
        }
    }

    #[cold]
    fn count_wake(&self) {
        context::with_worker_of(self, |worker| {
            if let Some(worker) = worker {
                bump(&worker.remote().counters.wakes);
            }
        });
    }

    /// Wakes the thread of one remote.
    fn unpark(&self, index: usize) {
        self.remotes[index].parker.unpark(&self.driver);
    }

    /// Whether there is something that a worker could take: S3's second look.
    fn has_work(&self) -> bool {
        !self.inject.is_empty() || self.in_use().iter().any(|remote| !remote.stealer.is_empty())
    }

    /// The places that may be in use (S10).
    #[inline]
    fn in_use(&self) -> &[CachePadded<Remote>] {
        &self.remotes[..self.reliefs.extent()]
    }

    /// Whether a thread was stuck not long ago, so that another may be soon.
    #[inline]
    fn is_alert(&self) -> bool {
        // ORDERING: Relaxed: a hint.
        self.alert.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn set_alert(&self, is_alert: bool) {
        // ORDERING: Relaxed, as above.
        self.alert.store(u64::from(is_alert), Ordering::Relaxed);
    }

    /// The driver.
    pub(crate) fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// The timers' shard of the current thread.
    pub(crate) fn timer_shard(&self) -> usize {
        context::with_worker_of(self, |worker| match worker {
            Some(worker) => worker.shard(),
            None => self.reliefs.first(),
        })
    }

    /// Shards that [`Driver::new`] must make for a scheduler of this size.
    pub(crate) fn timer_shards(workers: usize, guests: usize) -> usize {
        workers + guests + 1
    }

    /// Every task that is bound and not complete.
    pub(crate) fn owned(&self) -> &Owned {
        &self.owned
    }

    /// How many threads run tasks, guests and reliefs not counted.
    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    /// What each worker, then each place of a guest or a relief, did so far.
    pub(crate) fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.remotes.iter().map(|remote| &remote.counters)
    }

    /// Tasks that were pushed to the inject queue so far.
    pub(crate) fn injected(&self) -> u64 {
        // ORDERING: Relaxed, a plain counter.
        self.injected.load(Ordering::Relaxed)
    }

    /// Tasks that were dropped before they were done.
    pub(crate) fn cancelled(&self) -> u64 {
        // ORDERING: Relaxed, a plain counter.
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Tasks in the inject queue, in the local queues and in the slots.
    pub(crate) fn queued(&self) -> usize {
        let local = |remote: &Remote| remote.stealer.len() + usize::from(!remote.slot.is_empty());
        self.inject.len() + self.remotes.iter().map(|remote| local(remote)).sum::<usize>()
    }
}

impl Schedule for Shared {
    #[inline]
    fn schedule(&self, task: Notified) {
        context::with_worker_of(self, |worker| match worker {
            Some(worker) => worker.schedule(task),
            None => self.schedule_as_visitor(task),
        });
    }

    #[inline]
    fn yield_now(&self, task: Notified) {
        context::with_worker_of(self, |worker| match worker {
            Some(worker) => worker.yield_now(task),
            None => self.schedule_as_visitor(task),
        });
    }

    #[inline]
    fn release(&self, task: &lifecycle::cell::Header) -> bool {
        self.owned.release(task)
    }

    fn note_cancelled(&self) {
        // ORDERING: Relaxed, a plain counter; read after the workers were joined.
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    fn unobserved_hook(&self) -> UnobservedHook {
        self.unobserved.clone()
    }
}
