//! A thread in `block_on`: a worker for as long as it is there (S7).
//!
//! It polls the main future when that was woken, and between two such polls runs one task that
//! its own thread made due. A request and its reply between the main future and a task so stay
//! on one thread.

use std::cell::Cell;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

use crate::lifecycle;
use crate::lifecycle::context::{enter_main, holds_locals};
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::{Arc, seeded};

use super::park::Parker;
use super::worker::AbortOnUnwind;
use super::{Core, Shared, Worker, context};

/// Runs `future` to its end on this thread, which runs tasks meanwhile.
///
/// Inside a task, a closure or the scope of a task local it runs none: they would see the value,
/// and wait for the locks that the code around this call may hold.
///
/// The caller has made sure that the thread is not a worker already. While tasks run, the thread
/// holds what `enter` gives: whatever the main future has entered, tasks are in their runtime.
pub(crate) fn block_on<F: Future, G>(
    shared: &Arc<Shared>,
    future: F,
    enter: impl Fn() -> G,
) -> F::Output {
    let runs_alone =
        holds_locals() || lifecycle::id().is_some() || seeded::is("guest: it runs no tasks");
    let core = if runs_alone { None } else { shared.guest_cores.lock().pop() };
    match core {
        Some(core) => Guest::new(shared, core).block_on(future, enter),
        // So does a thread for which there is no place.
        None => block_on_alone(shared, future),
    }
}

impl Shared {
    /// Threads in `block_on` that run tasks, or drop what one returned.
    pub(crate) fn guests(&self) -> usize {
        self.idle.guests()
    }

    /// [`Shared::guests`] without the current thread.
    pub(crate) fn other_guests(&self) -> usize {
        let is_one = context::with_worker_of(self, |worker| {
            worker.is_some_and(|worker| worker.is_guest() && worker.is_running())
        });
        self.guests().saturating_sub(usize::from(is_one))
    }
}

/// A guest's worker, given back whatever happens to the main future.
struct Guest<G> {
    worker: Option<Worker>,
    /// Counted in the ledger as running tasks, and in their runtime.
    running: Cell<Option<G>>,
    main: std::sync::Arc<Main>,
}

impl<G> Guest<G> {
    fn new(shared: &Arc<Shared>, core: Core) -> Self {
        let main = Main::new(Arc::clone(shared), Some(core.index));
        let worker = Some(Worker::new(Arc::clone(shared), core));
        Self { worker, running: Cell::new(None), main }
    }

    fn block_on<F: Future>(&self, future: F, enter: impl Fn() -> G) -> F::Output {
        let mut future = pin!(future);
        let waker = Waker::from(std::sync::Arc::clone(&self.main));
        let mut cx = Context::from_waker(&waker);
        let worker = self.worker.as_ref().expect("taken on drop only");
        let _entered = context::enter(worker);
        worker.arrive();
        // Ends: when the main future does.
        loop {
            if self.main.take_woken() {
                self.stop_running();
                worker.runs_no_task();
                let _budget = enter_main();
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    return output;
                }
            }
            if worker.shared().is_alert() {
                // Tasks block their threads these days; the main future is not to wait for one.
                self.stop_running();
                worker.hand_on();
            }
            if let Some(task) = worker.next() {
                self.start_running(&enter);
                let unwinding = AbortOnUnwind;
                worker.execute(task);
                std::mem::forget(unwinding);
                worker.shared().tell_if_drained();
            } else if !self.main.is_woken() {
                self.stop_running();
                // LIVENESS: the main future is woken by `Main::wake`, which unparks this thread
                // unless it is the one that runs; the token outlives the look above.
                // Model: models/scheduler.rs `a_guest_is_woken_by_another_thread`.
                worker.sleep_as_guest();
            }
        }
    }

    /// Tasks are run next: this thread stands for a worker (S7).
    fn start_running(&self, enter: impl Fn() -> G) {
        let running = self.running.take().unwrap_or_else(|| {
            self.main.shared.idle.start_guest();
            enter()
        });
        self.running.set(Some(running));
    }

    /// Something else is done next: what is left here is for the others (S7).
    fn stop_running(&self) {
        if self.running.take().is_some() {
            let shared = &self.main.shared;
            shared.idle.stop_guest();
            if !seeded::is("guest: what it leaves is not handed on") {
                shared.notify_of_work();
            }
        }
    }
}

impl<G> Drop for Guest<G> {
    fn drop(&mut self) {
        self.stop_running();
        let worker = self.worker.take().expect("taken here only");
        let shared = Arc::clone(&self.main.shared);
        worker.hand_on();
        worker.remote().set_awake(false);
        shared.guest_cores.lock().push(worker.into_core());
    }
}

/// Who wakes the main future.
struct Main {
    shared: Arc<Shared>,
    woken: AtomicBool,
    /// The guest's remote, or this value's own parker for a thread without one.
    index: Option<usize>,
    parker: Parker,
}

impl Main {
    fn new(shared: Arc<Shared>, index: Option<usize>) -> std::sync::Arc<Self> {
        let woken = AtomicBool::new(true);
        std::sync::Arc::new(Self { shared, woken, index, parker: Parker::new() })
    }

    fn is_woken(&self) -> bool {
        // ORDERING: Relaxed. A hint before sleeping; the parker's token is what counts.
        self.woken.load(Ordering::Relaxed)
    }

    fn take_woken(&self) -> bool {
        // ORDERING: Acquire. Pairs with Release in `wake_by_ref`: the poll sees what was done
        // before the wake.
        self.is_woken() && self.woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for Main {
    fn wake(self: std::sync::Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        // ORDERING: Release. Pairs with Acquire in `take_woken`. A swap even if it is set
        // already: the poll to come must see what this thread wrote.
        if seeded::is("guest: a wake that is one too many writes nothing") && self.is_woken() {
            return;
        }
        if self.woken.swap(true, Ordering::Release) {
            return;
        }
        let Some(index) = self.index else {
            return self.parker.unpark(self.shared.driver());
        };
        let is_own_thread = context::with_worker_of(&self.shared, |worker| {
            worker.is_some_and(|worker| worker.index() == index)
        });
        if !is_own_thread && !seeded::is("guest: a wake does not unpark") {
            self.shared.unpark(index);
        }
    }
}

fn block_on_alone<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    let main = Main::new(Arc::clone(shared), None);
    let mut future = pin!(future);
    let waker = Waker::from(std::sync::Arc::clone(&main));
    let mut cx = Context::from_waker(&waker);
    // Ends: when the main future does.
    loop {
        if main.take_woken() {
            let _budget = enter_main();
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
        } else {
            main.parker.park_on_condvar();
        }
    }
}
