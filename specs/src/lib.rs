//! A specification of the scheduler's protocol of sleep, checked for every order of events.
//!
//! The loom models run the shipped code, for two or three threads. This is a model of it, written
//! by hand, for more of them and all parts at once: workers, threads that push from outside, a
//! guest in `block_on`, the monitor, the one that closes the scheduler; inject queue and local
//! queues, the ledger of who sleeps, the parker, and the driver, in which one of the sleepers sits.
//! [`check`] visits every state that can be reached, with [`stateright`].
//!
//! ```text
//! cargo test -p specs                                          small sizes; every step left out
//! cargo run --release -p specs -- --workers 3 --pushers 2      a size of your own
//! cargo run --release -p specs -- --workers 2 --pushers 2 --batches \
//!     --bug "worker: a batch is moved and nobody is told"      the way to a state that is wrong
//! ```
//!
//! # What is promised
//!
//! A state is *at rest* if every thread sleeps, runs a task, which may be for ever, or is gone.
//!
//! - *nobody sleeps beside a task*: at rest no task is queued while a worker sleeps. (One in a
//!   local queue may be, if a guest runs that stands for that worker, S7.)
//! - *one at a time is woken to search*, however many push.
//! - *the ledger counts who searches* (S2): in every state, who was woken and does not know yet
//!   included. So a wake is given to who sleeps, and taken once.
//! - *one of those that sleep is in the driver* (S9): at rest, if nobody runs a task.
//! - *all leave when nothing is left* (S5): at rest, with the scheduler closed, nobody sleeps.
//! - *every task runs*: there is a way on which they all do; the model is no empty one.
//!
//! # How it stands for the code
//!
//! | step | of |
//! |---|---|
//! | `Next`, `Search`, `Publish` | `Worker::next`, `pop_inject`, `search`; a batch has two tasks at most, the second of which is in no queue between the two steps |
//! | `Stop`, `StopFence`, `StopLook` | `Worker::execute`: `Idle::stop_searching`, its fence, `Shared::notify_of_work` |
//! | `Run` | `Notified::run`: it ends, or spawns into the local queue |
//! | a `Search` that finds nothing, `AnnounceFence` | `Worker::park`: `Idle::announce`, its fence |
//! | `Look` | `Shared::has_work`, `is_drained`; then `Idle::retract`, or `Parker::park` up to its first change |
//! | `EnterDriver`, `InDriver`, `LeaveDriver`, `OnCondvar` | `Parker::park`, after `Driver::try_lock` |
//! | `Retract`, `SearchAgain` | `Idle::retract`, `Worker::search_again`, `tell_of_queue` |
//! | `Push`, `Fence`, `Read`, `Unpark`, `Ring` | `Shared::push_inject`, `Idle::order_push`, `maybe_worker_to_wake` with `sleeper_to_wake`, `Parker::unpark`, `Driver::wake` |
//! | `Main`, `StartGuest`, `GuestNext`, `GuestRun`, `StopGuest..` | `scheduler::guest` |
//! | `Excuse..`; `Turn`, `LeaveTurn`, `LookBack` | `Watch::look`; `Shared::turn_for_others` |
//! | `Close`, `Tell` | `Shared::close`, `tell_if_drained` |
//!
//! A step is what no other thread can come between, or need not: a look at several places is one
//! step where the last of them is looked at, which allows all that could be seen before. What
//! happens under the lock of the list is one step. Memory may be old, see `memory.rs`; only the
//! driver's lock and the parkers' states are always as they are. States that differ in who is who
//! among workers and pushers, or in which task is which, count as one.
//!
//! Left out: the LIFO slot and time, which the monitor looks after; reliefs, who steps aside, and
//! alerts, of which loom has models; and `Worker::look_up`, which may put one task of the inject
//! queue before those of the own, and tells of these.
//!
//! # Results
//!
//! Every promise is kept in every state. (The times, of one thread, are rough; the numbers of
//! states are exact.)
//!
//! | workers | from outside | and | memory | states | s |
//! |---|---|---|---|---|---|
//! | 2 | 2 pushers | | weak | 116,123 | 6 |
//! | 2 | 3 pushers | | weak | 1,156,828 | 86 |
//! | 2 | 2 pushers | batches | weak | 166,677 | 3 |
//! | 3 | 1 pusher | | weak | 35,202 | 1 |
//! | 3 | 2 pushers | | weak | 2,649,155 | 92 |
//! | 3 | 1 pusher, 2 tasks | batches | weak | 1,822,762 | 113 |
//! | 3 | 1 pusher | an event | weak | 2,156,613 | 24 |
//! | 3 | 1 pusher | the end | weak | 6,009,269 | 531 |
//! | 4 | 1 pusher | | weak | 219,451 | 2 |
//! | 5 | 1 pusher | | weak | 1,212,153 | 18 |
//! | 3 | 2 pushers | batches | sequential | 439,541 | 5 |
//! | 3 | 3 pushers | | sequential | 2,929,545 | 69 |
//! | 4 | 2 pushers | | sequential | 1,769,033 | 311 |
//! | 2 | 1 pusher, 2 tasks | a guest | sequential | 1,199,393 | 14 |
//! | 2 | 1 pusher | a guest | weak | 6,117,068 | 371 |
//!
//! States are told apart by 64 bits of hash: at ten million, the chance that one was passed over is
//! three in a million.
//!
//! Each step of [`BUGS`](idle::BUGS), left out, leads to a state that breaks a promise. Three of
//! them were missing in the code, and found here: the two that begin with `worker:`, and that a
//! searcher which stops releases nothing.

mod finds;
pub mod idle;
mod memory;
mod state;
mod steps;

use stateright::{Checker, HasDiscoveries, Model};

use idle::{Idle, Machine};

/// What a check came to.
#[derive(Debug)]
pub struct Report {
    /// States that can be reached, as far as they were visited.
    pub states: usize,
    /// Steps to the farthest of them.
    pub depth: usize,
    /// The promise that is not kept, and the shortest way to a state without it.
    pub broken: Option<(&'static str, Vec<String>)>,
}

/// Visits every state that `model` can reach, or all up to the first that it must not.
///
/// # Panics
///
/// If there is no room for the model, see [`Idle::fits`].
#[must_use]
pub fn check(model: Idle, threads: usize) -> Report {
    assert!(model.fits(), "too large: {model:?}");
    let machine = Machine(model);
    let properties = machine.properties();
    let checker = machine.checker().threads(threads);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let mut broken = None;
    for property in properties {
        let path = checker.discovery(property.name);
        if path.is_some() == property.expectation.discovery_is_failure() {
            let steps = path.into_iter().flat_map(|path| path.into_actions());
            broken = Some((property.name, steps.map(|step| format!("{step:?}")).collect()));
            break;
        }
    }
    Report { states: checker.unique_state_count(), depth: checker.max_depth(), broken }
}
