//! What the tasks of one program share.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;

use tenter::task::TaskGroup;
use tenter::{AbortHandle, Handle, JoinError, JoinHandle, Runtime};

use crate::ledger::{End, Ledger, Outcome, Planned, Record};
use crate::outside::{self, Delay, Progress};
use crate::plan::{Shape, Task};
use crate::probe::{Boxed, Errand, Probe};
use crate::verdict::is_closed_timer;
use crate::{actions, ensure};

/// The world of one program.
pub(crate) struct World {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) handle: Handle,
    /// For whoever ends it.
    pub(crate) runtime: Mutex<Option<Runtime>>,
    is_ending: AtomicBool,
    orders: AtomicUsize,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    /// What is kept beyond the end of its task, and of the runtime.
    pub(crate) kept: Mutex<Vec<Kept>>,
    pub(crate) bytes: AtomicU64,
    pub(crate) has_children: AtomicBool,
}

/// What somebody keeps for longer than it is good for anything.
pub(crate) enum Kept {
    Waker(Waker),
    Abort(AbortHandle),
    Join(Joiner),
}

impl World {
    pub(crate) fn new(runtime: Runtime, ledger: Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            ledger,
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            is_ending: AtomicBool::new(false),
            orders: AtomicUsize::new(0),
            threads: Mutex::default(),
            kept: Mutex::default(),
            bytes: AtomicU64::new(0),
            has_children: AtomicBool::new(false),
        })
    }

    /// Whether the runtime ends in the middle: what is cancelled or refused is so because of that.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    pub(crate) fn set_ending(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
    }

    pub(crate) fn orders(&self) -> usize {
        self.orders.load(Ordering::SeqCst)
    }

    /// Has a thread outside do something that does not block.
    pub(crate) fn outside(
        self: &Arc<Self>,
        delay: Delay,
        order: impl FnMut() -> Progress + Send + 'static,
    ) {
        /// The count goes down when the order is gone, with all that it had: fields are dropped in
        /// their order.
        struct Order<F> {
            order: F,
            delay: Option<Delay>,
            _count: Count,
        }

        struct Count(Arc<World>);

        impl Drop for Count {
            fn drop(&mut self) {
                self.0.orders.fetch_sub(1, Ordering::SeqCst);
            }
        }

        let thread = self.orders.fetch_add(1, Ordering::SeqCst);
        let mut order = Order { order, delay: Some(delay), _count: Count(self.clone()) };
        outside::order(thread, move || {
            let order = &mut order;
            if let Some(delay) = order.delay.take() {
                delay.pass();
            }
            (order.order)()
        });
    }

    /// [`World::outside`] for what is done once.
    pub(crate) fn once_outside(self: &Arc<Self>, delay: Delay, f: impl FnOnce() + Send + 'static) {
        let mut f = Some(f);
        self.outside(delay, move || {
            if let Some(f) = f.take() {
                f();
            }
            Progress::Done
        });
    }

    /// Runs `f` on a thread of its own, which is waited for before the program ends.
    pub(crate) fn thread(&self, f: impl FnOnce() + Send + 'static) {
        let thread = thread::Builder::new().name("side".into()).spawn(f);
        self.threads.lock().unwrap().push(thread.expect("a thread starts"));
    }

    pub(crate) fn join_threads(&self) {
        // Ends: a side thread starts no others for ever.
        while let Some(thread) = { self.threads.lock().unwrap().pop() } {
            ensure!(thread.join().is_ok(), "a side thread panicked");
        }
    }

    /// `Handle::block_on`; a panic because timers are closed is none if the runtime ends.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| self.handle.block_on(future))) {
            Ok(output) => Some(output),
            Err(payload) => {
                let message = payload.downcast_ref::<&str>().copied().unwrap_or_default();
                if !self.is_ending() || !is_closed_timer(message) {
                    resume_unwind(payload);
                }
                None
            }
        }
    }

    /// A watched future, to be spawned.
    pub(crate) fn probe(
        &self,
        kind: &'static str,
        shape: Shape,
        future: Boxed,
    ) -> (Probe, Arc<Record>) {
        let record = self.ledger.open(kind, false);
        (Probe::new(record.clone(), future, shape.end, shape.wraps), record)
    }

    pub(crate) fn errand(
        &self,
        end: End,
        body: impl FnOnce() + Send + 'static,
    ) -> (Errand, Arc<Record>) {
        let record = self.ledger.open("closure", true);
        (Errand::new(record.clone(), Box::new(body), end), record)
    }
}

/// Where a task is: the world, and the group that it can spawn into.
#[derive(Clone)]
pub(crate) struct Ctx {
    pub(crate) world: Arc<World>,
    pub(crate) group: Option<Enclosing>,
}

/// The group that what runs is a part of, itself and not by something it spawned outside it.
#[derive(Clone)]
pub(crate) struct Enclosing {
    pub(crate) group: TaskGroup<Planned>,
    pub(crate) members: Arc<Members>,
}

/// The tasks of a group and of those inside it.
#[derive(Default)]
pub(crate) struct Members {
    records: Mutex<Vec<Arc<Record>>>,
    outer: Option<Arc<Members>>,
}

impl Members {
    pub(crate) fn inside(outer: Option<&Enclosing>) -> Arc<Self> {
        let outer = outer.map(|outer| outer.members.clone());
        Arc::new(Self { records: Mutex::default(), outer })
    }

    /// Adds a task: it may be cancelled at any time, and its `Err` must not get lost.
    pub(crate) fn add(&self, record: &Arc<Record>) {
        record.ask_abort();
        record.failure_counts.store(true, Ordering::Relaxed);
        let mut next = Some(self);
        while let Some(members) = next {
            members.records.lock().unwrap().push(record.clone());
            next = members.outer.as_deref();
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Record>> {
        self.records.lock().unwrap().clone()
    }
}

impl Ctx {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self { world: world.clone(), group: None }
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.world.is_ending()
    }

    /// The same, for what is no part of the group.
    pub(crate) fn alone(&self) -> Self {
        Self::new(&self.world)
    }

    /// A watched future that does what a task is planned to do; here it is one of the group.
    pub(crate) fn member(&self, task: Task) -> (Probe, Arc<Record>) {
        let future = actions::perform(self.clone(), task.body);
        self.world.probe(task.body_kind, task.shape, future)
    }

    /// A watched future that does what a task is planned to do, and is in no group.
    pub(crate) fn task(&self, task: Task) -> (Probe, Arc<Record>) {
        self.alone().member(task)
    }

    /// Spawns a helper of an action on this runtime, one that is aborted if its handle is dropped.
    pub(crate) fn helper(
        &self,
        kind: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Helper {
        let (probe, record) = self.world.probe(kind, Shape::plain(), Box::pin(future));
        let joiner = Joiner::new(&self.world, record, tenter::spawn(probe));
        Helper { joiner: Some(joiner) }
    }
}

/// The handle of a watched task.
pub(crate) struct Joiner {
    world: Arc<World>,
    pub(crate) record: Arc<Record>,
    pub(crate) handle: JoinHandle<Outcome>,
}

impl Joiner {
    pub(crate) fn new(
        world: &Arc<World>,
        record: Arc<Record>,
        handle: JoinHandle<Outcome>,
    ) -> Self {
        Self { world: world.clone(), record, handle }
    }

    pub(crate) fn abort(&self) {
        self.record.ask_abort();
        self.handle.abort();
    }

    /// Waits for the end, and compares it with the books.
    pub(crate) async fn join(mut self) {
        let result = (&mut self.handle).await;
        self.check(result);
    }

    fn check(&self, result: Result<Outcome, JoinError>) {
        ensure!(self.handle.is_finished(), "{} gave its output and goes on", self.record);
        self.record.ended(result, self.world.is_ending());
    }

    /// `JoinHandle::cancel`: afterwards nothing of the future is left.
    pub(crate) async fn cancel(self) {
        self.record.ask_abort();
        let output = self.handle.cancel().await;
        ensure!(self.record.is_dropped(), "{} is cancelled, and not dropped", self.record);
        if let Some(output) = output {
            self.record.ended(Ok(output), true);
        }
    }
}

/// A task that ends with its handle.
pub(crate) struct Helper {
    joiner: Option<Joiner>,
}

impl Helper {
    pub(crate) async fn join(mut self) {
        if let Some(joiner) = &mut self.joiner {
            let result = (&mut joiner.handle).await;
            joiner.check(result);
        }
        self.joiner = None;
    }

    pub(crate) fn abort(&self) {
        self.joiner.iter().for_each(Joiner::abort);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.abort();
    }
}
