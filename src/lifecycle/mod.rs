//! One task, from spawn to join.
//!
//! # Protocol
//!
//! A task is one allocation, a [`Cell`](cell::Cell): a [`Header`](cell::Header) with the state
//! word, and behind it the future, later its output. Everybody who can reach it holds one count
//! of the word.
//!
//! ```text
//!                     1           3
//!  spawn ─► Notified ──► Running ──► Complete ──► freed by the last count
//!             ▲  ▲         │ │
//!            4│  └────2b───┘ │2a
//!            5│              │
//!             └──── Idle ◄───┘
//!
//! 1  State::transition_to_running    the worker that popped the `Notified`
//! 2a State::transition_to_idle       that worker, on Pending: verdict `Idle`
//! 2b the same, verdict `Renotified`: the task was woken, or yielded, while it ran
//! 3  State::transition_to_complete   that worker: on Ready, after a panic, or to cancel
//! 4  State::transition_to_notified_* any waker; the first wins
//! 5  State::transition_to_aborted    any `JoinHandle` or `AbortHandle`; queues an idle task
//!
//! state     who may touch the future    queued
//! Notified  nobody                      once, or about to be
//! Running   the thread that won 1       no
//! Idle      nobody                      no
//! Complete  (the future is gone)        no
//! ```
//!
//! Invariants, cited by number in this room and in the scheduler:
//!
//! - **T1** A task has at most one [`Notified`], and none while it is Running, Idle or Complete.
//!   NOTIFIED set while RUNNING is a note to the runner, not a `Notified`.
//! - **T2** RUNNING is a lock on the future: only the thread that won arrow 1 touches the stage
//!   until arrow 2 or 3.
//! - **T3** COMPLETE is final. If JOIN_INTEREST was set at arrow 3, the output belongs to the
//!   [`JoinHandle`], else to the runner; whoever owns it takes or drops it once.
//! - **T4** Every [`Notified`], [`JoinHandle`], [`AbortHandle`], [`Waker`](std::task::Waker) and
//!   the owned list hold one count each. The cell lives while a count does.
//! - **T5** The scheduler behind the header's plain pointer lives while the task is bound and not
//!   Complete. Nobody touches the scheduler of a complete task.
//! - **T6** The join waker field belongs to the [`JoinHandle`] while JOIN_WAKER is clear and the
//!   task is not complete; it is shared and read-only while JOIN_WAKER is set. Arrow 3 takes
//!   JOIN_WAKER away and with it the field, for the runner.
//! - **T7** The future is dropped by a thread that won arrow 1: never by who aborts, never by
//!   who drops the last count.
//! - **T8** The links of the owned list are touched under the lock of the task's shard only.

#[forbid(unsafe_code)]
pub(crate) mod budget;
#[forbid(unsafe_code)]
mod builder;
pub(crate) mod cell;
pub(crate) mod context;
#[forbid(unsafe_code)]
mod error;
#[forbid(unsafe_code)]
mod id;
mod join;
#[forbid(unsafe_code)]
mod local;
#[forbid(unsafe_code)]
mod on_end;
pub(crate) mod owned;
pub(crate) mod raw;
mod run;
#[forbid(unsafe_code)]
pub(crate) mod state;
mod waker;

pub use budget::consume_budget;
pub use builder::Builder;
pub use context::{id, name};
pub use error::JoinError;
pub use id::Id;
pub use join::{AbortHandle, JoinHandle, TaskState};
pub use local::{AccessError, LocalKey, TaskLocalFuture};

pub use cell::Unobserved;
pub(crate) use cell::{Place, UnobservedHook};
pub(crate) use raw::{Notified, Schedule, new};
