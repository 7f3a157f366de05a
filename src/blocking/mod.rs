//! The blocking pool: threads for work that may block, started on demand and given back when idle.
//!
//! # PROTOCOL
//!
//! ```text
//!                 1              2
//!   spawn ─► queued ──► running ──► gone            a job
//!               └───────────────────► cancelled
//!                         3
//!
//!             4          5          6
//!   start ─► roused ──► busy ──► idle ──► gone      a thread
//!               ▲        │ ▲      │ 7
//!               │        └─┘8     │
//!               └─────────────────┘
//!
//! 1 Pool::work           a busy thread pops it, oldest first
//! 2 contain_drop         that thread, outside the lock
//! 3 Pool::close          the closing thread, outside the lock
//! 4 Pool::run            a roused thread takes the lock and gives the baton back
//! 5 Pool::work           the queue is empty
//! 6 Pool::wait_idle      its keep-alive passed, or the pool closed
//! 7 State::rouse         by whoever found a queued job and no baton out
//! 8 Pool::work           the queue is not empty
//! ```
//!
//! One lock guards the queue, the list of idle threads, and the *baton*: the right to rouse a
//! thread, which is to wake an idle one or to start a new one. There is one baton, and it is out
//! from the moment a thread is chosen until that thread has the lock (or could not be started).
//! So a burst of jobs rouses one thread and not one a job, while jobs that sleep still get a
//! thread each: the roused thread takes a job and, if it leaves more behind, passes the baton on
//! *before* it runs what it took.
//!
//! Invariants, each true whenever the lock is open:
//!
//! - **B1** A queued job implies that the baton is out, or that no thread is idle and no more may,
//!   or could, be started.
//! - **B2** The baton is out to exactly one thread, and that thread will take the lock. Hence an
//!   idle thread that was given the baton keeps it even if its time ran out meanwhile.
//! - **B3** An idle thread is on the idle list, a roused one is not; who takes it off the list
//!   has set its flag under the lock.
//! - **B4** While a thread is being started outside the lock some other thread lives on, so that
//!   jobs queued in trust of the start are not stranded if it fails.
//! - **B5** After [`Pool::close`] the queue is empty, stays empty, and nobody becomes idle.
//! - **B6** `alive` counts a thread from the decision to start it to its own decision to leave,
//!   which it takes over an empty queue; a job that panics ends neither the thread nor the count.
//! - **B7** `abandonable` counts the threads that run a job nobody waits for, from the critical
//!   section that takes the job to the one after it. With B5 it only falls in a closed pool: what
//!   [`Pool::wait`] does not wait for when it begins can come back to be waited for, and then
//!   leaves at once, but no thread that it waits for is ever lost to such a job.
//!
//! LIVENESS (B1): a queued job never waits for a running one to end while another thread could
//! be had. By induction over critical sections: `push` rouses unless the baton is out; the
//! thread that gives the baton back pops a job, then rouses for the rest; a thread goes idle or
//! leaves only over an empty queue; a start that failed rouses an idle thread or finds none, and
//! then every thread is busy and looks again when it is done.
//! Model: models/blocking.rs `a_job_behind_one_that_waits_gets_a_thread_of_its_own`.
//!
//! # A thread that outlives the pool
//!
//! A thread that runs an abandonable job may end long after everything else. It keeps the pool's
//! shared part by itself, and its handle goes as it leaves ([`Pool::detach`]): nobody joins it. Its
//! job has no share in the runtime.

mod pool;

pub(crate) use pool::{Config, Counts, Job, Pool};
