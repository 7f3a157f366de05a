//! Grow, hand the baton on, idle out, drain.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use slab::Slab;

use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::lock::{Condvar, Mutex, MutexGuard};
use crate::primitive::{Arc, contain_drop, seeded, thread, thread_local};

thread_local! {
    /// Address of the pool that the current thread belongs to, or zero.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    /// Set before anything else runs on a thread of a pool, and so dropped last: destructors of
    /// thread-locals, which may be the user's and take for ever, come before it.
    static LEAVING: RefCell<Option<Leaving>> = const { RefCell::new(None) };
}

/// A piece of work that may block.
pub(crate) trait Job: Send + 'static {
    /// Does the work, on a thread of the pool.
    fn run(self);

    /// Ends the job without running it: the pool closed first.
    fn cancel(self);

    /// Whether [`Pool::wait`] leaves a thread to itself while it runs this job (B7).
    fn is_abandonable(&self) -> bool {
        false
    }
}

/// What a [`Pool`] is made with.
pub(crate) struct Config {
    /// Threads that may live at once; at least one.
    pub(crate) threads_max: usize,
    /// How long an idle thread waits for work before it leaves.
    pub(crate) keep_alive: Duration,
    /// Stack size of a thread, in bytes; the platform's default if `None`.
    pub(crate) stack_bytes: Option<usize>,
    /// Names the next thread.
    pub(crate) thread_name: Box<dyn Fn() -> String + Send + Sync>,
    /// Runs on each thread before its first job.
    pub(crate) on_start: Option<Box<dyn Fn() + Send + Sync>>,
    /// Runs on each thread after its last job.
    pub(crate) on_stop: Option<Box<dyn Fn() + Send + Sync>>,
}

/// A moment's view of a [`Pool`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Threads, those being started included.
    pub(crate) threads: usize,
    /// Threads that wait for work.
    pub(crate) idle: usize,
    /// Jobs that no thread has taken yet.
    pub(crate) queued: usize,
    /// Threads that run a job which nobody waits for.
    pub(crate) abandonable: usize,
    /// Threads that [`Pool::wait`] waits for: those that have not ended, but for these.
    pub(crate) waited_for: usize,
}

/// A job that the pool did not take, and why.
pub(crate) struct Rejected<J> {
    /// The job, not run and not cancelled.
    pub(crate) job: J,
    /// Why no thread could be started; `None` if the pool is closed.
    pub(crate) error: Option<io::Error>,
}

/// A pool of threads for work that may block.
///
/// Clones share the pool. Its threads keep what they share alive by themselves: whoever made the
/// pool owes it a [`Pool::close`].
pub(crate) struct Pool<J> {
    shared: Arc<Shared<J>>,
}

struct Shared<J> {
    config: Config,
    state: Mutex<State<J>>,
    /// Signalled, with the pool closed, whenever a place in [`State::threads`] becomes free.
    left: Condvar,
}

struct State<J> {
    queue: VecDeque<J>,
    closed: bool,
    baton: Baton,
    /// Threads that wait for work (B3). The last is roused first: its stack is warm, and those
    /// in front get their chance to leave.
    idle: Vec<Arc<Sleeper>>,
    /// Threads that jobs can count on (B6).
    alive: usize,
    /// One place a thread, until it left and its handle was put away.
    threads: Slab<Thread>,
    /// Threads that run an abandonable job (B7).
    abandonable: usize,
    /// Handle of the thread that left last, and joins its predecessor; none once detached.
    ended: Option<thread::JoinHandle<()>>,
    /// Nobody comes for a handle any more.
    is_detached: bool,
}

/// Who has the right to rouse a thread (B2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Baton {
    /// Whoever queues a job or leaves one behind.
    Here,
    /// An idle thread that was woken and will take the lock.
    Woken,
    /// A thread that is being started, which may fail.
    Starting,
}

/// A place in [`State::threads`].
enum Thread {
    /// Its starter has not put the handle here yet.
    Starting,
    /// It has a handle.
    Started(thread::JoinHandle<()>),
    /// It left before its starter could put the handle here.
    LeftEarly,
}

/// Where one idle thread waits.
struct Sleeper {
    /// Set, under the lock, by whoever took the thread off the idle list.
    roused: AtomicBool,
    condvar: Condvar,
}

/// What is to be done about the jobs left in the queue, once the lock is open.
#[must_use]
enum Rouse {
    Nobody,
    Wake(Arc<Sleeper>),
    /// Start a thread, for this place.
    Start(usize),
}

impl<J: Job> Pool<J> {
    /// A pool without threads.
    pub(crate) fn new(config: Config) -> Self {
        assert!(config.threads_max > 0, "a blocking pool needs at least one thread");
        Self {
            shared: Arc::new(Shared {
                config,
                state: Mutex::new(State {
                    queue: VecDeque::new(),
                    closed: false,
                    baton: Baton::Here,
                    idle: Vec::new(),
                    alive: 0,
                    threads: Slab::new(),
                    abandonable: 0,
                    ended: None,
                    is_detached: false,
                }),
                left: Condvar::new(),
            }),
        }
    }

    /// Queues `job` and sees that a thread comes for it.
    ///
    /// # Errors
    ///
    /// Gives the job back if the pool is closed, or if it has no thread and none could be
    /// started.
    pub(crate) fn spawn(&self, job: J) -> Result<(), Rejected<J>> {
        let state = self.shared.state.lock();
        if state.alive == 0 && !state.closed {
            drop(state);
            return self.spawn_first(job);
        }
        self.push(state, job)
    }

    /// Threads, idle threads and queued jobs at this moment.
    pub(crate) fn counts(&self) -> Counts {
        let state = self.shared.state.lock();
        Counts {
            threads: state.alive,
            idle: state.idle.len(),
            queued: state.queue.len(),
            abandonable: state.abandonable,
            waited_for: state.waited_for(),
        }
    }

    /// Closes the pool: cancels every queued job, on this thread, and sends idle threads home.
    ///
    /// Jobs that run go on. Closing twice does nothing.
    pub(crate) fn close(&self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let queue = std::mem::take(&mut state.queue);
        let idle = std::mem::take(&mut state.idle);
        for sleeper in &idle {
            // ORDERING: Relaxed; the lock orders it (B3).
            sleeper.roused.store(true, Ordering::Relaxed);
        }
        drop(state);
        if !seeded::is("blocking: closing wakes nobody") {
            for sleeper in idle {
                sleeper.condvar.notify_one();
            }
        }
        if seeded::is("blocking: closing forgets the queue") {
            return std::mem::forget(queue);
        }
        for job in queue {
            contain_drop(|| job.cancel());
        }
    }

    /// Waits until every thread left, and joins them; `false` if `deadline` passed first.
    ///
    /// For a closed pool. A thread of the pool itself may call this: it does not wait for itself.
    /// Nor does anybody for a thread that runs an abandonable job: it ends when the job does, and
    /// nobody joins it (B7).
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let own = usize::from(CURRENT.with(|pool| pool.get() == self.address()));
        let mut state = self.shared.state.lock();
        debug_assert!(state.closed, "waiting for the threads of a pool that is open");
        // LIVENESS: `Pool::leave` and `Pool::keep_handle` free a place under the lock and
        // then signal; this looks under the lock and then waits. That no more threads are
        // to be waited for than stand here needs no signal: in a closed pool no job starts (B7).
        // Model: models/blocking.rs `closing_sends_idle_threads_home`.
        while state.waited_for() > own {
            match deadline {
                None => state = self.shared.left.wait(state),
                Some(deadline) => {
                    let timed_out;
                    (state, timed_out) = self.shared.left.wait_until(state, deadline);
                    if timed_out && state.waited_for() > own {
                        return false;
                    }
                }
            }
        }
        let ended = state.ended.take();
        drop(state);
        join(ended);
        true
    }

    /// Lets threads that have not ended go by themselves: nobody joins them.
    ///
    /// For a closed pool, after the last [`Pool::wait`]. Without it the thread that ended last would
    /// keep its stack for as long as the pool is there.
    pub(crate) fn detach(&self) {
        let mut state = self.shared.state.lock();
        state.is_detached = true;
        let _ended = state.ended.take();
    }

    /// [`Pool::spawn`] while no thread lives: the first is started under the lock, so that a
    /// failure leaves no job of anybody else behind.
    fn spawn_first(&self, job: J) -> Result<(), Rejected<J>> {
        // The user's function, hence before the lock.
        let builder = self.builder();
        let mut state = self.shared.state.lock();
        if state.alive == 0 && !state.closed {
            let place = state.reserve();
            match self.start(builder, place) {
                Ok(handle) => state.threads[place] = Thread::Started(handle),
                Err(error) => {
                    if !seeded::is("blocking: a start that failed stays counted") {
                        state.release(place);
                    }
                    return Err(Rejected { job, error: Some(error) });
                }
            }
        }
        self.push(state, job)
    }

    fn push(&self, mut state: MutexGuard<'_, State<J>>, job: J) -> Result<(), Rejected<J>> {
        if state.closed && !seeded::is("blocking: a closed pool takes jobs") {
            return Err(Rejected { job, error: None });
        }
        state.queue.push_back(job);
        let rouse = state.rouse(self.shared.config.threads_max);
        drop(state);
        self.carry_out(rouse);
        Ok(())
    }
}

impl<J: Job> Pool<J> {
    /// What identifies the pool on its threads.
    fn address(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    fn builder(&self) -> thread::Builder {
        let builder = thread::Builder::new().name((self.shared.config.thread_name)());
        match self.shared.config.stack_bytes {
            Some(bytes) => builder.stack_size(bytes),
            None => builder,
        }
    }

    fn start(&self, builder: thread::Builder, place: usize) -> io::Result<thread::JoinHandle<()>> {
        let pool = self.clone();
        builder.spawn(move || pool.run(place))
    }

    /// Does, with the lock open, what [`State::rouse`] decided.
    fn carry_out(&self, rouse: Rouse) {
        match rouse {
            Rouse::Nobody => {}
            Rouse::Wake(sleeper) => sleeper.condvar.notify_one(),
            Rouse::Start(place) => match self.start(self.builder(), place) {
                Ok(handle) => self.keep_handle(place, handle),
                Err(_) => self.start_failed(place),
            },
        }
    }

    /// Puts the handle of a started thread where it, leaving, finds it.
    fn keep_handle(&self, place: usize, handle: thread::JoinHandle<()>) {
        let mut state = self.shared.state.lock();
        if let Thread::LeftEarly = state.threads[place] {
            state.threads.remove(place);
            let before = state.put_away(handle);
            self.shared.left.notify_all();
            drop(state);
            join(before);
        } else {
            state.threads[place] = Thread::Started(handle);
        }
    }

    /// Gives the baton of a thread that could not be started to an idle one, if one is needed.
    ///
    /// If none is idle then every thread is busy and looks at the queue when it is done; there is
    /// at least one (B4).
    fn start_failed(&self, place: usize) {
        let mut state = self.shared.state.lock();
        state.release(place);
        let alive = state.alive;
        let rouse = state.rouse(alive);
        self.shared.left.notify_all();
        drop(state);
        if let Rouse::Wake(sleeper) = rouse {
            sleeper.condvar.notify_one();
        }
    }

    /// The life of a thread.
    fn run(self, place: usize) {
        let pool = self.clone();
        let leaving = Leaving(Some(Box::new(move || pool.leave(place))));
        LEAVING.with(|last| *last.borrow_mut() = Some(leaving));
        CURRENT.with(|pool| pool.set(self.address()));
        if let Some(on_start) = &self.shared.config.on_start {
            contain_drop(on_start);
        }
        let sleeper = Arc::new(Sleeper { roused: AtomicBool::new(false), condvar: Condvar::new() });
        let mut state = self.shared.state.lock();
        state.baton = Baton::Here;
        loop {
            state = self.work(state);
            let stays;
            (state, stays) = self.wait_idle(state, &sleeper);
            if !stays {
                break;
            }
        }
        if !seeded::is("blocking: a leaving thread counts as alive") {
            state.alive -= 1;
        }
        drop(state);
        if let Some(on_stop) = &self.shared.config.on_stop {
            contain_drop(on_stop);
        }
    }

    /// Runs jobs until there are none.
    fn work<'a>(&'a self, mut state: MutexGuard<'a, State<J>>) -> MutexGuard<'a, State<J>> {
        while let Some(job) = state.queue.pop_front() {
            // Before the job runs: it may take forever (B1).
            let rouse = if seeded::is("blocking: the roused thread passes nothing on") {
                Rouse::Nobody
            } else {
                state.rouse(self.shared.config.threads_max)
            };
            let abandonable = job.is_abandonable();
            // B7: in the critical section that takes the job.
            state.abandonable += usize::from(abandonable && !starts_late());
            drop(state);
            self.carry_out(rouse);
            if abandonable {
                state = self.run_abandonable(job);
                continue;
            }
            if seeded::is("blocking: a job's panic ends its thread") {
                job.run();
            } else {
                contain_drop(|| job.run());
            }
            state = self.shared.state.lock();
        }
        state
    }

    /// Runs a job on a thread that nobody waits for meanwhile (B7).
    fn run_abandonable(&self, job: J) -> MutexGuard<'_, State<J>> {
        if starts_late() {
            self.shared.state.lock().abandonable += 1;
        }
        // It is not waited for as an abandonable thread, and must not be discounted as its own.
        CURRENT.with(|pool| pool.set(0));
        contain_drop(|| job.run());
        CURRENT.with(|pool| pool.set(self.address()));
        let mut state = self.shared.state.lock();
        if !seeded::is("blocking: an abandonable job that ended is discounted for ever") {
            state.abandonable -= 1;
        }
        state
    }

    /// Waits for work with nothing queued; `false` sends the thread home, off the idle list.
    fn wait_idle<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<J>>,
        sleeper: &Arc<Sleeper>,
    ) -> (MutexGuard<'a, State<J>>, bool) {
        if state.closed {
            return (state, false);
        }
        // ORDERING: Relaxed; the lock orders it (B3).
        sleeper.roused.store(false, Ordering::Relaxed);
        state.idle.push(Arc::clone(sleeper));
        let mut deadline = Instant::now().checked_add(self.shared.config.keep_alive);
        // LIVENESS (B2): who rouses sets the flag under the lock and then signals; this looks at
        // the flag under the lock and then waits, and looks at it before it believes the clock.
        // Model: models/blocking.rs `a_thread_roused_as_its_time_runs_out_takes_the_job`.
        loop {
            let timed_out;
            (state, timed_out) = match deadline {
                Some(deadline) => sleeper.condvar.wait_until(state, deadline),
                None => (sleeper.condvar.wait(state), false),
            };
            // ORDERING: Relaxed; the lock orders it (B3).
            let roused = sleeper.roused.load(Ordering::Relaxed)
                && !(timed_out && seeded::is("blocking: the clock beats the baton"));
            if roused {
                // If by `Pool::close`, the baton was another's; it serves nobody any more (B5).
                state.baton = Baton::Here;
                let stays = !state.closed;
                return (state, stays);
            }
            if timed_out && state.awaits_a_start() {
                // B4: stay for another turn.
                deadline = Instant::now().checked_add(self.shared.config.keep_alive);
            } else if timed_out {
                state.idle.retain(|other| !Arc::ptr_eq(other, sleeper));
                return (state, false);
            }
        }
    }

    /// Accounts for a thread that ends now, and joins the one that ended before it: at once, as
    /// that one has nothing left to run.
    fn leave(&self, place: usize) {
        let mut state = self.shared.state.lock();
        if seeded::is("blocking: a leaving thread counts as alive") {
            state.alive -= 1;
        }
        let before = match std::mem::replace(&mut state.threads[place], Thread::LeftEarly) {
            Thread::Started(handle) => {
                state.threads.remove(place);
                if !seeded::is("blocking: a thread leaves without a signal") {
                    self.shared.left.notify_all();
                }
                state.put_away(handle)
            }
            Thread::Starting => None,
            Thread::LeftEarly => unreachable!("a thread left twice"),
        };
        drop(state);
        join(before);
    }
}

impl<J> State<J> {
    /// Decides whom to rouse for what is queued (B1).
    fn rouse(&mut self, threads_max: usize) -> Rouse {
        if self.queue.is_empty() || self.baton != Baton::Here {
            return Rouse::Nobody;
        }
        if let Some(sleeper) = self.idle.pop() {
            // ORDERING: Relaxed; the lock orders it (B3).
            sleeper.roused.store(true, Ordering::Relaxed);
            self.baton = Baton::Woken;
            return Rouse::Wake(sleeper);
        }
        if self.alive < threads_max {
            return Rouse::Start(self.reserve());
        }
        Rouse::Nobody
    }

    /// Counts a thread that is about to be started, and takes the baton for it.
    fn reserve(&mut self) -> usize {
        self.alive += 1;
        self.baton = Baton::Starting;
        self.threads.insert(Thread::Starting)
    }

    /// Takes back what [`State::reserve`] did: the thread could not be started.
    fn release(&mut self, place: usize) {
        self.alive -= 1;
        self.baton = Baton::Here;
        self.threads.remove(place);
    }

    /// Keeps the handle of a thread that ends for who joins it; returns whom to join now.
    fn put_away(&mut self, handle: thread::JoinHandle<()>) -> Option<thread::JoinHandle<()>> {
        if self.is_detached { None } else { self.ended.replace(handle) }
    }

    /// Threads that [`Pool::wait`] waits for (B7).
    fn waited_for(&self) -> usize {
        if seeded::is("blocking: abandonable jobs are waited for") {
            return self.threads.len();
        }
        if self.abandonable > 0 && seeded::is("blocking: every job is as good as abandoned") {
            return 0;
        }
        self.threads.len() - self.abandonable
    }

    /// Whether the current thread is the only one besides one that is being started (B4).
    fn awaits_a_start(&self) -> bool {
        self.baton == Baton::Starting
            && self.alive == 2
            && !seeded::is("blocking: the last thread leaves during a start")
    }
}

/// Calls [`Pool::leave`] when it is dropped.
struct Leaving(Option<Box<dyn FnOnce()>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(leave) = self.0.take() {
            leave();
        }
    }
}

/// The seeded bug of B7: a thread takes an abandonable job, and says so later.
fn starts_late() -> bool {
    seeded::is("blocking: an abandonable job is discounted after the lock")
}

/// Joins a thread that has left the pool and is about to end: another than this, which has left
/// with the last of its destructors.
fn join(handle: Option<thread::JoinHandle<()>>) {
    if let Some(handle) = handle {
        // Its panics are contained; there is nothing to hand on.
        let _ = handle.join();
    }
}

impl<J> Clone for Pool<J> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<J> fmt::Debug for Pool<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl<J> fmt::Debug for Rejected<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected").field("error", &self.error).finish_non_exhaustive()
    }
}
